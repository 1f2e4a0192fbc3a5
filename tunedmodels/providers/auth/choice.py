"""Which identity a provider shows: what a person set goes before what lies on the machine.

What is set by hand is short-lived or made for this one service, so whoever sets it means it.
"""

from __future__ import annotations

from collections.abc import Mapping

from tunedmodels.errors import UnauthenticatedError
from tunedmodels.providers.auth.google import GoogleIdentity
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
)

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
