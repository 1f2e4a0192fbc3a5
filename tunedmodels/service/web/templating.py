"""Templates become pages: escaped, with headers that let nothing run but our own two files."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import Response

from tunedmodels import __version__
from tunedmodels.observed import ModelState
from tunedmodels.service.web.session import FIELD, Visit

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
        self._environment.filters |= FILTERS
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


# FOLDED
# States, numbers and times in words for a page.
# Control characters but tab and line feed; embeddings, overrides and isolates of direction.
_STEERING: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

STATES: Final = {
    ModelState.QUEUED: "Waiting",
    ModelState.TRAINING: "Training",
    ModelState.READY: "Ready",
    ModelState.FAILED: "Failed",
    ModelState.CANCELLED: "Cancelled",
}


def loss(value: float | None) -> str:
    """Write a loss with four decimals, so that a column of them stands point under point."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return "not a number"
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:.3g}"  # noqa: PLR2004  # it ran away


def moment(value: datetime) -> str:
    """Write a time to the minute, in UTC."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def duration(seconds: float) -> str:
    """Write a duration in its two largest units."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    if minutes:
        return f"{minutes} min {rest} s"
    if seconds < 0.1:  # noqa: PLR2004  # what `0.0 s` would say
        return "less than 0.1 s"
    return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"  # noqa: PLR2004  # two digits


def counted(number: int, one: str, many: str = "") -> str:
    """Write `1 model`, `1,000 models`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def shown(text: str) -> str:
    """Return a text with the signs that turn its direction around, and other controls, as escapes.

    A name must not look like another one. Jinja escapes what HTML would read.
    """
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


FILTERS: Final[dict[str, Callable[..., str]]] = {
    "counted": counted,
    "loss": loss,
    "moment": moment,
    "shown": shown,
}
