"""Bearer tokens with expiry and scopes, and permissions that a test can deny."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.support.vertex.errors import (
    INVALID_CREDENTIALS,
    ServiceError,
    insufficient_scopes,
    permission_denied,
)

PROJECT_NUMBER = "123456789012"
SERVICE_AGENT = f"service-{PROJECT_NUMBER}@gcp-sa-vertex-tune.iam.gserviceaccount.com"
OPEN_SERVICE_AGENT = f"service-{PROJECT_NUMBER}@gcp-sa-vertex-moss-ft.iam.gserviceaccount.com"
PROJECT_POLICY = ""  # the key of the policy of the project; the other keys are buckets
_READERS = {
    "roles/aiplatform.tuningServiceAgent",
    "roles/storage.objectUser",
    "roles/storage.objectViewer",
}
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"


@dataclass
class Token:
    """A bearer token."""

    email: str
    scopes: tuple[str, ...]
    expires: datetime | None
    denied: set[str] = field(default_factory=set)
    """Permissions that only this token lacks, such as `aiplatform.tuningJobs.create`."""


class IdentityService:
    """All issued tokens, the permissions that every token lacks, and the IAM policies.

    `policies` maps a bucket or `PROJECT_POLICY` to the members of each role.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.tokens: dict[str, Token] = {}
        self.denied: set[str] = set()
        self.policies: dict[str, dict[str, set[str]]] = {
            PROJECT_POLICY: {
                "roles/aiplatform.tuningServiceAgent": {f"serviceAccount:{SERVICE_AGENT}"},
                "roles/storage.objectUser": {f"serviceAccount:{OPEN_SERVICE_AGENT}"},
            }
        }
        self._numbers = itertools.count(1)

    def issue(
        self,
        *,
        scopes: Iterable[str] = (CLOUD_PLATFORM,),
        lifetime_s: float | None = None,
        email: str = "someone@example.com",
        denied: Iterable[str] = (),
    ) -> str:
        """Issue a token; without a lifetime it never expires."""
        expires = None if lifetime_s is None else self.now() + timedelta(seconds=lifetime_s)
        token = f"ya29.token-{next(self._numbers)}"
        self.tokens[token] = Token(email, tuple(scopes), expires, set(denied))
        return token

    def revoke(self, token: str) -> None:
        """Revoke a token before it expires."""
        self.tokens[token].expires = self.now()

    def can_read(self, account: str, bucket: str) -> bool:
        """Whether an account that jobs run as can read a bucket."""
        member = f"serviceAccount:{account}"
        return any(
            member in members and role in _READERS
            for key in (PROJECT_POLICY, bucket)
            for role, members in self.policies.get(key, {}).items()
        )

    def bindings(self, key: str) -> list[dict[str, Any]]:
        """The bindings of a policy in the format of IAM."""
        roles = self.policies.get(key, {})
        return [{"role": role, "members": sorted(roles[role])} for role in sorted(roles)]

    def granted(self, authorization: str, permissions: Iterable[str]) -> list[str]:
        """The given permissions that the bearer has."""
        missing = self.denied | self.authenticate(authorization).denied
        return [permission for permission in permissions if permission not in missing]

    def authenticate(self, authorization: str) -> Token:
        """The token of the bearer; raises a 401 if it is invalid."""
        kind, _, value = authorization.partition(" ")
        token = self.tokens.get(value)
        is_expired = token is not None and token.expires is not None and token.expires <= self.now()
        if kind != "Bearer" or token is None or is_expired:
            challenge = 'Bearer realm="https://accounts.google.com/"'
            raise ServiceError(401, INVALID_CREDENTIALS, headers={"www-authenticate": challenge})
        return token

    def authorize(
        self, token: Token, *, method_id: str, scopes: list[str], permission: str, resource: str
    ) -> None:
        """Raise a 403 if the token has none of the scopes or lacks the permission."""
        service = f"{method_id.partition('.')[0]}.googleapis.com"
        if scopes and not set(scopes) & set(token.scopes):
            raise insufficient_scopes(service, method_id, scopes)
        if permission not in self.denied | token.denied:
            return
        if permission.startswith("storage."):
            message = (
                f"{token.email} does not have {permission} access to the Google Cloud Storage "
                f"object. Permission '{permission}' denied on resource (or it may not exist)."
            )
            raise ServiceError(403, message)
        if permission.startswith("resourcemanager."):
            raise ServiceError(403, "The caller does not have permission")
        raise permission_denied(permission, resource)
