"""The filter of tunedModels.list: operators on the role of the caller, and words to search for.

A model must match every term; `AND` between terms is optional. `OR`, `NOT` and brackets are not
supported; `OR` and `NOT` are rejected rather than searched for. Quotes join several words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tunedmodels.service.errors import ApiError, Violation, invalid_argument
from tunedmodels.service.records import AccessRole

_TERM = re.compile(r'"([^"]*)"|(\S+)')
_ROLES = {
    "owner:me": AccessRole.OWNER,
    "writers:me": AccessRole.WRITER,
    "readers:me": AccessRole.READER,
}
_EVERYONE = "readers:everyone"
_OWNER = re.compile(r"owner:[^@\s]+@[^@\s]+")  # not in the hosted API
_OPERATORS = ", ".join((*_ROLES, "owner:EMAIL", _EVERYONE))
_MAX_WORDS = 50


@dataclass(frozen=True, slots=True)
class ModelFilter:
    """Which models to list."""

    #: The lowest role of the caller, not counting permissions for everyone. None: no condition.
    role: AccessRole | None = AccessRole.READER
    #: Whether the model must be shared with everyone.
    is_shared_with_everyone: bool = False
    #: The e-mail addresses of the owner; only one user owns a model.
    owners: tuple[str, ...] = ()
    #: Each must occur in the display name or the description, ignoring case.
    words: tuple[str, ...] = ()


def parse_filter(text: str) -> ModelFilter:
    """Parse a filter. Raises ApiError (INVALID_ARGUMENT)."""
    roles: list[AccessRole] = []
    words: list[str] = []
    owners: list[str] = []
    is_shared_with_everyone = False
    for quoted, unquoted in _TERM.findall(text):
        if quoted or not unquoted:
            words.append(quoted)
        elif unquoted in _ROLES:
            roles.append(_ROLES[unquoted])
        elif unquoted == _EVERYONE:
            is_shared_with_everyone = True
        elif _OWNER.fullmatch(unquoted):
            owners.append(unquoted.removeprefix("owner:"))
        elif unquoted.startswith(("owner:", "writers:", "readers:")):
            raise _invalid_filter(f"Invalid filter {unquoted[:80]!r}; known are {_OPERATORS}.")
        elif unquoted in ("OR", "NOT"):
            raise _invalid_filter(
                f"Invalid filter: {unquoted} is not supported; to search for the word, quote it: "
                f'"{unquoted}".'
            )
        elif unquoted != "AND":
            words.append(unquoted.strip('"'))
    if len(words) > _MAX_WORDS:
        raise _invalid_filter(f"filter has {len(words)} words; at most {_MAX_WORDS} are allowed.")
    # A role with a smaller number includes the larger ones, so the smallest is the condition.
    is_any_role = is_shared_with_everyone or bool(owners)
    role = min(roles, default=None if is_any_role else AccessRole.READER)
    return ModelFilter(role, is_shared_with_everyone, tuple(owners), tuple(words))


def _invalid_filter(message: str) -> ApiError:
    return invalid_argument([Violation("filter", message)])
