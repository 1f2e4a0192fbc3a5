"""Files that stand for a dataset in a checkout: what they are, and the command that gets the data.

A clone without Git LFS, DVC or the key of git-crypt contains a small file in the place of the data.
Such a file is recognised by its first bytes, before any row is read.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path, PurePath
from typing import Final, NamedTuple

from tunedmodels.datasets.problems import ProblemCollector

CONFLICT_START: Final = b"<<<<<<< "

_LFS: Final = re.compile(rb"version https://(git-lfs\.github\.com|hawser\.github\.com)/spec/v1")
_ANNEX: Final = re.compile(rb"(\.\./)*\.git/annex/objects/|/annex/objects/")
_GIT_CRYPT: Final = b"\0GITCRYPT\0"
_AGE: Final = (b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE-----")
_PGP: Final = b"-----BEGIN PGP MESSAGE-----"
_DVC: Final = re.compile(rb"(^|\n)outs:\s*\n\s*- (md5|hash|etag|path|size):")
_LINK: Final = re.compile(rb"(\.{1,2}/|/)?[^\x00-\x1f{}\[\]\"',;|<>]{1,400}\n?")
_PATH_SUFFIX: Final = re.compile(
    rb"\.(jsonl|ndjson|json|csv|tsv|parquet)(\.gz)?\n?$", re.IGNORECASE
)
_HTML: Final = re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE)
_XML: Final = re.compile(rb"\s*<\?xml[^>]*>\s*<error", re.IGNORECASE)


class StandIn(NamedTuple):
    """A file in the place of the data; the message continues `FILE ...`."""

    message: str
    cure: str


def recognise_stand_in(  # noqa: PLR0911  # one for each kind
    head: bytes, file: Path
) -> StandIn | None:
    """Return what a file replaces, by its first bytes, or None for any other file."""
    name = shlex.quote(file.name)
    if _LFS.match(head):
        return StandIn(
            "is a pointer of Git LFS, not the data",
            f"git lfs pull --include={shlex.quote('*' + file.name)}",
        )
    if head.startswith(_GIT_CRYPT):
        return StandIn("is encrypted with git-crypt and still locked", "git-crypt unlock")
    if head.startswith(_AGE):
        return StandIn("is encrypted with age", "Decrypt it with age, or name the decrypted file.")
    if head.startswith(_PGP):
        return StandIn("is encrypted with PGP", "Decrypt it with gpg, or name the decrypted file.")
    if _ANNEX.match(head):
        return StandIn("is a pointer of git-annex, not the data", f"git annex get {name}")
    if file.suffix == ".dvc" or (b"outs:" in head and _DVC.search(head)):
        target = file.name.removesuffix(".dvc")
        return StandIn(
            f"is a file of DVC, not the data of {target}",
            f"Run dvc pull {name}, and name {target} as the path.",
        )
    if _HTML.match(head):
        return StandIn(
            "is a web page, perhaps of a sign-in", "Download the file itself, not its page."
        )
    if _XML.match(head):
        return StandIn("is the error of a download, not the data", "Download the file again.")
    return _link(head)


def pull_command(missing: Path) -> str:
    """Return how to get a missing file that DVC tracks; empty for any other file."""
    for pointer in (missing.with_name(f"{missing.name}.dvc"), missing.parent.with_suffix(".dvc")):
        try:
            if pointer.is_file():
                return f"DVC tracks it: dvc pull {shlex.quote(pointer.name)}"
        except (OSError, ValueError):
            return ""
    return ""


def _link(head: bytes) -> StandIn | None:
    """Recognise a symbolic link that git checked out as text: its only line is a path."""
    line = head.rstrip(b"\n")
    if b"\n" in line or not _LINK.fullmatch(head):
        return None
    if b"/" not in line or b" " in line.strip() or not _PATH_SUFFIX.search(line):
        return None
    target = PurePath(line.decode(errors="replace"))
    return StandIn(
        f"contains only the path {str(target)!r}: a symbolic link that was checked out as text",
        "git config core.symlinks true, then git checkout of the file; or name the target as the "
        "path.",
    )


def report_conflict(line: int, problems: ProblemCollector) -> None:
    """Report the marks of a merge conflict, which begin at a line."""
    problems.error(
        line,
        "merge-conflict",
        "begins a merge conflict that is not resolved",
        "Edit the file: keep the right lines, and remove the lines that begin with <<<<<<<, "
        "======= and >>>>>>>.",
    )
