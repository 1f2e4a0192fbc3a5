"""Who looks at the pages: a cookie with a random name, and what the server knows of it.

Without keys, every visitor is the one local owner. With keys, a visitor gives a key once; from then
on the cookie stands for its user, in the memory of this process alone, until sign-out, twelve hours
have passed or the server stops. The key itself is not kept.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from tunedmodels.service.errors import ApiError, Status
from tunedmodels.service.identity import LOCAL, Caller, Keys

_LASTS_S = 12 * 3600.0
_MOST_SIGNED_IN = 1000  # the oldest go first
_LONGEST_NAME = 100  # characters of a cookie that may be one of ours


@dataclass(frozen=True, slots=True)
class Visit:
    """One look at a page.

    `name` is the visitor's random name, `is_new` whether the browser does not have it yet, `token`
    what its forms must hold. `caller` is None as long as a key is wanted. `may_sign_out` is False
    where there are no keys.
    """

    name: str
    is_new: bool
    token: str
    caller: Caller | None
    may_sign_out: bool = False


class Visits:
    """The visitors of one server. `now_s` is a clock that never goes back, in seconds."""

    def __init__(self, keys: Keys | None, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self.tokens = Tokens()
        self._keys = keys
        self._now_s = now_s
        self._signed_in: dict[str, tuple[Caller, float]] = {}
        self._lock = threading.Lock()

    def of(self, request: Request) -> Visit:
        """Return who sends a request."""
        sent = request.cookies.get(_cookie(request), "")
        is_new = not (sent and sent.isascii() and len(sent) <= _LONGEST_NAME)
        name = secrets.token_urlsafe(32) if is_new else sent
        caller = self.caller(name)
        may_sign_out = bool(self._keys and caller)
        return Visit(name, is_new, self.tokens.of(name), caller, may_sign_out)

    def caller(self, name: str) -> Caller | None:
        """Return for whom a visitor stands; None for nobody, or not any more."""
        if self._keys is None:
            return LOCAL
        with self._lock:
            caller, until_s = self._signed_in.get(name, (None, 0.0))
            return caller if self._now_s() < until_s else None

    def sign_in(self, key: str) -> str:
        """Return the name of a new visitor who stands for the user of a key.

        The name is new, so that one that was known before, to whomever, is worth nothing. Raises
        ApiError, as the API does, for a key that nobody has.
        """
        caller = self._keys.caller({"x-goog-api-key": key}, {}) if self._keys else LOCAL
        name = secrets.token_urlsafe(32)
        with self._lock:
            while len(self._signed_in) >= _MOST_SIGNED_IN:
                del self._signed_in[next(iter(self._signed_in))]
            self._signed_in[name] = caller, self._now_s() + _LASTS_S
        return name

    def sign_out(self, name: str) -> None:
        """Forget a visitor."""
        with self._lock:
            self._signed_in.pop(name, None)


def remember(response: Response, request: Request, name: str) -> None:
    """Let the browser keep the name of a visitor until it is closed."""
    response.set_cookie(
        _cookie(request),
        name,
        httponly=True,
        samesite="strict",
        secure=request.scope["scheme"] == "https",
    )


def _cookie(request: Request) -> str:
    # Cookies do not know of ports: two servers on one machine must not take each other's.
    port = request.headers.get("host", "").rpartition(":")[2]
    return f"tunedmodels-{port if port.isascii() and port.isdigit() else 'page'}"


# FOLDED
# A form counts only when our own page sent it: the origin of the request, and a token in the
# form.
#
# The cookie is SameSite=Strict, which keeps other sites out, but not other ports of this machine:
# to a browser, all of `localhost` is one site. So the browser's word on where a request comes
# from must be "same origin" as well, and the form must hold what only a page of ours could tell
# it.
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
