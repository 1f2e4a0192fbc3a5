from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import httpx
import pytest
import stamina
from hypothesis import given
from hypothesis import strategies as st

from tests.support import builders
from tests.support.fakes.jobs import Fault, Jobs
from tests.support.fakes.script import Answer, Script, no, ok
from tests.support.project_dir import NOBODY
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
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.providers.gemini.provider import GeminiProvider
from tunedmodels.providers.identity import HOSTED, Credentials
from tunedmodels.providers.provider import Edit
from tunedmodels.providers.registry import open_provider
from tunedmodels.providers.retry import ATTEMPTS
from tunedmodels.schema.project import EmbeddedSettings, GeminiSettings
from tunedmodels.schema.tuned_model import GenerationConfig, Hyperparameters

EXAMPLES = [Example("one", "two"), Example("three", "four")]
TONE = builders.desired()
STAMP = TONE.stamp()


@pytest.fixture(autouse=True, scope="module")
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=ATTEMPTS):
        yield


def provider(*answers: Answer) -> tuple[GeminiProvider, Script]:
    script = Script(*answers)
    return over(script), script


def over(transport: httpx.AsyncBaseTransport) -> GeminiProvider:
    return GeminiProvider(
        "g",
        project="demo",
        endpoint=HOSTED,
        credentials=Credentials(api_key="k"),
        transport=transport,
    )


def model(model_id: str = TONE.model_id, **fields: Any) -> dict[str, Any]:
    written = stamps.write("words", STAMP)
    return {
        "name": f"tunedModels/{model_id}",
        "baseModel": builders.BASE,
        "state": "ACTIVE",
        "description": written,
        **fields,
    }


def operation(**fields: Any) -> dict[str, Any]:
    return {"name": f"tunedModels/{TONE.model_id}/operations/op1", **fields}


BEGUN = {"startTime": "2026-01-01T00:00:00Z"}
STATES = [
    ({"state": "CREATING"}, ModelState.QUEUED),
    ({"state": "CREATING", "tuningTask": BEGUN}, ModelState.TRAINING),
    ({"state": "ACTIVE"}, ModelState.READY),
    ({"state": 2}, ModelState.READY),
    ({"state": "FAILED"}, ModelState.FAILED),
    ({"state": "TOMORROW"}, ModelState.TRAINING),
]


@pytest.mark.parametrize(("fields", "state"), STATES)
async def test_a_state_is_told_in_our_words(fields: dict[str, Any], state: ModelState) -> None:
    there, _ = provider(ok(model(**fields)), ok())
    found = await there.get(TONE.model_id)
    assert found
    assert found.state is state


async def test_a_live_model_is_told_whole() -> None:
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
    there, _ = provider(ok(answer))
    found = await there.get(TONE.model_id)
    assert found
    assert (found.provider, found.resource) == ("g", f"tunedModels/{TONE.model_id}")
    assert (found.description, found.stamp) == ("words", STAMP)
    assert (found.temperature, found.top_p, found.top_k) == (0.0, 0.9, 40)
    assert found.reader_project_numbers == (12, 3)
    assert [(point.step, point.epoch, point.mean_loss) for point in found.curve] == [
        (1, 0, 2.5),
        (2, 1, 1.0),
    ]
    assert found.total_steps == 30
    assert found.completed == builders.NOON.replace(minute=1)


async def test_a_model_that_continues_from_another_names_it_as_its_source() -> None:
    parent = {"tunedModel": "tunedModels/parent-1", "baseModel": builders.BASE}
    there, _ = provider(ok(model(baseModel="", tunedModelSource=parent)))
    found = await there.get(TONE.model_id)
    assert found
    assert found.source == "tunedModels/parent-1"


async def test_pages_are_asked_for_until_there_is_no_token() -> None:
    there, script = provider(
        ok({"tunedModels": [model("b")], "nextPageToken": "t1"}),
        ok({"nextPageToken": "t2"}),
        ok({"tunedModels": [model("a"), model("b")]}),
    )
    assert [found.model_id for found in await there.observe()] == ["a", "b"]
    asked = [dict(request.url.params) for request in script.asked]
    assert asked == [
        {"pageSize": "1000"},
        {"pageSize": "1000", "pageToken": "t1"},
        {"pageSize": "1000", "pageToken": "t2"},
    ]


async def test_pages_that_go_in_a_circle_are_an_error_and_no_endless_loop() -> None:
    there, _ = provider(*[ok({"nextPageToken": "t"}) for _ in range(2)])
    with pytest.raises(ProviderError, match="circle"):
        await there.observe()


async def test_how_a_failed_job_ended_is_asked_for_ours_only() -> None:
    foreign = model("foreign", description="no stamp", state="FAILED")
    there, script = provider(
        ok({"tunedModels": [foreign, model(state="FAILED")]}),
        ok({"operations": [operation(done=True, error={"code": 1, "message": "Cancelled."})]}),
    )
    found = {each.model_id: each for each in await there.observe()}
    assert found[TONE.model_id].state is ModelState.CANCELLED
    assert found[TONE.model_id].failure == "Cancelled."
    assert found["foreign"].state is ModelState.FAILED
    assert script.calls[1:] == [f"GET /v1beta/tunedModels/{TONE.model_id}/operations"]


@pytest.mark.parametrize("answer", [no(501), no(404), ok()])
async def test_a_service_without_operations_leaves_the_reason_empty(
    answer: httpx.Response,
) -> None:
    there, _ = provider(ok(model(state="FAILED")), answer)
    found = await there.get(TONE.model_id)
    assert found
    assert (found.state, found.failure) == (ModelState.FAILED, "")


async def test_the_first_error_among_many_questions_is_raised_as_it_is() -> None:
    both = [model("a", state="FAILED"), model("b", state="FAILED")]
    there, _ = provider(ok({"tunedModels": both}), no(403, "No."), no(403, "No."))
    with pytest.raises(ProviderError, match=r"No\."):
        await there.observe()


@pytest.mark.parametrize("answer", [b"<html>sign in</html>", b"[]", b'{"tunedModels": 3}', b"\xff"])
async def test_an_answer_that_is_not_of_the_api_is_an_error_with_a_cure(answer: bytes) -> None:
    there, _ = provider(httpx.Response(200, content=answer))
    with pytest.raises(ProviderError) as caught:
        await there.observe()
    assert "endpoint" in caught.value.cure


# Create -----------------------------------------------------------------------------------------


async def test_a_create_sends_what_is_declared_and_nothing_else() -> None:
    want = builders.desired(
        preamble="Say:",
        description="words",
        temperature=0.0,
        reader_project_numbers=(12,),
        hyperparameters=Hyperparameters(epoch_count=3),
    )
    there, script = provider(ok(), ok(model(description=stamps.write("", want.stamp()))))
    await there.create(want, EXAMPLES, want.stamp(commit="abc"))
    assert script.calls[0] == "POST /v1beta/tunedModels"
    assert dict(script.asked[0].url.params) == {"tunedModelId": want.model_id}
    assert script.body(0) == {
        "baseModel": builders.BASE,
        "displayName": "tone",
        "description": stamps.write("words", want.stamp(commit="abc")),
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
    want = builders.desired(source="tunedModels/parent-1", parent="parent")
    there, script = provider(ok(), ok(model(description=stamps.write("", want.stamp()))))
    await there.create(want, EXAMPLES, want.stamp())
    assert script.body(0)["tunedModelSource"] == {"tunedModel": "tunedModels/parent-1"}
    assert "baseModel" not in script.body(0)


async def test_data_over_the_limit_is_refused_before_anything_is_sent() -> None:
    there, script = provider()
    with pytest.raises(InvalidArgumentError, match=r"2 examples .* 4\.2 MiB, .* 4 MiB") as caught:
        await there.create(TONE, [Example("x" * 2_200_000, "y")] * 2, STAMP)
    assert TONE.dataset.written in caught.value.cure
    assert script.asked == []


@pytest.mark.parametrize(
    "description",
    [
        "no stamp",
        stamps.write("", builders.desired(data="other").stamp()),
        stamps.write("", builders.desired(project="theirs").stamp()),
    ],
)
async def test_an_id_that_somebody_else_has_is_a_conflict(description: str) -> None:
    there, _ = provider(no(409), ok(model(description=description)))
    with pytest.raises(AlreadyExistsError) as caught:
        await there.create(TONE, EXAMPLES, STAMP)
    assert "adopt" in caught.value.cure


async def test_a_create_that_certainly_never_left_says_so() -> None:
    there, script = provider(*[httpx.ConnectError("refused")] * 5)
    with pytest.raises(UnavailableError):
        await there.create(TONE, EXAMPLES, STAMP)
    assert len(script.asked) == 5


async def test_a_lost_create_that_the_service_does_not_show_is_unknown() -> None:
    there, _ = provider(*[httpx.ReadError("")] * 5, no(404))
    with pytest.raises(OutcomeUnknownError, match="may or may not") as caught:
        await there.create(TONE, EXAMPLES, STAMP)
    assert "tunedmodels status" in caught.value.cure


@given(st.lists(st.sampled_from(Fault), max_size=12))
async def test_whatever_gets_lost_a_create_never_starts_two_jobs(faults: list[Fault]) -> None:
    service = Jobs(faults)
    found: ObservedModel | None = None
    error: ProviderError | None = None
    try:
        found = await over(service).create(TONE, EXAMPLES, STAMP)
    except (UnavailableError, RateLimitedError, OutcomeUnknownError) as refused:
        error = refused
    assert len(service.started) <= 1
    if found:
        assert service.started == [found.model_id]
    if isinstance(error, UnavailableError):
        assert service.started == []
    service.faults.clear()
    await over(service).create(TONE, EXAMPLES, STAMP)
    assert service.started == [TONE.model_id]


# Update, cancel, delete -------------------------------------------------------------------------


async def test_an_update_names_exactly_what_changes() -> None:
    there, script = provider(ok({"description": "only this comes back"}))
    edit = Edit("words", STAMP, display_name="", temperature=0.5, reader_project_numbers=(7,))
    await there.update(TONE.model_id, edit)
    assert script.calls == [f"PATCH /v1beta/tunedModels/{TONE.model_id}"]
    mask = script.asked[0].url.params["updateMask"]
    assert mask == "description,displayName,readerProjectNumbers,temperature"
    assert script.body() == {
        "description": stamps.write("words", STAMP),
        "temperature": 0.5,
        "readerProjectNumbers": ["7"],
    }


async def test_a_cancel_goes_to_v1_and_falls_back_to_v1beta() -> None:
    there, script = provider(
        ok(model(state="CREATING")),
        ok({"operations": [operation(done=True), operation()]}),
        httpx.Response(404, html="<title>Not Found</title>"),
        ok(),
    )
    await there.cancel(TONE.model_id)
    name = f"tunedModels/{TONE.model_id}/operations/op1"
    assert script.calls[2:] == [f"POST /v1/{name}:cancel", f"POST /v1beta/{name}:cancel"]


async def test_a_cancel_of_a_model_that_does_not_run_sends_nothing() -> None:
    there, script = provider(ok(model(state="ACTIVE")))
    await there.cancel(TONE.model_id)
    assert len(script.asked) == 1


async def test_a_job_that_ends_while_it_is_cancelled_does_no_harm() -> None:
    there, _ = provider(
        ok(model(state="CREATING")),
        ok({"operations": [operation()]}),
        no(400, "Has ended.", status="FAILED_PRECONDITION"),
        ok(model(state="ACTIVE")),
    )
    await there.cancel(TONE.model_id)


async def test_a_cancel_that_is_refused_while_the_job_runs_is_an_error() -> None:
    there, _ = provider(
        ok(model(state="CREATING")),
        ok({"operations": [operation()]}),
        no(400, "Not now.", status="FAILED_PRECONDITION"),
        ok(model(state="CREATING")),
    )
    with pytest.raises(InvalidArgumentError, match="Not now"):
        await there.cancel(TONE.model_id)


async def test_an_id_cannot_lead_out_of_its_path() -> None:
    there, script = provider(no(404))
    assert await there.get("../models?x=#") is None
    assert script.asked[0].url.raw_path == b"/v1beta/tunedModels/..%2Fmodels%3Fx%3D%23"


# Generate ---------------------------------------------------------------------------------------


def stream(*events: str) -> httpx.Response:
    body = "".join(f": comment\r\ndata: {event}\r\n\r\n" for event in events)
    return httpx.Response(200, text=body, headers={"content-type": "text/event-stream"})


def piece(text: str = "", **fields: Any) -> str:
    candidate = {"content": {"parts": [{"text": text}]}, **fields} if text else fields
    return httpx.Response(200, json={"candidates": [candidate]}).text


async def ask(there: GeminiProvider, text: str = "I", resource: str = "tunedModels/a") -> list[str]:
    async with aclosing(there.generate(resource, text)) as answer:
        return [part async for part in answer]


async def test_an_answer_comes_in_pieces() -> None:
    there, script = provider(stream(piece("I"), piece("I"), piece("", finishReason="STOP")))
    assert await ask(there) == ["I", "I"]
    assert script.calls == ["POST /v1beta/tunedModels/a:streamGenerateContent"]
    assert dict(script.asked[0].url.params) == {"alt": "sse"}
    assert script.body() == {"contents": [{"parts": [{"text": "I"}], "role": "user"}]}


async def test_a_question_may_say_how_its_answer_is_drawn() -> None:
    there, script = provider(stream(piece("I")))
    how = GenerationConfig(temperature=0, max_output_tokens=20)
    assert [part async for part in there.generate("tunedModels/a", "I", how)] == ["I"]
    assert script.body()["generationConfig"] == {"temperature": 0.0, "maxOutputTokens": 20}


BLOCKED = '{"promptFeedback": {"blockReason": "OTHER"}}'
BROKEN = '{"error": {"code": 500, "message": "Oops."}}'
NO_ANSWERS = [
    (stream(), ProviderError, "finishReason: none"),
    (stream(piece("", finishReason="STOP")), ProviderError, "empty .* STOP"),
    (stream(piece("", finishReason="SAFETY")), ProviderError, "stopped .* SAFETY"),
    (stream(BLOCKED), InvalidArgumentError, "blocked .* OTHER"),
    (stream(BROKEN), ProviderError, "broke off: Oops"),
    (stream("no json"), ProviderError, "not one of the Gemini API"),
    (no(404, "Gone.", status="NOT_FOUND"), NotFoundError, "Gone"),
]


@pytest.mark.parametrize(("answer", "kind", "words"), NO_ANSWERS)
async def test_no_answer_is_an_error_that_says_why(
    answer: httpx.Response, kind: type[ProviderError], words: str
) -> None:
    there, _ = provider(answer)
    with pytest.raises(kind, match=words):
        await ask(there)


async def test_a_tuned_model_is_not_asked_more_than_it_takes() -> None:
    there, script = provider(stream(piece("ok")))
    with pytest.raises(InvalidArgumentError, match="40,001 characters"):
        await ask(there, "x" * 40_001)
    assert await ask(there, "x" * 40_001, "models/base") == ["ok"]
    assert len(script.asked) == 1


# Base models and opening ------------------------------------------------------------------------


async def test_base_models_say_whether_they_can_be_tuned() -> None:
    methods = ["generateContent", "createTunedModel"]
    there, _ = provider(
        ok({"models": [{"name": "models/a", "displayName": "A"}], "nextPageToken": "t"}),
        ok(
            {
                "models": [
                    {"name": "models/b", "supportedGenerationMethods": methods},
                    {"name": "tunedModels/c", "supportedGenerationMethods": methods},
                ]
            }
        ),
    )
    found = [(base.name, base.is_tunable) for base in await there.base_models()]
    assert found == [("models/a", False), ("models/b", True)]


@pytest.mark.parametrize(
    ("environ", "key"),
    [
        ({"GEMINI_API_KEY": "first", "GOOGLE_API_KEY": "second"}, "first"),
        ({"GEMINI_API_KEY": "", "GOOGLE_API_KEY": "second\n"}, "second"),
        ({}, ""),
    ],
)
def test_the_key_of_gemini_goes_before_that_of_google(environ: dict[str, str], key: str) -> None:
    assert Credentials.of(environ).api_key == key


async def test_a_missing_key_shows_with_the_first_call_and_not_before() -> None:
    settings = GeminiSettings(type="gemini")
    async with open_provider("hosted", settings, project="demo", environ=NOBODY) as there:
        with pytest.raises(UnauthenticatedError) as caught:
            await there.observe()
    assert "export GEMINI_API_KEY=" in caught.value.cure


def test_the_embedded_provider_needs_its_application() -> None:
    with pytest.raises(ValueError, match="application"):
        open_provider("embedded", EmbeddedSettings(), project="demo", environ={})
