"""Sessions of visitors, identified by a random cookie, and the protection of forms.

Without keys, every visitor is the local owner. With keys, a visitor signs in with a key once. After
that the cookie identifies the user of the key, in the memory of this process only, until sign-out,
for twelve hours at most. The key itself is not stored.

A form is accepted only from our own page. The cookie is SameSite=Strict, which excludes other sites
but not other ports of this machine: for a browser, all of `localhost` is one site. So the request
must have the same origin, and the form must contain a token that only our own page has.
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

from tunedmodels.service.errors import ApiError, ApiStatus
from tunedmodels.service.identity import LOCAL_CALLER, ApiKeys, Caller

TOKEN_FIELD = "form_token"  # noqa: S105  # the name of a form field

_LIFETIME_S = 12 * 3600.0
_MAX_SIGNED_IN_PER_USER = 100  # the oldest session of the user is removed first
_MAX_ID_LENGTH = 100  # characters; a longer cookie was not set by this server
_REFUSED = (
    "This form has expired, or another site sent it. Nothing was changed. Open the page again and "
    "send the form from there."
)


@dataclass(frozen=True, slots=True)
class Session:
    """The session of one request."""

    #: A random identifier.
    id: str
    #: Whether the browser does not have the cookie yet.
    is_new: bool
    #: The token that the forms of the session contain.
    form_token: str
    #: None until the visitor signs in.
    caller: Caller | None
    #: False without keys.
    can_sign_out: bool = False


class Sessions:
    """The sessions of one server. `now_s` is a monotonic clock in seconds."""

    def __init__(
        self, keys: ApiKeys | None, *, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self.form_tokens = FormTokens()
        self._keys = keys
        self._now_s = now_s
        self._signed_in: dict[str, tuple[Caller, float]] = {}
        self._lock = threading.Lock()

    def session_of(self, request: Request) -> Session:
        """Return the session of a request, a new one if its cookie is missing or not valid."""
        cookie = request.cookies.get(_cookie_name(request), "")
        is_new = not (cookie and cookie.isascii() and len(cookie) <= _MAX_ID_LENGTH)
        session_id = secrets.token_urlsafe(32) if is_new else cookie
        caller = self.caller(session_id)
        can_sign_out = bool(self._keys and caller)
        token = self.form_tokens.token_of(session_id)
        return Session(session_id, is_new, token, caller, can_sign_out)

    def caller(self, session_id: str) -> Caller | None:
        """Return the user of a session; None if it is not signed in, or expired."""
        if self._keys is None:
            return LOCAL_CALLER
        with self._lock:
            caller, until_s = self._signed_in.get(session_id, (None, 0.0))
            return caller if self._now_s() < until_s else None

    def sign_in(self, key: str) -> str:
        """Return the id of a new session for the user of a key.

        The id is new, so that an id known before the sign-in gives no access. Raises ApiError for
        an unknown key, as the API does.
        """
        headers = {"x-goog-api-key": key}
        caller = self._keys.authenticate(headers, {}) if self._keys else LOCAL_CALLER
        session_id = secrets.token_urlsafe(32)
        with self._lock:
            # Per user, so that sign-ins with one key do not sign another user out.
            own = [old for old, (user, _) in self._signed_in.items() if user == caller]
            for old in own[: max(0, len(own) - _MAX_SIGNED_IN_PER_USER + 1)]:
                del self._signed_in[old]
            self._signed_in[session_id] = caller, self._now_s() + _LIFETIME_S
        return session_id

    def sign_out(self, session_id: str) -> None:
        """End a session."""
        with self._lock:
            self._signed_in.pop(session_id, None)


class FormTokens:
    """The tokens of forms, which are valid for one session and one process."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def token_of(self, session_id: str) -> str:
        """Return the token of a session."""
        return hmac.new(self._secret, session_id.encode(), "sha256").hexdigest()

    def check(self, session_id: str, token: str) -> None:
        """Raise ApiError (PERMISSION_DENIED) unless the token is that of the session."""
        if not hmac.compare_digest(self.token_of(session_id).encode(), token.encode()):
            raise ApiError(ApiStatus.PERMISSION_DENIED, _REFUSED)


def set_session_cookie(response: Response, request: Request, session_id: str) -> None:
    """Set the cookie of a session, which the browser keeps until it is closed."""
    response.set_cookie(
        _cookie_name(request),
        session_id,
        httponly=True,
        samesite="strict",
        secure=request.scope["scheme"] == "https",
    )


def _cookie_name(request: Request) -> str:
    # Cookies ignore the port, so two servers on one machine need different names.
    port = request.headers.get("host", "").rpartition(":")[2]
    return f"tunedmodels-{port if port.isascii() and port.isdigit() else 'page'}"


def check_origin(headers: Mapping[str, str]) -> None:
    """Raise ApiError (PERMISSION_DENIED) for a request from a page of another origin.

    Browsers send Sec-Fetch-Site, older ones only Origin; other programs send neither.
    """
    site = headers.get("sec-fetch-site")
    origin = headers.get("origin")
    if site is not None:
        is_same_origin = site in ("same-origin", "none")
    else:
        is_same_origin = origin is None or origin.partition("://")[2] == headers.get("host")
    if not is_same_origin:
        raise ApiError(ApiStatus.PERMISSION_DENIED, _REFUSED)
