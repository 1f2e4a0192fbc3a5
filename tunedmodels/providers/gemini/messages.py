"""The messages of the Gemini API: paths, headers, lists, and what responses contain."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import MappingProxyType
from typing import TypeVar
from urllib.parse import quote

import msgspec

from tunedmodels.errors import NotFoundError, UnimplementedError
from tunedmodels.providers import errors
from tunedmodels.providers.http import Http, HttpResponse
from tunedmodels.providers.pagination import Page, read_all
from tunedmodels.providers.response import Named, decode_page, decode_resource
from tunedmodels.wire import gemini as wire

PAGE_SIZE = "1000"  # the maximum; pages of 50 take 13 times as long
# A list of models with whole curves can be gigabytes. Only the embedded service knows this
# preference (RFC 7240); others ignore it and send whole curves.
SHORT_CURVES = MappingProxyType({"prefer": "max-snapshots=250"})
OPERATION_FIELDS = "operations(name,done,error),nextPageToken"  # not the curve, which each contains

T = TypeVar("T")
N = TypeVar("N", bound=Named)


async def list_all(
    http: Http,
    path: str,
    page_type: type[Page[N]],
    convert_entry: Callable[[N], T],
    **query: str,
) -> list[T]:
    """Return the converted entries of all pages of a list. Raises ProviderError."""
    selected = {"pageSize": PAGE_SIZE, **query}

    async def fetch(token: str) -> Page[N]:
        params = {**selected, **({"pageToken": token} if token else {})}
        body = await http.request_body(
            "GET", path, params=params, is_idempotent=True, headers=SHORT_CURVES
        )
        return decode_page(body, page_type, errors.GOOGLE)

    return await read_all(fetch, convert_entry, identify=lambda entry: entry.name)


async def list_operations(http: Http, model_id: str) -> list[wire.Operation]:
    """Return the operations of a tuned model, without their curves."""
    path = f"{model_path(model_id)}/operations"
    return await list_all(
        http,
        path,
        wire.OperationPage,
        lambda operation: operation,
        fields=OPERATION_FIELDS,
    )


async def cancel_operation(http: Http, operation: wire.Operation) -> bytes:
    """Ask the service to stop a job, and return its response."""
    name = quote(operation.name)
    # Google declares the method only in v1; other services may have it in v1beta.
    with suppress(NotFoundError, UnimplementedError):
        return await http.request_body("POST", f"v1/{name}:cancel", is_idempotent=True)
    return await http.request_body("POST", f"v1beta/{name}:cancel", is_idempotent=True)


def if_match(etag: str) -> dict[str, str]:
    """Return the headers of a change that requires this version of a model, if it is known."""
    return {"if-match": etag} if etag else {}


def model_path(model_id: str) -> str:
    """Return the path of a tuned model."""
    return f"v1beta/tunedModels/{quote(model_id, safe='')}"


def decode_model(response: HttpResponse, model_id: str) -> wire.TunedModel:
    """Return the model in a response. Raises ProviderError."""
    return decode_resource(response.body, wire.TunedModel, model_id, errors.GOOGLE)


def is_operation_of(model_id: str, response: bytes) -> bool:
    """Return whether the response to a create says that the job of exactly this model began.

    Otherwise the model itself is read.
    """
    try:
        operation = wire.decode(response, wire.Operation)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    name = f"{wire.TUNED_MODELS}/{model_id}"
    return (
        operation.error is None
        and operation.name.startswith(f"{name}/operations/")
        and operation.metadata is not None
        and operation.metadata.tuned_model == name
    )
