"""The routes of the service: which request goes to which handler, and how its errors are sent.

`/v1` has everything that `/v1beta` has: newer clients of Google use it for everything, and older
documentation polls operations there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tunedmodels.errors import StoreError
from tunedmodels.service.api import generate, permissions, tuned_models
from tunedmodels.service.api.messages import read_body, snake
from tunedmodels.service.api.request import (
    Call,
    Handler,
    Rooms,
    answer,
    page_size,
    page_start,
    page_token,
)
from tunedmodels.service.api.tuned_models import create, patch
from tunedmodels.service.errors import ApiError, Status
from tunedmodels.service.identity import LOCAL

_BASES_PAGE = 50
_MOST_BASES_PAGE = 1000


def _list_bases(rooms: Rooms, call: Call) -> Response:
    documents = rooms.catalogue.documents()
    size = page_size(call, default=_BASES_PAGE, most=_MOST_BASES_PAGE)
    start = page_start(call, "models")
    page = {"models": documents[start : start + size]}
    is_last = start + size >= len(documents)
    return answer(
        page if is_last else {**page, "nextPageToken": page_token(start + size, "models")}
    )


def _get_base(rooms: Rooms, call: Call) -> Response:
    return answer(rooms.catalogue.document(f"models/{call.path['base']}"))


_MODEL = "/tunedModels/{id}"
_OPERATION = f"{_MODEL}/operations/{{operation}}"
_PERMISSION = f"{_MODEL}/permissions/{{permission}}"
_BASE = "/models/{base}"
# fmt: off
_ROUTES: tuple[tuple[str, str, Handler], ...] = (  # a method comes before the name it is called on
    ("GET",    "/tunedModels",                    tuned_models.list_),
    ("POST",   "/tunedModels",                    create),
    ("POST",   f"{_MODEL}:generateContent",       generate.generate),
    ("POST",   f"{_MODEL}:streamGenerateContent", generate.stream),
    ("POST",   f"{_MODEL}:transferOwnership",     permissions.transfer),
    ("GET",    _MODEL,                            tuned_models.get),
    ("PATCH",  _MODEL,                            patch),
    ("DELETE", _MODEL,                            tuned_models.delete),
    ("GET",    f"{_MODEL}/operations",            tuned_models.list_operations),
    ("POST",   f"{_OPERATION}:cancel",            tuned_models.cancel_operation),
    ("GET",    _OPERATION,                        tuned_models.get_operation),
    ("GET",    f"{_MODEL}/permissions",           permissions.list_),
    ("POST",   f"{_MODEL}/permissions",           permissions.create),
    ("GET",    _PERMISSION,                       permissions.get),
    ("PATCH",  _PERMISSION,                       permissions.patch),
    ("DELETE", _PERMISSION,                       permissions.delete),
    ("GET",    "/models",                         _list_bases),
    ("POST",   f"{_BASE}:generateContent",        generate.generate),
    ("POST",   f"{_BASE}:streamGenerateContent",  generate.stream),
    ("GET",    _BASE,                             _get_base),
)
# fmt: on


def make_app(
    rooms: Rooms, *, beside: Sequence[BaseRoute] = (), around: Sequence[Middleware] = ()
) -> Starlette:
    """Return the ASGI application. It has no lifespan: it answers from the first request on.

    `beside` are routes that are no part of the API; `around` goes around each route that is.
    """
    return Starlette(
        routes=[
            *beside,
            *(
                Route(
                    f"/{version}{path}",
                    _endpoint(rooms, handler),
                    methods=[method],
                    middleware=around,
                )
                for version in ("v1beta", "v1")
                for method, path, handler in _ROUTES
            ),
        ],
        exception_handlers=dict.fromkeys(
            (ApiError, StoreError, HTTPException, ClientDisconnect, Exception), _refused
        ),
    )


def _endpoint(rooms: Rooms, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        query = {snake(key): value for key, value in request.query_params.items()}
        caller = rooms.keys.caller(request.headers, query) if rooms.keys else LOCAL
        request.state.caller = caller  # for the access log
        # No handler can repeat a key that it never sees.
        query.pop("key", None)
        call = Call(caller, request.path_params, query, await read_body(request))
        return await run_in_threadpool(handler, rooms, call)

    return endpoint


async def _refused(request: Request, error: Exception) -> Response:
    """Send an error in Google's shape; where an array was asked for, as its one element."""
    refusal = _as_api_error(error)
    after_s = refusal.retry_after_s
    document: object = refusal.document()
    is_stream = request.url.path.endswith(":streamGenerateContent")
    if is_stream and not generate.is_event_stream(request.query_params):
        document = [document]
    return Response(
        msgspec.json.encode(document),
        status_code=refusal.status.http,
        media_type="application/json",
        headers=None if after_s is None else {"retry-after": str(after_s)},
    )


def _as_api_error(error: Exception) -> ApiError:
    match error:
        case ApiError():
            return error
        case StoreError():
            return ApiError(Status.UNAVAILABLE, f"{error.message}. {error.cure}".rstrip())
        case ClientDisconnect():
            return ApiError(Status.CANCELLED, "The client went away.")
        case HTTPException():
            words = "Method not found: no such path, or not with this HTTP method."
            return ApiError(Status.NOT_FOUND, words)
        case _:
            # A fault of ours: whoever runs the service gets the traceback, not whoever asks.
            return ApiError(Status.INTERNAL, "Internal error encountered.")
