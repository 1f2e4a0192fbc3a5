"""The manifests of a commit, written to a directory as a checkout would have them.

`git archive` is not used: it leaves out what `export-ignore` names and what is in a submodule, and
a manifest that is left out looks like one that was removed.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from tunedmodels.manifests.discover import SUFFIXES
from tunedmodels.manifests.stand_in import stand_in
from tunedmodels.project.git import GitResult, call_git, run_git

_LINK: Final = "120000"
_SUBMODULE: Final = "160000"


@dataclass(slots=True)
class CommitTree:
    """The result of `write_manifests`."""

    paths: list[str] = field(default_factory=list)  #: of the files that were written
    unreadable: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Files that may contain manifests and were not read, by path: why, and what to do."""


class _Entry(NamedTuple):
    mode: str
    object_id: str
    path: str  #: relative to the directory of the Project


def write_manifests(directory: Path, commit: str, target: Path) -> CommitTree:
    """Write all YAML files below `directory` in a commit to `target`."""
    tree = CommitTree()
    _write(directory, commit, target, "", tree)
    return tree


def _write(directory: Path, commit: str, target: Path, prefix: str, tree: CommitTree) -> None:
    entries = list(_entries(directory, commit))
    files = [entry for entry in entries if entry.path.endswith(SUFFIXES)]
    contents = _contents(directory, [entry for entry in files if entry.mode != _LINK])
    for entry in files:
        path = f"{prefix}{entry.path}"
        if entry.mode == _LINK:
            _write_link(directory, entry, target, path, tree)
            continue
        content = contents.get(entry.path)
        if content is None:
            tree.unreadable[path] = f"git cannot read {path}", "To see the error: git status"
            continue
        description, command = stand_in(content)
        if description:
            tree.unreadable[path] = f"{path} is {description}", f"Fetch its content: {command}"
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        tree.paths.append(path)
    for entry in entries:
        if entry.mode != _SUBMODULE:
            continue
        inner = directory / entry.path
        if (
            call_git(inner, "cat-file", "-e", entry.object_id).code == 0
            and (inner / ".git").exists()
        ):
            _write(inner, entry.object_id, target, f"{prefix}{entry.path}/", tree)
        else:
            path = f"{prefix}{entry.path}"
            cause = f"the submodule {path} is not checked out"
            tree.unreadable[path] = cause, "Check it out: git submodule update --init"


def _entries(directory: Path, commit: str) -> Iterator[_Entry]:
    output = os.fsdecode(run_git(directory, "ls-tree", "-r", "-z", commit, "--", "."))
    for line in output.split("\0"):
        if line:
            head, _, path = line.partition("\t")
            mode, _, object_id = head.split(" ")
            yield _Entry(mode, object_id, path)


def _write_link(directory: Path, entry: _Entry, target: Path, path: str, tree: CommitTree) -> None:
    """Write a link inside the project; a checkout does not read any other link either."""
    destination = os.fsdecode(run_git(directory, "cat-file", "blob", entry.object_id))
    real = os.path.normpath((Path(path).parent / destination).as_posix())
    if not real.startswith(("..", "/")):
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(destination)
        tree.paths.append(path)
    else:
        cause = f"{path} is a link to a file outside of the project"
        tree.unreadable[path] = cause, "Copy the file into the project, or remove the link."


def _contents(directory: Path, entries: Sequence[_Entry]) -> Mapping[str, bytes]:
    """Return the contents by path, through git's filters as far as these work."""
    if not entries:
        return {}
    prefix = run_git(directory, "rev-parse", "--show-prefix").decode(errors="replace").strip()
    for options in (("--filters",), ()):
        # The header has the size before the filters, so that a random text separates the files.
        mark = secrets.token_hex(16)
        paths = options and [f" {prefix}{entry.path}" for entry in entries]
        lines = [f"{entry.object_id}{paths[n] if paths else ''}" for n, entry in enumerate(entries)]
        stdin = os.fsencode("".join(f"{line}\n" for line in lines))
        result = call_git(directory, "cat-file", f"--batch={mark}", *options, stdin=stdin)
        if contents := _split(result, mark, entries):
            return contents
    return {}


def _split(result: GitResult, mark: str, entries: Sequence[_Entry]) -> Mapping[str, bytes]:
    _, *parts = (b"\n" + result.output).split(f"\n{mark}\n".encode())
    if result.code != 0 or len(parts) != len(entries):
        return {}
    parts[-1] = parts[-1].removesuffix(b"\n")
    return {entry.path: part for entry, part in zip(entries, parts, strict=True)}
