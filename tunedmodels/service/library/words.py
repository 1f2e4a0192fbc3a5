"""States, numbers, times and stamps in words for a page."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.stamp import HAND, Stamp

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
    """Write a loss with three digits."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return "not a number"
    return f"{value:.3f}" if 0.1 <= abs(value) < 10 else f"{value:.3g}"  # noqa: PLR2004  # as wide


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


def stamp_sentences(one: ObservedModel, stamp: Stamp, *, is_serving: bool) -> Iterator[str]:
    """Say what a stamp says."""
    commit = f" from commit {stamp.commit[:12]}" if stamp.commit else ""
    yield f"Version of {stamp.name} in the project {stamp.project}, applied{commit}."
    if stamp.unverified:
        yield "It was adopted: nobody can prove which examples it was trained on."
    else:
        yield (
            f"Trained on {counted(stamp.examples, 'example')} with the digest "
            f"{stamp.dataset[:12]}...; the fingerprint of all inputs is {stamp.fingerprint[:12]}..."
        )
    if stamp.attempt > 1:
        yield f"It took {stamp.attempt} attempts."
    if stamp.preamble:
        yield "A preamble stood before every input; put it before your questions too."
    if stamp.promoted:
        who = " by hand" if stamp.by == HAND else ""
        rest = ", and it serves now" if is_serving else ", and another version serves now"
        yield f"Promoted{who} on {moment(stamp.promoted)}{rest}."
    elif one.state is ModelState.READY:
        yield "It was never promoted."
    if stamp.score:
        yield f"Its evaluation scored {stamp.score}."
    if stamp.protect:
        yield "It is protected: no plan deletes it."
    if stamp.retain:
        yield "It stays when its manifest goes."
