"""The routes of the API, and the conversion of errors to responses.

`/v1` has every method of `/v1beta`: newer Google clients use it for everything, and older
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
from tunedmodels.service.api.messages import read_body, to_snake_case
from tunedmodels.service.api.partial_response import (
    accepts_gzip,
    max_snapshots,
    parse_fields,
    reduce,
)
from tunedmodels.service.api.request import (
    ApiRequest,
    Handler,
    ServiceContext,
    json_response,
    page_size,
    page_start,
    page_token,
)
from tunedmodels.service.errors import ApiError, ApiStatus
from tunedmodels.service.identity import LOCAL_CALLER
from tunedmodels.wire.status import STORE_UNUSABLE

_BASE_MODEL_PAGE_SIZE = 50
_MAX_BASE_MODEL_PAGE_SIZE = 1000


def _list_base_models(context: ServiceContext, request: ApiRequest) -> Response:
    documents = context.catalog.describe_all()
    size = page_size(request, default=_BASE_MODEL_PAGE_SIZE, maximum=_MAX_BASE_MODEL_PAGE_SIZE)
    start = page_start(request, "models")
    page = {"models": documents[start : start + size]}
    is_last = start + size >= len(documents)
    return json_response(
        page if is_last else {**page, "nextPageToken": page_token(start + size, "models")}
    )


def _get_base_model(context: ServiceContext, request: ApiRequest) -> Response:
    return json_response(context.catalog.describe(f"models/{request.path['base']}"))


_MODEL = "/tunedModels/{id}"
_OPERATION = f"{_MODEL}/operations/{{operation}}"
_PERMISSION = f"{_MODEL}/permissions/{{permission}}"
_BASE = "/models/{base}"
# A path with a custom method (`{id}:cancel`) precedes the path without it, which also matches it.
# fmt: off
_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET",    "/tunedModels",                    tuned_models.list_),
    ("POST",   "/tunedModels",                    tuned_models.create),
    ("POST",   f"{_MODEL}:generateContent",       generate.generate),
    ("POST",   f"{_MODEL}:streamGenerateContent", generate.stream),
    ("POST",   f"{_MODEL}:transferOwnership",     permissions.transfer),
    ("GET",    _MODEL,                            tuned_models.get),
    ("PATCH",  _MODEL,                            tuned_models.patch),
    ("DELETE", _MODEL,                            tuned_models.delete),
    ("GET",    f"{_MODEL}/operations",            tuned_models.list_operations),
    ("POST",   f"{_OPERATION}:cancel",            tuned_models.cancel_operation),
    ("GET",    _OPERATION,                        tuned_models.get_operation),
    ("GET",    f"{_MODEL}/permissions",           permissions.list_),
    ("POST",   f"{_MODEL}/permissions",           permissions.create),
    ("GET",    _PERMISSION,                       permissions.get),
    ("PATCH",  _PERMISSION,                       permissions.patch),
    ("DELETE", _PERMISSION,                       permissions.delete),
    ("GET",    "/models",                         _list_base_models),
    ("POST",   f"{_BASE}:generateContent",        generate.generate),
    ("POST",   f"{_BASE}:streamGenerateContent",  generate.stream),
    ("GET",    _BASE,                             _get_base_model),
)
# fmt: on


def make_app(
    context: ServiceContext,
    *,
    extra_routes: Sequence[BaseRoute] = (),
    middleware: Sequence[Middleware] = (),
) -> Starlette:
    """Return the ASGI application. It needs no lifespan: it responds from the first request on.

    `extra_routes` are not part of the API; `middleware` wraps each route that is.
    """
    return Starlette(
        routes=[
            *extra_routes,
            *(
                Route(
                    f"/{version}{path}",
                    _make_endpoint(context, handler),
                    methods=[method],
                    middleware=middleware,
                )
                for version in ("v1beta", "v1")
                for method, path, handler in _ROUTES
            ),
        ],
        exception_handlers=dict.fromkeys(
            (ApiError, StoreError, HTTPException, ClientDisconnect, Exception), _error_response
        ),
    )


def _make_endpoint(
    context: ServiceContext, handler: Handler
) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that authenticates the caller, reads the body and calls `handler`."""

    async def endpoint(request: Request) -> Response:
        query = {to_snake_case(key): value for key, value in request.query_params.items()}
        keys = context.keys
        caller = keys.authenticate(request.headers, query) if keys else LOCAL_CALLER
        request.state.caller = caller  # for the access log
        # Handlers do not receive the key, so that no response can contain it.
        query.pop("key", None)
        api_request = ApiRequest(
            caller,
            request.path_params,
            query,
            await read_body(request),
            request.headers.get("if-match", ""),
            selection=parse_fields(query.get("fields", query.get("$fields", ""))),
            max_snapshots=max_snapshots(request.headers),
        )
        is_compressed = accepts_gzip(request.headers)
        return await run_in_threadpool(_respond, handler, context, api_request, is_compressed)

    return endpoint


def _respond(
    handler: Handler,
    context: ServiceContext,
    request: ApiRequest,
    is_compressed: bool,  # noqa: FBT001  # run_in_threadpool passes it by position
) -> Response:
    response = handler(context, request)
    return reduce(response, request.selection, is_compressed=is_compressed)


async def _error_response(request: Request, error: Exception) -> Response:
    """Return an error in Google's format.

    For a stream as a JSON array, the error is the only element of an array.
    """
    api_error = _to_api_error(error)
    retry_after_s = api_error.retry_after_s
    document: object = api_error.to_json()
    is_stream = request.url.path.endswith(":streamGenerateContent")
    if is_stream and not generate.is_event_stream(request.query_params):
        document = [document]
    return Response(
        msgspec.json.encode(document),
        status_code=api_error.status.http,
        media_type="application/json",
        headers=None if retry_after_s is None else {"retry-after": str(retry_after_s)},
    )


def _to_api_error(error: Exception) -> ApiError:
    match error:
        case ApiError():
            return error
        case StoreError():
            message = f"{error.message}. {error.cure}".rstrip()
            reason = "" if error.is_transient else STORE_UNUSABLE
            return ApiError(ApiStatus.UNAVAILABLE, message, reason=reason)
        case ClientDisconnect():
            return ApiError(ApiStatus.CANCELLED, "The client closed the connection.")
        case HTTPException():
            message = "Method not found: no such path, or not with this HTTP method."
            return ApiError(ApiStatus.NOT_FOUND, message)
        case _:
            # An internal error: the traceback goes to the log of the server, not to the caller.
            return ApiError(ApiStatus.INTERNAL, "Internal error encountered.")
