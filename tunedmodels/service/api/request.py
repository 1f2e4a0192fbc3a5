"""Requests as the handlers of the API receive them: plain values, read before the handler runs.

Handlers are synchronous and run in threads, because SQLite and the engines block: a large create
request, or a lock during a worker's commit, does not delay other requests.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.responses import Response

from tunedmodels.engines.engine import Adapter
from tunedmodels.service.api.base_models import EngineCatalog
from tunedmodels.service.api.partial_response import Selection, includes
from tunedmodels.service.errors import Violation, invalid_argument
from tunedmodels.service.identity import ApiKeys, Caller
from tunedmodels.service.records import StoredModel
from tunedmodels.service.store.models import ModelStore
from tunedmodels.service.store.names import NameIndex
from tunedmodels.service.store.permissions import PermissionStore


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One request to the API."""

    caller: Caller
    path: Mapping[str, str]  #: path parameters
    query: Mapping[str, str]  #: query parameters, by their names in snake_case
    body: bytes
    if_match: str = ""  #: the header If-Match: the only version of a model that may be changed
    selection: Selection = field(default_factory=dict)  #: the fields that the caller asked for
    max_snapshots: int | None = None  #: longer curves are sent as their last snapshot

    def curve_limit(self, *paths: tuple[str, ...]) -> int | None:
        """Return the length up to which a curve is read completely; None: any length.

        Return 0, so that no curve is read, if the caller asked for none of `paths`.
        """
        if any(includes(self.selection, *path) for path in paths):
            return self.max_snapshots
        return 0

    @property
    def model_id(self) -> str:
        """The model id in the path."""
        return self.path["id"]


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """The parts of the service that handlers use."""

    store: ModelStore
    permissions: PermissionStore
    names: NameIndex
    catalog: EngineCatalog
    load_adapter: Callable[[StoredModel], Adapter]
    wake_workers: Callable[[], None]  #: called after a job was created
    keys: ApiKeys | None  #: without keys, every caller owns every model


Handler = Callable[[ServiceContext, ApiRequest], Response]


def json_response(document: Any, *, etag: str = "") -> Response:  # noqa: ANN401  # any value that msgspec encodes
    """Return a response with status 200."""
    headers = {"etag": etag} if etag else None
    return Response(msgspec.json.encode(document), media_type="application/json", headers=headers)


def page_size(request: ApiRequest, *, default: int, maximum: int) -> int:
    """Return the requested number of entries, at most `maximum`."""
    text = request.query.get("page_size", "")
    try:
        size = int(text or "0")
    except ValueError:
        message = f"Invalid value at 'page_size' (TYPE_INT32), \"{text[:60]}\""
        raise invalid_argument([Violation("page_size", message)]) from None
    if size < 0:
        message = f"page_size must not be negative (got {size})."
        raise invalid_argument([Violation("page_size", message)])
    return min(size, maximum) or default


def page_token(last: int, selection: str) -> str:
    """Return the opaque token of the page that follows the entry `last`.

    `selection` identifies the list and its filter.
    """
    return base64.urlsafe_b64encode(f"{last} {selection}".encode()).decode()


def page_start(request: ApiRequest, selection: str) -> int:
    """Return the entry after which the requested page starts; 0 without a token.

    Raises ApiError (INVALID_ARGUMENT) for an invalid token, or a token of another `selection`.
    """
    token = request.query.get("page_token", "")
    if not token:
        return 0
    try:
        last, space, selected = base64.urlsafe_b64decode(token).decode().partition(" ")
        if space and selected == selection and last.isdecimal():
            return min(int(last), 2**63 - 1)
    except (ValueError, binascii.Error):
        pass
    message = "page_token is not valid for this request: pass a token that this list returned."
    raise invalid_argument([Violation("page_token", message)])
