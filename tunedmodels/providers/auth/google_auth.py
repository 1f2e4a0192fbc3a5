"""Credentials and tokens of google-auth.

Imports google-auth with its transport, so it is imported with the first token. Each kind of
credential has its own loader: the common loader of google-auth is deprecated, since it lets the
file choose the kind.
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
from tunedmodels.providers.auth.adc import CredentialKind, CredentialSource
from tunedmodels.providers.auth.errors import token_error
from tunedmodels.wire.status import printable_line

_AWS = "urn:ietf:params:aws:token-type:aws4_request"
_IMPERSONATION_S = 3600  # the longest lifetime without a change of the project's policy

_METADATA_ADDRESS = "169.254.169.254"  # link-local: it answers at once or does not exist
# As google-auth does. A refused connection, as on most machines, is not tried again.
_METADATA_TIMEOUT_S = 3.0
_METADATA_ATTEMPTS = 3
_METADATA_HEADERS = {"metadata-flavor": "Google"}
_REQUEST_TIMEOUT_S = 20.0

# Errors that google-auth raises for a malformed file or response.
_MALFORMED = (ValueError, TypeError, LookupError, AttributeError)

# google-auth logs warnings about errors that we report. Without a handler, Python prints them.
logging.getLogger("google.auth").addHandler(logging.NullHandler())

Scrub = Callable[[str], str]
Info = Mapping[str, Any]


class GoogleCredentials(Protocol):
    """The part of google-auth's untyped credentials that is used here."""

    token: str | None

    @property
    def valid(self) -> bool:
        """Whether the token is valid for some more minutes."""

    @property
    def quota_project_id(self) -> str | None:
        """The project to which calls are billed."""

    def apply(self, headers: MutableMapping[str, str]) -> None:
        """Add the headers that carry the token."""

    def refresh(self, request: AuthTransport) -> None:
        """Get a new token. Raises GoogleAuthError."""

    def with_quota_project(self, quota_project_id: str) -> Self:
        """Return a copy whose calls are billed to that project."""


class AuthTransport(transport.Request):
    """The transport of google-auth with a short timeout and the certificates that httpx trusts."""

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
        **kwargs: Any,  # noqa: ANN401  # as in the base class
    ) -> Response:
        """Send a request. Raises google.auth's TransportError."""
        timeout_s = timeout or _REQUEST_TIMEOUT_S
        response: Response = super().__call__(  # type: ignore[no-untyped-call]  # untyped base class
            url, method, body, headers, timeout=timeout_s, **kwargs
        )
        return response


def find_metadata_credentials(environ: Mapping[str, str]) -> CredentialSource | None:
    """Return the service account of this machine, or None without a metadata server.

    The variables are those of google-auth: NO_GCE_CHECK=true skips the search, GCE_METADATA_HOST
    sets another host, and GCE_METADATA_TIMEOUT the seconds of one of three attempts. Raises
    UnauthenticatedError when the timeout is not a number.
    """
    if environ.get("NO_GCE_CHECK", "").lower() == "true":
        return None
    host = environ.get("GCE_METADATA_HOST") or _METADATA_ADDRESS
    timeout_s = _metadata_timeout_s(environ)
    caller = AuthTransport()
    caller.session.trust_env = False  # a proxy cannot reach the metadata server
    with closing(caller.session):
        for _ in range(_METADATA_ATTEMPTS):
            try:
                response = caller(f"http://{host}", headers=_METADATA_HEADERS, timeout=timeout_s)
            except (GoogleAuthError, OSError) as error:
                if _is_timeout(error):
                    continue  # the server starts after the machine does
                return None
            if response.headers.get("metadata-flavor") != "Google":
                return None
            return CredentialSource(CredentialKind.METADATA, "metadata server")
    return None


def _metadata_timeout_s(environ: Mapping[str, str]) -> float:
    value = environ.get("GCE_METADATA_TIMEOUT", "").strip()
    if not value:
        return _METADATA_TIMEOUT_S
    try:
        timeout_s = float(value)
    except ValueError:
        timeout_s = 0.0
    if 0 < timeout_s < float("inf"):
        return timeout_s
    raise UnauthenticatedError(
        f"GCE_METADATA_TIMEOUT is {value[:40]!r}, which is not a number of seconds.",
        cure="Set it to a number such as 3, or unset it.",
    )


def _is_timeout(error: BaseException) -> bool:
    """Whether a request got no answer in time; another failure is final."""
    cause = error.__cause__ or error.__context__
    return isinstance(error, requests.Timeout) or isinstance(cause, requests.Timeout)


def load_credentials(
    source: CredentialSource, scopes: tuple[str, ...], *, quota_project: str, scrub: Scrub
) -> GoogleCredentials:
    """Return the credential, with `scopes` if its kind allows a choice.

    Raises UnauthenticatedError when parts are missing.
    """
    try:
        google: GoogleCredentials = _LOADERS[source.kind](source.info, scopes)
        if source.impersonate:
            google = _impersonate(google, source.impersonate, scopes)
        return google.with_quota_project(quota_project) if quota_project else google
    except (GoogleAuthError, *_MALFORMED) as error:
        raise UnauthenticatedError(
            f"No credentials from {source.origin}: {printable_line(scrub(str(error)))}.",
            cure="Write the file again, or set GOOGLE_APPLICATION_CREDENTIALS to another file.",
        ) from error


def refresh(
    google: GoogleCredentials,
    source: CredentialSource,
    scopes: tuple[str, ...],
    *,
    ca_file: str,
    scrub: Scrub,
) -> None:
    """Get a new token; blocks for some seconds. Raises the errors of `token_error`."""
    caller = AuthTransport(ca_file=ca_file)
    with closing(caller.session):
        try:
            google.refresh(caller)
            if not google.token:  # some kinds do not check the response
                raise ValueError("the response contains no access token")
        except (GoogleAuthError, OSError, *_MALFORMED) as error:
            raise token_error(error, source, scopes, scrub=scrub) from error


def is_expired(google: GoogleCredentials) -> bool:
    """Whether the token has expired, rather than expiring within the next minutes."""
    return getattr(google, "token_state", None) is TokenState.INVALID


def _impersonate(
    base: GoogleCredentials, account: str, scopes: tuple[str, ...]
) -> GoogleCredentials:
    google: GoogleCredentials = impersonated_credentials.Credentials(
        base, account, scopes, lifetime=_IMPERSONATION_S
    )
    return google


def _federated(info: Info, scopes: tuple[str, ...]) -> Any:  # noqa: ANN401  # untyped, see GoogleCredentials
    if info.get("subject_token_type") == _AWS:
        return aws.Credentials.from_info(info, scopes=scopes)
    if "executable" in info.get("credential_source", {}):
        return pluggable.Credentials.from_info(info, scopes=scopes)
    return identity_pool.Credentials.from_info(info, scopes=scopes)


_LOADERS: Mapping[CredentialKind, Callable[[Info, tuple[str, ...]], Any]] = {
    # The user chose the scopes at login; a request for other scopes is rejected completely.
    CredentialKind.USER: lambda info, _: credentials.Credentials.from_authorized_user_info(info),
    CredentialKind.WORKFORCE: lambda info, _: (
        external_account_authorized_user.Credentials.from_info(info)
    ),
    CredentialKind.SERVICE_ACCOUNT: lambda info, scopes: (
        service_account.Credentials.from_service_account_info(info, scopes=scopes)
    ),
    CredentialKind.FEDERATED: _federated,
    CredentialKind.IMPERSONATED: lambda info, scopes: (
        impersonated_credentials.Credentials.from_impersonated_service_account_info(
            info, scopes=scopes
        )
    ),
    CredentialKind.METADATA: lambda _, scopes: compute_engine.Credentials(scopes=scopes),
}
