"""Tests of generateContent and streamGenerateContent."""

# ruff: noqa: E501  # a table is read across

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.counting_engine import BASE
from tests.support.embedded_service import PATH, body, client, create, get, service, train_all
from tunedmodels.service.embedded import EmbeddedService

GENERATE = f"{PATH}/a:generateContent"
STREAM = f"{PATH}/a:streamGenerateContent"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("generate") / "store"


@pytest.fixture
async def embedded(folder: Path) -> Any:
    with service(folder) as instance:
        async with client(instance) as api:
            if not await get(api, PATH):
                await create(api, "a")
                await create(api, "warm", body(temperature=0.5))
                train_all(folder)
                await create(api, "unfinished")
        yield instance


def prompt(text: str = "I", config: Any = None, **others: Any) -> dict[str, Any]:
    document = {"contents": [{"parts": [{"text": text}], "role": "user"}], **others}
    return document if config is None else {**document, "generationConfig": config}


async def generate(embedded: EmbeddedService, path: str, document: Any) -> str:
    async with client(embedded) as api:
        response = await api.post(path, json=document)
    assert response.status_code == 200, response.text
    text: str = response.json()["candidates"][0]["content"]["parts"][0]["text"]
    return text


async def test_an_answer_has_the_format_of_the_api(embedded: EmbeddedService) -> None:
    async with client(embedded) as api:
        response = (await api.post(GENERATE, json=prompt("V I I"))).json()
    text = response["candidates"][0]["content"]["parts"][0]["text"]
    assert text.endswith(" V I I 0")
    answer_tokens = -(-len(text) // 4)
    assert response == {
        "candidates": [
            {
                "content": {"parts": [{"text": text}], "role": "model"},
                "finishReason": "STOP",
                "index": 0,
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 2,
            "candidatesTokenCount": answer_tokens,
            "totalTokenCount": 2 + answer_tokens,
        },
        "modelVersion": "tunedModels/a",
    }


@pytest.mark.parametrize("query", ["", "?alt=sse"])
async def test_a_stream_has_no_line_break_inside_a_message(
    embedded: EmbeddedService, query: str
) -> None:
    text = "a\u2028b\u2029c\u0085d\x1ce"
    async with client(embedded) as api:
        response = await api.post(f"{STREAM}{query}", json=prompt(text))
    assert not set("\u2028\u2029\u0085\x1c") & set(response.text)
    lines = [line.removeprefix("data: ").strip("[],") for line in response.text.split("\r\n")]
    pieces = [json.loads(line)["candidates"][0] for line in lines if line]
    assert f" {text} " in "".join(piece["content"]["parts"][0]["text"] for piece in pieces)


@pytest.mark.parametrize("query", ["", "?alt=json", "?alt=sse", "?%24alt=sse"])
async def test_a_stream_gives_the_same_answer_in_pieces(
    embedded: EmbeddedService, query: str
) -> None:
    async with client(embedded) as api:
        response = await api.post(f"{STREAM}{query}", json=prompt())
    if "sse" in query:
        events = response.text.split("\r\n\r\n")
        assert events.pop() == ""
        pieces = [json.loads(event.removeprefix("data: ")) for event in events]
    else:
        pieces = response.json()
    candidates = [piece["candidates"][0] for piece in pieces]
    text = "".join(candidate["content"]["parts"][0]["text"] for candidate in candidates)
    assert text == await generate(embedded, GENERATE, prompt())
    assert len(pieces) > 1
    assert [candidate.get("finishReason") for candidate in candidates[-2:]] == [None, "STOP"]
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
async def test_the_temperature_of_the_request_precedes_that_of_the_model(
    embedded: EmbeddedService, model: str, config: Any, temperature: str
) -> None:
    text = await generate(
        embedded, f"/v1/tunedModels/{model}:generateContent", prompt(config=config)
    )
    assert text.split()[-1] == temperature


def turns(*texts: str) -> dict[str, Any]:
    return {"contents": [{"parts": [{"text": text}]} for text in texts]}


# fmt: off
UNSUPPORTED = [
    ({},                                                       "contents is not specified."),
    (turns("a", "b"),                                          "Tuned models answer single inputs, without a history (got 2 turns)."),
    (turns(""),                                                "The prompt has no text."),
    (prompt("x" * 40_001),                                     "The input has 40001 characters; at most 40000 are allowed."),
    ({"contents": [{"parts": [{"text": "a"}], "role": "model"}]}, "Please use a valid role for a prompt: user (got 'model')."),
    ({"contents": [{"parts": [{"text": "a"}, {"inlineData": {}}]}]}, "Only text is supported by tuned models."),
    (prompt(config={"responseMimeType": "application/json"}), "response_mime_type: only text/plain is supported by tuned models (no JSON mode)."),
    (prompt(config={"responseSchema": {"type": "STRING"}}),    "generation_config.response_schema is not supported by this model."),
    (prompt(config={"candidateCount": 2}),                     "candidate_count must be between 1 and 1 (got 2)."),
    (prompt(config={"temperature": 2.1}),                      "temperature must be between 0 and 2 (got 2.1)."),
    (prompt(config={"maxOutputTokens": 0}),                    "max_output_tokens must be at least 1 (got 0)."),
    (prompt(systemInstruction={"parts": []}),                  "system_instruction is not supported by this model."),
    (prompt(tools=[{}]),                                       "tools is not supported by this model."),
    (prompt(colour="red"),                                     'Invalid JSON payload received. Unknown name "colour": Cannot find field.'),
]
# fmt: on


@pytest.mark.parametrize(("document", "message"), UNSUPPORTED)
async def test_unsupported_requests_to_a_tuned_model_are_rejected_with_a_message(
    embedded: EmbeddedService, document: Any, message: str
) -> None:
    async with client(embedded) as api:
        response = await api.post(GENERATE, json=document)
        streamed = await api.post(STREAM, json=document)
        events = await api.post(f"{STREAM}?alt=sse", json=document)
    assert response.status_code == 400
    assert response.json()["error"]["status"] == "INVALID_ARGUMENT"
    assert response.json()["error"]["message"] == message
    assert streamed.json() == [response.json()]
    assert events.json() == response.json()


async def test_an_input_can_have_forty_thousand_characters(embedded: EmbeddedService) -> None:
    assert "x" * 40_000 in await generate(embedded, GENERATE, prompt("x" * 40_000))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (f"{PATH}/unfinished", "tunedModels/unfinished cannot answer: its state is CREATING"),
        (f"/v1beta/{BASE}", "no training step is done yet"),
    ],
)
async def test_an_untrained_model_does_not_answer(
    embedded: EmbeddedService, path: str, message: str
) -> None:
    async with client(embedded) as api:
        response = await api.post(f"{path}:generateContent", json=prompt())
    assert response.json()["error"]["status"] == "FAILED_PRECONDITION"
    assert message in response.json()["error"]["message"]


async def test_a_missing_adapter_file_is_reported(tmp_path: Path) -> None:
    with service(tmp_path) as embedded:
        async with client(embedded) as api:
            await create(api, "a")
            train_all(tmp_path)
            (parameters,) = (tmp_path / "adapters").iterdir()
            parameters.unlink()
            response = await api.post(GENERATE, json=prompt())
    assert (response.status_code, response.json()["error"]["status"]) == (503, "UNAVAILABLE")
    assert "the adapter file of tunedModels/a is missing" in response.json()["error"]["message"]
