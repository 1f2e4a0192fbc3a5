"""Who asks: bearer tokens with an end, scopes, and permissions that a test takes away."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.support.vertex.errors import LOGIN, Refused, denied, insufficient_scopes

NUMBER = "123456789012"
AGENT = f"service-{NUMBER}@gcp-sa-aiplatform.iam.gserviceaccount.com"
PROJECT_POLICY = ""  # the key of the project's own policy, beside those of the buckets
_READERS = {"roles/aiplatform.serviceAgent", "roles/storage.objectViewer"}
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"


@dataclass
class Token:
    """What a bearer may do, and until when; `denied` are permissions, such as
    `aiplatform.tuningJobs.create`, that this one alone lacks."""

    email: str
    scopes: tuple[str, ...]
    expires: datetime | None
    denied: set[str] = field(default_factory=set)


class Identity:
    """Every token that was ever given out, what nobody may do, and the policies of IAM.

    `policies` holds the members of each role, by the name of a bucket or `PROJECT_POLICY`.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.tokens: dict[str, Token] = {}
        self.denied: set[str] = set()
        self.policies: dict[str, dict[str, set[str]]] = {
            PROJECT_POLICY: {"roles/aiplatform.serviceAgent": {f"serviceAccount:{AGENT}"}}
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
        """Give out a token; without a lifetime it never ends."""
        ends = None if lifetime_s is None else self.now() + timedelta(seconds=lifetime_s)
        token = f"ya29.token-{next(self._numbers)}"
        self.tokens[token] = Token(email, tuple(scopes), ends, set(denied))
        return token

    def revoke(self, token: str) -> None:
        """Take a token back before its end."""
        self.tokens[token].expires = self.now()

    def may_read(self, account: str, bucket: str) -> bool:
        """Whether an account that jobs run as may read a bucket."""
        member = f"serviceAccount:{account}"
        return any(
            member in members and role in _READERS
            for place in (PROJECT_POLICY, bucket)
            for role, members in self.policies.get(place, {}).items()
        )

    def bindings(self, place: str) -> list[dict[str, Any]]:
        """A policy, as IAM writes it."""
        roles = self.policies.get(place, {})
        return [{"role": role, "members": sorted(roles[role])} for role in sorted(roles)]

    def held(self, authorization: str, asked: Iterable[str]) -> list[str]:
        """Those of the permissions asked about that the bearer has."""
        lacking = self.denied | self.who(authorization).denied
        return [permission for permission in asked if permission not in lacking]

    def who(self, authorization: str) -> Token:
        """The bearer, or 401."""
        kind, _, value = authorization.partition(" ")
        token = self.tokens.get(value)
        is_over = token is not None and token.expires is not None and token.expires <= self.now()
        if kind != "Bearer" or token is None or is_over:
            challenge = 'Bearer realm="https://accounts.google.com/"'
            raise Refused(401, LOGIN, headers={"www-authenticate": challenge})
        return token

    def check(
        self, token: Token, *, method_id: str, scopes: list[str], permission: str, resource: str
    ) -> None:
        """403 when the token has none of the scopes or its bearer lacks the permission."""
        service = f"{method_id.partition('.')[0]}.googleapis.com"
        if scopes and not set(scopes) & set(token.scopes):
            raise insufficient_scopes(service, method_id, scopes)
        if permission not in self.denied | token.denied:
            return
        if permission.startswith("storage."):
            words = (
                f"{token.email} does not have {permission} access to the Google Cloud Storage "
                f"object. Permission '{permission}' denied on resource (or it may not exist)."
            )
            raise Refused(403, words)
        if permission.startswith("resourcemanager."):
            raise Refused(403, "The caller does not have permission")
        raise denied(permission, resource)
