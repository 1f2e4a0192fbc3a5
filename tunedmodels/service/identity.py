"""Who asks: callers, and the API keys that tell who they are.

Without keys there is one caller, who owns everything: whoever reaches the service can read its
folder as well. With keys, each belongs to a user and a project, as the keys of the hosted API do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from tunedmodels.service.errors import ApiError, Status
from tunedmodels.service.records import Grantee, grantee

_UNREGISTERED = (
    "Method doesn't allow unregistered callers (callers without established identity). Please use "
    "API Key or other form of API consumer identity to call this API."
)
_NO_TOKENS = (
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie "
    "or other valid authentication credential. See "
    "https://developers.google.com/identity/sign-in/web/devconsole-project."
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `project` is a project number; 0 is none."""

    email: str
    project: int = 0
    groups: tuple[str, ...] = ()
    owns_everything: bool = False

    @property
    def grantees(self) -> list[str]:
        """Every name under which the caller may have been given a role in person."""
        groups = [grantee(Grantee.GROUP, email) for email in self.groups]
        return [grantee(Grantee.USER, self.email), *groups]


LOCAL = Caller("owner@localhost", owns_everything=True)


class Keys:
    """The callers of a service, by the SHA-256 of their keys: no key itself is kept."""

    def __init__(self, callers: Mapping[str, Caller]) -> None:
        self._callers = dict(callers)

    def caller(self, headers: Mapping[str, str], query: Mapping[str, str]) -> Caller:
        """Return who sends a request; a key in the header goes before one in the query.

        Raises ApiError in Google's words: 400 for a wrong key, 403 for none, and 401 for a token,
        which nobody here can check.
        """
        if key := headers.get("x-goog-api-key") or query.get("key"):
            if caller := self._callers.get(digest(key)):
                return caller
            words = "API key not valid. Please pass a valid API key."
            raise ApiError(Status.INVALID_ARGUMENT, words, reason="API_KEY_INVALID")
        if "authorization" in headers:
            raise ApiError(Status.UNAUTHENTICATED, _NO_TOKENS)
        raise ApiError(Status.PERMISSION_DENIED, _UNREGISTERED)


def digest(key: str) -> str:
    """Return the SHA-256 of a key, in hexadecimal."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
