"""The account and the scopes of a credential, for output. The credential itself is never shown.

Only Google knows the scopes of a login and of a token from a variable. Its tokeninfo method returns
them to the owner of the token. The token is sent in the body of a POST, since URLs are logged.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlencode

from tunedmodels.providers.auth.adc import CredentialKind
from tunedmodels.providers.auth.google import GoogleIdentity
from tunedmodels.providers.identity import Credentials, Identity

TOKENINFO = "https://oauth2.googleapis.com/tokeninfo"
_KEY_VARIABLES = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
_TOKEN_VARIABLE = "GOOGLE_OAUTH_ACCESS_TOKEN"  # noqa: S105  # the name of a variable
# Kinds whose tokens have exactly the requested scopes.
_KINDS_WITH_REQUESTED_SCOPES = (
    CredentialKind.SERVICE_ACCOUNT,
    CredentialKind.FEDERATED,
    CredentialKind.IMPERSONATED,
)


@dataclass(frozen=True, slots=True)
class CredentialAccount:
    """A credential without its secrets."""

    kind: str
    origin: str
    """The variable, file or service that it comes from."""
    email: str = ""
    scopes: tuple[str, ...] | None = None
    """None for a key, and when the scopes are unknown."""
    quota_project: str = ""
    is_key: bool = False


async def inspect(identity: Identity, environ: Mapping[str, str]) -> CredentialAccount | None:
    """Return the account of the credential, or None when none is set and none is needed.

    Raises ProviderError when no token can be obtained.
    """
    if isinstance(identity, GoogleIdentity):
        return await _google_account(identity, environ)
    if not isinstance(identity, Credentials) or not identity.is_set:
        return None
    if not identity.access_token:
        origin = next((name for name in _KEY_VARIABLES if environ.get(name)), "")
        return CredentialAccount("API key", origin, is_key=True)
    email, scopes = await _tokeninfo(identity.access_token, environ)
    return CredentialAccount("access token", _TOKEN_VARIABLE, email, scopes, identity.quota_project)


async def _google_account(
    identity: GoogleIdentity, environ: Mapping[str, str]
) -> CredentialAccount:
    await identity.refresh()
    source, google = identity.source, identity.google
    assert source is not None  # noqa: S101  # `refresh` sets it
    assert google is not None  # noqa: S101  # `refresh` sets it
    email = source.target or str(source.info.get("client_email") or "")
    scopes: tuple[str, ...] | None = identity.scopes
    if not source.target and source.kind not in _KINDS_WITH_REQUESTED_SCOPES:
        email, scopes = await _tokeninfo(google.token or "", environ)
        email = email or str(source.info.get("account") or "")
    kind = source.kind.label
    if source.target and source.kind is not CredentialKind.IMPERSONATED:
        kind = f"{kind}, impersonating a service account"
    return CredentialAccount(kind, source.origin, email, scopes, identity.quota_project)


async def _tokeninfo(token: str, environ: Mapping[str, str]) -> tuple[str, tuple[str, ...] | None]:
    """Return the e-mail address and the scopes of a token; empty and None when unknown."""
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415  # start-up

    from tunedmodels.providers.auth.google_auth import AuthTransport  # noqa: PLC0415  # start-up

    def fetch() -> tuple[str, tuple[str, ...] | None]:
        caller = AuthTransport(ca_file=environ.get("SSL_CERT_FILE", ""))
        with closing(caller.session):
            form = urlencode({"access_token": token}).encode()
            headers = {"content-type": "application/x-www-form-urlencoded"}
            info = json.loads(caller(TOKENINFO, "POST", form, headers).data)
            return str(info.get("email", "")), tuple(info["scope"].split())

    try:
        return await asyncio.to_thread(fetch)
    except (GoogleAuthError, OSError, ValueError, LookupError, AttributeError):
        return "", None  # only for output: a real problem fails the calls themselves
