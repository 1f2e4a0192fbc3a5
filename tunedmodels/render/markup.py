"""Text from outside, made harmless in Markdown: it is shown as it is, and nothing in it acts.

No tag, link, image, formula, mention or reference to an issue comes out of it, on GitHub or GitLab.
Control and invisible characters are visible escapes before anything else happens (`words.cut`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from itertools import groupby

from tunedmodels.render.layout import cut

# CommonMark takes a backslash before any ASCII punctuation; these mean something within a line.
_MARKS = re.compile(r"([\\`*_\[\]|~$])")
# Mentions, references and bare addresses are found in the rendered text, where a backslash is gone:
# an invisible space behind their first sign is what ends them.
_LINKED = re.compile(
    r'@|[#!&%$](?=[\d"]|\Z)|~(?=[\w"]|\Z)|\bgh-(?=\d|\Z)|:(?=//)|\bwww(?=\.)', re.IGNORECASE
)
_BREAK = "\N{ZERO WIDTH SPACE}"


def prose(text: str, limit: int = 400) -> str:
    """Return a text as words of a line of Markdown, cut to `limit` columns."""
    text = _LINKED.sub(rf"\g<0>{_BREAK}", cut(text, limit))
    text = _MARKS.sub(r"\\\1", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: str, limit: int = 60, *, in_table: bool = False) -> str:
    """Return a text as a code span, in which nothing is looked for; `in_table` keeps its bars."""
    text = cut(text, limit)
    marks = "`" * (_longest_run(text) + 1)
    pad = " " if not text or text[0] == "`" or text[-1] == "`" else ""
    text = text.replace("|", r"\|") if in_table else text
    return f"{marks}{pad}{text}{pad}{marks}"


def tagged(text: str, limit: int = 60) -> str:
    """Return a text for the inside of an HTML element, as code, so that nobody is mentioned."""
    return f"<code>{escape(cut(text, limit))}</code>"


def link(words: str, url: str) -> str:
    """Return a link; `words` are Markdown."""
    inside = re.sub(r"[<>\s]", "", url)
    return f"[{words}](<{inside}>)"


def fenced(lines: Sequence[str], language: str = "diff") -> list[str]:
    """Return lines, cleaned before, inside a fence that none of them can end."""
    fence = "`" * max([3, *(_longest_run(line) + 1 for line in lines)])
    return [f"{fence}{language}", *lines, fence]


def _longest_run(text: str) -> int:
    return max((len(list(run)) for sign, run in groupby(text) if sign == "`"), default=0)
