"""Tests with random requests to every route by every caller: no response is a server error.

The service publishes no OpenAPI document, so the routes come from the application itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.routing import Route

from tests.support.counting_engine import BASE
from tests.support.embedded_service import body, create, service
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.identity import ApiKeys, Caller, key_digest
from tunedmodels.service.server import build_app

KEYS = ApiKeys(
    {
        key_digest("the-key-of-ana-x"): Caller("ana@example.com", 12),
        key_digest("the-key-of-bo-xx"): Caller("bo@example.com", 13, ("team@example.com",)),
    }
)
ROUTES = sorted(
    (method, route.path)
    for route in EmbeddedService(Path("nowhere")).app.routes
    if isinstance(route, Route)
    for method in route.methods or ()
)
WORDS = st.text(max_size=12)
PARTS = st.sampled_from(["a", "b", "", "-", "..", "%00", "é", "a:cancel", "me"]) | WORDS
NAMES = st.sampled_from(
    [
        "baseModel",
        "displayName",
        "tuningTask",
        "trainingData",
        "examples",
        "textInput",
        "output",
        "hyperparameters",
        "epochCount",
        "learningRate",
        "batchSize",
        "temperature",
        "topK",
        "name",
        "readerProjectNumbers",
        "contents",
        "parts",
        "text",
        "generationConfig",
        "granteeType",
        "emailAddress",
        "role",
        "newOwner",
        "email",
        "tunedModelSource",
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | WORDS
    | st.sampled_from([BASE, "tunedModels/a", "READER", "WRITER", "USER", "bo@example.com", 1e999])
)
DOCUMENTS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4)
)
BODIES = (
    DOCUMENTS.map(lambda document: json.dumps(document).encode())
    | st.binary(max_size=50)
    | st.just(json.dumps(body()).encode())
)
QUERIES = st.dictionaries(
    st.sampled_from(
        ["tunedModelId", "updateMask", "pageSize", "pageToken", "filter", "alt", "key", "$alt"]
    )
    | WORDS,
    WORDS
    | st.integers().map(str)
    | st.sampled_from(["a", "role", "displayName", "owner:me", "sse", "the-key-of-bo-xx", "MTAg"]),
    max_size=3,
)
HEADERS = st.dictionaries(
    st.sampled_from(["x-goog-api-key", "authorization", "content-type", "x-request-id", "accept"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20).map(str.strip)
    | st.sampled_from(["the-key-of-ana-x", "the-key-of-bo-xx"]),
    max_size=3,
)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """Return a request to any route, with the parameters of its path filled in."""
    method, path = draw(st.sampled_from([*ROUTES, ("GET", "/healthz"), ("GET", "/metrics")]))
    for name in ("id", "operation", "permission", "base"):
        path = path.replace(f"{{{name}}}", quote(draw(PARTS), safe="%:"))
    if draw(st.integers(0, 9)) == 0:
        method = draw(st.sampled_from(["PUT", "HEAD", "OPTIONS", "BREW", "PATCH"]))
    content = draw(BODIES)
    return {"method": method, "url": path, "params": draw(QUERIES), "headers": draw(HEADERS),
            "content": content}  # fmt: skip


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sequence=st.lists(requests(), min_size=1, max_size=8))
def test_no_request_to_any_route_causes_a_server_error(
    tmp_path_factory: pytest.TempPathFactory, sequence: list[dict[str, Any]]
) -> None:
    async def send() -> None:
        with service(tmp_path_factory.mktemp("store") / "store", keys=KEYS) as embedded:
            app = build_app(embedded, is_public=True).app
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app),
                base_url="http://localhost",
                headers={"x-goog-api-key": "the-key-of-ana-x"},
            ) as api:
                await create(api, "a")
                await create(api, "b")
                for arguments in sequence:
                    response = await api.request(**arguments)
                    assert response.status_code < 500, response.text
                    content_type = response.headers.get("content-type")
                    if content_type == "application/json" and response.content:
                        response.json()

    anyio.run(send)
