"""Text from outside, made fit for a terminal: visible, measured, cut and wrapped.

Names, descriptions, examples and the words of a service are data. Nothing in them may steer the
terminal, break a line or push a column.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Callable

from tunedmodels.text import visible

WIDTH = 100  # columns


def clean(text: str) -> str:
    """Return the text on one line, with control and invisible characters as escapes."""
    return visible(text).replace("\n", "\\n")


def columns(text: str) -> int:
    """Return how many columns a text takes; wide characters take two."""
    return sum(1 + (unicodedata.east_asian_width(char) in "WF") for char in text)


def cut(text: str, limit: int = 60) -> str:
    """Clean a text and cut it to `limit` columns, with an ellipsis where something is missing."""
    text = clean(text[: 10 * limit])  # cleaning a megabyte to show a line would be a waste
    if columns(text) <= limit:
        return text
    while columns(text) > limit - 3:
        text = text[: -max(1, (columns(text) - limit + 3) // 2)]
    return f"{text.rstrip()}..."


def padded(text: str, width: int) -> str:
    """Fill a text with spaces up to `width` columns."""
    return text + " " * (width - columns(text))


def wrapped(text: str, *, indent: int, hang: int = 0, limit: int = 400) -> list[str]:
    """Clean and cut a sentence and lay it on lines of at most 100 columns.

    The lines after the first are indented by `hang` more.
    """
    return textwrap.wrap(
        cut(text, limit),
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + hang),
    )


Style = Callable[[str, str], str]  # (text, role) -> text; roles: error, warning, advice, dim, bold


def plain(text: str, _role: str) -> str:
    """Leave the text as it is: no terminal, NO_COLOR or CI."""
    return text
