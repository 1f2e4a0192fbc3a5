"""What frames every comment: the hidden marker, the heading, boxes, and the small last line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal

from tunedmodels.render.markup import code, prose

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
