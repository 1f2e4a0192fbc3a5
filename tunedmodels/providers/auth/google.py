"""Tokens from Google credentials, kept good for as long as a run waits.

A token is renewed some minutes before it ends, and once more when the service calls it invalid;
one renewal at a time, in a thread, however many requests wait for it.
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
from tunedmodels.providers.auth.adc import IMPERSONATE, Source, lying_here
from tunedmodels.providers.identity import (
    CLOUD_PLATFORM,
    KEY_CURE,
    OAUTH_CURE,
    SCOPES,
    Credentials,
    Identity,
    is_loopback,
    login,
    place,
    scrubbed,
)

if TYPE_CHECKING:
    from tunedmodels.providers.auth.google_auth import Google


# What is secret by its looks, also where we never held it: access tokens, the signed JSON that is
# shown to get one, keys, and the private halves of keys.
_LOOKS_SECRET = re.compile(
    r"ya29\.[\w.-]+"
    r"|eyJ[\w-]{8,}\.[\w-]+(\.[\w-]*)?"
    r"|AIza[\w-]{30,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)",
    re.DOTALL,
)


class GoogleIdentity:
    """Application default credentials, with `scopes` where their kind lets one choose.

    Nothing is read before the first call. `environ` may name a file, a quota project, and a
    service account to act as. `absent` is what to say when there is none at all: each service
    recommends another way.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        scopes: tuple[str, ...],
        absent: Callable[[], UnauthenticatedError],
    ) -> None:
        self.scopes = scopes
        self._environ = environ
        self._absent = absent
        self._lock = asyncio.Lock()
        self._source: Source | None = None
        self._google: Google | None = None
        self._seen: set[str] = set()  # every token there was: an answer may repeat an old one

    def __repr__(self) -> str:
        return f"GoogleIdentity({self._source})"

    @property
    def source(self) -> Source | None:
        """Where the credential lies, once it was looked for."""
        return self._source

    @property
    def google(self) -> Google | None:
        """The credential as google-auth holds it, once it was loaded."""
        return self._google

    @property
    def quota_project(self) -> str:
        """The project that calls count for, as far as the credential or a person names one."""
        return (self._google and self._google.quota_project_id) or ""

    def headers(self) -> dict[str, str]:
        """Return the token and the quota project; empty before the first `renew`."""
        headers: dict[str, str] = {}
        if self._google is not None and self._google.token:
            self._google.apply(headers)
        return headers

    async def renew(self, refused: Mapping[str, str] | None = None) -> bool:
        """See Identity. A token that still holds is kept when a new one cannot be had right now."""
        if refused is None and self._is_good:
            return False
        async with self._lock:
            if self._google is None:
                await asyncio.to_thread(self._load)
            if refused is None and self._is_good:
                return False
            if refused is not None and self.headers() != refused:
                return True  # somebody else was refused, too, and has seen to it
            try:
                await asyncio.to_thread(self._renew)
            except UnavailableError:
                if refused is None and self._still_holds:
                    return False
                raise
            return self.headers() != refused

    def scrub(self, words: str) -> str:
        """Return the words without any secret in them."""
        known = self._seen | (self._source.secrets if self._source else frozenset())
        return _LOOKS_SECRET.sub("[secret]", scrubbed(words, known))

    def problem(self, endpoint: str) -> ProviderError | None:
        """Say why nothing may be sent to `endpoint`, or None when all is well."""
        if endpoint.startswith("http:") and not is_loopback(endpoint):
            return InvalidArgumentError(
                f"A token would travel to {place(endpoint)} in the clear.",
                cure="Use an https:// endpoint; http:// is for this machine's loopback only.",
            )
        return None

    @property
    def _is_good(self) -> bool:
        return self._google is not None and self._google.valid

    @property
    def _still_holds(self) -> bool:
        from tunedmodels.providers.auth.google_auth import has_ended  # noqa: PLC0415  # is loaded by now

        return self._google is not None and not has_ended(self._google)

    def _load(self) -> None:
        """Find the credential and hand it to google-auth. Raises UnauthenticatedError."""
        # google-auth is heavy
        from tunedmodels.providers.auth.google_auth import load, lying_there  # noqa: PLC0415

        source = lying_here(self._environ) or lying_there(self._environ)
        if source is None:
            raise self._absent()
        self._source = replace(source, acts_as=self._environ.get(IMPERSONATE, "").strip())
        quota_project = self._environ.get("GOOGLE_CLOUD_QUOTA_PROJECT", "").strip()
        self._google = load(
            self._source, self.scopes, quota_project=quota_project, scrub=self.scrub
        )

    def _renew(self) -> None:
        from tunedmodels.providers.auth.google_auth import renewed  # noqa: PLC0415  # is loaded by now

        assert self._google is not None  # noqa: S101  # loaded before it is renewed
        assert self._source is not None  # noqa: S101  # goes with it
        ca_file = self._environ.get("SSL_CERT_FILE", "")
        try:
            renewed(self._google, self._source, self.scopes, ca_file=ca_file, scrub=self.scrub)
        finally:
            if self._google.token:
                self._seen.add(self._google.token)


# FOLDED
# Which identity a provider shows: what a person set goes before what lies on the machine.
#
# What is set by hand is short-lived or made for this one service, so whoever sets it means it.
VERTEX_CURE = (
    "On your machine, log in:\n"
    f"{login()}\n"
    "In CI, use workload identity federation; with the key file of a service account:\n"
    "    export GOOGLE_APPLICATION_CREDENTIALS=/path/to/key.json"
)


def gemini_identity(environ: Mapping[str, str], endpoint: str) -> Identity:
    """Return the API key or token that is set, else the machine's credentials.

    A service on loopback needs none, and is not handed the machine's.
    """
    set_by_hand = Credentials.of(environ)
    if set_by_hand.is_set or is_loopback(endpoint):
        return set_by_hand
    return GoogleIdentity(environ, scopes=SCOPES, absent=lambda: _no_key(endpoint))


def vertex_identity(environ: Mapping[str, str]) -> Identity:
    """Return the access token that is set, else the machine's credentials; API keys do not count.

    The same for Cloud Storage, whose calls the scope covers.
    """
    set_by_hand = Credentials.of(environ).without_key()
    if set_by_hand.is_set:
        return set_by_hand
    return GoogleIdentity(environ, scopes=(CLOUD_PLATFORM,), absent=_no_credentials)


def _no_key(endpoint: str) -> UnauthenticatedError:
    return UnauthenticatedError(
        f"{place(endpoint)} needs an API key, and none is set.",
        cure=f"{KEY_CURE}\nOr use OAuth. {OAUTH_CURE}",
    )


def _no_credentials() -> UnauthenticatedError:
    return UnauthenticatedError(
        "Vertex AI needs Google Cloud credentials, and there are none.", cure=VERTEX_CURE
    )
