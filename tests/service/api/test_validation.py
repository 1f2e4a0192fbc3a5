"""Tests of the validation of requests, its error messages, and arbitrary requests."""

# ruff: noqa: E501  # a table is read across

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.counting_engine import BASE
from tests.support.embedded_service import PATH, body, client, get, service
from tunedmodels.service.api.limits import MAX_BODY_BYTES
from tunedmodels.service.embedded import EmbeddedService


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[EmbeddedService]:
    with service(tmp_path / "store") as instance:
        yield instance


def examples(*pairs: tuple[object, object]) -> dict[str, Any]:
    data = [{"textInput": text, "output": output} for text, output in pairs]
    return {"tuningTask": {"trainingData": {"examples": {"examples": data}}}}


EXAMPLES = "tuned_model.tuning_task.training_data.examples.examples"
SETTINGS = "tuned_model.tuning_task.hyperparameters"
ONE_OF = "(oneof), oneof field"

# fmt: off
INVALID = [  # changes of a valid body                              field                           message
    (examples(),                                                EXAMPLES,                       "At least one training example is required."),
    (examples(("a", "b"), ("x" * 40_001, "b")),                 f"{EXAMPLES}[1].text_input",    "Example 1: text_input has 40001 characters; at most 40000 are allowed."),
    (examples(("a", "b"), ("a", "x" * 5_001)),                  f"{EXAMPLES}[1].output",        "Example 1: output has 5001 characters; at most 5000 are allowed."),
    (examples(("a", "")),                                       f"{EXAMPLES}[0].output",        "Example 0: output is required."),
    (examples(("a", 5)),                                        f"{EXAMPLES}[0].output",        f"Invalid value at '{EXAMPLES}[0].output' (TYPE_STRING), 5"),
    ({"displayName": "x" * 41},                                 "tuned_model.display_name",     "display_name has 41 characters; at most 40 are allowed."),
    ({"displayName": 5},                                        "tuned_model.display_name",     "Invalid value at 'tuned_model.display_name' (TYPE_STRING), 5"),
    ({"temperature": 1.5},                                      "tuned_model.temperature",      "temperature must be between 0 and 1 (got 1.5)."),
    ({"temperature": True},                                     "tuned_model.temperature",      "Invalid value at 'tuned_model.temperature', true"),
    ({"temperature": 1e300},                                    "tuned_model.temperature",      "Invalid value at 'tuned_model.temperature', 1e+300"),
    ({"topK": 0},                                               "tuned_model.top_k",            "top_k must be at least 1 (got 0)."),
    ({"baseModel": None},                                       "tuned_model.base_model",       "base_model or tuned_model_source is required."),
    ({"tunedModelSource": {}},                                  "tuned_model",                  f"Invalid value at 'tuned_model' {ONE_OF} 'source_model' is already set. Cannot set 'tunedModelSource'"),
    ({"colour": "red"},                                         "tuned_model",                  "Invalid JSON payload received. Unknown name \"colour\" at 'tuned_model': Cannot find field."),
    ({"tuningTask": {"pace": 1}},                               "tuned_model.tuning_task",      "Invalid JSON payload received. Unknown name \"pace\" at 'tuned_model.tuning_task': Cannot find field."),
]
HYPERPARAMETERS = [
    ({"epochCount": 0},                                         f"{SETTINGS}.epoch_count",      "epoch_count must be between 1 and 1000 (got 0)."),
    ({"epochCount": 1001},                                      f"{SETTINGS}.epoch_count",      "epoch_count must be between 1 and 1000 (got 1001)."),
    ({"epochCount": 1.5},                                       f"{SETTINGS}.epoch_count",      f"Invalid value at '{SETTINGS}.epoch_count' (TYPE_INT32), 1.5"),
    ({"batchSize": 1025},                                       f"{SETTINGS}.batch_size",       "batch_size must be between 1 and 1024 (got 1025)."),
    ({"learningRate": 0},                                       f"{SETTINGS}.learning_rate",    "learning_rate must be greater than 0 (got 0.0)."),
    ({"learningRateMultiplier": 1e-44},                         f"{SETTINGS}.learning_rate_multiplier", "learning_rate_multiplier must be greater than 0 (got 1e-44)."),
    ({"learningRate": 1, "learningRateMultiplier": 1},          SETTINGS,                       f"Invalid value at '{SETTINGS}' {ONE_OF} 'learning_rate_option' is already set. Cannot set 'learningRateMultiplier'"),
]
# fmt: on


@pytest.mark.parametrize(("changes", "field", "message"), INVALID)
async def test_an_invalid_create_is_rejected_with_the_field_and_the_reason(
    embedded: EmbeddedService, changes: dict[str, Any], field: str, message: str
) -> None:
    await check_rejection(embedded, {**body(), **changes}, field, message)


@pytest.mark.parametrize(("changes", "field", "message"), HYPERPARAMETERS)
async def test_hyperparameters_have_ranges(
    embedded: EmbeddedService, changes: dict[str, Any], field: str, message: str
) -> None:
    await check_rejection(embedded, body(hyperparameters=changes), field, message)


async def check_rejection(
    embedded: EmbeddedService, document: Any, field: str, message: str
) -> None:
    async with client(embedded) as api:
        response = await api.post(PATH, json=document)
        assert await get(api, PATH) == {}
    assert response.status_code == 400
    assert response.json()["error"] == {
        "code": 400,
        "message": message,
        "status": "INVALID_ARGUMENT",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [{"field": field, "description": message}],
            }
        ],
    }


async def test_violations_are_reported_at_once_up_to_a_limit(
    embedded: EmbeddedService,
) -> None:
    document = {**body(displayName="x" * 41), **examples(*[("a", "")] * 100)}
    async with client(embedded) as api:
        error = (await api.post(f"{PATH}?tunedModelId=NO", json=document)).json()["error"]
    fields = [violation["field"] for violation in error["details"][0]["fieldViolations"]]
    assert fields[:3] == ["tuned_model_id", "tuned_model.display_name", f"{EXAMPLES}[0].output"]
    assert len(fields) == 20
    assert error["message"].endswith("... and 82 more.")


@pytest.mark.parametrize("model_id", ["A", "1a", "a-", "a_b", "a" * 41, "ä", "a b", "../a"])
async def test_an_id_follows_the_pattern_of_the_api(
    embedded: EmbeddedService, model_id: str
) -> None:
    async with client(embedded) as api:
        response = await api.post(PATH, params={"tunedModelId": model_id}, json=body())
    assert response.status_code == 400
    assert "tuned_model_id" in response.json()["error"]["message"]


async def test_a_job_with_too_many_steps_is_rejected(embedded: EmbeddedService) -> None:
    many = body(examples=1001, hyperparameters={"epochCount": 1000, "batchSize": 1})
    async with client(embedded) as api:
        response = await api.post(PATH, json=many)
    assert "1001000 steps; at most 1000000 are allowed" in response.json()["error"]["message"]


async def test_an_unknown_base_model_is_not_found(embedded: EmbeddedService) -> None:
    async with client(embedded) as api:
        response = await api.post(PATH, json=body() | {"baseModel": "models/gemini-1.0"})
    assert response.status_code == 404
    assert "is not supported for createTunedModel" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"[]", id="a list"),
        pytest.param(b"5", id="a number"),
        pytest.param(b"{", id="incomplete"),
        pytest.param(b'{"a": nan}', id="not a number"),
        pytest.param(b"\xff", id="not UTF-8"),
        pytest.param(b'{"displayName": "\\ud800"}', id="a lone surrogate"),
        pytest.param(b"[" * 100_000, id="too deep"),
        pytest.param(b'{"a":"' + b'\\"' * 200_000, id="a string without an end"),
    ],
)
async def test_a_malformed_body_is_rejected(embedded: EmbeddedService, content: bytes) -> None:
    async with client(embedded) as api:
        response = await api.post(PATH, content=content)
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith("Invalid JSON payload received.")


async def test_a_body_of_four_mebibytes_is_accepted_and_a_larger_one_is_not_read_completely(
    embedded: EmbeddedService,
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 10 * MAX_BODY_BYTES:
            sent += 65_536
            yield b" " * 65_536

    large = {**body(), **examples(*[("x" * 39_000, "y" * 2_900)] * 100)}
    assert 4_190_000 < len(json.dumps(large)) < MAX_BODY_BYTES
    async with client(embedded) as api:
        assert (await api.post(PATH, json=large)).status_code == 200
        declared = await api.post(PATH, content=b" " * (MAX_BODY_BYTES + 1))
        streamed = await api.post(PATH, content=endless())
    message = f"Request payload size exceeds the limit: {MAX_BODY_BYTES} bytes."
    for response in (declared, streamed):
        assert response.status_code == 400
        assert response.json()["error"]["message"] == message


# Values that sometimes, but rarely, have the type of a field.
FIELDS = """baseModel base_model displayName tuningTask trainingData examples textInput output
hyperparameters epochCount learningRate temperature topK readerProjectNumbers contents parts text
role generationConfig stopSequences seed tunedModelSource tunedModel x"""
KEYS = st.sampled_from(FIELDS.split())
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from([BASE, "user", "tunedModels/a", "1e400", "-0", ""])
)
DOCUMENTS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5)
)
CALLS = st.sampled_from(
    [
        ("POST", PATH),
        ("PATCH", f"{PATH}/a"),
        ("POST", f"{PATH}/a:generateContent"),
        ("POST", f"{PATH}/a:streamGenerateContent"),
        ("POST", f"/v1/{BASE}:generateContent"),
        ("GET", PATH),
        ("GET", "/v1beta/models"),
    ]
)
QUERIES = st.dictionaries(
    st.sampled_from(["tunedModelId", "updateMask", "pageSize", "pageToken", "filter", "alt"]),
    st.text(max_size=8) | st.integers().map(str) | st.just("description"),
    max_size=3,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(call=CALLS, document=DOCUMENTS, query=QUERIES)
def test_any_request_gets_a_response_without_a_server_error(
    tmp_path: Path, call: tuple[str, str], document: Any, query: dict[str, str]
) -> None:
    async def send() -> int:
        with service(tmp_path / "store") as embedded:
            async with client(embedded) as api:
                await api.post(f"{PATH}?tunedModelId=a", json=body())
                method, path = call
                content = json.dumps(document).encode()
                response = await api.request(method, path, params=query, content=content)
                response.json()
                return response.status_code

    assert anyio.run(send) < 500
