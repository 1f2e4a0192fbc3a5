"""States, numbers and times in words for a page."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from tunedmodels.observed import ModelState

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
