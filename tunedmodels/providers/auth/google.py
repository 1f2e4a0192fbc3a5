"""Identities for the Gemini API and Vertex AI: explicit credentials or refreshed Google tokens.

A credential in a variable is short-lived or made for this one service, so the user set it on
purpose, and it takes precedence over the credentials of the machine.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from tunedmodels.errors import (
    InvalidArgumentError,
    ProviderError,
    UnauthenticatedError,
    UnavailableError,
)
from tunedmodels.providers.auth.adc import IMPERSONATE, CredentialSource, find_file_credentials
from tunedmodels.providers.identity import (
    CLOUD_PLATFORM,
    GEMINI_SCOPES,
    HTTPS_CURE,
    KEY_CURE,
    OAUTH_CURE,
    Credentials,
    Identity,
    host_and_port,
    is_loopback,
    login_command,
)
from tunedmodels.scrubber import Scrubber

if TYPE_CHECKING:
    from tunedmodels.providers.auth.google_auth import GoogleCredentials

VERTEX_CURE = (
    "On your machine, log in:\n"
    f"{login_command()}\n"
    "In CI, use workload identity federation; with the key file of a service account:\n"
    "    export GOOGLE_APPLICATION_CREDENTIALS=/path/to/key.json"
)

# Text that looks like a secret although this process never had it: access tokens, the signed JSON
# with which a token is requested, API keys, and private keys.
_LOOKS_SECRET = re.compile(
    r"ya29\.[\w.-]+"
    r"|eyJ[\w-]{8,}\.[\w-]+(\.[\w-]*)?"
    r"|AIza[\w-]{30,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)",
    re.DOTALL,
)


def gemini_identity(environ: Mapping[str, str], endpoint: str) -> Identity:
    """Return the API key or token of the environment, else the credentials of the machine.

    A service on a loopback address needs no credentials and never gets those of the machine.
    """
    explicit = Credentials.from_environ(environ)
    if explicit.is_set or is_loopback(endpoint):
        return explicit
    return GoogleIdentity(
        environ, scopes=GEMINI_SCOPES, missing_error=lambda: _missing_key(endpoint)
    )


def vertex_identity(environ: Mapping[str, str]) -> Identity:
    """Return the access token of the environment, else the credentials of the machine.

    API keys are ignored. The scope covers the calls to Cloud Storage as well.
    """
    explicit = Credentials.from_environ(environ).without_key()
    if explicit.is_set:
        return explicit
    return GoogleIdentity(environ, scopes=(CLOUD_PLATFORM,), missing_error=_missing_credentials)


def _missing_key(endpoint: str) -> UnauthenticatedError:
    return UnauthenticatedError(
        f"{host_and_port(endpoint)} requires an API key, and none is set.",
        cure=f"{KEY_CURE}\nOr use OAuth. {OAUTH_CURE}",
    )


def _missing_credentials() -> UnauthenticatedError:
    return UnauthenticatedError(
        "Vertex AI requires Google Cloud credentials, and none were found.", cure=VERTEX_CURE
    )


class GoogleIdentity:
    """Application default credentials, read with the first call.

    A token is refreshed some minutes before it expires, and once more when the service rejects it.
    One refresh runs at a time, in a thread, however many requests wait for it.

    `scopes` apply to the kinds of credentials that allow a choice. `environ` may name a file, a
    quota project, and a service account to impersonate. `missing_error` returns the error when
    there are no credentials: each service recommends another kind.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        scopes: tuple[str, ...],
        missing_error: Callable[[], UnauthenticatedError],
    ) -> None:
        self.scopes = scopes
        self._environ = environ
        self._missing_error = missing_error
        self._lock = asyncio.Lock()
        self._source: CredentialSource | None = None
        self._google: GoogleCredentials | None = None
        self._issued_tokens: set[str] = set()  # a response may repeat an old token

    def __repr__(self) -> str:
        return f"GoogleIdentity({self._source})"

    @property
    def source(self) -> CredentialSource | None:
        """Where the credential was found; None before the first `refresh`."""
        return self._source

    @property
    def google(self) -> GoogleCredentials | None:
        """The credential of google-auth; None before the first `refresh`."""
        return self._google

    @property
    def quota_project(self) -> str:
        """The project to which calls are billed, if the credential or the user names one."""
        return (self._google and self._google.quota_project_id) or ""

    def headers(self) -> dict[str, str]:
        """Return the token and the quota project; empty before the first `refresh`."""
        headers: dict[str, str] = {}
        if self._google is not None and self._google.token:
            self._google.apply(headers)
        return headers

    async def refresh(self, rejected: Mapping[str, str] | None = None) -> bool:
        """See Identity. A token that is still valid is kept when no new one can be obtained."""
        if rejected is None and self._is_valid:
            return False
        async with self._lock:
            if self._google is None:
                await asyncio.to_thread(self._load)
            if rejected is None and self._is_valid:
                return False
            if rejected is not None and self.headers() != rejected:
                return True  # another request was rejected too and has refreshed the token
            try:
                await asyncio.to_thread(self._refresh)
            except UnavailableError:
                if rejected is None and self._is_unexpired:
                    return False
                raise
            return self.headers() != rejected

    @property
    def secrets(self) -> frozenset[str]:
        """The secrets of the credential, and the tokens that it got."""
        return frozenset(self._issued_tokens) | (
            frozenset(self._source.secrets) if self._source else frozenset()
        )

    def scrub(self, text: str) -> str:
        """Return the text with every secret replaced."""
        return _LOOKS_SECRET.sub("[secret]", Scrubber(self.secrets).scrub(text))

    def problem(self, endpoint: str) -> ProviderError | None:
        """Return the reason why nothing may be sent to `endpoint`, or None."""
        if not endpoint.startswith("https:") and not is_loopback(endpoint):
            return InvalidArgumentError(
                f"The token would be sent to {host_and_port(endpoint)} unencrypted.",
                cure=HTTPS_CURE,
            )
        return None

    @property
    def _is_valid(self) -> bool:
        """Whether the token is valid for some more minutes."""
        return self._google is not None and self._google.valid

    @property
    def _is_unexpired(self) -> bool:
        from tunedmodels.providers.auth.google_auth import is_expired  # noqa: PLC0415  # loaded already

        return self._google is not None and not is_expired(self._google)

    def _load(self) -> None:
        """Find the credential and load it with google-auth. Raises UnauthenticatedError."""
        from tunedmodels.providers.auth.google_auth import (  # noqa: PLC0415  # start-up
            find_metadata_credentials,
            load_credentials,
        )

        source = find_file_credentials(self._environ) or find_metadata_credentials(self._environ)
        if source is None:
            raise self._missing_error()
        self._source = replace(source, impersonate=self._environ.get(IMPERSONATE, "").strip())
        quota_project = self._environ.get("GOOGLE_CLOUD_QUOTA_PROJECT", "").strip()
        self._google = load_credentials(
            self._source, self.scopes, quota_project=quota_project, scrub=self.scrub
        )

    def _refresh(self) -> None:
        from tunedmodels.providers.auth.google_auth import refresh  # noqa: PLC0415  # loaded already

        assert self._google is not None  # noqa: S101  # `refresh` loads it first
        assert self._source is not None  # noqa: S101  # set together with it
        ca_file = self._environ.get("SSL_CERT_FILE", "")
        try:
            refresh(self._google, self._source, self.scopes, ca_file=ca_file, scrub=self.scrub)
        finally:
            if self._google.token:
                self._issued_tokens.add(self._google.token)
