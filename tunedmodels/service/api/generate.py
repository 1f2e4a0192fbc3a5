"""generateContent and streamGenerateContent, for tuned models and for untuned base models.

A tuned model was trained on single inputs of plain text. Fields of a request that ask for more are
rejected with a message, not ignored (F16).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse

from tunedmodels.engines.engine import Adapter, Sampling
from tunedmodels.errors import StoreError
from tunedmodels.service.api.base_models import TEMPERATURE, TOP_P
from tunedmodels.service.api.limits import (
    CHARACTERS_PER_TOKEN,
    MAX_INPUT_LENGTH,
    MAX_STOP_SEQUENCES,
)
from tunedmodels.service.api.messages import (
    Content,
    GenerateContentRequest,
    GenerationConfig,
    Part,
    field_path,
    parse_message,
)
from tunedmodels.service.api.partial_response import select
from tunedmodels.service.api.permissions import authorize
from tunedmodels.service.api.request import ApiRequest, ServiceContext, json_response
from tunedmodels.service.api.validation import range_violations
from tunedmodels.service.errors import ApiError, ApiStatus, Violation, invalid_argument
from tunedmodels.service.records import AccessRole, StoredModel, TunedModelState
from tunedmodels.service.store.files import ModelFiles

_MAX_CACHED_ADAPTERS = 8  # up to 10 MB each
_METHOD = "generateContent"
_UNSUPPORTED_FIELDS = ("system_instruction", "tools", "tool_config", "cached_content")
_SUPPORTED_CONFIG_FIELDS = {
    "temperature",
    "top_p",
    "top_k",
    "candidate_count",
    "max_output_tokens",
    "stop_sequences",
    "seed",
    "response_mime_type",
}
_CONFIG_PATH = "generation_config"
# Line breaks of Unicode that JSON texts may contain, in UTF-8, and their escapes.
_LINE_BREAKS = tuple(
    (char.encode(), f"\\u{ord(char):04x}".encode()) for char in "\u0085\u2028\u2029"
)


def cached_adapter_loader(files: ModelFiles) -> Callable[[StoredModel], Adapter]:
    """Return a function that loads the adapter of a model and caches the latest ones."""

    # The cache key contains `seq`, because an id can be reused after a delete.
    @lru_cache(_MAX_CACHED_ADAPTERS)
    def load(model_id: str, seq: int, base_model: str) -> Adapter:
        from tunedmodels.engines import adapters  # noqa: PLC0415  # numpy: 0.1 s

        try:
            return adapters.load(files.adapter_path(model_id, seq), base_model)
        except FileNotFoundError as error:
            message = f"{error.filename}: the adapter file of tunedModels/{model_id} is missing"
            cure = "Restore the file, or delete the model and train it again."
            raise StoreError(message, cure=cure) from error
        except ValueError as error:
            raise StoreError(str(error)) from error

    return lambda model: load(model.id, model.seq, model.base_model)


def generate(context: ServiceContext, request: ApiRequest) -> Response:
    """Respond with the whole answer to a prompt."""
    name, prompt, pieces = _start_answer(context, request)
    answer = "".join(pieces)
    return json_response(_response(name, answer, _usage(prompt, len(answer))))


def stream(context: ServiceContext, request: ApiRequest) -> Response:
    """Respond with an answer piece by piece, as server-sent events or as a JSON array."""
    name, prompt, pieces = _start_answer(context, request)
    responses = (
        select(response, request.selection) for response in _responses(name, prompt, pieces)
    )
    if is_event_stream(request.query):
        events = (b"data: " + _encode_line(part) + b"\r\n\r\n" for part in responses)
        return StreamingResponse(events, media_type="text/event-stream")
    return StreamingResponse(_json_array_chunks(responses), media_type="application/json")


def is_event_stream(query: Mapping[str, str]) -> bool:
    """Return whether the query asks for server-sent events."""
    return "sse" in (query.get("alt"), query.get("$alt"))


def _start_answer(context: ServiceContext, request: ApiRequest) -> tuple[str, str, Iterator[str]]:
    """Return the name of the model, the prompt, and the pieces of the answer."""
    body = parse_message(request.body, GenerateContentRequest)
    config = body.generation_config or GenerationConfig()
    prompt = _prompt_text(body)
    if "id" in request.path:
        model = authorize(context, request, AccessRole.READER)
        if model.state != TunedModelState.ACTIVE:
            message = f"{model.name} cannot answer: its state is {model.state}, not ACTIVE."
            raise ApiError(ApiStatus.FAILED_PRECONDITION, message)
        name, base_model, adapter = model.name, model.base_model, context.load_adapter(model)
        sampling = _sampling(
            config, temperature=model.temperature, top_p=model.top_p, top_k=model.top_k or 0
        )
    else:
        name = base_model = f"models/{request.path['base']}"
        # An adapter without arrays is the untuned base model.
        adapter = Adapter(base_model, {})
        sampling = _sampling(config, temperature=TEMPERATURE, top_p=TOP_P, top_k=0)
    engine = context.catalog.get(base_model, method=_METHOD)
    try:
        return name, prompt, engine.answer(adapter, prompt, sampling)
    except ValueError as error:
        raise ApiError(ApiStatus.FAILED_PRECONDITION, str(error)) from error


def _responses(name: str, prompt: str, pieces: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Yield a response for each piece; the last one has the finish reason and the usage."""
    length, piece = 0, next(pieces, "")
    for following in pieces:
        length += len(piece)
        yield _response(name, piece, None)
        piece = following
    yield _response(name, piece, _usage(prompt, length + len(piece)))


def _response(name: str, text: str, usage: dict[str, int] | None) -> dict[str, Any]:
    candidate: dict[str, Any] = {
        "content": {"parts": [{"text": text}], "role": "model"},
        "index": 0,
    }
    if usage is None:
        return {"candidates": [candidate], "modelVersion": name}
    candidate["finishReason"] = "STOP"
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": name}


def _usage(prompt: str, answer_length: int) -> dict[str, int]:
    """Return the token counts, estimated from characters: the engines have no tokens."""
    prompt_tokens = -(-len(prompt) // CHARACTERS_PER_TOKEN)
    answer_tokens = -(-answer_length // CHARACTERS_PER_TOKEN)
    return {
        "promptTokenCount": prompt_tokens,
        "candidatesTokenCount": answer_tokens,
        "totalTokenCount": prompt_tokens + answer_tokens,
    }


def _json_array_chunks(responses: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    separator = b"["
    for response in responses:
        yield separator + _encode_line(response)
        separator = b",\r\n"
    yield b"]"


def _encode_line(response: dict[str, Any]) -> bytes:
    """Return a response as JSON in one line, also for clients that split at Unicode line breaks."""
    line = msgspec.json.encode(response)
    for line_break, escape in _LINE_BREAKS:
        line = line.replace(line_break, escape)
    return line


def _prompt_text(body: GenerateContentRequest) -> str:
    """Return the text of the prompt. Raises ApiError (INVALID_ARGUMENT) with every violation."""
    config = body.generation_config or GenerationConfig()
    violations = [
        *(_unsupported_field(field) for field in _UNSUPPORTED_FIELDS if getattr(body, field)),
        *_config_violations(config),
        *_content_violations(body.contents or []),
    ]
    if violations:
        raise invalid_argument(violations)
    parts = (body.contents or [])[0].parts or []
    text = "".join(part.text or "" for part in parts)
    if len(text) > MAX_INPUT_LENGTH:
        message = f"The input has {len(text)} characters; at most {MAX_INPUT_LENGTH} are allowed."
        raise invalid_argument([Violation("contents", message)])
    return text


def _sampling(
    config: GenerationConfig, *, temperature: float, top_p: float, top_k: int
) -> Sampling:
    """Return the sampling settings of a request, with those of the model as defaults."""
    return Sampling(
        temperature=temperature if config.temperature is None else config.temperature,
        top_p=top_p if config.top_p is None else config.top_p,
        top_k=top_k if config.top_k is None else config.top_k,
        max_output_tokens=config.max_output_tokens,
        stop_sequences=tuple(config.stop_sequences or ()),
        seed=config.seed,
    )


def _unsupported_field(field: str) -> Violation:
    return Violation(field, f"{field} is not supported by this model.")


def _config_violations(config: GenerationConfig) -> Iterator[Violation]:
    for field in sorted(set(GenerationConfig.model_fields) - _SUPPORTED_CONFIG_FIELDS):
        if getattr(config, field):
            yield _unsupported_field(f"{_CONFIG_PATH}.{field}")
    if (config.response_mime_type or "text/plain") != "text/plain":
        message = "response_mime_type: only text/plain is supported by tuned models (no JSON mode)."
        yield Violation(f"{_CONFIG_PATH}.response_mime_type", message)
    ranges = (
        ("candidate_count", config.candidate_count, 1, 1),
        ("max_output_tokens", config.max_output_tokens, 1, None),
        ("temperature", config.temperature, 0, 2),
        ("top_p", config.top_p, 0, 1),
        ("top_k", config.top_k, 1, None),
        ("stop_sequences", len(config.stop_sequences or ()), 0, MAX_STOP_SEQUENCES),
    )
    for field, value, minimum, maximum in ranges:
        yield from range_violations(f"{_CONFIG_PATH}.{field}", value, minimum, maximum)


def _content_violations(contents: list[Content]) -> Iterator[Violation]:
    if not contents:
        yield Violation("contents", "contents is not specified.")
    elif len(contents) > 1:
        message = (
            f"Tuned models answer single inputs, without a history (got {len(contents)} turns)."
        )
        yield Violation("contents", message)
    else:
        content = contents[0]
        if content.role not in (None, "", "user"):
            message = f"Please use a valid role for a prompt: user (got {content.role[:60]!r})."
            yield Violation("contents[0].role", message)
        parts = content.parts or []
        if not any(part.text for part in parts):
            yield Violation("contents[0].parts", "The prompt has no text.")
        for index, part in enumerate(parts):
            yield from _part_violations(part, field_path("contents[0].parts", (index,)))


def _part_violations(part: Part, path: str) -> Iterator[Violation]:
    for field in Part.model_fields:
        if field not in ("text", "thought") and getattr(part, field) is not None:
            yield Violation(f"{path}.{field}", "Only text is supported by tuned models.")
