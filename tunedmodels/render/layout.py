"""Fit text to a terminal: measure, cut, pad and wrap it, and write durations and sizes.

Names, descriptions, examples and messages of a service are data. None of them may steer the
terminal, break a line or shift a column.
"""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Callable

from tunedmodels.text import printable

MAX_WIDTH = 100  # columns; also the width without a terminal
_MIN_WIDTH = 40
_MIN_CUT = 12  # columns; where less is left, the line is broken
_KIB = 1024
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_WORD = re.compile(r" *[^ ]+")


def terminal_width() -> int | None:
    """Return the columns of the terminal, from 40 to 100; None if standard output is none."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return max(_MIN_WIDTH, min(shutil.get_terminal_size().columns, MAX_WIDTH))


def text_width() -> int:
    """Return the columns for text: those of the terminal, else 100."""
    return terminal_width() or MAX_WIDTH


def fit(text: str) -> str:
    """Break lines that are too long for the terminal between words; unchanged without one.

    Tables and titles are as wide as their content; colours take no columns.
    """
    width = terminal_width()
    if width is None:
        return text
    return "\n".join(_fit_line(line, width) for line in text.split("\n"))


def _fit_line(line: str, width: int) -> str:
    def measure(part: str) -> int:
        return columns(_COLOR.sub("", part))

    if measure(line) <= width:
        return line
    indent = len(line) - len(line.lstrip(" "))
    margin = " " * min(indent + 4, width // 2)
    first, *words = _WORD.findall(line)
    lines = [first]
    for word in words:
        if measure(lines[-1] + word) <= width:
            lines[-1] += word
        else:
            lines.append(margin + word.lstrip(" "))
    return "\n".join(lines)


def columns(text: str) -> int:
    """Return how many columns a text takes; wide characters take two."""
    return sum(1 + (unicodedata.east_asian_width(char) in "WF") for char in text)


def cut(text: str, limit: int = 60) -> str:
    """Escape what is not printable and cut the text to `limit` columns, with an ellipsis."""
    limit = max(limit, _MIN_CUT)
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
    """Cut a sentence and break it between words into lines of the width of the terminal.

    The lines after the first are indented by `hang` more.
    """
    return textwrap.wrap(
        cut(text, limit),
        text_width(),
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + hang),
        break_on_hyphens=False,
        break_long_words=False,
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
