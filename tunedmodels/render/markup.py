"""Text from outside, made harmless in Markdown: it is shown as it is, and nothing in it acts.

No tag, link, image, formula, mention or reference to an issue comes out of it, on GitHub or GitLab.
Control and invisible characters are visible escapes before anything else happens (`words.cut`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from typing import Any, Literal

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


BUDGET = 60_000  # bytes; GitHub takes 65,536 characters, GitLab more


# FOLDED
# What frames every comment: the hidden marker, the heading, boxes, and the small last line.
_MARK = "<!-- tunedmodels:plan "


def marker(
    *, environment: str, digest: str = "", head: str = "", level: str = "full", project: str = ""
) -> str:
    """Return the hidden first line by which a comment is found again, and told stale or not."""
    values: dict[str, object] = {
        "v": 1,
        "env": environment,
        "digest": digest,
        "head": head,
        "level": level,
    }
    if project:
        values["project"] = project
    text = json.dumps(values, separators=(",", ":"))
    # Nothing inside may end the comment.
    for sign in "<>":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return f"{_MARK}{text} -->"


def read_marker(body: str) -> dict[str, Any] | None:
    """Return what the hidden first line of a comment says; None where there is none of ours."""
    first = body.split("\n", 1)[0].rstrip()
    if not (first.startswith(_MARK) and first.endswith(" -->")):
        return None
    try:
        values = json.loads(first[len(_MARK) : -len(" -->")])
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) and values.get("v") == 1 else None


def heading(environment: str, words: str) -> str:
    """Return the heading of a comment, which is the result."""
    return " · ".join(
        ["### tunedmodels", *([prose(environment, 40)] if environment else []), words]
    )


def alert(kind: Literal["WARNING", "CAUTION", "NOTE"], lines: Iterable[str]) -> list[str]:
    """Return lines in a box of their own."""
    return ["", f"> [!{kind}]", *(f"> {line}" for line in lines)]


def cure(words: str) -> str:
    """Return what to do: a command as code, a sentence as words."""
    return code(words, 400) if words.startswith("tunedmodels ") else prose(words)


def footer(parts: Iterable[str]) -> list[str]:
    """Return the small last line; empty parts are left out."""
    return ["", f"<sub>{' · '.join(part for part in parts if part)}</sub>"]
