"""Recognize a file that contains something else in the place of a manifest."""

from __future__ import annotations

from typing import Final

_STAND_INS: Final = (
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer", "git lfs pull"),
    (b"\0GITCRYPT\0", "encrypted by git-crypt", "git-crypt unlock"),
)


def stand_in(raw: bytes) -> tuple[str, str]:
    """Return what the content is instead of YAML, and the command that fetches it, or nothing."""
    for prefix, description, command in _STAND_INS:
        if raw.startswith(prefix):
            return description, command
    return "", ""
