"""Asking a model."""

# ruff: noqa: E501  # a table is read across

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.counting_engine import BASE
from tests.support.embedded_service import PATH, body, client, create, get, service, train_all
from tunedmodels.service.embedded import EmbeddedService

ASK = f"{PATH}/a:generateContent"
STREAM = f"{PATH}/a:streamGenerateContent"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("generate") / "store"


@pytest.fixture
async def opened(folder: Path) -> Any:
    with service(folder) as one:
        async with client(one) as api:
            if not await get(api, PATH):
                await create(api, "a")
                await create(api, "warm", body(temperature=0.5))
                train_all(folder)
                await create(api, "unfinished")
        yield one


def question(text: str = "I", config: Any = None, **others: Any) -> dict[str, Any]:
    asked = {"contents": [{"parts": [{"text": text}], "role": "user"}], **others}
    return asked if config is None else {**asked, "generationConfig": config}


async def said(opened: EmbeddedService, path: str, document: Any) -> str:
    async with client(opened) as api:
        answer = await api.post(path, json=document)
    assert answer.status_code == 200, answer.text
    text: str = answer.json()["candidates"][0]["content"]["parts"][0]["text"]
    return text


async def test_an_answer_has_the_shape_of_the_api(opened: EmbeddedService) -> None:
    async with client(opened) as api:
        answer = (await api.post(ASK, json=question("V I I"))).json()
    text = answer["candidates"][0]["content"]["parts"][0]["text"]
    assert text.endswith(" V I I 0")
    told = -(-len(text) // 4)
    assert answer == {
        "candidates": [
            {
                "content": {"parts": [{"text": text}], "role": "model"},
                "finishReason": "STOP",
                "index": 0,
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 2,
            "candidatesTokenCount": told,
            "totalTokenCount": 2 + told,
        },
        "modelVersion": "tunedModels/a",
    }


@pytest.mark.parametrize("query", ["", "?alt=json", "?alt=sse", "?%24alt=sse"])
async def test_a_stream_gives_the_same_answer_in_pieces(
    opened: EmbeddedService, query: str
) -> None:
    async with client(opened) as api:
        answer = await api.post(f"{STREAM}{query}", json=question())
    if "sse" in query:
        events = answer.text.split("\r\n\r\n")
        assert events.pop() == ""
        pieces = [json.loads(event.removeprefix("data: ")) for event in events]
    else:
        pieces = answer.json()
    candidates = [piece["candidates"][0] for piece in pieces]
    text = "".join(one["content"]["parts"][0]["text"] for one in candidates)
    assert text == await said(opened, ASK, question())
    assert len(pieces) > 1
    assert [one.get("finishReason") for one in candidates[-2:]] == [None, "STOP"]
    assert "usageMetadata" in pieces[-1]


@pytest.mark.parametrize(
    ("model", "config", "temperature"),
    [
        ("a", None, "0"),
        ("warm", None, "0.5"),
        ("warm", {"temperature": 1.2, "topP": 0.5, "topK": 3, "seed": 1}, "1.2"),
        ("warm", {"temperature": 0, "candidateCount": 1, "response_mime_type": "text/plain"}, "0"),
    ],
)
async def test_the_temperature_is_the_requests_or_else_the_models(
    opened: EmbeddedService, model: str, config: Any, temperature: str
) -> None:
    text = await said(opened, f"/v1/tunedModels/{model}:generateContent", question(config=config))
    assert text.split()[-1] == temperature


def turns(*texts: str) -> dict[str, Any]:
    return {"contents": [{"parts": [{"text": text}]} for text in texts]}


# fmt: off
REFUSED = [
    ({},                                                       "contents is not specified."),
    (turns("a", "b"),                                          "Tuned models answer single inputs, without a history (got 2 turns)."),
    (turns(""),                                                "There is no text in the question."),
    (question("x" * 40_001),                                   "The input has 40001 characters; at most 40000 are allowed."),
    ({"contents": [{"parts": [{"text": "a"}], "role": "model"}]}, "Please use a valid role for a question: user (got 'model')."),
    ({"contents": [{"parts": [{"text": "a"}, {"inlineData": {}}]}]}, "Only text is supported by tuned models."),
    (question(config={"responseMimeType": "application/json"}), "response_mime_type: only text/plain is supported by tuned models (no JSON mode)."),
    (question(config={"responseSchema": {"type": "STRING"}}),  "generation_config.response_schema is not supported by this model."),
    (question(config={"candidateCount": 2}),                   "candidate_count must be between 1 and 1 (got 2)."),
    (question(config={"temperature": 2.1}),                    "temperature must be between 0 and 2 (got 2.1)."),
    (question(config={"maxOutputTokens": 0}),                  "max_output_tokens must be at least 1 (got 0)."),
    (question(systemInstruction={"parts": []}),                "system_instruction is not supported by this model."),
    (question(tools=[{}]),                                     "tools is not supported by this model."),
    (question(colour="red"),                                   'Invalid JSON payload received. Unknown name "colour": Cannot find field.'),
]
# fmt: on


@pytest.mark.parametrize(("document", "words"), REFUSED)
async def test_what_a_tuned_model_cannot_do_is_refused_in_words(
    opened: EmbeddedService, document: Any, words: str
) -> None:
    async with client(opened) as api:
        answer = await api.post(ASK, json=document)
        streamed = await api.post(STREAM, json=document)
        events = await api.post(f"{STREAM}?alt=sse", json=document)
    assert answer.status_code == 400
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"
    assert answer.json()["error"]["message"] == words
    assert streamed.json() == [answer.json()]
    assert events.json() == answer.json()


async def test_an_input_may_be_forty_thousand_characters_long(opened: EmbeddedService) -> None:
    assert "x" * 40_000 in await said(opened, ASK, question("x" * 40_000))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (f"{PATH}/unfinished", "tunedModels/unfinished cannot answer: its state is CREATING"),
        (f"/v1beta/{BASE}", "nothing was learned yet"),
    ],
)
async def test_what_has_not_learned_anything_does_not_answer(
    opened: EmbeddedService, path: str, words: str
) -> None:
    async with client(opened) as api:
        answer = await api.post(f"{path}:generateContent", json=question())
    assert answer.json()["error"]["status"] == "FAILED_PRECONDITION"
    assert words in answer.json()["error"]["message"]


async def test_a_model_whose_parameters_are_gone_says_so(tmp_path: Path) -> None:
    with service(tmp_path) as opened:
        async with client(opened) as api:
            await create(api, "a")
            train_all(tmp_path)
            (parameters,) = (tmp_path / "adapters").iterdir()
            parameters.unlink()
            answer = await api.post(ASK, json=question())
    assert (answer.status_code, answer.json()["error"]["status"]) == (503, "UNAVAILABLE")
    assert "the learned parameters of tunedModels/a are gone" in answer.json()["error"]["message"]
