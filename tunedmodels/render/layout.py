"""Fit text to a terminal: measure, cut, pad and wrap it, and write durations and sizes.

Names, descriptions, examples and messages of a service are data. None of them may steer the
terminal, break a line or shift a column.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Callable

from tunedmodels.text import printable

WIDTH = 100  # columns
_KIB = 1024


def columns(text: str) -> int:
    """Return how many columns a text takes; wide characters take two."""
    return sum(1 + (unicodedata.east_asian_width(char) in "WF") for char in text)


def cut(text: str, limit: int = 60) -> str:
    """Escape what is not printable and cut the text to `limit` columns, with an ellipsis."""
    text = printable(text[: 10 * limit])  # the rest of a megabyte would be escaped for nothing
    if columns(text) <= limit:
        return text
    while columns(text) > limit - 3:
        text = text[: -max(1, (columns(text) - limit + 3) // 2)]
    return f"{text.rstrip()}..."


def pad(text: str, width: int) -> str:
    """Fill a text with spaces up to `width` columns."""
    return text + " " * (width - columns(text))


def wrap(text: str, *, indent: int, hang: int = 0, limit: int = 400) -> list[str]:
    """Cut a sentence and break it into lines of at most 100 columns.

    The lines after the first are indented by `hang` more.
    """
    return textwrap.wrap(
        cut(text, limit),
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + hang),
    )


def format_duration(seconds: float) -> str:
    """Return a duration as `0.5 s`, `12 s`, `3 min 05 s` or `1 h 02 min`."""
    if seconds < 1:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def format_size(count: int) -> str:
    """Return a number of bytes as `812 B`, `3.4 KiB`, `12.0 MiB` or `1.2 GiB`."""
    if count < _KIB:
        return f"{count} B"
    amount = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        amount /= _KIB
        if amount < _KIB or unit == "GiB":
            break
    return f"{amount:.1f} {unit}"


#: Takes (text, role) and returns the text, coloured. Roles: the value of an action, or error,
#: failed, warning, advice, good, dim, bold.
Style = Callable[[str, str], str]


def no_style(text: str, _role: str) -> str:
    """Return the text without colour: no terminal, NO_COLOR or CI."""
    return text
