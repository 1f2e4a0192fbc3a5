"""The credentials that a request carries, and the endpoints to which they may be sent.

An API key is the recommended credential (F14). If an OAuth access token is set as well, it takes
precedence: it is short-lived, so the user set it on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from tunedmodels.address import Address, hide_userinfo
from tunedmodels.errors import InvalidArgumentError, ProviderError, UnauthenticatedError
from tunedmodels.scrubber import Scrubber

GEMINI_ENDPOINT = "https://generativelanguage.googleapis.com"
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
GEMINI_SCOPES = (
    CLOUD_PLATFORM,
    "https://www.googleapis.com/auth/generative-language.tuning",
)
HTTPS_CURE = "Use an https:// endpoint; http:// is allowed only for loopback addresses."
KEY_CURE = (
    "Create an API key at https://aistudio.google.com/apikey and set it:\n"
    "    export GEMINI_API_KEY=..."
)


def login_command(scopes: tuple[str, ...] = (CLOUD_PLATFORM,)) -> str:
    """Return the command with which a user gets credentials with these scopes."""
    command = "    gcloud auth application-default login"
    if scopes == (CLOUD_PLATFORM,):
        return f"{command} --scopes={CLOUD_PLATFORM}"
    # The default OAuth client of gcloud may not request the scopes of other services.
    return f"{command} --client-id-file=client_secret.json \\\n        --scopes={','.join(scopes)}"


OAUTH_CURE = (
    "Log in with the scopes for tuning, and set the quota project:\n"
    f"{login_command(GEMINI_SCOPES)}\n"
    "    gcloud auth application-default set-quota-project PROJECT"
)


class Identity(Protocol):
    """The credentials of a client, as `http.Http` uses them for every kind of service."""

    def headers(self) -> dict[str, str]:
        """Return the headers that carry the current credentials."""

    async def refresh(self, rejected: Mapping[str, str] | None = None) -> bool:
        """Make `headers` valid for the next call. Called before each call; usually does nothing.

        `rejected` are headers that the service has just called invalid. Returns whether other
        headers replace them. Raises ProviderError when no new token can be obtained.
        """

    @property
    def secrets(self) -> frozenset[str]:
        """Every secret as it is sent; a service may repeat it in its responses."""

    def scrub(self, text: str) -> str:
        """Return the text with every secret replaced."""

    def problem(self, endpoint: str) -> ProviderError | None:
        """Return the reason why nothing may be sent to `endpoint`, or None."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """An API key or an OAuth access token from the environment."""

    api_key: str = field(default="", repr=False)
    access_token: str = field(default="", repr=False)
    quota_project: str = ""
    """The Google Cloud project to which calls with a token are billed."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Credentials:
        """Return the credentials of the environment; GEMINI_API_KEY precedes GOOGLE_API_KEY."""
        return cls(
            # A key that was read from a file often ends with a newline.
            api_key=(environ.get("GEMINI_API_KEY") or environ.get("GOOGLE_API_KEY", "")).strip(),
            access_token=environ.get("GOOGLE_OAUTH_ACCESS_TOKEN", "").strip(),
            quota_project=environ.get("GOOGLE_CLOUD_QUOTA_PROJECT", "").strip(),
        )

    def without_key(self) -> Credentials:
        """Return only the token, for services that accept no API keys."""
        return replace(self, api_key="")

    @property
    def is_set(self) -> bool:
        """Whether there is a key or a token."""
        return bool(self.api_key or self.access_token)

    @property
    def secrets(self) -> frozenset[str]:
        """The key and the token."""
        return frozenset(secret for secret in (self.api_key, self.access_token) if secret)

    def headers(self) -> dict[str, str]:
        """Return the headers that carry the credentials; URLs never do, since they are logged."""
        if self.access_token:
            project = {"x-goog-user-project": self.quota_project} if self.quota_project else {}
            return {"authorization": f"Bearer {self.access_token}", **project}
        return {"x-goog-api-key": self.api_key} if self.api_key else {}

    async def refresh(self, rejected: Mapping[str, str] | None = None) -> bool:  # noqa: ARG002  # Identity
        """Return False: credentials that the user set are not replaced."""
        return False

    def scrub(self, text: str) -> str:
        """Return the text with every secret replaced."""
        return Scrubber(self.secrets).scrub(text)

    def problem(self, endpoint: str) -> ProviderError | None:
        """Return the reason why these may not be sent to `endpoint`, or None."""
        if not all(char.isascii() and char.isprintable() for char in self._values):
            return UnauthenticatedError(
                "The API key or token contains characters that are not printable ASCII.",
                cure="Copy it again, without line breaks or typographic characters. " + KEY_CURE,
            )
        if is_loopback(endpoint):
            return None
        if not self._values:
            return UnauthenticatedError(
                f"{host_and_port(endpoint)} requires an API key, and none is set.", cure=KEY_CURE
            )
        if not endpoint.startswith("https:"):
            return InvalidArgumentError(
                f"The key would be sent to {host_and_port(endpoint)} unencrypted.", cure=HTTPS_CURE
            )
        return None

    @property
    def _values(self) -> str:
        return self.api_key + self.access_token + self.quota_project


def is_loopback(endpoint: str) -> bool:
    """Whether the endpoint is a loopback address, which other machines cannot reach."""
    try:
        return Address.parse(endpoint).is_loopback
    except ValueError:
        return False


def host_and_port(endpoint: str) -> str:
    """Return `host:port` for messages, without user name, password and path."""
    try:
        return Address.parse(endpoint).host_and_port
    except ValueError:
        return hide_userinfo(endpoint)
