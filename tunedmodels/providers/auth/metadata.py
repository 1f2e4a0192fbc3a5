"""Whether this machine has a metadata server, and how google-auth reaches the network.

Imports google-auth with its transport, so it is imported with the first token.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import requests
from google.auth.exceptions import GoogleAuthError
from google.auth.transport import Response
from google.auth.transport import requests as transport

from tunedmodels.providers.auth.adc import Kind, Source

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
