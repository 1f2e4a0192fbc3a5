"""Render templates as pages: escaped, with headers that allow only our own scripts and styles."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import Response

from tunedmodels import __version__
from tunedmodels.observed import ModelState
from tunedmodels.service.web.session import TOKEN_FIELD, Session
from tunedmodels.text import plural, utc_minute

STATE_LABELS: Final = {
    ModelState.QUEUED: "Waiting",
    ModelState.TRAINING: "Training",
    ModelState.READY: "Ready",
    ModelState.FAILED: "Failed",
    ModelState.CANCELLED: "Cancelled",
}

_PACKAGE = "tunedmodels.service.web"
_MEDIA_TYPES: Final = {
    "library.css": "text/css; charset=utf-8",
    "library.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_SECURITY_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with no-referrer, the Origin of our own forms is null
    "cross-origin-resource-policy": "same-origin",
}
# Control characters except tab and line feed; embeddings, overrides and isolates of direction.
_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class PageRenderer:
    """The templates and static files, which are read once."""

    def __init__(self) -> None:
        folder = files(_PACKAGE).joinpath("static")
        self._static = {name: folder.joinpath(name).read_bytes() for name in _MEDIA_TYPES}
        self._environment = Environment(
            loader=PackageLoader(_PACKAGE),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= _FILTERS
        self._environment.globals |= {
            "package_version": __version__,
            "token_field": TOKEN_FIELD,
            # The address contains a digest, so that browsers can cache a file without a limit.
            "static": {
                name.replace(".", "_"): f"/static/{name}?{hashlib.sha256(text).hexdigest()[:12]}"
                for name, text in self._static.items()
            },
        }

    def page(
        self, template: str, session: Session, *, status: int = 200, **values: object
    ) -> Response:
        """Return a page for a visitor, which must not be cached."""
        text = self._environment.get_template(template).render(session=session, **values)
        response = Response(text, status, media_type="text/html")
        response.headers["cache-control"] = "no-store"
        return with_security_headers(response)

    def static(self, name: str) -> Response | None:
        """Return a static file, or None if it does not exist."""
        if name not in _MEDIA_TYPES:
            return None
        response = Response(self._static[name], headers={"content-type": _MEDIA_TYPES[name]})
        response.headers["cache-control"] = "public, max-age=31536000, immutable"
        return with_security_headers(response)


def with_security_headers(response: Response) -> Response:
    """Return the response with the security headers of every page."""
    response.headers.update(_SECURITY_HEADERS)
    return response


def format_loss(value: float | None) -> str:
    """Format a loss with four decimals, so that a column of losses is aligned."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return "not a number"
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:.3g}"  # noqa: PLR2004  # it diverged


def format_duration(seconds: float) -> str:
    """Format a duration in its two largest units."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    if minutes:
        return f"{minutes} min {rest} s"
    if seconds < 0.1:  # noqa: PLR2004  # would be shown as `0.0 s`
        return "less than 0.1 s"
    return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"  # noqa: PLR2004  # two digits


def quantity(number: int, singular: str, many: str = "") -> str:
    """Format a number with its noun: `1 model`, `1,000 models`."""
    return f"{number:,} {plural(number, singular, many)}"


def escape_controls(text: str) -> str:
    """Return a text with escapes for characters that change its direction, and other controls.

    Otherwise a name could be displayed as another one. Jinja escapes HTML.
    """
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


_FILTERS: Final[dict[str, Callable[..., str]]] = {
    "escape_controls": escape_controls,
    "loss": format_loss,
    "quantity": quantity,
    "utc_minute": utc_minute,
}
