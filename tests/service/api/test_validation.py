"""What the service refuses, in which words, and that nothing makes it stumble."""

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
from tunedmodels.service.api.limits import MOST_BODY
from tunedmodels.service.embedded import EmbeddedService


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[EmbeddedService]:
    with service(tmp_path / "store") as one:
        yield one


def examples(*pairs: tuple[object, object]) -> dict[str, Any]:
    data = [{"textInput": text, "output": output} for text, output in pairs]
    return {"tuningTask": {"trainingData": {"examples": {"examples": data}}}}


EXAMPLES = "tuned_model.tuning_task.training_data.examples.examples"
SETTINGS = "tuned_model.tuning_task.hyperparameters"
ONE_OF = "(oneof), oneof field"

# fmt: off
REFUSED = [  # what is sent over a good body                    field                           words
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


@pytest.mark.parametrize(("sent", "field", "words"), REFUSED)
async def test_a_create_that_cannot_work_says_where_and_why(
    opened: EmbeddedService, sent: dict[str, Any], field: str, words: str
) -> None:
    await refuses(opened, {**body(), **sent}, field, words)


@pytest.mark.parametrize(("sent", "field", "words"), HYPERPARAMETERS)
async def test_hyperparameters_have_ranges(
    opened: EmbeddedService, sent: dict[str, Any], field: str, words: str
) -> None:
    await refuses(opened, body(hyperparameters=sent), field, words)


async def refuses(opened: EmbeddedService, document: Any, field: str, words: str) -> None:
    async with client(opened) as api:
        answer = await api.post(PATH, json=document)
        assert await get(api, PATH) == {}
    assert answer.status_code == 400
    assert answer.json()["error"] == {
        "code": 400,
        "message": words,
        "status": "INVALID_ARGUMENT",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [{"field": field, "description": words}],
            }
        ],
    }


async def test_everything_that_is_wrong_is_said_at_once_but_not_without_end(
    opened: EmbeddedService,
) -> None:
    document = {**body(displayName="x" * 41), **examples(*[("a", "")] * 100)}
    async with client(opened) as api:
        error = (await api.post(f"{PATH}?tunedModelId=NO", json=document)).json()["error"]
    fields = [one["field"] for one in error["details"][0]["fieldViolations"]]
    assert fields[:3] == ["tuned_model_id", "tuned_model.display_name", f"{EXAMPLES}[0].output"]
    assert len(fields) == 20
    assert error["message"].endswith("... and 82 more.")


@pytest.mark.parametrize("model_id", ["A", "1a", "a-", "a_b", "a" * 41, "ä", "a b", "../a"])
async def test_an_id_follows_the_rule_of_the_api(opened: EmbeddedService, model_id: str) -> None:
    async with client(opened) as api:
        answer = await api.post(PATH, params={"tunedModelId": model_id}, json=body())
    assert answer.status_code == 400
    assert "tuned_model_id" in answer.json()["error"]["message"]


async def test_a_job_of_too_many_steps_is_refused(opened: EmbeddedService) -> None:
    many = body(examples=1001, hyperparameters={"epochCount": 1000, "batchSize": 1})
    async with client(opened) as api:
        answer = await api.post(PATH, json=many)
    assert "1001000 steps; at most 1000000 are allowed" in answer.json()["error"]["message"]


async def test_an_unknown_base_model_is_not_found(opened: EmbeddedService) -> None:
    async with client(opened) as api:
        answer = await api.post(PATH, json=body() | {"baseModel": "models/gemini-1.0"})
    assert answer.status_code == 404
    assert "is not supported for createTunedModel" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"[]", id="a list"),
        pytest.param(b"5", id="a number"),
        pytest.param(b"{", id="half of one"),
        pytest.param(b'{"a": nan}', id="not a number"),
        pytest.param(b"\xff", id="not UTF-8"),
        pytest.param(b'{"displayName": "\\ud800"}', id="half a character"),
        pytest.param(b"[" * 100_000, id="too deep"),
        pytest.param(b'{"a":"' + b'\\"' * 200_000, id="a string without an end"),
    ],
)
async def test_what_is_no_message_is_refused(opened: EmbeddedService, content: bytes) -> None:
    async with client(opened) as api:
        answer = await api.post(PATH, content=content)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("Invalid JSON payload received.")


async def test_a_body_of_four_mebibytes_is_taken_and_a_larger_one_is_not_read_to_its_end(
    opened: EmbeddedService,
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 10 * MOST_BODY:
            sent += 65_536
            yield b" " * 65_536

    large = {**body(), **examples(*[("x" * 39_000, "y" * 2_900)] * 100)}
    assert 4_190_000 < len(json.dumps(large)) < MOST_BODY
    async with client(opened) as api:
        assert (await api.post(PATH, json=large)).status_code == 200
        declared = await api.post(PATH, content=b" " * (MOST_BODY + 1))
        streamed = await api.post(PATH, content=endless())
    words = f"Request payload size exceeds the limit: {MOST_BODY} bytes."
    for answer in (declared, streamed):
        assert answer.status_code == 400
        assert answer.json()["error"]["message"] == words


# Values that fit the fields of a request now and then, and mostly do not.
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
def test_whatever_is_sent_is_answered_or_refused(
    tmp_path: Path, call: tuple[str, str], document: Any, query: dict[str, str]
) -> None:
    async def send() -> int:
        with service(tmp_path / "store") as opened:
            async with client(opened) as api:
                await api.post(f"{PATH}?tunedModelId=a", json=body())
                method, path = call
                content = json.dumps(document).encode()
                answer = await api.request(method, path, params=query, content=content)
                answer.json()
                return answer.status_code

    assert anyio.run(send) < 500
