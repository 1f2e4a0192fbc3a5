"""A form counts only when our own page sent it: the origin of the request, and a token in the form.

The cookie is SameSite=Strict, which keeps other sites out, but not other ports of this machine: to
a browser, all of `localhost` is one site. So the browser's word on where a request comes from must
be "same origin" as well, and the form must hold what only a page of ours could tell it.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping

from tunedmodels.service.errors import ApiError, Status

FIELD = "form_token"
_REFUSED = (
    "This form is too old, or another site sent it, so nothing was done. Open the page again and "
    "send it from there."
)


class Tokens:
    """The tokens of forms: bound to one visitor, and to one run of the server."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def of(self, visitor: str) -> str:
        """Return the token that the forms of a visitor hold."""
        return hmac.new(self._secret, visitor.encode(), "sha256").hexdigest()

    def check(self, visitor: str, sent: str) -> None:
        """Raise ApiError (PERMISSION_DENIED) unless the token is that of the visitor."""
        if not hmac.compare_digest(self.of(visitor).encode(), sent.encode()):
            raise ApiError(Status.PERMISSION_DENIED, _REFUSED)


def check_origin(headers: Mapping[str, str]) -> None:
    """Raise ApiError (PERMISSION_DENIED) for a request that a page of somebody else makes.

    Browsers say it in Sec-Fetch-Site, older ones only in Origin; programs say neither.
    """
    site = headers.get("sec-fetch-site")
    origin = headers.get("origin")
    if site is not None:
        is_ours = site in ("same-origin", "none")
    else:
        is_ours = origin is None or origin.partition("://")[2] == headers.get("host")
    if not is_ours:
        raise ApiError(Status.PERMISSION_DENIED, _REFUSED)
