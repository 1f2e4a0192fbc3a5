"""Whose a credential is and what it may ask for, for people: never the credential itself.

Of a login and of a token that was handed to us only Google knows the scopes; its tokeninfo says so
to whoever has the token. It is sent in the body of a POST, since addresses are logged.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlencode

from tunedmodels.providers.auth.adc import Kind
from tunedmodels.providers.auth.google import GoogleIdentity
from tunedmodels.providers.identity import Credentials, Identity

TOKENINFO = "https://oauth2.googleapis.com/tokeninfo"
_KEYS = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
_TOKEN = "GOOGLE_OAUTH_ACCESS_TOKEN"  # noqa: S105  # the name of a variable
_ASKED = (Kind.SERVICE_ACCOUNT, Kind.FEDERATED, Kind.IMPERSONATED)  # they get what is asked for


@dataclass(frozen=True, slots=True)
class Account:
    """A credential as it may be shown. `scopes` is None where nobody says, or for a key."""

    kind: str
    place: str
    email: str = ""
    scopes: tuple[str, ...] | None = None
    quota_project: str = ""
    is_key: bool = False


async def inspect(identity: Identity, environ: Mapping[str, str]) -> Account | None:
    """Return whose the credential is, or None where none is set and none is needed.

    Raises ProviderError when there is no token to be had.
    """
    if isinstance(identity, GoogleIdentity):
        return await _of_machine(identity, environ)
    if not isinstance(identity, Credentials) or not identity.is_set:
        return None
    if not identity.access_token:
        place = next((name for name in _KEYS if environ.get(name)), "")
        return Account("API key", place, is_key=True)
    email, scopes = await _tokeninfo(identity.access_token, environ)
    return Account("access token", _TOKEN, email, scopes, identity.quota_project)


async def _of_machine(identity: GoogleIdentity, environ: Mapping[str, str]) -> Account:
    await identity.renew()
    source, google = identity.source, identity.google
    assert source is not None  # noqa: S101  # there is a token, so there is a credential
    assert google is not None  # noqa: S101  # the same
    email = source.target or str(source.info.get("client_email") or "")
    scopes: tuple[str, ...] | None = identity.scopes
    if not source.target and source.kind not in _ASKED:
        email, scopes = await _tokeninfo(google.token or "", environ)
        email = email or str(source.info.get("account") or "")
    kind = source.kind.words
    if source.target and source.kind is not Kind.IMPERSONATED:
        kind = f"{kind}, acting as a service account"
    return Account(kind, source.place, email, scopes, identity.quota_project)


async def _tokeninfo(token: str, environ: Mapping[str, str]) -> tuple[str, tuple[str, ...] | None]:
    """Return the e-mail address and the scopes of a token, as far as Google tells."""
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415  # heavy

    from tunedmodels.providers.auth.google_auth import Caller  # noqa: PLC0415  # imports the same

    def ask() -> tuple[str, tuple[str, ...] | None]:
        caller = Caller(ca_file=environ.get("SSL_CERT_FILE", ""))
        with closing(caller.session):
            form = urlencode({"access_token": token}).encode()
            kind = {"content-type": "application/x-www-form-urlencoded"}
            facts = json.loads(caller(TOKENINFO, "POST", form, kind).data)
            return str(facts.get("email", "")), tuple(facts["scope"].split())

    try:
        return await asyncio.to_thread(ask)
    except (GoogleAuthError, OSError, ValueError, LookupError, AttributeError):
        return "", None  # asked only to say more: whatever is wrong shows in the calls themselves
