"""The file of `serve --keys`: which key belongs to which user and project.

    keys:
      - key: a-long-random-text        # openssl rand -hex 24
        user: ana@example.com
        project: 123456789012
      - sha256: 9f86d081884c7d65...    # or the SHA-256 of a key, so that the file has no secret
        user: bo@example.com
        project: 123456789012
        groups: [reviewers@example.com]

Error messages name an entry by its number and never quote the file, because it contains secrets.
The order of the entries has no meaning.
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
from tunedmodels.service.identity import ApiKeys, Caller, key_digest
from tunedmodels.text import plural

_FIELDS = {"key", "sha256", "user", "project", "groups"}
_MIN_KEY_LENGTH = 16  # characters; shorter keys can be guessed
_SHA256 = re.compile(r"[0-9a-f]{64}")
_OTHERS_ACCESS = 0o077
_OTHERS_WRITE = 0o022
_EXAMPLE_CURE = "For an example, run: tunedmodels serve --help"


def load_keys(path: Path) -> ApiKeys:
    """Load a file of keys. Raises TunedModelsError that lists every problem."""
    text, mode = _read_file(path)
    document = _parse_yaml(path, text)
    # A file without secrets may be readable by other users, as files mounted into containers are.
    if mode & _OTHERS_WRITE or (mode & _OTHERS_ACCESS and not _has_only_digests(document)):
        raise TunedModelsError(
            f"{path}: users other than its owner can access it (mode {mode & 0o777:03o})",
            cure=f"Run:\n    chmod 600 {path}\nOr replace every key with its sha256: a file "
            "without secrets may be readable by other users.",
        )
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries or set(document) != {"keys"}:
        raise TunedModelsError(
            f"{path}: must contain a list of at least one entry under `keys`, and nothing else",
            cure="Each entry has the fields key (or sha256), user, project and optionally groups.",
        )
    callers: dict[str, Caller] = {}
    problems: list[str] = []
    for number, entry in enumerate(entries, 1):
        entry_problems = list(_entry_problems(entry))
        if not entry_problems:
            digest = str(entry["sha256"]).lower() if "sha256" in entry else key_digest(entry["key"])
            if digest in callers:
                entry_problems = ["its key is the key of an earlier entry"]
            callers[digest] = _parse_caller(entry)
        problems += [f"entry {number}: {problem}" for problem in entry_problems]
    if problems:
        message = "\n".join(f"{path}: {problem}" for problem in problems)
        raise TunedModelsError(message, cure=_EXAMPLE_CURE)
    return ApiKeys(callers)


def _has_only_digests(document: Any) -> bool:  # noqa: ANN401  # any YAML value
    """Return whether every entry has the digest of a key, and no entry has a key."""
    entries = document.get("keys") if isinstance(document, dict) else None
    return isinstance(entries, list) and all(
        isinstance(entry, dict) and "sha256" in entry and "key" not in entry for entry in entries
    )


def _read_file(path: Path) -> tuple[str, int]:
    """Return the text of a file and its mode."""
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read()
    except UnicodeDecodeError:
        raise TunedModelsError(f"{path}: is not UTF-8 text", cure="Save it as UTF-8.") from None
    except OSError as error:
        cure = _EXAMPLE_CURE if isinstance(error, FileNotFoundError) else ""
        raise TunedModelsError(f"{path}: {error.strerror or error}", cure=cure) from error
    return text, mode


def _parse_yaml(path: Path, text: str) -> Any:  # noqa: ANN401  # any YAML value
    try:
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        # Without the message and the cause of the error: both quote the file.
        raise TunedModelsError(f"{path}:{line}: is not valid YAML", cure=_EXAMPLE_CURE) from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise TunedModelsError(f"{path}: is not valid YAML", cure=_EXAMPLE_CURE) from None


def _entry_problems(entry: Any) -> Iterator[str]:  # noqa: ANN401  # any YAML value
    if not isinstance(entry, dict):
        yield "must be a mapping with key (or sha256), user and project"
        return
    if unknown := len(set(entry) - _FIELDS):
        fields = plural(unknown, "field")
        yield f"has {unknown} unknown {fields}; known are key, sha256, user, project, groups"
    if ("key" in entry) == ("sha256" in entry):
        yield "requires either key or sha256"
    key = entry.get("key", "x" * _MIN_KEY_LENGTH)
    if not isinstance(key, str) or len(key) < _MIN_KEY_LENGTH or not _is_header_safe(key):
        yield (
            f"key must be text (in quotes if it has only digits) of at least {_MIN_KEY_LENGTH} "
            "ASCII letters, digits and punctuation characters, without spaces; "
            "create one with: openssl rand -hex 24"
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


def _is_header_safe(key: str) -> bool:
    """Return whether an HTTP header can contain the key unchanged."""
    return key.isascii() and key.isprintable() and " " not in key


def _parse_caller(entry: dict[str, Any]) -> Caller:
    groups = tuple(group.lower() for group in entry.get("groups", []))
    return Caller(entry["user"].lower(), entry["project"], groups)
