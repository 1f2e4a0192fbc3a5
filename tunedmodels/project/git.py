"""Read-only git queries about a project: its commit, tracked files, and files of a commit.

Git may refuse to answer (dubious ownership), be missing, or have only a part of the history. None
of these is the same as a directory without git: `inspect` distinguishes them, with git's own cure.
"""

# ruff: noqa: PTH100, PTH118, PTH119, PTH120  # strings: a project may have 10,000 files

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tunedmodels.manifests.discover import is_below

_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_TIMEOUT_S: Final = 30.0
# Do not take a lock that another git process may need, do not ask for a password, and answer in
# English, since the answers are compared.
_ENVIRONMENT = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
_MAX_PATHS: Final = 500  # on one command line

UNSHALLOW: Final = (
    "git fetch --unshallow    # in CI: fetch-depth: 0 (GitHub), GIT_DEPTH: 0 (GitLab)"
)


@dataclass(frozen=True, slots=True)
class GitProblem:
    """Why git does not answer about a directory that is in a repository."""

    message: str
    cure: str


@dataclass(frozen=True, slots=True)
class GitState:
    """What git reports about a directory."""

    top: Path | None = None  #: the directory that contains `.git`; None outside of a repository
    head: str = ""  #: the checked-out commit, 12 digits; empty if there is none or it is unknown
    is_shallow: bool = False  #: only a part of the history is here
    problem: GitProblem | None = None  #: why git does not answer


@dataclass(frozen=True, slots=True)
class GitResult:
    """The result of a git command."""

    code: int | None  #: the exit code; None if git is missing or takes too long
    output: bytes = b""
    error: str = ""


def call_git(
    directory: Path, *arguments: str, stdin: bytes = b"", timeout_s: float = _TIMEOUT_S
) -> GitResult:
    """Run a git command and return its result."""
    import subprocess

    try:
        process = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            ["git", *arguments],  # noqa: S607 - the git in the user's PATH
            cwd=directory,
            capture_output=True,
            check=False,
            timeout=timeout_s,
            input=stdin,
            env={**os.environ, **_ENVIRONMENT},
        )
    except (OSError, subprocess.TimeoutExpired):
        return GitResult(None)
    return GitResult(process.returncode, process.stdout, process.stderr.decode(errors="replace"))


def run_git(directory: Path, *arguments: str) -> bytes:
    """Return the output of a git command; empty if git is missing or fails."""
    result = call_git(directory, *arguments)
    return result.output if result.code == 0 else b""


def inspect(directory: Path) -> GitState:
    """Return what git reports about a directory; without a request if it is in no repository."""
    top = find_top(directory)
    if top is None:
        return GitState()
    head = call_git(directory, "rev-parse", "--quiet", "--verify", "--short=12", "HEAD")
    if head.code == 0:
        shallow = run_git(directory, "rev-parse", "--is-shallow-repository").strip() == b"true"
        return GitState(top, head.output.decode().strip(), is_shallow=shallow)
    if head.code is None:
        cure = "Install git, and check that it is in PATH."
        return GitState(top, problem=GitProblem("git is missing or does not answer", cure))
    if "dubious ownership" in head.error:
        message = "git refuses to read this repository: dubious ownership"
        cure = f"git config --global --add safe.directory {shlex.quote(str(top))}"
        return GitState(top, problem=GitProblem(message, cure))
    if error := head.error.strip():  # without an error, there is no commit yet
        message = f"git does not answer: {error.splitlines()[0].removeprefix('fatal: ')}"
        return GitState(top, problem=GitProblem(message, "To see the error: git status"))
    return GitState(top)


def find_top(directory: Path) -> Path | None:
    """Return the nearest directory upward that contains `.git`; this does not need git itself."""
    directory = directory.resolve()
    for candidate in (directory, *directory.parents):
        if (candidate / ".git").exists():
            return candidate
    return None


def folder_in_repository(directory: Path) -> str:
    """Return the path of a directory in its repository, `.` for the top; empty outside of one."""
    top = find_top(directory)
    return directory.resolve().relative_to(top).as_posix() if top else ""


def parse_commit(text: str) -> str:
    """Return the commit in a stamp, without the `+` of a changed tree; empty if it is not valid.

    Stamps are input from outside: other text could be an option of git.
    """
    commit = text.removesuffix("+")
    return commit if _COMMIT.fullmatch(commit) else ""


def has_commit(directory: Path, commit: str) -> bool:
    """Return whether the repository contains a commit."""
    return call_git(directory, "cat-file", "-e", f"{commit}^{{commit}}").code == 0


def is_strictly_older(directory: Path, commit: str, other: str) -> bool | None:
    """Return whether `other` was made on top of `commit`; None if git cannot tell."""
    full = run_git(directory, "rev-parse", "--verify", "--quiet", f"{other}^{{commit}}").strip()
    if not full:
        return None
    if run_git(directory, "rev-parse", "--verify", f"{commit}^{{commit}}").strip() == full:
        return False
    code = call_git(directory, "merge-base", "--is-ancestor", commit, full.decode()).code
    return None if code not in (0, 1) else code == 0


def has_changes(directory: Path, files: Iterable[Path]) -> bool:
    """Return whether a commit lacks something: a tracked change, or one of the untracked `files`.

    Other untracked files do not count: a report in the directory changes nothing.
    """
    # Untracked files in a submodule are not changes of it.
    status = ("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=untracked")
    if run_git(directory, *status, "--", ".").strip():
        return True
    root, top = os.path.abspath(directory), find_top(directory)
    inside: set[str] = set()
    others: dict[str, list[str]] = {}  # outside of the directory, or in a submodule
    for file in files:
        path = os.path.abspath(file)
        others.setdefault(os.path.dirname(path), []).append(path)
    for parent in list(others):
        is_inside = parent == root or is_below(parent, root)
        if is_inside and find_top(Path(parent)) == top:
            inside.update(others.pop(parent))
    if inside and not inside.isdisjoint(_untracked(directory, root)):
        return True
    return any(_differ(Path(parent), paths) for parent, paths in others.items())


def _untracked(directory: Path, root: str) -> set[str]:
    output = run_git(directory, "ls-files", "-z", "--others", "--exclude-standard", "--", ".")
    return {os.path.join(root, path) for path in os.fsdecode(output).split("\0") if path}


def _differ(parent: Path, paths: list[str]) -> bool:
    """Return whether one of the files in a directory differs from its commit."""
    if not parent.is_dir():
        return False
    for start in range(0, len(paths), _MAX_PATHS):
        some = [f":(literal){os.path.basename(path)}" for path in paths[start : start + _MAX_PATHS]]
        if run_git(parent, "status", "--porcelain", "--", *some).strip():
            return True
    return False


def is_tracked(directory: Path, file: Path) -> bool:
    """Return whether the repository of a directory, or a submodule of it, tracks a file."""
    parent, name = file.parent, f":(literal){file.name}"
    if not parent.is_dir() or not run_git(parent, "ls-files", "--", name):
        return False
    top = run_git(directory, "rev-parse", "--show-toplevel").strip()
    while top:
        own = run_git(parent, "rev-parse", "--show-toplevel").strip()
        if own == top:
            return True
        above = run_git(parent, "rev-parse", "--show-superproject-working-tree").strip()
        if not above:
            return False
        parent = Path(os.fsdecode(above))
    return False


def blob(directory: Path, commit: str, path: str, *, max_bytes: int) -> bytes:
    """Return a file of a commit as a checkout has it; `path` is relative to `directory`.

    Filters such as Git LFS are applied, and a submodule is followed to its commit. The result is
    empty if the commit or the file does not exist, or the file is too large.
    """
    name = f"{commit}:./{path}"
    size = run_git(directory, "cat-file", "-s", name).strip()
    if not size.isdigit():
        submodule = _submodule_of(directory, commit, path)
        if submodule is None:
            return b""
        inner, inner_commit, rest = submodule
        return blob(inner, inner_commit, rest, max_bytes=max_bytes)
    if int(size) > max_bytes:
        return b""
    content = run_git(directory, "cat-file", "--filters", name)
    return content if len(content) <= max_bytes else b""


def _submodule_of(directory: Path, commit: str, path: str) -> tuple[Path, str, str] | None:
    """Return the submodule that contains a path: its directory, its commit, and the rest."""
    parts = os.path.normpath(path).split("/")
    for count in range(1, len(parts)):
        prefix = "/".join(parts[:count])
        entry = run_git(directory, "ls-tree", commit, "--", prefix).split()
        if entry[1:2] == [b"commit"] and (directory / prefix).is_dir():
            return directory / prefix, entry[2].decode(), "/".join(parts[count:])
    return None


def unpack(directory: Path, commit: str, target: Path, pattern: str) -> bool:
    """Write the files of a commit that match a pattern to `target`; False if there are none."""
    archive = run_git(directory, "archive", "--format=tar", commit, "--", f":(glob){pattern}")
    if not archive:
        return False
    import tarfile
    from io import BytesIO

    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        tar.extractall(target, filter="data")
    return True


def author_and_subject(directory: Path, commit: str) -> tuple[str, str]:
    """Return the author and the subject of a commit; both empty if it is not in the repository."""
    output = run_git(directory, "log", "-1", "--format=%an%x00%s", commit).decode(errors="replace")
    author, _, subject = output.strip().partition("\0")
    return author, subject
