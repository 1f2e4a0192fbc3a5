"""What this machine remembers of its own applies: which version it was the last to promote.

The journal is for people, and nothing is decided by it. It only tells a version that is gone from
one that never was, so that a plan can say which it is; a machine without the journal says "new".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from tunedmodels.plan.planner import Remembered


def remembered(journal: Path) -> Mapping[str, Remembered]:
    """Return by name what was promoted last from here and not deleted from here since."""
    last: dict[str, Remembered] = {}
    for line in _lines(journal):
        if '"Sent"' not in line:
            continue
        try:
            event = json.loads(line)
            name, model_id, call = event["name"], event["model_id"], event["call"]
            time = datetime.fromisoformat(event["time"])
        except (ValueError, TypeError, KeyError):
            continue  # another event, or the last line of a process that was killed
        if event["event"] != "Sent":
            continue
        if call == "promote":
            last[name] = Remembered(model_id, time)
        elif call == "delete" and name in last and last[name].model_id == model_id:
            del last[name]
    return last


def _lines(journal: Path) -> Iterator[str]:
    # Names begin with the time, so that their order is the order of the runs.
    for file in sorted(journal.glob("*.jsonl")):
        try:
            yield from file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
