"""A comment that no longer holds: says so first, and keeps the plan below for whoever wants it."""

from __future__ import annotations

import html
from dataclasses import replace

from tunedmodels.plan.marker import APPLIED, APPLYING, STALE, read_marker
from tunedmodels.render.layout import cut

LONGEST_REASON = 300  # columns; with the plan's own budget it stays below what forges take
_BEFORE = "<details><summary>The plan as it was</summary>\n\n"
_AFTER = "\n\n</details>\n"


def outdated_markdown(body: str, reason: str) -> str:
    """Return the text of a comment marked as out of date; marked again, it gets the new reason.

    `reason` is plain text of anybody. A body without our marker is returned as it is, and so is one
    that tells of a run: what was done stays done.
    """
    marker = read_marker(body)
    if marker is None or marker.level in (APPLYING, APPLIED):
        return body
    _, _, plan = body.partition("\n")
    if marker.level == STALE:
        plan = plan.partition(_BEFORE)[2].rstrip().removesuffix(_AFTER.strip())
    environment = f" · {_safe(marker.env)}" if marker.env else ""
    return (
        f"{replace(marker, level=STALE).line()}\n"
        f"### tunedmodels{environment} · out of date\n\n"
        f"> [!WARNING]\n> {_safe(cut(reason, LONGEST_REASON))}\n"
        "> Nothing of the plan below is applied. The next run for this pull request writes a new "
        f"one here.\n\n{_BEFORE}{plan.strip()}{_AFTER}"
    )


def _safe(text: str) -> str:
    """Escape what Markdown, HTML and a forge would read as more than text."""
    escaped = html.escape(text, quote=False).replace("@", "@\u200b").replace("#", "#\u200b")
    return "".join(f"\\{char}" if char in "\\`*_[]|~" else char for char in escaped)
