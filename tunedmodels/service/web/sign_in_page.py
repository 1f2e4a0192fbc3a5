"""Signing in with a key of `serve --keys`, and out again.

The key arrives in the body of a form and goes no further: no page, address, log or error has it.
"""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response

from tunedmodels.service.errors import ApiError
from tunedmodels.service.web.request import Form, see
from tunedmodels.service.web.session import Visit, Visits, remember
from tunedmodels.service.web.templating import Pages

# A path of this server: `//host` and `/\host` are addresses of others.
_OWN_PATH = re.compile(r"/(?![/\\])[\w./?=&%+:~-]*", re.ASCII)


def own_path(path: str) -> str:
    """Return the path where it leads to a page of this server, else the way to the first page."""
    return path if _OWN_PATH.fullmatch(path) else "/"


def show(pages: Pages, visit: Visit, after: str) -> Response:
    """Show the form; `after` is the page that was wanted."""
    if visit.caller:
        return see(own_path(after))
    return pages.page("sign_in.html", visit, after=own_path(after), refusal="")


def sign_in(visits: Visits, pages: Pages, visit: Visit, request: Request, form: Form) -> Response:
    """Let a visitor stand for the user of the key in the form."""
    after = own_path(form.text("after"))
    try:
        name = visits.sign_in(form.text("key"))
    except ApiError as error:
        return pages.page(
            "sign_in.html",
            visit,
            status=error.status.http,
            after=after,
            refusal="No such key is known here. Keys are in the file of serve --keys.",
        )
    response = see(after)
    remember(response, request, name)
    return response


def sign_out(visits: Visits, visit: Visit) -> Response:
    """Forget the visitor."""
    visits.sign_out(visit.name)
    return see("/sign-in")
