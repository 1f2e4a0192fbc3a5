"""Messages of the Gemini API v1beta: tuned models, models and generation.

Source: google/ai/generativelanguage/v1beta/{tuned_model,model_service,generative_service}.proto and
the rules of proto3 JSON: camelCase names, a field with its default value is left out, int64 is a
string, a float may be the string "NaN", an enum is a name or a number, times are RFC 3339 in UTC
with up to nine digits. All fields are optional and unknown fields are ignored, so that a service
may send fewer or more fields. The same messages are sent, without default values.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Annotated, TypeVar

import msgspec

from tunedmodels.wire.status import Status

TUNED_MODELS = "tunedModels"
CREATE_METHOD = "createTunedModel"

Int64 = int | Annotated[str, msgspec.Meta(pattern=r"^-?\d{1,19}$")]
T = TypeVar("T")


class ApiMessage(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    """A message of the API. Messages contain no reference cycles, so `gc` is off."""


class State(Enum):
    """TunedModel.State. It has no value for a cancelled job."""

    STATE_UNSPECIFIED = 0
    CREATING = 1
    ACTIVE = 2
    FAILED = 3

    @classmethod
    def parse(cls, value: str | int) -> State:
        """Return the state for a name or number; STATE_UNSPECIFIED if it is unknown."""
        return _STATES.get(value, cls.STATE_UNSPECIFIED)


_STATES = {name: state for state in State for name in (state.name, state.value)}


class TuningExample(ApiMessage):
    """One training example."""

    text_input: str
    output: str


class TuningExamples(ApiMessage):
    """The examples of a Dataset."""

    examples: list[TuningExample] = []


class Dataset(ApiMessage):
    """Training data; input only."""

    examples: TuningExamples


class Hyperparameters(ApiMessage):
    """In a create, the declared values; afterwards, the values in use."""

    epoch_count: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    learning_rate_multiplier: float | None = None


class Snapshot(msgspec.Struct, rename="camel", omit_defaults=True, gc=False, frozen=True):
    """TuningSnapshot: one step of training.

    `computeTime` is not decoded: it is not used, and a list of models contains one per step.
    """

    step: int = 0  #: from 1
    epoch: int = 0  #: full passes over the examples before this step
    mean_loss: float = 0.0


class TuningTask(ApiMessage):
    """The job that creates a tuned model. It is queued as long as it has no start time."""

    start_time: datetime | None = None
    complete_time: datetime | None = None
    snapshots: tuple[Snapshot, ...] = ()
    training_data: Dataset | None = None
    hyperparameters: Hyperparameters | None = None


class TunedModelSource(ApiMessage):
    """The tuned model from which another one continues."""

    tuned_model: str = ""
    base_model: str = ""


class TunedModel(ApiMessage):
    """A tuned model, `tunedModels/ID`. The response to a PATCH may contain only some fields."""

    name: str = ""
    base_model: str = ""
    tuned_model_source: TunedModelSource | None = None
    display_name: str = ""
    description: str = ""
    state: str | int = ""
    create_time: datetime | None = None
    update_time: datetime | None = None
    tuning_task: TuningTask | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    reader_project_numbers: list[Int64] = []


class TunedModelPage(ApiMessage):
    """The response of tunedModels.list."""

    entries: list[TunedModel] = msgspec.field(name="tunedModels", default_factory=list)
    next_page_token: str = ""


class CreateMetadata(ApiMessage):
    """CreateTunedModelMetadata, of the operation of a create."""

    tuned_model: str = ""


class Operation(ApiMessage):
    """google.longrunning.Operation; `name` is `tunedModels/ID/operations/OPID`."""

    name: str = ""
    done: bool = False
    error: Status | None = None
    metadata: CreateMetadata | None = None


class OperationPage(ApiMessage):
    """The response of tunedModels.operations.list."""

    entries: list[Operation] = msgspec.field(name="operations", default_factory=list)
    next_page_token: str = ""


class Model(ApiMessage):
    """A model that is not tuned."""

    name: str = ""
    display_name: str = ""
    input_token_limit: int | None = None
    supported_generation_methods: list[str] = []


class ModelPage(ApiMessage):
    """The response of models.list."""

    entries: list[Model] = msgspec.field(name="models", default_factory=list)
    next_page_token: str = ""


class Part(ApiMessage):
    """A part of a turn; only text is supported (F16)."""

    text: str = ""


class Content(ApiMessage):
    """One turn of a conversation."""

    parts: list[Part] = []
    role: str = ""


class ThinkingConfig(ApiMessage):
    """How much a model thinks before it answers: a level, or a budget in tokens."""

    thinking_level: str = ""
    thinking_budget: int | None = None


class GenerationConfig(ApiMessage):
    """Generation settings; the model's own values apply to fields that are not set."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_output_tokens: int | None = None
    thinking_config: ThinkingConfig | None = None


class GenerateRequest(ApiMessage):
    """GenerateContentRequest."""

    contents: list[Content] = []
    generation_config: GenerationConfig | None = None
    system_instruction: Content | None = None


class CountTokensRequest(ApiMessage):
    """The request of countTokens."""

    contents: list[Content] = []


class CountTokensResponse(ApiMessage):
    """The response of countTokens."""

    total_tokens: int | None = None


class Candidate(ApiMessage):
    """One answer, or the next part of it in a stream."""

    content: Content | None = None
    finish_reason: str | int = ""


class PromptFeedback(ApiMessage):
    """The reason why a prompt was not answered."""

    block_reason: str | int = ""


class GenerateResponse(ApiMessage):
    """GenerateContentResponse; an interrupted stream ends with `error`."""

    candidates: list[Candidate] = []
    prompt_feedback: PromptFeedback | None = None
    error: Status | None = None


def decode(body: bytes, message_type: type[T]) -> T:
    """Decode a body.

    Raises msgspec.DecodeError (or its subclass ValidationError) when it is not such a message. An
    empty body is not one: an empty message is `{}`.
    """
    # Not strict: proto3 JSON allows a number as a string, and writes a diverged loss as "NaN".
    return msgspec.json.decode(body, type=message_type, strict=False)


def encode(message: ApiMessage) -> bytes:
    """Encode a message as compact JSON without default values."""
    return msgspec.json.encode(message)
