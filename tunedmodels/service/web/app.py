"""The routes of the library, in front of the API: what is no page is passed on as it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from tunedmodels.errors import StoreError
from tunedmodels.service.api.request import Rooms
from tunedmodels.service.errors import ApiError, Status
from tunedmodels.service.web import (
    actions,
    list_page,
    model_page,
    playground_page,
    session,
    sign_in_page,
    tune_page,
)
from tunedmodels.service.web.progress import MOST_JOBS, Stream
from tunedmodels.service.web.request import NO_FORM, Asked, Form, PageHandler, read_form, see
from tunedmodels.service.web.session import Visit, Visits, remember
from tunedmodels.service.web.templating import Pages, guarded

_MODEL = "/models/{id}"
# fmt: off
_PAGES: Final[tuple[tuple[str, str, PageHandler], ...]] = (
    ("GET",  "/",                                          list_page.show),
    ("GET",  "/tune",                                      tune_page.blank),
    ("POST", "/tune",                                      tune_page.submit),
    ("GET",  _MODEL,                                       model_page.show),
    ("GET",  f"{_MODEL}/ask",                              playground_page.show),
    ("POST", f"{_MODEL}/ask",                              playground_page.show),
    ("GET",  f"{_MODEL}/cancel",                           actions.ask_to_cancel),
    ("POST", f"{_MODEL}/cancel",                           actions.cancel),
    ("GET",  f"{_MODEL}/delete",                           actions.ask_to_delete),
    ("POST", f"{_MODEL}/delete",                           actions.delete),
    ("GET",  f"{_MODEL}/words",                            actions.back),
    ("POST", f"{_MODEL}/words",                            actions.describe),
    ("GET",  f"{_MODEL}/permissions",                      actions.back),
    ("POST", f"{_MODEL}/permissions",                      actions.share),
    ("POST", f"{_MODEL}/permissions/{{permission}}/remove", actions.unshare),
)
# fmt: on
_HEADINGS: Final = {
    Status.NOT_FOUND: "There is nothing here",
    Status.PERMISSION_DENIED: "You may not do this",
    Status.UNAVAILABLE: "The store does not answer",
    Status.INTERNAL: "Something went wrong here",
}


class Library:
    """The pages of one server. `app` answers; `close` ends the streams of events."""

    def __init__(self, rooms: Rooms, api: ASGIApp) -> None:
        self._rooms = rooms
        self._pages = Pages()
        self._visits = Visits(rooms.keys)
        self._is_closing = False
        pages = [
            Route(path, self._endpoint(handler), methods=[method])
            for method, path, handler in _PAGES
        ]
        others = [
            Route("/events", self._events),
            Route("/sign-in", self._show_sign_in),
            Route("/sign-in", self._sign_in, methods=["POST"]),
            Route("/sign-out", self._sign_out, methods=["POST"]),
            Route("/static/{name:path}", self._static),
            Route("/models/{rest:path}", _no_page),
        ]
        self.app = Starlette(
            routes=[*pages, *others, Mount("/", app=api)],
            exception_handlers=dict.fromkeys(
                (ApiError, StoreError, HTTPException, Exception), self._refused
            ),
        )

    def close(self) -> None:
        """End the streams of events, which would otherwise keep a server that stops waiting."""
        self._is_closing = True

    def _endpoint(self, handler: PageHandler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            visit = self._visits.of(request)
            request.state.caller = visit.caller  # for the access log
            if visit.is_new and _comes_from_elsewhere(request):
                return self._pages.page("arrived.html", visit)
            if visit.caller is None:
                after = quote(request.scope["path"]) if request.method == "GET" else "/"
                return self._known(see(f"/sign-in?after={after}"), request, visit)
            form = await self._form(request, visit) if request.method == "POST" else NO_FORM
            asked = Asked(
                rooms=self._rooms,
                pages=self._pages,
                visit=visit,
                caller=visit.caller,
                path=request.path_params,
                query=dict(request.query_params),
                form=form,
            )
            return self._known(await run_in_threadpool(handler, asked), request, visit)

        return endpoint

    async def _form(self, request: Request, visit: Visit) -> Form:
        """Read a form that our own page sent. Raises ApiError for any other."""
        session.check_origin(request.headers)
        form = await read_form(request)
        self._visits.tokens.check(visit.name, form.text(session.FIELD))
        return form

    async def _events(self, request: Request) -> Response:
        visit = self._visits.of(request)
        request.state.caller = visit.caller  # for the access log
        ids = list(dict.fromkeys(request.query_params.getlist("id")))[:MOST_JOBS]
        stream = Stream(
            self._rooms,
            caller=lambda: self._visits.caller(visit.name),
            ids=ids,
            is_closing=lambda: self._is_closing,
        )
        return guarded(
            StreamingResponse(
                stream.events(),
                media_type="text/event-stream",
                headers={"cache-control": "no-store"},
            )
        )

    async def _show_sign_in(self, request: Request) -> Response:
        visit = self._visits.of(request)
        if visit.is_new and _comes_from_elsewhere(request):
            return self._pages.page("arrived.html", visit)
        after = request.query_params.get("after", "/")
        return self._known(sign_in_page.show(self._pages, visit, after), request, visit)

    async def _sign_in(self, request: Request) -> Response:
        visit = self._visits.of(request)
        form = await self._form(request, visit)
        response = sign_in_page.sign_in(self._visits, self._pages, visit, request, form)
        return self._known(response, request, visit)

    async def _sign_out(self, request: Request) -> Response:
        visit = self._visits.of(request)
        await self._form(request, visit)
        return guarded(sign_in_page.sign_out(self._visits, visit))

    async def _static(self, request: Request) -> Response:
        found = self._pages.static(request.path_params["name"])
        if found is None:
            raise ApiError(Status.NOT_FOUND, "There is no such file.")
        return found

    async def _refused(self, request: Request, error: Exception) -> Response:
        """Say an error on a page."""
        status, words = _in_words(error)
        visit = self._visits.of(request)
        heading = _HEADINGS.get(status, "That cannot be done")
        response = self._pages.page(
            "error.html", visit, status=status.http, heading=heading, message=words
        )
        return self._known(response, request, visit)

    @staticmethod
    def _known(response: Response, request: Request, visit: Visit) -> Response:
        """Give a new visitor its name, unless it was given another one by signing in."""
        is_named = "set-cookie" in response.headers
        if visit.is_new and not is_named and not _comes_from_elsewhere(request):
            remember(response, request, visit.name)
        return guarded(response)


async def _no_page(_request: Request) -> Response:
    raise HTTPException(404)


def _comes_from_elsewhere(request: Request) -> bool:
    """Whether a link on another site was followed: our SameSite=Strict cookie stayed behind.

    A new one would sign the visitor out, so such a visitor gets a page that loads itself again.
    """
    return request.headers.get("sec-fetch-site") == "cross-site"


def _in_words(error: Exception) -> tuple[Status, str]:
    match error:
        case ApiError():
            return error.status, error.message
        case StoreError():
            return Status.UNAVAILABLE, f"{error.message}. {error.cure}".rstrip()
        case HTTPException():
            return Status.NOT_FOUND, "No page has this address."
        case _:
            # A fault of ours: whoever runs the service gets the traceback, not whoever looks.
            return Status.INTERNAL, "Whoever runs this server finds the reason in its output."
