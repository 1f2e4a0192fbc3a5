"""generateContent and its stream, on tuned models and on the untuned bases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse

from tunedmodels.engines.engine import Adapter, Sampling
from tunedmodels.errors import StoreError
from tunedmodels.service.api.base_models import TEMPERATURE, TOP_P
from tunedmodels.service.api.limits import CHARACTERS_PER_TOKEN, MOST_INPUT, MOST_STOP_SEQUENCES
from tunedmodels.service.api.messages import (
    Content,
    GenerateContentRequest,
    GenerationConfig,
    Part,
    parse,
    path,
)
from tunedmodels.service.api.permissions import called
from tunedmodels.service.api.request import Call, Rooms, answer
from tunedmodels.service.api.validation import range_violations
from tunedmodels.service.errors import ApiError, Status, Violation, invalid
from tunedmodels.service.records import Model, Role, State
from tunedmodels.service.store.files import Files

_ADAPTERS_IN_MEMORY = 8  # up to 10 MB each
_METHOD = "generateContent"


def adapter_reader(files: Files) -> Callable[[Model], Adapter]:
    """Return what reads the learned parameters of a model and keeps the latest in memory."""

    # By `seq`, which is never given twice: a model of the same id is another entry.
    @lru_cache(_ADAPTERS_IN_MEMORY)
    def read(model_id: str, seq: int, base_model: str) -> Adapter:
        from tunedmodels.engines import adapters  # noqa: PLC0415  # numpy: 0.1 s

        try:
            return adapters.load(files.adapter(model_id, seq), base_model)
        except FileNotFoundError as error:
            words = f"{error.filename}: the learned parameters of tunedModels/{model_id} are gone"
            cure = "Restore the file, or delete the model and train it again."
            raise StoreError(words, cure=cure) from error
        except ValueError as error:
            raise StoreError(str(error)) from error

    return lambda model: read(model.id, model.seq, model.base_model)


def generate(rooms: Rooms, call: Call) -> Response:
    """Answer a question at once."""
    name, text, pieces = _answered(rooms, call)
    said = "".join(pieces)
    return answer(_response(name, said, _usage(text, len(said))))


def stream(rooms: Rooms, call: Call) -> Response:
    """Answer a question piece by piece: as server-sent events, else as an array that grows."""
    name, text, pieces = _answered(rooms, call)
    responses = _responses(name, text, pieces)
    if is_event_stream(call.query):
        events = (b"data: " + msgspec.json.encode(one) + b"\r\n\r\n" for one in responses)
        return StreamingResponse(events, media_type="text/event-stream")
    return StreamingResponse(_array(responses), media_type="application/json")


def is_event_stream(query: Mapping[str, str]) -> bool:
    """Whether server-sent events are asked for."""
    return "sse" in (query.get("alt"), query.get("$alt"))


def _answered(rooms: Rooms, call: Call) -> tuple[str, str, Iterator[str]]:
    """Return the name of the model, the question, and its answer piece by piece."""
    body = parse(call.body, GenerateContentRequest)
    config = body.generation_config or GenerationConfig()
    text = question(body)
    if "id" in call.path:
        model = called(rooms, call, Role.READER)
        if model.state != State.ACTIVE:
            words = f"{model.name} cannot answer: its state is {model.state}, not ACTIVE."
            raise ApiError(Status.FAILED_PRECONDITION, words)
        name, base_model, adapter = model.name, model.base_model, rooms.adapter(model)
        how = sampling(
            config, temperature=model.temperature, top_p=model.top_p, top_k=model.top_k or 0
        )
    else:
        name = base_model = f"models/{call.path['base']}"
        # An adapter without arrays is the untuned base itself.
        adapter = Adapter(base_model, {})
        how = sampling(config, temperature=TEMPERATURE, top_p=TOP_P, top_k=0)
    return name, text, _pieces(rooms, adapter, text, how)


def _pieces(rooms: Rooms, adapter: Adapter, text: str, how: Sampling) -> Iterator[str]:
    try:
        return rooms.catalogue.engine(adapter.base_model, method=_METHOD).answer(adapter, text, how)
    except ValueError as error:
        raise ApiError(Status.FAILED_PRECONDITION, str(error)) from error


def _responses(name: str, text: str, pieces: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Yield a response per piece; the last one says that it is."""
    length, piece = 0, next(pieces, "")
    for following in pieces:
        length += len(piece)
        yield _response(name, piece, None)
        piece = following
    yield _response(name, piece, _usage(text, length + len(piece)))


def _response(name: str, said: str, usage: dict[str, int] | None) -> dict[str, Any]:
    candidate: dict[str, Any] = {
        "content": {"parts": [{"text": said}], "role": "model"},
        "index": 0,
    }
    if usage is None:
        return {"candidates": [candidate], "modelVersion": name}
    candidate["finishReason"] = "STOP"
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": name}


def _usage(text: str, said: int) -> dict[str, int]:
    """Count tokens; engines do not have them, so characters stand for them."""
    asked, told = -(-len(text) // CHARACTERS_PER_TOKEN), -(-said // CHARACTERS_PER_TOKEN)
    return {
        "promptTokenCount": asked,
        "candidatesTokenCount": told,
        "totalTokenCount": asked + told,
    }


def _array(responses: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    before = b"["
    for one in responses:
        yield before + msgspec.json.encode(one)
        before = b",\r\n"
    yield b"]"


# FOLDED
# What a generateContent request asks, and what of it a tuned model cannot do (F16).
#
# A tuned model has seen single inputs of plain text: anything else is refused in words, and not
# quietly ignored.
_UNSUPPORTED = ("system_instruction", "tools", "tool_config", "cached_content")
_SUPPORTED_CONFIG = {
    "temperature",
    "top_p",
    "top_k",
    "candidate_count",
    "max_output_tokens",
    "stop_sequences",
    "seed",
    "response_mime_type",
}
_CONFIG = "generation_config"


def question(body: GenerateContentRequest) -> str:
    """Return the text that is asked. Raises ApiError (INVALID_ARGUMENT) with every violation."""
    config = body.generation_config or GenerationConfig()
    violations = [
        *(_unsupported(field) for field in _UNSUPPORTED if getattr(body, field)),
        *_config_violations(config),
        *_content_violations(body.contents or []),
    ]
    if violations:
        raise invalid(violations)
    parts = (body.contents or [])[0].parts or []
    text = "".join(part.text or "" for part in parts)
    if len(text) > MOST_INPUT:
        words = f"The input has {len(text)} characters; at most {MOST_INPUT} are allowed."
        raise invalid([Violation("contents", words)])
    return text


def sampling(config: GenerationConfig, *, temperature: float, top_p: float, top_k: int) -> Sampling:
    """Return how to draw the answer: as the request says, else as the model says."""
    return Sampling(
        temperature=temperature if config.temperature is None else config.temperature,
        top_p=top_p if config.top_p is None else config.top_p,
        top_k=top_k if config.top_k is None else config.top_k,
        max_output_tokens=config.max_output_tokens,
        stop_sequences=tuple(config.stop_sequences or ()),
        seed=config.seed,
    )


def _unsupported(field: str) -> Violation:
    return Violation(field, f"{field} is not supported by this model.")


def _config_violations(config: GenerationConfig) -> Iterator[Violation]:
    for field in sorted(set(GenerationConfig.model_fields) - _SUPPORTED_CONFIG):
        if getattr(config, field):
            yield _unsupported(f"{_CONFIG}.{field}")
    if (config.response_mime_type or "text/plain") != "text/plain":
        words = "response_mime_type: only text/plain is supported by tuned models (no JSON mode)."
        yield Violation(f"{_CONFIG}.response_mime_type", words)
    ranges = (
        ("candidate_count", config.candidate_count, 1, 1),
        ("max_output_tokens", config.max_output_tokens, 1, None),
        ("temperature", config.temperature, 0, 2),
        ("top_p", config.top_p, 0, 1),
        ("top_k", config.top_k, 1, None),
        ("stop_sequences", len(config.stop_sequences or ()), 0, MOST_STOP_SEQUENCES),
    )
    for field, value, least, most in ranges:
        yield from range_violations(f"{_CONFIG}.{field}", value, least, most)


def _content_violations(contents: list[Content]) -> Iterator[Violation]:
    if not contents:
        yield Violation("contents", "contents is not specified.")
    elif len(contents) > 1:
        words = f"Tuned models answer single inputs, without a history (got {len(contents)} turns)."
        yield Violation("contents", words)
    else:
        content = contents[0]
        if content.role not in (None, "", "user"):
            words = f"Please use a valid role for a question: user (got {content.role[:60]!r})."
            yield Violation("contents[0].role", words)
        parts = content.parts or []
        if not any(part.text for part in parts):
            yield Violation("contents[0].parts", "There is no text in the question.")
        for index, part in enumerate(parts):
            yield from _part_violations(part, path("contents[0].parts", (index,)))


def _part_violations(part: Part, place: str) -> Iterator[Violation]:
    for field in Part.model_fields:
        if field not in ("text", "thought") and getattr(part, field) is not None:
            yield Violation(f"{place}.{field}", "Only text is supported by tuned models.")
