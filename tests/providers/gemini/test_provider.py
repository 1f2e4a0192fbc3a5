"""The provider of the Gemini API, beyond the contract of a provider."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import httpx
import pytest
import stamina
from hypothesis import given
from hypothesis import strategies as st

from tests.support import builders
from tests.support.fakes.jobs import FakeJobService, Fault
from tests.support.fakes.script import (
    ScriptedResponse,
    ScriptedTransport,
    error_response,
    ok_response,
)
from tests.support.project_dir import NO_CREDENTIALS
from tunedmodels import stamp as stamps
from tunedmodels.datasets.examples import Example
from tunedmodels.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    NotFoundError,
    OutcomeUnknownError,
    ProviderError,
    RateLimitedError,
    UnauthenticatedError,
    UnavailableError,
)
from tunedmodels.model_fields import MutableFields
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.providers.gemini.provider import GeminiProvider
from tunedmodels.providers.identity import GEMINI_ENDPOINT, Credentials
from tunedmodels.providers.provider import Edit
from tunedmodels.providers.registry import open_provider
from tunedmodels.providers.retry import MAX_ATTEMPTS
from tunedmodels.schema.project import EmbeddedSettings, GeminiSettings
from tunedmodels.schema.tuned_model import GenerationConfig, Hyperparameters

EXAMPLES = [Example("one", "two"), Example("three", "four")]
TONE = builders.desired()
STAMP = TONE.stamp()


@pytest.fixture(autouse=True, scope="module")
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=MAX_ATTEMPTS):
        yield


def provider(*responses: ScriptedResponse) -> tuple[GeminiProvider, ScriptedTransport]:
    script = ScriptedTransport(*responses)
    return provider_over(script), script


def provider_over(transport: httpx.AsyncBaseTransport) -> GeminiProvider:
    return GeminiProvider(
        "g",
        project="demo",
        endpoint=GEMINI_ENDPOINT,
        credentials=Credentials(api_key="k"),
        transport=transport,
    )


def model(model_id: str = TONE.model_id, **fields: Any) -> dict[str, Any]:
    description = stamps.format_description("words", STAMP)
    return {
        "name": f"tunedModels/{model_id}",
        "baseModel": builders.BASE,
        "state": "ACTIVE",
        "description": description,
        **fields,
    }


def operation(**fields: Any) -> dict[str, Any]:
    return {"name": f"tunedModels/{TONE.model_id}/operations/op1", **fields}


STARTED = {"startTime": "2026-01-01T00:00:00Z"}
STATES = [
    ({"state": "CREATING"}, ModelState.QUEUED),
    ({"state": "CREATING", "tuningTask": STARTED}, ModelState.TRAINING),
    ({"state": "ACTIVE"}, ModelState.READY),
    ({"state": 2}, ModelState.READY),
    ({"state": "FAILED"}, ModelState.FAILED),
    ({"state": "TOMORROW"}, ModelState.TRAINING),
]


@pytest.mark.parametrize(("fields", "state"), STATES)
async def test_a_state_is_converted(fields: dict[str, Any], state: ModelState) -> None:
    gemini, _ = provider(ok_response(model(**fields)), ok_response())
    observed = await gemini.get(TONE.model_id)
    assert observed
    assert observed.state is state


async def test_all_fields_of_a_live_model_are_converted() -> None:
    answer = model(
        displayName="tone",
        temperature=0.0,
        topP=0.9,
        topK=40,
        readerProjectNumbers=["12", "3"],
        createTime="2026-11-22T12:00:00.123456Z",
        tuningTask={
            "startTime": "2026-11-22T12:00:01Z",
            "completeTime": "2026-11-22T12:01:00Z",
            "snapshots": [{"step": 1, "meanLoss": 2.5}, {"step": 2, "epoch": 1, "meanLoss": 1}],
            "hyperparameters": {"epochCount": 5, "batchSize": 4, "learningRate": 0.001},
        },
    )
    gemini, _ = provider(ok_response(answer))
    observed = await gemini.get(TONE.model_id)
    assert observed
    assert (observed.provider, observed.resource) == ("g", f"tunedModels/{TONE.model_id}")
    fields = observed.fields
    assert (fields.description, observed.stamp) == ("words", STAMP)
    assert (fields.temperature, fields.top_p, fields.top_k) == (0.0, 0.9, 40)
    assert fields.reader_project_numbers == (12, 3)
    assert [(point.step, point.epoch, point.mean_loss) for point in observed.curve] == [
        (1, 0, 2.5),
        (2, 1, 1.0),
    ]
    assert observed.total_steps == 30
    assert observed.completed == builders.NOON.replace(minute=1)


async def test_the_source_of_a_continued_model_is_its_parent() -> None:
    parent = {"tunedModel": "tunedModels/parent-1", "baseModel": builders.BASE}
    gemini, _ = provider(ok_response(model(baseModel="", tunedModelSource=parent)))
    observed = await gemini.get(TONE.model_id)
    assert observed
    assert observed.source == "tunedModels/parent-1"


async def test_pages_are_requested_until_there_is_no_token() -> None:
    gemini, script = provider(
        ok_response({"tunedModels": [model("b")], "nextPageToken": "t1"}),
        ok_response({"nextPageToken": "t2"}),
        ok_response({"tunedModels": [model("a"), model("b")]}),
    )
    assert [model.model_id for model in await gemini.observe()] == ["a", "b"]
    queries = [dict(request.url.params) for request in script.requests]
    assert queries == [
        {"pageSize": "1000"},
        {"pageSize": "1000", "pageToken": "t1"},
        {"pageSize": "1000", "pageToken": "t2"},
    ]


async def test_a_repeated_page_token_is_an_error() -> None:
    gemini, _ = provider(*[ok_response({"nextPageToken": "t"}) for _ in range(2)])
    with pytest.raises(ProviderError, match="same page token twice"):
        await gemini.observe()


async def test_the_outcome_of_a_failed_job_is_requested_only_for_our_models() -> None:
    foreign = model("foreign", description="no stamp", state="FAILED")
    gemini, script = provider(
        ok_response({"tunedModels": [foreign, model(state="FAILED")]}),
        ok_response(
            {"operations": [operation(done=True, error={"code": 1, "message": "Cancelled."})]}
        ),
    )
    models = {model.model_id: model for model in await gemini.observe()}
    assert models[TONE.model_id].state is ModelState.CANCELLED
    assert models[TONE.model_id].failure == "Cancelled."
    assert models["foreign"].state is ModelState.FAILED
    assert script.calls[1:] == [f"GET /v1beta/tunedModels/{TONE.model_id}/operations"]


@pytest.mark.parametrize("answer", [error_response(501), error_response(404), ok_response()])
async def test_a_service_without_operations_leaves_the_reason_empty(
    answer: httpx.Response,
) -> None:
    gemini, _ = provider(ok_response(model(state="FAILED")), answer)
    observed = await gemini.get(TONE.model_id)
    assert observed
    assert (observed.state, observed.failure) == (ModelState.FAILED, "")


async def test_the_first_error_of_concurrent_requests_is_raised() -> None:
    both = [model("a", state="FAILED"), model("b", state="FAILED")]
    gemini, _ = provider(
        ok_response({"tunedModels": both}), error_response(403, "No."), error_response(403, "No.")
    )
    with pytest.raises(ProviderError, match=r"No\."):
        await gemini.observe()


@pytest.mark.parametrize("answer", [b"<html>sign in</html>", b"[]", b'{"tunedModels": 3}', b"\xff"])
async def test_a_response_that_is_not_of_the_api_is_an_error_with_a_cure(answer: bytes) -> None:
    gemini, _ = provider(httpx.Response(200, content=answer))
    with pytest.raises(ProviderError) as caught:
        await gemini.observe()
    assert "endpoint" in caught.value.cure


async def test_a_create_sends_only_declared_fields() -> None:
    tone = builders.desired(
        preamble="Say:",
        description="words",
        temperature=0.0,
        reader_project_numbers=(12,),
        hyperparameters=Hyperparameters(epoch_count=3),
    )
    gemini, script = provider(
        ok_response(),
        ok_response(model(tone.model_id, description=stamps.format_description("", tone.stamp()))),
    )
    await gemini.create(tone, EXAMPLES, tone.stamp(commit="abc"))
    assert script.calls[0] == "POST /v1beta/tunedModels"
    assert dict(script.requests[0].url.params) == {"tunedModelId": tone.model_id}
    assert script.body(0) == {
        "baseModel": builders.BASE,
        "displayName": "tone",
        "description": stamps.format_description("words", tone.stamp(commit="abc")),
        "temperature": 0.0,
        "readerProjectNumbers": ["12"],
        "tuningTask": {
            "hyperparameters": {"epochCount": 3},
            "trainingData": {
                "examples": {
                    "examples": [
                        {"textInput": "Say:\none", "output": "two"},
                        {"textInput": "Say:\nthree", "output": "four"},
                    ]
                }
            },
        },
    }


async def test_a_create_from_a_tuned_model_names_it_as_the_source() -> None:
    tone = builders.desired(source="tunedModels/parent-1", parent="parent")
    gemini, script = provider(
        ok_response(),
        ok_response(model(tone.model_id, description=stamps.format_description("", tone.stamp()))),
    )
    await gemini.create(tone, EXAMPLES, tone.stamp())
    assert script.body(0)["tunedModelSource"] == {"tunedModel": "tunedModels/parent-1"}
    assert "baseModel" not in script.body(0)


def started(model_id: str = TONE.model_id, **fields: Any) -> dict[str, Any]:
    name = f"tunedModels/{model_id}"
    operation = {"name": f"{name}/operations/op1", "metadata": {"tunedModel": name}}
    return {**operation, **fields}


async def test_a_model_is_not_read_after_a_create_that_names_it() -> None:
    gemini, script = provider(ok_response(started()))
    created = await gemini.create(TONE, EXAMPLES, STAMP)
    assert script.calls == ["POST /v1beta/tunedModels"]
    assert (created.provider, created.model_id, created.stamp) == ("g", TONE.model_id, STAMP)
    assert created.resource == f"tunedModels/{TONE.model_id}"
    assert (created.state, created.source) == (ModelState.QUEUED, builders.BASE)
    assert created.fields == TONE.fields


UNEXPECTED: list[object] = [
    {},
    started("other-12345678"),
    started(name="tunedModels/other-12345678/operations/op1"),
    started(metadata={"tunedModel": "tunedModels/other-12345678"}),
    started(metadata={}),
    started(error={"code": 13, "message": "Internal."}),
    [],
]


@pytest.mark.parametrize("answer", UNEXPECTED)
async def test_a_model_is_read_after_a_create_that_does_not_clearly_name_it(answer: Any) -> None:
    gemini, script = provider(ok_response(answer), ok_response(model(state="CREATING")))
    created = await gemini.create(TONE, EXAMPLES, STAMP)
    assert script.calls[1:] == [f"GET /v1beta/tunedModels/{TONE.model_id}"]
    assert created.stamp == STAMP


async def test_the_whole_curve_is_read_only_where_a_part_was_sent() -> None:
    points = [{"step": step, "meanLoss": 1.0} for step in range(1, 5)]
    last = model(tuningTask={"snapshots": points[-1:]})
    gemini, script = provider(
        ok_response(last), ok_response(model(tuningTask={"snapshots": points}))
    )
    observed = await gemini.get(TONE.model_id)
    assert observed
    assert observed.has_partial_curve
    assert observed.step == 4
    assert [point.step for point in await gemini.curve(observed)] == [1, 2, 3, 4]
    assert [request.headers.get("prefer", "") for request in script.requests] == [
        "max-snapshots=250",
        "",
    ]
    gemini, script = provider(ok_response(model(tuningTask={"snapshots": points})))
    whole = await gemini.get(TONE.model_id)
    assert whole
    assert await gemini.curve(whole) == whole.curve
    assert len(script.requests) == 1


async def test_data_over_the_limit_is_rejected_before_anything_is_sent() -> None:
    gemini, script = provider()
    with pytest.raises(InvalidArgumentError, match=r"2 examples .* 4\.2 MiB; .* 4 MiB") as caught:
        await gemini.create(TONE, [Example("x" * 2_200_000, "y")] * 2, STAMP)
    assert TONE.inputs.dataset.declared_path in caught.value.cure
    assert script.requests == []


@pytest.mark.parametrize(
    "description",
    [
        "no stamp",
        stamps.format_description("", builders.desired(data="other").stamp()),
        stamps.format_description("", builders.desired(project="theirs").stamp()),
    ],
)
async def test_an_id_of_another_owner_is_a_conflict(description: str) -> None:
    gemini, _ = provider(error_response(409), ok_response(model(description=description)))
    with pytest.raises(AlreadyExistsError) as caught:
        await gemini.create(TONE, EXAMPLES, STAMP)
    assert "adopt" in caught.value.cure


async def test_a_create_that_was_never_sent_raises_unavailable() -> None:
    gemini, script = provider(*[httpx.ConnectError("refused")] * 5)
    with pytest.raises(UnavailableError):
        await gemini.create(TONE, EXAMPLES, STAMP)
    assert len(script.requests) == 5


async def test_a_lost_create_that_is_not_listed_has_an_unknown_outcome() -> None:
    gemini, _ = provider(*[httpx.ReadError("")] * 5, error_response(404))
    with pytest.raises(OutcomeUnknownError, match="may or may not") as caught:
        await gemini.create(TONE, EXAMPLES, STAMP)
    assert "tunedmodels status" in caught.value.cure


@given(st.lists(st.sampled_from(Fault), max_size=12))
async def test_a_create_never_starts_two_jobs(faults: list[Fault]) -> None:
    service = FakeJobService(faults)
    created: ObservedModel | None = None
    error: ProviderError | None = None
    try:
        created = await provider_over(service).create(TONE, EXAMPLES, STAMP)
    except (UnavailableError, RateLimitedError, OutcomeUnknownError) as raised:
        error = raised
    assert len(service.started) <= 1
    if created:
        assert service.started == [created.model_id]
    if isinstance(error, UnavailableError):
        assert service.started == []
    service.faults.clear()
    await provider_over(service).create(TONE, EXAMPLES, STAMP)
    assert service.started == [TONE.model_id]


async def test_an_update_sends_only_changed_fields() -> None:
    gemini, script = provider(
        ok_response({"description": "only this comes back"}),
        ok_response(model(displayName="", temperature=0.5, readerProjectNumbers=["7"])),
    )
    changes = MutableFields("", "words", 0.5, reader_project_numbers=(7,))
    edit = Edit(STAMP, changes)
    await gemini.update(TONE.model_id, edit)
    path = f"/v1beta/tunedModels/{TONE.model_id}"
    assert script.calls == [f"PATCH {path}", f"GET {path}"]
    mask = script.requests[0].url.params["updateMask"]
    assert mask == "description,displayName,readerProjectNumbers,temperature"
    assert script.body(0) == {
        "description": stamps.format_description("words", STAMP),
        "temperature": 0.5,
        "readerProjectNumbers": ["7"],
    }


async def test_a_cancel_uses_v1_and_falls_back_to_v1beta() -> None:
    gemini, script = provider(
        ok_response(model(state="CREATING")),
        ok_response({"operations": [operation(done=True), operation()]}),
        httpx.Response(404, html="<title>Not Found</title>"),
        ok_response(),
    )
    await gemini.cancel(TONE.model_id)
    name = f"tunedModels/{TONE.model_id}/operations/op1"
    assert script.calls[2:] == [f"POST /v1/{name}:cancel", f"POST /v1beta/{name}:cancel"]


async def test_a_cancel_of_a_model_that_is_not_running_sends_nothing() -> None:
    gemini, script = provider(ok_response(model(state="ACTIVE")))
    await gemini.cancel(TONE.model_id)
    assert len(script.requests) == 1


async def test_a_job_that_ends_while_it_is_cancelled_is_not_an_error() -> None:
    gemini, _ = provider(
        ok_response(model(state="CREATING")),
        ok_response({"operations": [operation()]}),
        error_response(400, "Has ended.", status="FAILED_PRECONDITION"),
        ok_response(model(state="ACTIVE")),
    )
    await gemini.cancel(TONE.model_id)


async def test_a_rejected_cancel_of_a_running_job_is_an_error() -> None:
    gemini, _ = provider(
        ok_response(model(state="CREATING")),
        ok_response({"operations": [operation()]}),
        error_response(400, "Not now.", status="FAILED_PRECONDITION"),
        ok_response(model(state="CREATING")),
    )
    with pytest.raises(InvalidArgumentError, match="Not now"):
        await gemini.cancel(TONE.model_id)


async def test_an_id_is_escaped_in_the_path() -> None:
    gemini, script = provider(error_response(404))
    assert await gemini.get("../models?x=#") is None
    assert script.requests[0].url.raw_path == b"/v1beta/tunedModels/..%2Fmodels%3Fx%3D%23"


def stream(*events: str) -> httpx.Response:
    body = "".join(f": comment\r\ndata: {event}\r\n\r\n" for event in events)
    return httpx.Response(200, text=body, headers={"content-type": "text/event-stream"})


def event(text: str = "", **fields: Any) -> str:
    candidate = {"content": {"parts": [{"text": text}]}, **fields} if text else fields
    return httpx.Response(200, json={"candidates": [candidate]}).text


async def generate(
    gemini: GeminiProvider, text: str = "I", resource: str = "tunedModels/a"
) -> list[str]:
    async with aclosing(gemini.generate(resource, text)) as answer:
        return [part async for part in answer]


async def test_an_answer_arrives_in_parts() -> None:
    gemini, script = provider(stream(event("I"), event("I"), event("", finishReason="STOP")))
    assert await generate(gemini) == ["I", "I"]
    assert script.calls == ["POST /v1beta/tunedModels/a:streamGenerateContent"]
    assert dict(script.requests[0].url.params) == {"alt": "sse"}
    assert script.body() == {"contents": [{"parts": [{"text": "I"}], "role": "user"}]}


LINE_BREAKS = "a\u2028b\u2029c\u0085d\x0be\x1cf\tg\rh"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
async def test_an_answer_is_not_cut_at_the_line_breaks_of_unicode(end: str) -> None:
    message = {"content": {"parts": [{"text": LINE_BREAKS}]}, "finishReason": "STOP"}
    line = "data: " + json.dumps({"candidates": [message]}, ensure_ascii=False)
    chunks = [bytes([byte]) for byte in f"{line}{end}{end}".encode()]

    async def body() -> AsyncIterator[bytes]:
        for chunk in chunks:  # each character of several bytes is cut
            yield chunk

    gemini, _ = provider(httpx.Response(200, content=body()))
    assert "".join(await generate(gemini)) == LINE_BREAKS


async def test_generation_settings_are_sent() -> None:
    gemini, script = provider(stream(event("I", finishReason="STOP")))
    config = GenerationConfig(temperature=0, max_output_tokens=20)
    assert [part async for part in gemini.generate("tunedModels/a", "I", config)] == ["I"]
    assert script.body()["generationConfig"] == {"temperature": 0.0, "maxOutputTokens": 20}


BLOCKED = '{"promptFeedback": {"blockReason": "OTHER"}}'
BROKEN = '{"error": {"code": 500, "message": "Oops."}}'
NO_ANSWERS = [
    (stream(), ProviderError, "finishReason: none"),
    (stream(event("", finishReason="STOP")), ProviderError, "empty .* STOP"),
    (stream(event("the beginning")), ProviderError, "incomplete: the response ended early"),
    (stream(event("", finishReason="SAFETY")), ProviderError, "stopped .* SAFETY"),
    (stream(BLOCKED), InvalidArgumentError, "blocked .* OTHER"),
    (stream(BROKEN), ProviderError, "incomplete: Oops"),
    (stream("no json"), ProviderError, "not a message of the Gemini API"),
    (error_response(404, "Gone.", status="NOT_FOUND"), NotFoundError, "Gone"),
]


@pytest.mark.parametrize(("answer", "kind", "message"), NO_ANSWERS)
async def test_a_missing_answer_is_an_error_with_a_reason(
    answer: httpx.Response, kind: type[ProviderError], message: str
) -> None:
    gemini, _ = provider(answer)
    with pytest.raises(kind, match=message):
        await generate(gemini)


async def test_an_input_that_is_too_long_for_a_tuned_model_is_rejected() -> None:
    gemini, script = provider(stream(event("ok", finishReason="STOP")))
    with pytest.raises(InvalidArgumentError, match="40,001 characters"):
        await generate(gemini, "x" * 40_001)
    assert await generate(gemini, "x" * 40_001, "models/base") == ["ok"]
    assert len(script.requests) == 1


async def test_base_models_have_a_flag_whether_they_can_be_tuned() -> None:
    methods = ["generateContent", "createTunedModel"]
    gemini, _ = provider(
        ok_response({"models": [{"name": "models/a", "displayName": "A"}], "nextPageToken": "t"}),
        ok_response(
            {
                "models": [
                    {"name": "models/b", "supportedGenerationMethods": methods},
                    {"name": "tunedModels/c", "supportedGenerationMethods": methods},
                ]
            }
        ),
    )
    models = [(base.name, base.is_tunable) for base in await gemini.base_models()]
    assert models == [("models/a", False), ("models/b", True)]


@pytest.mark.parametrize(
    ("environ", "key"),
    [
        ({"GEMINI_API_KEY": "first", "GOOGLE_API_KEY": "second"}, "first"),
        ({"GEMINI_API_KEY": "", "GOOGLE_API_KEY": "second\n"}, "second"),
        ({}, ""),
    ],
)
def test_the_gemini_key_precedes_the_google_key(environ: dict[str, str], key: str) -> None:
    assert Credentials.from_environ(environ).api_key == key


async def test_a_missing_key_is_an_error_of_the_first_call() -> None:
    settings = GeminiSettings(type="gemini")
    async with open_provider("hosted", settings, project="demo", environ=NO_CREDENTIALS) as gemini:
        with pytest.raises(UnauthenticatedError) as caught:
            await gemini.observe()
    assert "export GEMINI_API_KEY=" in caught.value.cure


def test_the_embedded_provider_requires_its_application() -> None:
    with pytest.raises(ValueError, match="application"):
        open_provider("embedded", EmbeddedSettings(), project="demo", environ={})
