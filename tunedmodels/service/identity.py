"""Callers of the service, and the API keys that identify them.

Without keys there is one caller, who owns every model: any program that reaches the service can
read its directory as well. With keys, each key belongs to a user and a project, as in the hosted
API.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from tunedmodels.service.errors import ApiError, ApiStatus
from tunedmodels.service.records import Grantee, grantee_key

# The messages of the hosted API.
_NO_KEY_MESSAGE = (
    "Method doesn't allow unregistered callers (callers without established identity). Please use "
    "API Key or other form of API consumer identity to call this API."
)
_OAUTH_MESSAGE = (
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie "
    "or other valid authentication credential. See "
    "https://developers.google.com/identity/sign-in/web/devconsole-project."
)


@dataclass(frozen=True, slots=True)
class Caller:
    """The user who sends a request."""

    email: str
    project: int = 0  #: project number; 0 if the caller has none
    groups: tuple[str, ...] = ()
    is_unrestricted: bool = False  #: whether the caller owns every model

    @property
    def grantees(self) -> list[str]:
        """The grantee keys under which the caller can have a role: the user and its groups."""
        groups = [grantee_key(Grantee.GROUP, email) for email in self.groups]
        return [grantee_key(Grantee.USER, self.email), *groups]


#: The caller of a service without keys.
LOCAL_CALLER = Caller("owner@localhost", is_unrestricted=True)


class ApiKeys:
    """The callers of a service by the SHA-256 of their keys. No key itself is kept."""

    def __init__(self, callers: Mapping[str, Caller]) -> None:
        self._callers = dict(callers)

    def authenticate(self, headers: Mapping[str, str], query: Mapping[str, str]) -> Caller:
        """Return the caller of a request. A key in the header precedes a key in the query.

        Raises ApiError with the message of the hosted API: 400 for an invalid key, 403 without a
        key, and 401 for an OAuth token, because the service cannot verify tokens.
        """
        if key := headers.get("x-goog-api-key") or query.get("key"):
            if caller := self._callers.get(key_digest(key)):
                return caller
            message = "API key not valid. Please pass a valid API key."
            raise ApiError(ApiStatus.INVALID_ARGUMENT, message, reason="API_KEY_INVALID")
        if "authorization" in headers:
            raise ApiError(ApiStatus.UNAUTHENTICATED, _OAUTH_MESSAGE)
        raise ApiError(ApiStatus.PERMISSION_DENIED, _NO_KEY_MESSAGE)


def key_digest(key: str) -> str:
    """Return the SHA-256 of a key as hexadecimal digits."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
