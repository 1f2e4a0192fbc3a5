"""The hidden first line of a comment: which plan of which environment it shows.

By it the comment is found again, so that there is never a second one, and by its digest the plan
that people approved is applied.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass

STALE = "stale"  # the level of a comment that says itself that its plan no longer holds
APPLYING = "applying"  # of one that says how far a run is
APPLIED = "applied"  # of one that says how a run ended

_LINE = re.compile(r"<!-- tunedmodels:plan (\{.*\}) -->")


@dataclass(frozen=True, slots=True)
class Marker:
    """What the line says. `head` is the commit that was planned, `level` how much of it is shown.

    `project` may be empty, and so stand for any.
    """

    env: str
    digest: str
    head: str = ""
    level: str = "full"
    project: str = ""

    def is_of(self, environment: str, project: str) -> bool:
        """Whether the comment is that of this environment of this project."""
        is_same = not project or not self.project or self.project == project
        return self.env == environment and is_same

    def line(self) -> str:
        """Return the line; nothing in a name can end the comment before its end."""
        text = json.dumps({"v": 1, **asdict(self)}, separators=(",", ":"))
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
    if content.pop("v", None) != 1:
        return None
    known = {key: content.get(key, "") for key in ("env", "digest", "head", "level", "project")}
    if not all(isinstance(value, str) for value in known.values()):
        return None
    return Marker(**known)
