"""Escape text for Markdown: it is shown as written, and nothing in it takes effect.

No tag, link, image, formula, mention or reference to an issue comes out of it, on GitHub or GitLab.
Control and invisible characters are visible escapes before anything else happens (`layout.cut`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from typing import Literal

from tunedmodels.render.layout import cut

MAX_COMMENT_BYTES = 60_000  # GitHub accepts 65,536 characters, GitLab more

# CommonMark accepts a backslash before any ASCII punctuation; these have a meaning within a line.
_SPECIAL = re.compile(r"([\\`*_\[\]|~$])")
# Mentions, references and bare addresses are found in the rendered text, where a backslash is gone:
# only an invisible space after their first character stops them.
_AUTOLINK = re.compile(
    r'@|[#!&%$](?=[\d"]|\Z)|~(?=[\w"]|\Z)|\bgh-(?=\d|\Z)|:(?=//)|\bwww(?=\.)', re.IGNORECASE
)
_BREAK = "\N{ZERO WIDTH SPACE}"


def prose(text: str, limit: int = 400) -> str:
    """Return a text as part of a line of Markdown, cut to `limit` columns."""
    text = _AUTOLINK.sub(rf"\g<0>{_BREAK}", cut(text, limit))
    text = _SPECIAL.sub(r"\\\1", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: str, limit: int = 60, *, in_table: bool = False) -> str:
    """Return a text as a code span; `in_table` escapes the bars that would end a cell."""
    text = cut(text, limit)
    ticks = "`" * (_longest_run(text) + 1)
    space = " " if not text or text[0] == "`" or text[-1] == "`" else ""
    text = text.replace("|", r"\|") if in_table else text
    return f"{ticks}{space}{text}{space}{ticks}"


def html_code(text: str, limit: int = 60) -> str:
    """Return a text for the inside of an HTML element, as code, which stops mentions."""
    return f"<code>{escape(cut(text, limit))}</code>"


def link(text: str, url: str) -> str:
    """Return a link; `text` is Markdown."""
    target = re.sub(r"[<>\s]", "", url)
    return f"[{text}](<{target}>)"


def code_block(lines: Sequence[str], language: str = "diff") -> list[str]:
    """Return printable lines inside a fence that none of them can end."""
    fence = "`" * max([3, *(_longest_run(line) + 1 for line in lines)])
    return [f"{fence}{language}", *lines, fence]


def heading(environment: str, result: str, project: str = "", folder: str = "") -> str:
    """Return the heading of a comment: the project with its directory, and the result."""
    name = prose(project, 40)
    if project and folder not in ("", "."):
        name += f" ({prose(folder, 60)})"
    return " · ".join(filter(None, ["### tunedmodels", name, prose(environment, 40), result]))


def alert(kind: Literal["WARNING", "CAUTION", "NOTE"], lines: Iterable[str]) -> list[str]:
    """Return lines in a box of their own."""
    return ["", f"> [!{kind}]", *(f"> {line}" for line in lines)]


def format_cure(text: str) -> str:
    """Return a cure: a command as code, a sentence as prose."""
    return code(text, 400) if text.startswith("tunedmodels ") else prose(text)


def footer(parts: Iterable[str]) -> list[str]:
    """Return the small last line; empty parts are left out."""
    return ["", f"<sub>{' · '.join(part for part in parts if part)}</sub>"]


def _longest_run(text: str) -> int:
    return max((len(list(run)) for sign, run in groupby(text) if sign == "`"), default=0)
