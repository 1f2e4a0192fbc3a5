"""The file of `serve --keys`: which key belongs to which user and project.

    keys:
      - key: a-long-random-text        # openssl rand -hex 24
        user: ana@example.com
        project: 123456789012
      - sha256: 9f86d081884c7d65...    # ... or the SHA-256 of it, so that the file holds no secret
        user: bo@example.com
        project: 123456789012
        groups: [reviewers@example.com]

Whatever is wrong with it is said by the number of the entry: no word of the file is repeated, for
it may be a key. Comments and the order of the entries mean nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tunedmodels.errors import TunedModelsError
from tunedmodels.service.api.validation import is_email
from tunedmodels.service.identity import Caller, Keys, digest

_FIELDS = {"key", "sha256", "user", "project", "groups"}
_SHORTEST_KEY = 16  # characters; a key that can be guessed is none
_SHA256 = re.compile(r"[0-9a-f]{64}")
_OTHERS = 0o077
_OTHERS_WRITE = 0o022
_SHOWN = "To see one: tunedmodels serve --help"


def read_keys(path: Path) -> Keys:
    """Read a file of keys. Raises TunedModelsError with everything that is wrong with it."""
    text, mode = _text(path)
    document = _document(path, text)
    # Only what holds no secret may be read by others, as what is mounted into a container often is.
    if mode & _OTHERS_WRITE or (mode & _OTHERS and not _holds_digests_alone(document)):
        raise TunedModelsError(
            f"{path}: others than its owner may use it (mode {mode & 0o777:03o})",
            cure=f"Run:\n    chmod 600 {path}\nOr write sha256 in place of every key: a file "
            "without a secret may be read by others.",
        )
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries or set(document) != {"keys"}:
        raise TunedModelsError(
            f"{path}: must hold a list of at least one entry under `keys`, and nothing else",
            cure="Each entry has: key (or sha256), user, project, and groups if there are any.",
        )
    callers: dict[str, Caller] = {}
    mistakes: list[str] = []
    for number, entry in enumerate(entries, 1):
        wrong = list(_mistakes(entry))
        if not wrong:
            secret = str(entry["sha256"]).lower() if "sha256" in entry else digest(entry["key"])
            if secret in callers:
                wrong = ["its key is that of an earlier entry"]
            callers[secret] = _caller(entry)
        mistakes += [f"entry {number}: {words}" for words in wrong]
    if mistakes:
        words = "\n".join(f"{path}: {words}" for words in mistakes)
        raise TunedModelsError(words, cure=_SHOWN)
    return Keys(callers)


def _holds_digests_alone(document: Any) -> bool:  # noqa: ANN401  # whatever was written
    """Whether every entry has the digest of a key, and none has a key."""
    entries = document.get("keys") if isinstance(document, dict) else None
    return isinstance(entries, list) and all(
        isinstance(entry, dict) and "sha256" in entry and "key" not in entry for entry in entries
    )


def _text(path: Path) -> tuple[str, int]:
    """Return the text of a file and its mode."""
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read()
    except UnicodeDecodeError:
        raise TunedModelsError(f"{path}: is not UTF-8 text", cure="Save it as UTF-8.") from None
    except OSError as error:
        cure = _SHOWN if isinstance(error, FileNotFoundError) else ""
        raise TunedModelsError(f"{path}: {error.strerror or error}", cure=cure) from error
    return text, mode


def _document(path: Path, text: str) -> Any:  # noqa: ANN401  # whatever was written
    try:
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        # Neither its words nor its cause: both quote the file.
        raise TunedModelsError(f"{path}:{line}: is not YAML", cure=_SHOWN) from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise TunedModelsError(f"{path}: is not YAML", cure=_SHOWN) from None


def _mistakes(entry: Any) -> Iterator[str]:  # noqa: ANN401  # whatever was written
    if not isinstance(entry, dict):
        yield "must be a mapping with key (or sha256), user and project"
        return
    if unknown := len(set(entry) - _FIELDS):
        fields = "field" if unknown == 1 else "fields"
        yield f"has {unknown} unknown {fields}; known are key, sha256, user, project, groups"
    if ("key" in entry) == ("sha256" in entry):
        yield "needs either key or sha256"
    key = entry.get("key", "x" * _SHORTEST_KEY)
    if not isinstance(key, str) or len(key) < _SHORTEST_KEY or not _travels(key):
        yield (
            f"key must be text (in quotes if it is all digits) of at least {_SHORTEST_KEY} "
            "ASCII letters, digits and signs, without spaces; `openssl rand -hex 24` makes one"
        )
    if "sha256" in entry and not _SHA256.fullmatch(str(entry["sha256"]).lower()):
        yield "sha256 must be 64 hexadecimal digits"
    if not is_email(entry.get("user")):
        yield "user must be an e-mail address"
    project = entry.get("project")
    if type(project) is not int or not 0 < project < 2**63:
        yield "project must be a project number"
    groups = entry.get("groups", [])
    if not isinstance(groups, list) or not all(is_email(group) for group in groups):
        yield "groups must be a list of e-mail addresses"


def _travels(key: str) -> bool:
    """Whether a header can carry the key as it is."""
    return key.isascii() and key.isprintable() and " " not in key


def _caller(entry: dict[str, Any]) -> Caller:
    groups = tuple(group.lower() for group in entry.get("groups", []))
    return Caller(entry["user"].lower(), entry["project"], groups)
