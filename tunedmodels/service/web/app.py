"""The routes of the library, in front of the API: all other paths are passed to the API."""

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
from tunedmodels.service.api.request import ServiceContext
from tunedmodels.service.errors import ApiError, ApiStatus
from tunedmodels.service.web import (
    actions,
    list_page,
    model_page,
    playground_page,
    sign_in_page,
    tune_page,
)
from tunedmodels.service.web.progress import MAX_JOBS, ProgressStream
from tunedmodels.service.web.request import (
    NO_FORM,
    Form,
    PageHandler,
    PageRequest,
    read_form,
    redirect,
)
from tunedmodels.service.web.session import (
    TOKEN_FIELD,
    Session,
    Sessions,
    check_origin,
    set_session_cookie,
)
from tunedmodels.service.web.templating import PageRenderer, with_security_headers

_MODEL = "/models/{id}"
# fmt: off
_PAGES: Final[tuple[tuple[str, str, PageHandler], ...]] = (
    ("GET",  "/",                                          list_page.show),
    ("GET",  "/tune",                                      tune_page.show),
    ("POST", "/tune",                                      tune_page.submit),
    ("GET",  _MODEL,                                       model_page.show),
    ("GET",  f"{_MODEL}/ask",                              playground_page.show),
    ("POST", f"{_MODEL}/ask",                              playground_page.show),
    ("GET",  f"{_MODEL}/cancel",                           actions.confirm_cancel),
    ("POST", f"{_MODEL}/cancel",                           actions.cancel),
    ("GET",  f"{_MODEL}/delete",                           actions.confirm_delete),
    ("POST", f"{_MODEL}/delete",                           actions.delete),
    ("GET",  f"{_MODEL}/words",                            actions.redirect_to_model),
    ("POST", f"{_MODEL}/words",                            actions.describe),
    ("GET",  f"{_MODEL}/permissions",                      actions.redirect_to_model),
    ("POST", f"{_MODEL}/permissions",                      actions.share),
    ("POST", f"{_MODEL}/permissions/{{permission}}/remove", actions.unshare),
)
# fmt: on
_HEADINGS: Final = {
    ApiStatus.NOT_FOUND: "Not found",
    ApiStatus.PERMISSION_DENIED: "Permission denied",
    ApiStatus.UNAVAILABLE: "The store is not available",
    ApiStatus.INTERNAL: "Internal error",
}


class WebLibrary:
    """The pages of one server: `app` is the application, `close` ends the event streams."""

    def __init__(self, context: ServiceContext, api: ASGIApp) -> None:
        self._context = context
        self._renderer = PageRenderer()
        self._sessions = Sessions(context.keys)
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
            Route("/models/{rest:path}", _not_found),
        ]
        self.app = Starlette(
            routes=[*pages, *others, Mount("/", app=api)],
            exception_handlers=dict.fromkeys(
                (ApiError, StoreError, HTTPException, Exception), self._error_page
            ),
        )

    def close(self) -> None:
        """End the event streams, which would otherwise delay the shutdown of the server."""
        self._is_closing = True

    def _endpoint(self, handler: PageHandler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            session = self._sessions.session_of(request)
            request.state.caller = session.caller  # for the access log
            if session.is_new and _is_cross_site(request):
                return self._renderer.page("arrived.html", session)
            if session.caller is None:
                after = quote(request.scope["path"]) if request.method == "GET" else "/"
                return self._finish(redirect(f"/sign-in?after={after}"), request, session)
            form = await self._form(request, session) if request.method == "POST" else NO_FORM
            page_request = PageRequest(
                context=self._context,
                renderer=self._renderer,
                session=session,
                caller=session.caller,
                path=request.path_params,
                query=dict(request.query_params),
                form=form,
            )
            response = await run_in_threadpool(handler, page_request)
            return self._finish(response, request, session)

        return endpoint

    async def _form(self, request: Request, session: Session) -> Form:
        """Return the form of a request. Raises ApiError unless our own page sent it."""
        check_origin(request.headers)
        form = await read_form(request)
        self._sessions.form_tokens.check(session.id, form.text(TOKEN_FIELD))
        return form

    async def _events(self, request: Request) -> Response:
        session = self._sessions.session_of(request)
        request.state.caller = session.caller  # for the access log
        ids = list(dict.fromkeys(request.query_params.getlist("id")))[:MAX_JOBS]
        stream = ProgressStream(
            self._context,
            caller=lambda: self._sessions.caller(session.id),
            ids=ids,
            is_closing=lambda: self._is_closing,
        )
        return with_security_headers(
            StreamingResponse(
                stream.events(),
                media_type="text/event-stream",
                headers={"cache-control": "no-store"},
            )
        )

    async def _show_sign_in(self, request: Request) -> Response:
        session = self._sessions.session_of(request)
        if session.is_new and _is_cross_site(request):
            return self._renderer.page("arrived.html", session)
        after = request.query_params.get("after", "/")
        response = sign_in_page.show(self._renderer, session, after)
        return self._finish(response, request, session)

    async def _sign_in(self, request: Request) -> Response:
        session = self._sessions.session_of(request)
        form = await self._form(request, session)
        response = sign_in_page.sign_in(self._sessions, self._renderer, session, request, form)
        return self._finish(response, request, session)

    async def _sign_out(self, request: Request) -> Response:
        session = self._sessions.session_of(request)
        await self._form(request, session)
        return with_security_headers(sign_in_page.sign_out(self._sessions, session))

    async def _static(self, request: Request) -> Response:
        response = self._renderer.static(request.path_params["name"])
        if response is None:
            raise ApiError(ApiStatus.NOT_FOUND, "This file does not exist.")
        return response

    async def _error_page(self, request: Request, error: Exception) -> Response:
        status, message = _status_and_message(error)
        session = self._sessions.session_of(request)
        heading = _HEADINGS.get(status, "The request failed")
        response = self._renderer.page(
            "error.html", session, status=status.http, heading=heading, message=message
        )
        return self._finish(response, request, session)

    @staticmethod
    def _finish(response: Response, request: Request, session: Session) -> Response:
        """Add the headers, and the cookie of a new session unless a sign-in has set another."""
        has_cookie = "set-cookie" in response.headers
        if session.is_new and not has_cookie and not _is_cross_site(request):
            set_session_cookie(response, request, session.id)
        return with_security_headers(response)


async def _not_found(_request: Request) -> Response:
    raise HTTPException(404)


def _is_cross_site(request: Request) -> bool:
    """Whether the request comes from a link on another site, without our SameSite=Strict cookie.

    A new cookie would sign the visitor out, so such a request gets a page that reloads itself.
    """
    return request.headers.get("sec-fetch-site") == "cross-site"


def _status_and_message(error: Exception) -> tuple[ApiStatus, str]:
    match error:
        case ApiError():
            return error.status, error.message
        case StoreError():
            return ApiStatus.UNAVAILABLE, f"{error.message}. {error.cure}".rstrip()
        case HTTPException():
            return ApiStatus.NOT_FOUND, "This page does not exist."
        case _:
            # A bug: the traceback goes to the output of the server, not to the visitor.
            return ApiStatus.INTERNAL, "The output of the server contains the reason."
