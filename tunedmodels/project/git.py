"""What git knows about the project: the commit, what is tracked, and files as they once were."""

from __future__ import annotations

import os
import re
from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_PATIENCE_S = 30
# A question must not take a lock from whoever works in the repository, nor ask for a password.
_QUIET = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}


def ask(folder: Path, *arguments: str) -> bytes:
    """Return what git answers in `folder`; nothing where there is no git or no answer."""
    import subprocess

    try:
        done = subprocess.run(  # noqa: S603 - arguments of ours, no shell
            ["git", *arguments],  # noqa: S607 - the git of the person's PATH is the one they mean
            cwd=folder,
            capture_output=True,
            check=False,
            timeout=_PATIENCE_S,
            env={**os.environ, **_QUIET},
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout if done.returncode == 0 else b""


def commit_of(words: str) -> str:
    """Return the commit that a stamp names, without the mark of a changed tree, or nothing.

    Stamps come from outside: what is no commit must not reach git, where it could be an option.
    """
    commit = words.removesuffix("+")
    return commit if _COMMIT.fullmatch(commit) else ""


def blob(folder: Path, commit: str, path: str, *, most_bytes: int) -> bytes:
    """Return a file as it was in a commit; `path` is relative to `folder`.

    Nothing where the commit or the file is not there, or the file is larger than `most_bytes`.
    """
    name = f"{commit}:./{path}"
    size = ask(folder, "cat-file", "-s", name).strip()
    if not size.isdigit() or int(size) > most_bytes:
        return b""
    return ask(folder, "cat-file", "blob", name)


def unpack_manifests(folder: Path, commit: str, to: Path) -> bool:
    """Write every YAML file of `folder`, as it was in a commit, below `to`; False without any."""
    packed = ask(folder, "archive", "--format=tar", commit, "--", ":(glob)**/*.y*ml")
    if not packed:
        return False
    import tarfile
    from io import BytesIO

    with tarfile.open(fileobj=BytesIO(packed)) as tar:
        tar.extractall(to, filter="data")
    return True


def described(folder: Path, commit: str) -> tuple[str, str]:
    """Return who wrote a commit and its subject; nothing where it is not here."""
    shown = ask(folder, "log", "-1", "--format=%an%x00%s", commit).decode(errors="replace")
    author, _, subject = shown.strip().partition("\0")
    return author, subject
