"""A call as the handlers see it: plain values, read before any handler runs.

Handlers are synchronous and run in threads: SQLite and the engines block, and a large create or a
lock held by a worker's commit must not hold up the requests of others.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.responses import Response

from tunedmodels.engines.engine import Adapter
from tunedmodels.service.api.base_models import Catalogue
from tunedmodels.service.errors import Violation, invalid
from tunedmodels.service.identity import Caller, Keys
from tunedmodels.service.records import Model
from tunedmodels.service.store.models import Store
from tunedmodels.service.store.permissions import Sharing


@dataclass(frozen=True, slots=True)
class Call:
    """One request: who asks, path parameters, query by its snake_case names, body."""

    caller: Caller
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes

    @property
    def model_id(self) -> str:
        """The id in the path."""
        return self.path["id"]


@dataclass(frozen=True, slots=True)
class Rooms:
    """What handlers work with.

    `adapter` reads what a model has learned; `wake` tells the trainer that there is a new job.
    Without `keys`, whoever asks owns everything.
    """

    store: Store
    sharing: Sharing
    catalogue: Catalogue
    adapter: Callable[[Model], Adapter]
    wake: Callable[[], None]
    keys: Keys | None


Handler = Callable[[Rooms, Call], Response]


def answer(document: Any) -> Response:  # noqa: ANN401  # anything that is JSON
    """Return a 200."""
    return Response(msgspec.json.encode(document), media_type="application/json")


def page_size(call: Call, *, default: int, most: int) -> int:
    """Return how many entries are asked for; more than `most` is read as `most`."""
    text = call.query.get("page_size", "")
    try:
        size = int(text or "0")
    except ValueError:
        words = f"Invalid value at 'page_size' (TYPE_INT32), \"{text[:60]}\""
        raise invalid([Violation("page_size", words)]) from None
    if size < 0:
        raise invalid([Violation("page_size", f"page_size must not be negative (got {size}).")])
    return min(size, most) or default


def page_token(last: int, selection: str) -> str:
    """Return the token for the page after `last` of one selection. Opaque to everybody else."""
    return base64.urlsafe_b64encode(f"{last} {selection}".encode()).decode()


def page_start(call: Call, selection: str) -> int:
    """Return where the page begins; 0 without a token.

    Raises ApiError (INVALID_ARGUMENT) for a token that is not ours or of another selection.
    """
    token = call.query.get("page_token", "")
    if not token:
        return 0
    try:
        last, space, selected = base64.urlsafe_b64decode(token).decode().partition(" ")
        if space and selected == selection and last.isdecimal():
            return min(int(last), 2**63 - 1)
    except (ValueError, binascii.Error):
        pass
    words = "page_token is not valid for this request: it must be one that this list returned."
    raise invalid([Violation("page_token", words)])
