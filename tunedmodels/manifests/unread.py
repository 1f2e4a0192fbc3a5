"""Files that look like manifests and are not read: another ending, or a stand-in for the content.

Their warnings are part of a saved plan, since what they declare is missing from it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Final

from tunedmodels.errors import Problem, Severity
from tunedmodels.manifests.discover import OVERLAYS, SUFFIXES, overlays, read_bytes, walk
from tunedmodels.manifests.location import Location
from tunedmodels.manifests.stand_in import stand_in
from tunedmodels.text import join

UNREAD_CODES: Final = frozenset({"not-read", "link"})  #: of warnings that belong into a plan

_FIRST_BYTES: Final = 8192
_OURS: Final = re.compile(
    rb"^[{\s]*[\"']?apiVersion[\"']?\s*:\s*[\"']?tunedmodels\.dev/", re.MULTILINE
)
_KIND: Final = re.compile(rb"^[{\s]*[\"']?kind[\"']?\s*:\s*[\"']?TunedModel\b", re.MULTILINE)
_NAME: Final = re.compile(rb"[\s{\"']name[\"']?\s*:\s*[\"']?([a-z][a-z0-9-]*)")


def stand_in_problem(raw: bytes, display_name: str) -> Problem | None:
    """Return the warning for a YAML file whose content is elsewhere, or None."""
    description, command = stand_in(raw)
    if not description:
        return None
    message = f"is {description}, and was not read"
    cure = f"to fetch its content: {command}"
    return Location(display_name).problem("not-read", message, cure, Severity.WARNING)


def other_endings(files: Iterable[tuple[str, str]], declared: Collection[str]) -> Iterator[Problem]:
    """Yield a warning for each file with another ending that declares a missing name."""
    for path, display_name in files:
        names = _names(path)
        if names and not names <= set(declared):
            message = "contains a TunedModel and was not read, because of its ending"
            cure = f"name it .yaml, or remove it ({join(sorted(names))})"
            yield Location(display_name).problem("not-read", message, cure, Severity.WARNING)


def find_unread(root: Path, name: str) -> tuple[str, str]:
    """Return a file below `root` that declares a name and is not read, and why it is not read."""
    for files in overlays(root).values():
        for path, display_name in files:
            if name in _names(path):
                return display_name, f"files in {OVERLAYS}/ change manifests, and declare nothing"
    for path, display_name in walk(root).others:
        if name in _names(path):
            return display_name, "a manifest ends with .yaml or .yml"
    for file in sorted(root.rglob(".*")):
        if file.suffix in SUFFIXES and file.is_file() and name in _names(str(file)):
            return str(file), "files whose names begin with a dot are not read"
    return "", ""


def _names(path: str) -> set[str]:
    """Return the names after `name:` in a file with our apiVersion and kind; else nothing."""
    raw = read_bytes(path, path, limit=_FIRST_BYTES)
    if isinstance(raw, Problem) or not (_OURS.search(raw) and _KIND.search(raw)):
        return set()
    return {match.decode() for match in _NAME.findall(raw)} or {"(no name)"}
