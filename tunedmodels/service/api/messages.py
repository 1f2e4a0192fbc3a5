"""What the service is asked with: the messages of the API, as strict as Google's own parser.

Names may be lowerCamel or snake_case, a number may be a string, null is the same as nothing, and a
name that the message does not have is an error. What is merely output of the service may be sent
back by clients that return what they read: it is accepted, and never looked at.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Annotated, Any, TypeVar

import msgspec
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from starlette.requests import Request

from tunedmodels.service.api import limits
from tunedmodels.service.api.limits import MOST_BODY
from tunedmodels.service.api.responses import float32
from tunedmodels.service.errors import ApiError, Status, Violation, invalid
from tunedmodels.service.records import Grantee, Role


class Message(BaseModel):
    """A message of the API."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        loc_by_alias=False,
        extra="forbid",
        frozen=True,
    )


def _is_no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a number is wanted")  # noqa: TRY004  # pydantic reports ValueErrors
    return value


def _as_float32(value: float) -> float:
    try:
        return float32(value)
    except OverflowError:
        raise ValueError("too large for a 32-bit float") from None


def _enum(kind: type[IntEnum]) -> BeforeValidator:
    """Read an enum by its name or by its number; the unspecified one is nothing."""

    def read(value: object) -> object:
        if isinstance(value, str) and not value.isdecimal():
            is_unspecified = value.endswith("_UNSPECIFIED")
            return None if is_unspecified else kind.__members__.get(value, value)
        return _is_no_boolean(value) or None

    return BeforeValidator(read)


OutputOnly = Any
Int32 = Annotated[int, BeforeValidator(_is_no_boolean), Field(ge=-(2**31), lt=2**31)]
Int64 = Annotated[int, BeforeValidator(_is_no_boolean), Field(ge=-(2**63), lt=2**63)]
Float = Annotated[
    float,
    BeforeValidator(_is_no_boolean),
    Field(allow_inf_nan=False),
    AfterValidator(_as_float32),
]


class TuningExample(Message):
    """One (prompt, expected response) pair."""

    text_input: str | None = None
    output: str | None = None


class TuningExamples(Message):
    """The list inside a Dataset."""

    examples: list[TuningExample] | None = None


class Dataset(Message):
    """Training data."""

    examples: TuningExamples | None = None


class Hyperparameters(Message):
    """Settings of a job; `learning_rate` and its multiplier exclude each other."""

    epoch_count: Int32 | None = None
    batch_size: Int32 | None = None
    learning_rate: Float | None = None
    learning_rate_multiplier: Float | None = None


class TuningTask(Message):
    """A job."""

    training_data: Dataset | None = None
    hyperparameters: Hyperparameters | None = None
    start_time: OutputOnly = None
    complete_time: OutputOnly = None
    snapshots: OutputOnly = None


class TunedModelSource(Message):
    """The tuned model to continue from."""

    tuned_model: str | None = None
    base_model: OutputOnly = None


class TunedModel(Message):
    """The body of create and patch."""

    base_model: str | None = None
    tuned_model_source: TunedModelSource | None = None
    display_name: str | None = None
    description: str | None = None
    temperature: Float | None = None
    top_p: Float | None = None
    top_k: Int32 | None = None
    reader_project_numbers: list[Int64] | None = None
    tuning_task: TuningTask | None = None
    name: OutputOnly = None
    state: OutputOnly = None
    create_time: OutputOnly = None
    update_time: OutputOnly = None


class Part(Message):
    """A piece of content. Only `text` is understood; the rest is known, to be refused in words."""

    text: str | None = None
    inline_data: Any = None
    file_data: Any = None
    function_call: Any = None
    function_response: Any = None
    executable_code: Any = None
    code_execution_result: Any = None
    video_metadata: Any = None
    thought: Any = None
    thought_signature: Any = None


class Content(Message):
    """One turn."""

    parts: list[Part] | None = None
    role: str | None = None


class GenerationConfig(Message):
    """How to answer. Of the rest, what cannot be honoured is refused in words."""

    temperature: Float | None = None
    top_p: Float | None = None
    top_k: Int32 | None = None
    candidate_count: Int32 | None = None
    max_output_tokens: Int32 | None = None
    stop_sequences: list[str] | None = None
    seed: Int32 | None = None
    response_mime_type: str | None = None
    response_schema: Any = None
    response_json_schema: Any = None
    response_modalities: Any = None
    response_logprobs: Any = None
    logprobs: Any = None
    presence_penalty: Any = None
    frequency_penalty: Any = None
    speech_config: Any = None
    thinking_config: Any = None
    media_resolution: Any = None
    enable_enhanced_civic_answers: Any = None


class GenerateContentRequest(Message):
    """The body of generateContent. `safety_settings` may be sent: there is nothing to filter."""

    contents: list[Content] | None = None
    generation_config: GenerationConfig | None = None
    safety_settings: Any = None
    model: Any = None
    system_instruction: Any = None
    tools: Any = None
    tool_config: Any = None
    cached_content: Any = None


class Permission(Message):
    """The body of permissions create and patch."""

    grantee_type: Annotated[Grantee | None, _enum(Grantee)] = None
    email_address: str | None = None
    role: Annotated[Role | None, _enum(Role)] = None
    name: OutputOnly = None


class TransferOwnershipRequest(Message):
    """The body of transferOwnership. `name` is in the path as well."""

    email_address: str | None = None
    name: OutputOnly = None


# FOLDED
# From the bytes of a request to a message, with every mistake in Google's words.
M = TypeVar("M", bound=Message)

# A string, or a comma with nothing between it and the end of its list: Google's parser takes that,
# and its documentation sends it. A string may lack its end, else rows of quotes take very long.
_TRAILING_COMMA = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z))|,(?=\s*+[\]}])', re.DOTALL)
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")
_TYPES = {"string": "TYPE_STRING", "int": "TYPE_INT32", "float": "TYPE_FLOAT"}
_LONGEST_VALUE = 60


async def read_body(request: Request) -> bytes:
    """Read a body, and stop as soon as it is too large or too slow.

    Raises ApiError (INVALID_ARGUMENT or DEADLINE_EXCEEDED).
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > MOST_BODY:
        raise _too_large()
    body = bytearray()
    try:
        async with asyncio.timeout(limits.BODY_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BODY:
                    raise _too_large()
    except TimeoutError:
        words = f"The body of the request did not arrive within {limits.BODY_S:g} seconds."
        raise ApiError(Status.DEADLINE_EXCEEDED, words) from None
    return bytes(body)


def _too_large() -> ApiError:
    words = f"Request payload size exceeds the limit: {MOST_BODY} bytes."
    return ApiError(Status.INVALID_ARGUMENT, words)


def parse(body: bytes, kind: type[M], *, at: str = "") -> M:
    """Read a message of `kind`; `at` is its path in the proto, for the words of an error.

    An empty body is an empty message. Raises ApiError (INVALID_ARGUMENT) with every mistake.
    """
    value = _decoded(body) if body.strip() else {}
    if not isinstance(value, dict):
        raise _malformed("Root element must be a message.")
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        mistakes = error.errors(include_url=False)
        raise invalid([_violation(mistake, at) for mistake in mistakes]) from None


def _decoded(body: bytes) -> Any:  # noqa: ANN401  # whatever was sent
    try:
        try:
            return msgspec.json.decode(body)
        except msgspec.DecodeError:
            return msgspec.json.decode(_TRAILING_COMMA.sub(rb"\1", body))
    except (ValueError, RecursionError) as error:
        raise _malformed(str(error)) from None


def _malformed(words: str) -> ApiError:
    return ApiError(Status.INVALID_ARGUMENT, f"Invalid JSON payload received. {words}")


def _violation(mistake: Any, at: str) -> Violation:  # noqa: ANN401  # pydantic's own dictionary
    *parents, last = mistake["loc"] or ("",)
    kind: str = mistake["type"]
    if kind == "extra_forbidden":
        parent = path(at, parents)
        place = f" at '{parent}'" if parent else ""
        words = f'Invalid JSON payload received. Unknown name "{last}"{place}: Cannot find field.'
        return Violation(parent, words)
    field = path(at, (*parents, last))
    expected = _TYPES.get(kind.partition("_")[0])
    value = json.dumps(mistake["input"], ensure_ascii=False, default=str)
    shown = value if len(value) <= _LONGEST_VALUE else f"{value[:_LONGEST_VALUE]}..."
    kind_shown = f" ({expected})" if expected else ""
    return Violation(field, f"Invalid value at '{field}'{kind_shown}, {shown}")


def path(at: str, parts: Sequence[str | int]) -> str:
    """Return a path as Google writes it: `tuned_model.tuning_task...examples[3].text_input`."""
    text = at
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def mask(query: Mapping[str, str]) -> list[str]:
    """Return the paths of `update_mask` by the names of the proto; none without a mask."""
    paths = (snake(path.strip()) for path in query.get("update_mask", "").split(","))
    return [path for path in paths if path]


def snake(name: str) -> str:
    """Return a lowerCamel name, or a dotted path of them, by the names of the proto."""
    return _CAPITAL.sub("_", name).lower()
