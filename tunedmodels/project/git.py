"""Read-only git queries about a project: its commit, tracked files, and files of a commit."""

from __future__ import annotations

import os
import re
from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_TIMEOUT_S = 30
# Do not take a lock that another git process may need, and do not ask for a password.
_ENVIRONMENT = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}


def run_git(directory: Path, *arguments: str) -> bytes:
    """Return the output of a git command; empty if git is missing or fails."""
    import subprocess

    try:
        process = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            ["git", *arguments],  # noqa: S607 - the git in the user's PATH
            cwd=directory,
            capture_output=True,
            check=False,
            timeout=_TIMEOUT_S,
            env={**os.environ, **_ENVIRONMENT},
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return process.stdout if process.returncode == 0 else b""


def parse_commit(text: str) -> str:
    """Return the commit in a stamp, without the `+` of a changed tree; empty if it is not valid.

    Stamps are input from outside: other text could be an option of git.
    """
    commit = text.removesuffix("+")
    return commit if _COMMIT.fullmatch(commit) else ""


def blob(directory: Path, commit: str, path: str, *, max_bytes: int) -> bytes:
    """Return a file of a commit; `path` is relative to `directory`.

    The result is empty if the commit or the file does not exist, or the file is too large.
    """
    name = f"{commit}:./{path}"
    size = run_git(directory, "cat-file", "-s", name).strip()
    if not size.isdigit() or int(size) > max_bytes:
        return b""
    return run_git(directory, "cat-file", "blob", name)


def unpack_manifests(directory: Path, commit: str, target: Path) -> bool:
    """Write all YAML files below `directory` in a commit to `target`; False if there are none."""
    archive = run_git(directory, "archive", "--format=tar", commit, "--", ":(glob)**/*.y*ml")
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
