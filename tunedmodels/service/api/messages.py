"""Request messages of the API, and a parser as strict as Google's.

Names may be lowerCamel or snake_case, a number may be a string, null means a missing value, and an
unknown name is an error. Output-only fields are accepted and ignored, because clients send back
messages that they received.

`wire/gemini.py` has messages with the same names: those of the client, which ignores unknown names.
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
from tunedmodels.service.api.limits import MAX_BODY_BYTES
from tunedmodels.service.api.responses import float32
from tunedmodels.service.errors import ApiError, ApiStatus, Violation, invalid_argument
from tunedmodels.service.records import AccessRole, Grantee

_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")
# Group 1 is a string, which is kept. The alternative is a comma before the end of a list or a
# message: Google's parser accepts it, and Google's documentation contains it. A string may lack its
# end, otherwise the expression takes very long for many quotes.
_TRAILING_COMMA = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z))|,(?=\s*+[\]}])', re.DOTALL)
_TYPES = {"string": "TYPE_STRING", "int": "TYPE_INT32", "float": "TYPE_FLOAT"}
_MAX_VALUE_LENGTH = 60

M = TypeVar("M", bound="RequestMessage")


async def read_body(request: Request) -> bytes:
    """Read the body of a request, up to the limits of size and time.

    Raises ApiError (INVALID_ARGUMENT or DEADLINE_EXCEEDED).
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
        raise _payload_too_large()
    body = bytearray()
    try:
        async with asyncio.timeout(limits.BODY_TIMEOUT_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise _payload_too_large()
    except TimeoutError:
        seconds = f"{limits.BODY_TIMEOUT_S:g} seconds"
        message = f"The body of the request did not arrive within {seconds}."
        raise ApiError(ApiStatus.DEADLINE_EXCEEDED, message) from None
    return bytes(body)


def parse_message(body: bytes, kind: type[M], *, at: str = "") -> M:
    """Parse a message of class `kind`; `at` is its path in the proto, for error messages.

    An empty body is an empty message. Raises ApiError (INVALID_ARGUMENT) with every violation.
    """
    value = _decode(body) if body.strip() else {}
    if not isinstance(value, dict):
        raise _malformed_payload("Root element must be a message.")
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise invalid_argument([_violation(detail, at) for detail in details]) from None


def update_mask(query: Mapping[str, str]) -> list[str]:
    """Return the paths of `update_mask` in the names of the proto; an empty list without a mask."""
    paths = (to_snake_case(path.strip()) for path in query.get("update_mask", "").split(","))
    return [path for path in paths if path]


def field_path(at: str, parts: Sequence[str | int]) -> str:
    """Return a path in Google's notation: `tuned_model.tuning_task...examples[3].text_input`."""
    text = at
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def to_snake_case(name: str) -> str:
    """Return the snake_case form of a lowerCamel name, or of a dotted path of such names."""
    return _CAPITAL.sub("_", name).lower()


def _payload_too_large() -> ApiError:
    message = f"Request payload size exceeds the limit: {MAX_BODY_BYTES} bytes."
    return ApiError(ApiStatus.INVALID_ARGUMENT, message)


def _decode(body: bytes) -> Any:  # noqa: ANN401  # any JSON value
    try:
        try:
            return msgspec.json.decode(body)
        except msgspec.DecodeError:
            return msgspec.json.decode(_TRAILING_COMMA.sub(rb"\1", body))
    except (ValueError, RecursionError) as error:
        raise _malformed_payload(str(error)) from None


def _malformed_payload(reason: str) -> ApiError:
    return ApiError(ApiStatus.INVALID_ARGUMENT, f"Invalid JSON payload received. {reason}")


def _violation(detail: Any, at: str) -> Violation:  # noqa: ANN401  # pydantic's own dictionary
    """Return the violation of a pydantic error, with the message that Google's parser gives."""
    *parents, last = detail["loc"] or ("",)
    kind: str = detail["type"]
    if kind == "extra_forbidden":
        parent = field_path(at, parents)
        suffix = f" at '{parent}'" if parent else ""
        message = (
            f'Invalid JSON payload received. Unknown name "{last}"{suffix}: Cannot find field.'
        )
        return Violation(parent, message)
    field = field_path(at, (*parents, last))
    expected = _TYPES.get(kind.partition("_")[0])
    value = json.dumps(detail["input"], ensure_ascii=False, default=str)
    short = value if len(value) <= _MAX_VALUE_LENGTH else f"{value[:_MAX_VALUE_LENGTH]}..."
    expected_type = f" ({expected})" if expected else ""
    return Violation(field, f"Invalid value at '{field}'{expected_type}, {short}")


class RequestMessage(BaseModel):
    """A message in the body of a request."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        loc_by_alias=False,
        extra="forbid",
        frozen=True,
    )


def _reject_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004  # pydantic reports ValueErrors
    return value


def _to_float32(value: float) -> float:
    try:
        return float32(value)
    except OverflowError:
        raise ValueError("too large for a 32-bit float") from None


def _enum_validator(kind: type[IntEnum]) -> BeforeValidator:
    """Return a validator of an enum name or number; the unspecified value becomes None."""

    def read(value: object) -> object:
        if isinstance(value, str) and not value.isdecimal():
            is_unspecified = value.endswith("_UNSPECIFIED")
            return None if is_unspecified else kind.__members__.get(value, value)
        return _reject_boolean(value) or None

    return BeforeValidator(read)


OutputOnly = Any  #: an output-only field, which is ignored
Int32 = Annotated[int, BeforeValidator(_reject_boolean), Field(ge=-(2**31), lt=2**31)]
Int64 = Annotated[int, BeforeValidator(_reject_boolean), Field(ge=-(2**63), lt=2**63)]
Float = Annotated[
    float,
    BeforeValidator(_reject_boolean),
    Field(allow_inf_nan=False),
    AfterValidator(_to_float32),
]


class TuningExample(RequestMessage):
    """A prompt and its expected response."""

    text_input: str | None = None
    output: str | None = None


class TuningExamples(RequestMessage):
    """The list of examples in a Dataset."""

    examples: list[TuningExample] | None = None


class Dataset(RequestMessage):
    """Training data."""

    examples: TuningExamples | None = None


class Hyperparameters(RequestMessage):
    """Hyperparameters of a job; at most one of `learning_rate` and its multiplier is set."""

    epoch_count: Int32 | None = None
    batch_size: Int32 | None = None
    learning_rate: Float | None = None
    learning_rate_multiplier: Float | None = None


class TuningTask(RequestMessage):
    """The job that trains a tuned model."""

    training_data: Dataset | None = None
    hyperparameters: Hyperparameters | None = None
    start_time: OutputOnly = None
    complete_time: OutputOnly = None
    snapshots: OutputOnly = None


class TunedModelSource(RequestMessage):
    """The tuned model to continue training from."""

    tuned_model: str | None = None
    base_model: OutputOnly = None


class TunedModel(RequestMessage):
    """The body of tunedModels.create and tunedModels.patch."""

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


class Part(RequestMessage):
    """A part of a turn. Only `text` is supported; requests with other fields are rejected."""

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


class Content(RequestMessage):
    """One turn of a conversation."""

    parts: list[Part] | None = None
    role: str | None = None


class GenerationConfig(RequestMessage):
    """How to generate an answer. Requests with unsupported fields are rejected."""

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


class GenerateContentRequest(RequestMessage):
    """The body of generateContent. `safety_settings` are accepted and ignored."""

    contents: list[Content] | None = None
    generation_config: GenerationConfig | None = None
    safety_settings: Any = None
    model: Any = None
    system_instruction: Any = None
    tools: Any = None
    tool_config: Any = None
    cached_content: Any = None


class Permission(RequestMessage):
    """The body of permissions.create and permissions.patch."""

    grantee_type: Annotated[Grantee | None, _enum_validator(Grantee)] = None
    email_address: str | None = None
    role: Annotated[AccessRole | None, _enum_validator(AccessRole)] = None
    name: OutputOnly = None


class TransferOwnershipRequest(RequestMessage):
    """The body of transferOwnership. The path contains the name as well."""

    email_address: str | None = None
    name: OutputOnly = None
