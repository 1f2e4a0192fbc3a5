"""The shapes of the Gemini API's tunedModels surface, v1beta.

Source: google/ai/generativelanguage/v1beta/{tuned_model,model_service,generative_service}.proto and
the rules of proto3 JSON: camelCase names, a field with its default value is left out, int64 is a
string, a float may be the string "NaN", an enum is a name or a number, times are RFC 3339 in UTC
with up to nine digits. Everything is optional and unknown fields are ignored, so a service may say
less or more. The same shapes are sent and received: defaults are left out there, too.
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


class Shape(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    """A message of the API. Messages hold no circles, so the collector need not look at them."""


class State(Enum):
    """TunedModel.State; there is no state for a cancelled job."""

    STATE_UNSPECIFIED = 0
    CREATING = 1
    ACTIVE = 2
    FAILED = 3

    @classmethod
    def of(cls, value: str | int) -> State:
        """Return the state of its name or number; an unknown one is unspecified."""
        return _STATES.get(value, cls.STATE_UNSPECIFIED)


_STATES = {name: state for state in State for name in (state.name, state.value)}


class TuningExample(Shape):
    """One training example."""

    text_input: str
    output: str


class TuningExamples(Shape):
    """The list inside a Dataset."""

    examples: list[TuningExample] = []


class Dataset(Shape):
    """Training data; input only."""

    examples: TuningExamples


class Hyperparameters(Shape):
    """What was declared at create, and what is used afterwards."""

    epoch_count: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    learning_rate_multiplier: float | None = None


class Snapshot(Shape):
    """TuningSnapshot: one step of training. `epoch` counts full passes from 0.

    Its `computeTime` is left alone: nobody asks for it, and a look at many models has one per step.
    """

    step: int = 0
    epoch: int = 0
    mean_loss: float = 0.0


class TuningTask(Shape):
    """The job that makes a tuned model. No start time yet means that it still queues."""

    start_time: datetime | None = None
    complete_time: datetime | None = None
    snapshots: list[Snapshot] = []
    training_data: Dataset | None = None
    hyperparameters: Hyperparameters | None = None


class TunedModelSource(Shape):
    """The tuned model that another one continues from."""

    tuned_model: str = ""
    base_model: str = ""


class TunedModel(Shape):
    """A tuned model. `name` is `tunedModels/ID`; a PATCH answers with a part of it at most."""

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


class TunedModelPage(Shape):
    """The answer of tunedModels.list."""

    entries: list[TunedModel] = msgspec.field(name="tunedModels", default_factory=list)
    next_page_token: str = ""


class Operation(Shape):
    """google.longrunning.Operation; `name` is `tunedModels/ID/operations/OPID`."""

    name: str = ""
    done: bool = False
    error: Status | None = None


class OperationPage(Shape):
    """The answer of tunedModels.operations.list."""

    entries: list[Operation] = msgspec.field(name="operations", default_factory=list)
    next_page_token: str = ""


class Model(Shape):
    """A model that is no tuned model."""

    name: str = ""
    display_name: str = ""
    input_token_limit: int | None = None
    supported_generation_methods: list[str] = []


class ModelPage(Shape):
    """The answer of models.list."""

    entries: list[Model] = msgspec.field(name="models", default_factory=list)
    next_page_token: str = ""


class Part(Shape):
    """A piece of a message; we speak text only (F16)."""

    text: str = ""


class Content(Shape):
    """One turn of a conversation."""

    parts: list[Part] = []
    role: str = ""


class GenerationConfig(Shape):
    """How an answer is drawn; what is left out is as the model says."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_output_tokens: int | None = None


class GenerateRequest(Shape):
    """GenerateContentRequest."""

    contents: list[Content] = []
    generation_config: GenerationConfig | None = None
    system_instruction: Content | None = None


class CountTokensRequest(Shape):
    """The question of countTokens."""

    contents: list[Content] = []


class CountTokensResponse(Shape):
    """The answer of countTokens; None where it says nothing."""

    total_tokens: int | None = None


class Candidate(Shape):
    """One answer, or the next piece of it."""

    content: Content | None = None
    finish_reason: str | int = ""


class PromptFeedback(Shape):
    """Why a question was not answered at all."""

    block_reason: str | int = ""


class GenerateResponse(Shape):
    """GenerateContentResponse; a stream that breaks ends with `error` instead."""

    candidates: list[Candidate] = []
    prompt_feedback: PromptFeedback | None = None
    error: Status | None = None


def decode(body: bytes, shape: type[T]) -> T:
    """Decode a body; an empty one is an empty message.

    Raises msgspec.DecodeError (or its ValidationError) when it is no such message.
    """
    # Not strict: proto3 JSON allows a number as a string, and writes a loss that went astray "NaN".
    return msgspec.json.decode(body or b"{}", type=shape, strict=False)


def encode(message: Shape) -> bytes:
    """Encode a message as compact JSON, defaults left out."""
    return msgspec.json.encode(message)
