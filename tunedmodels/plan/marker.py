"""The hidden first line of a comment: which plan of which environment it shows.

By it the comment is found again, so that there is never a second one, and by its digest the plan
that people approved is applied.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass

_LINE = re.compile(r"<!-- tunedmodels:plan (\{.*\}) -->")


@dataclass(frozen=True, slots=True)
class Marker:
    """What the line says. `head` is the commit that was planned, `level` how much of it is shown.

    `stale` means: the comment itself says that this plan no longer holds.
    """

    env: str
    digest: str
    head: str = ""
    level: str = "full"
    stale: bool = False

    def line(self) -> str:
        """Return the line; nothing in a name can end the comment before its end."""
        content = {"v": 1, **asdict(self)}
        if not self.stale:
            del content["stale"]
        text = json.dumps(content, separators=(",", ":"))
        text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("--", "-\\u002d")
        return f"<!-- tunedmodels:plan {text} -->"


def read_marker(body: str) -> Marker | None:
    """Read the marker of a comment; None when it does not begin with one that we understand."""
    found = _LINE.fullmatch(body.partition("\n")[0].rstrip())
    if not found:
        return None
    try:
        content = json.loads(found[1])
    except (ValueError, RecursionError):
        return None
    if content.get("v") != 1 or not isinstance(content.get("env"), str):
        return None
    return Marker(
        env=content["env"],
        digest=str(content.get("digest", "")),
        head=str(content.get("head", "")),
        level=str(content.get("level", "full")),
        stale=content.get("stale") is True,
    )
