"""The filter of tunedModels.list: operators on the caller's role, and words to look for.

Every term must hold; `AND` between two of them says the same. `OR`, `NOT` and brackets are not
understood, and refused rather than searched for. Quotes hold several words together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tunedmodels.service.errors import ApiError, Violation, invalid
from tunedmodels.service.records import Role

_TERM = re.compile(r'"([^"]*)"|(\S+)')
_ROLES = {"owner:me": Role.OWNER, "writers:me": Role.WRITER, "readers:me": Role.READER}
_EVERYONE = "readers:everyone"
_KNOWN = ", ".join((*_ROLES, _EVERYONE))
_MOST_WORDS = 50


@dataclass(frozen=True, slots=True)
class Selection:
    """Which models to list.

    `role` is what the caller must at least have been given, other than by sharing with everyone;
    None asks for nothing. `is_for_everyone` wants models that are shared with everyone. Each of
    `words` must be in the display name or the description, whatever its case.
    """

    role: Role | None = Role.READER
    is_for_everyone: bool = False
    words: tuple[str, ...] = ()


def selection(text: str) -> Selection:
    """Read a filter. Raises ApiError (INVALID_ARGUMENT)."""
    roles: list[Role] = []
    words: list[str] = []
    is_for_everyone = False
    for quoted, bare in _TERM.findall(text):
        if quoted or not bare:
            words.append(quoted)
        elif bare in _ROLES:
            roles.append(_ROLES[bare])
        elif bare == _EVERYONE:
            is_for_everyone = True
        elif bare.startswith(("owner:", "writers:", "readers:")):
            raise _refusal(f"Invalid filter {bare[:80]!r}; known are {_KNOWN}.")
        elif bare in ("OR", "NOT"):
            raise _refusal(f'Invalid filter: {bare} is not supported; to look for it: "{bare}".')
        elif bare != "AND":
            words.append(bare.strip('"'))
    if len(words) > _MOST_WORDS:
        raise _refusal(f"filter has {len(words)} words; at most {_MOST_WORDS} are allowed.")
    # The smaller role holds the larger one: of several, the smallest is wanted.
    role = min(roles, default=None if is_for_everyone else Role.READER)
    return Selection(role, is_for_everyone, tuple(words))


def _refusal(words: str) -> ApiError:
    return invalid([Violation("filter", words)])
