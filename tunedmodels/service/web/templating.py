"""Templates become pages: escaped, with headers that let nothing run but our own two files."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import Response

from tunedmodels import __version__
from tunedmodels.service.library import words
from tunedmodels.service.library.csrf import FIELD
from tunedmodels.service.web.session import Visit

_PACKAGE = "tunedmodels.service.web"
_KINDS: Final = {
    "library.css": "text/css; charset=utf-8",
    "library.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with no-referrer, the Origin of our own forms is null
    "cross-origin-resource-policy": "same-origin",
}


class Pages:
    """The templates and static files, read once."""

    def __init__(self) -> None:
        folder = files(_PACKAGE).joinpath("static")
        self._static = {name: folder.joinpath(name).read_bytes() for name in _KINDS}
        self._environment = Environment(
            loader=PackageLoader(_PACKAGE),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= words.FILTERS
        self._environment.globals |= {
            "version": __version__,
            "token_field": FIELD,
            # A new version has a new address, so that browsers may keep a file for ever.
            "static": {
                name.replace(".", "_"): f"/static/{name}?{hashlib.sha256(text).hexdigest()[:12]}"
                for name, text in self._static.items()
            },
        }

    def page(self, template: str, visit: Visit, *, status: int = 200, **values: object) -> Response:
        """Return a page for a visitor, to be kept by nobody."""
        text = self._environment.get_template(template).render(visit=visit, **values)
        response = Response(text, status, media_type="text/html")
        response.headers["cache-control"] = "no-store"
        return guarded(response)

    def static(self, name: str) -> Response | None:
        """Return a static file; None when there is none of that name."""
        if name not in _KINDS:
            return None
        response = Response(self._static[name], headers={"content-type": _KINDS[name]})
        response.headers["cache-control"] = "public, max-age=31536000, immutable"
        return guarded(response)


def guarded(response: Response) -> Response:
    """Add the headers that every answer of the library has."""
    response.headers.update(_HEADERS)
    return response
