"""From what lies there to a credential of google-auth, and from that to a token.

Imports google-auth, so it is imported with the first token. Each kind has its own loader: the one
that takes them all is deprecated, since it leaves the choice of the kind to the file.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import closing
from typing import Any, Protocol, Self

import requests
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
from google.auth.transport import Response
from google.auth.transport import requests as transport
from google.oauth2 import credentials, service_account

from tunedmodels.errors import UnauthenticatedError
from tunedmodels.providers.auth.adc import Kind, Source
from tunedmodels.providers.auth.errors import refused
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


# FOLDED
# Whether this machine has a metadata server, and how google-auth reaches the network.
#
# Imports google-auth with its transport, so it is imported with the first token.
_ADDRESS = "169.254.169.254"  # link-local: it answers at once, or nobody is there
_LOOK_S = 1.0  # google-auth asks three times three seconds; a laptop would wait for nothing
_ANSWER_S = 20.0
_FLAVOUR = {"metadata-flavor": "Google"}

# It warns of what we say better; with no handler, Python would print that beside our own words.
logging.getLogger("google.auth").addHandler(logging.NullHandler())


class Caller(transport.Request):
    """google-auth's own transport, which never waits for minutes and trusts what httpx trusts."""

    def __init__(self, *, ca_file: str = "") -> None:
        session = requests.Session()
        session.verify = ca_file or True
        super().__init__(session)

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **others: Any,  # noqa: ANN401  # as in the class above
    ) -> Response:
        """Send a request. Raises google.auth's TransportError."""
        wait_s = timeout or _ANSWER_S
        answer: Response = super().__call__(  # type: ignore[no-untyped-call]  # theirs has no types
            url, method, body, headers, timeout=wait_s, **others
        )
        return answer


def lying_there(environ: Mapping[str, str]) -> Source | None:
    """Return the service account of this machine, or None where nobody answers.

    The variables are those of google-auth: NO_GCE_CHECK=true asks nobody, GCE_METADATA_HOST names
    another host.
    """
    if environ.get("NO_GCE_CHECK", "").lower() == "true":
        return None
    host = environ.get("GCE_METADATA_HOST") or _ADDRESS
    caller = Caller()
    caller.session.trust_env = False  # no proxy reaches it
    try:
        answer = caller(f"http://{host}", headers=_FLAVOUR, timeout=_LOOK_S)
    except (GoogleAuthError, OSError):
        return None
    finally:
        caller.session.close()
    if answer.headers.get("metadata-flavor") != "Google":
        return None
    return Source(Kind.METADATA, "metadata server")
