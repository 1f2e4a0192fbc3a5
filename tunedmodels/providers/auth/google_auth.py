"""From what lies there to a credential of google-auth, and from that to a token.

Imports google-auth, so it is imported with the first token. Each kind has its own loader: the one
that takes them all is deprecated, since it leaves the choice of the kind to the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from contextlib import closing
from typing import Any, Protocol, Self

from google.auth import (
    aws,
    compute_engine,
    external_account_authorized_user,
    identity_pool,
    impersonated_credentials,
    pluggable,
)
from google.auth.credentials import TokenState
from google.auth.exceptions import GoogleAuthError
from google.oauth2 import credentials, service_account

from tunedmodels.errors import UnauthenticatedError
from tunedmodels.providers.auth.adc import Kind, Source
from tunedmodels.providers.auth.errors import refused
from tunedmodels.providers.auth.metadata import Caller
from tunedmodels.wire.status import plain

_AWS = "urn:ietf:params:aws:token-type:aws4_request"
_LONGEST_S = 3600  # what an impersonated token may last without a change of the project's policy

# What google-auth raises over a file or an answer that is not as it should be.
_MALFORMED = (ValueError, TypeError, LookupError, AttributeError)

Scrub = Callable[[str], str]
Info = Mapping[str, Any]


class Google(Protocol):
    """What we use of google-auth's credentials, which carry no types of their own."""

    token: str | None

    @property
    def valid(self) -> bool:
        """Whether the token lasts some minutes more."""

    @property
    def quota_project_id(self) -> str | None:
        """The project that calls count for."""

    def apply(self, headers: MutableMapping[str, str]) -> None:
        """Add the headers that carry the token."""

    def refresh(self, request: Caller) -> None:
        """Get a new token. Raises GoogleAuthError."""

    def with_quota_project(self, quota_project_id: str) -> Self:
        """Return a copy whose calls count for that project."""


def load(source: Source, scopes: tuple[str, ...], *, quota_project: str, scrub: Scrub) -> Google:
    """Return the credential, with `scopes` where its kind lets one choose.

    Raises UnauthenticatedError when parts are missing.
    """
    try:
        google: Google = _LOADERS[source.kind](source.info, scopes)
        if source.acts_as:
            google = _impersonating(google, source.acts_as, scopes)
        return google.with_quota_project(quota_project) if quota_project else google
    except (GoogleAuthError, *_MALFORMED) as error:
        raise UnauthenticatedError(
            f"No credentials from {source.place}: {plain(scrub(str(error)))}.",
            cure="Write the file anew, or name another one in GOOGLE_APPLICATION_CREDENTIALS.",
        ) from error


def renewed(
    google: Google, source: Source, scopes: tuple[str, ...], *, ca_file: str, scrub: Scrub
) -> None:
    """Get a new token; blocks for some seconds. Raises the errors of `refusals`."""
    caller = Caller(ca_file=ca_file)
    with closing(caller.session):
        try:
            google.refresh(caller)
            if not google.token:  # not every kind looks at what it got
                raise ValueError("the answer holds no access token")
        except (GoogleAuthError, OSError, *_MALFORMED) as error:
            raise refused(error, source, scopes, scrub=scrub) from error


def has_ended(google: Google) -> bool:
    """Whether the token is good for nothing any more, not even for the next minutes."""
    return getattr(google, "token_state", None) is TokenState.INVALID


def _impersonating(by: Google, account: str, scopes: tuple[str, ...]) -> Google:
    google: Google = impersonated_credentials.Credentials(by, account, scopes, lifetime=_LONGEST_S)
    return google


def _federated(info: Info, scopes: tuple[str, ...]) -> Any:  # noqa: ANN401  # see Google
    if info.get("subject_token_type") == _AWS:
        return aws.Credentials.from_info(info, scopes=scopes)
    if "executable" in info.get("credential_source", {}):
        return pluggable.Credentials.from_info(info, scopes=scopes)
    return identity_pool.Credentials.from_info(info, scopes=scopes)


_LOADERS: Mapping[Kind, Callable[[Info, tuple[str, ...]], Any]] = {
    # A person chose the scopes at the login; asking for others is refused as a whole.
    Kind.USER: lambda info, _: credentials.Credentials.from_authorized_user_info(info),
    Kind.WORKFORCE: lambda info, _: external_account_authorized_user.Credentials.from_info(info),
    Kind.SERVICE_ACCOUNT: lambda info, scopes: (
        service_account.Credentials.from_service_account_info(info, scopes=scopes)
    ),
    Kind.FEDERATED: _federated,
    Kind.IMPERSONATED: lambda info, scopes: (
        impersonated_credentials.Credentials.from_impersonated_service_account_info(
            info, scopes=scopes
        )
    ),
    Kind.METADATA: lambda _, scopes: compute_engine.Credentials(scopes=scopes),
}
