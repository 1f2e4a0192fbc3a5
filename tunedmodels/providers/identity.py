"""What a service is shown to know who asks, and where that may be sent.

An API key is the recommended way (F14). An OAuth access token goes first where both are set: it is
short-lived, so whoever sets one means it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol
from urllib.parse import quote, urlsplit

from tunedmodels.errors import InvalidArgumentError, ProviderError, UnauthenticatedError

HOSTED = "https://generativelanguage.googleapis.com"
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
SCOPES = (
    CLOUD_PLATFORM,
    "https://www.googleapis.com/auth/generative-language.tuning",
)
KEY_CURE = (
    "Create an API key at https://aistudio.google.com/apikey and set it:\n"
    "    export GEMINI_API_KEY=..."
)


def login(scopes: tuple[str, ...] = (CLOUD_PLATFORM,)) -> str:
    """Return the command by which a person gets credentials with these scopes."""
    command = "    gcloud auth application-default login"
    if scopes == (CLOUD_PLATFORM,):
        return f"{command} --scopes={CLOUD_PLATFORM}"
    # The client that gcloud brings along may ask for no other service's scopes.
    return f"{command} --client-id-file=client_secret.json \\\n        --scopes={','.join(scopes)}"


OAUTH_CURE = (
    "Log in with the scopes that tuning needs, and say which project the calls count for:\n"
    f"{login(SCOPES)}\n"
    "    gcloud auth application-default set-quota-project PROJECT"
)


class Identity(Protocol):
    """Who asks, as the HTTP client needs to know it, whatever kind of service is asked."""

    def headers(self) -> dict[str, str]:
        """Return the headers that say so, as they are now."""

    async def renew(self, refused: Mapping[str, str] | None = None) -> bool:
        """Make `headers` good for the next call; called before each one, so mostly it does nothing.

        `refused` are headers that the service has just called invalid. Returns whether others are
        to be had in their place. Raises ProviderError when a new token cannot be had.
        """

    def scrub(self, words: str) -> str:
        """Return the words without any secret in them."""

    def problem(self, endpoint: str) -> ProviderError | None:
        """Say why nothing may be sent to `endpoint`, or None when all is well."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """An API key or an OAuth access token; neither shows in a repr.

    `quota_project` is the Google Cloud project that calls with a token are counted for.
    """

    api_key: str = field(default="", repr=False)
    access_token: str = field(default="", repr=False)
    quota_project: str = ""

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Credentials:
        """Take what the environment holds; GEMINI_API_KEY goes before GOOGLE_API_KEY."""
        return cls(
            # A key read from a file often brings the end of its line along.
            api_key=(environ.get("GEMINI_API_KEY") or environ.get("GOOGLE_API_KEY", "")).strip(),
            access_token=environ.get("GOOGLE_OAUTH_ACCESS_TOKEN", "").strip(),
            quota_project=environ.get("GOOGLE_CLOUD_QUOTA_PROJECT", "").strip(),
        )

    def without_key(self) -> Credentials:
        """Return the token alone, for services that know no keys."""
        return replace(self, api_key="")

    @property
    def is_set(self) -> bool:
        """Whether there is any."""
        return bool(self.api_key or self.access_token)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every form in which a secret could come back to us in foreign words."""
        raw = [secret for secret in (self.api_key, self.access_token) if secret]
        return tuple({form for secret in raw for form in (secret, quote(secret, safe=""))})

    def headers(self) -> dict[str, str]:
        """Return the headers that carry them; a URL never does, since URLs are logged."""
        if self.access_token:
            project = {"x-goog-user-project": self.quota_project} if self.quota_project else {}
            return {"authorization": f"Bearer {self.access_token}", **project}
        return {"x-goog-api-key": self.api_key} if self.api_key else {}

    async def renew(self, refused: Mapping[str, str] | None = None) -> bool:  # noqa: ARG002  # as agreed
        """Do nothing: what a person set stays as it is."""
        return False

    def scrub(self, words: str) -> str:
        """Return the words without any secret in them."""
        return scrubbed(words, self.secrets)

    def problem(self, endpoint: str) -> ProviderError | None:
        """Say why nothing may be sent to `endpoint` with these, or None when all is well."""
        if not all(char.isascii() and char.isprintable() for char in self._all):
            return UnauthenticatedError(
                "The API key or token holds characters that none has.",
                cure="Copy it once more, without line ends or typographic signs. " + KEY_CURE,
            )
        if is_loopback(endpoint):
            return None
        if not self._all:
            return UnauthenticatedError(
                f"{place(endpoint)} needs an API key, and none is set.", cure=KEY_CURE
            )
        if urlsplit(endpoint).scheme != "https":
            return InvalidArgumentError(
                f"A key would travel to {place(endpoint)} in the clear.",
                cure="Use an https:// endpoint; http:// is for this machine's loopback only.",
            )
        return None

    @property
    def _all(self) -> str:
        return self.api_key + self.access_token + self.quota_project


def scrubbed(words: str, secrets: Iterable[str]) -> str:
    """Return the words without the secrets."""
    # Longest first, so that no secret survives as the rest of another one's replacement.
    for secret in sorted(secrets, key=len, reverse=True):
        words = words.replace(secret, "[secret]")
    return words


def is_loopback(endpoint: str) -> bool:
    """Whether the endpoint is on this machine, out of reach of everybody else."""
    host = urlsplit(endpoint).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def place(endpoint: str) -> str:
    """Return `host:port` for people: never a user name, a password or a path."""
    parts = urlsplit(endpoint)
    return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or endpoint
