"""Sign in with a key of `serve --keys`, and sign out.

The key is sent in the body of a form and used nowhere else: it is not part of any page, address,
log or error.
"""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response

from tunedmodels.service.errors import ApiError
from tunedmodels.service.web.request import Form, redirect
from tunedmodels.service.web.session import Session, Sessions, set_session_cookie
from tunedmodels.service.web.templating import PageRenderer

# A path on this server: `//host` and `/\host` are addresses of other servers.
_LOCAL_PATH = re.compile(r"/(?![/\\])[\w./?=&%+:~-]*", re.ASCII)


def local_path(path: str) -> str:
    """Return the path if it is on this server, otherwise that of the first page."""
    return path if _LOCAL_PATH.fullmatch(path) else "/"


def show(renderer: PageRenderer, session: Session, after: str) -> Response:
    """Return the form; `after` is the page to open after the sign-in."""
    if session.caller:
        return redirect(local_path(after))
    return renderer.page("sign_in.html", session, after=local_path(after), error="")


def sign_in(
    sessions: Sessions, renderer: PageRenderer, session: Session, request: Request, form: Form
) -> Response:
    """Start a session for the user of the key in the form."""
    after = local_path(form.text("after"))
    try:
        session_id = sessions.sign_in(form.text("key"))
    except ApiError as error:
        return renderer.page(
            "sign_in.html",
            session,
            status=error.status.http,
            after=after,
            error="This key is not valid. The valid keys are in the file of serve --keys.",
        )
    response = redirect(after)
    set_session_cookie(response, request, session_id)
    return response


def sign_out(sessions: Sessions, session: Session) -> Response:
    """End the session."""
    sessions.sign_out(session.id)
    return redirect("/sign-in")
