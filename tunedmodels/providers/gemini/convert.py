"""The Gemini API's shapes in our words, and ours in its shapes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tunedmodels import stamp as stamps
from tunedmodels.datasets.examples import Example, prompt
from tunedmodels.desired import Desired
from tunedmodels.errors import InvalidArgumentError, ProviderError
from tunedmodels.observed import LossPoint, ModelState, ObservedModel, UsedHyperparameters
from tunedmodels.providers.provider import BaseModel, Edit
from tunedmodels.schema.tuned_model import GenerationConfig
from tunedmodels.stamp import Stamp
from tunedmodels.wire import gemini as wire
from tunedmodels.wire import status

NOTHING_USED = UsedHyperparameters()
GOOD_ENDS = ("", "FINISH_REASON_UNSPECIFIED", "STOP", "MAX_TOKENS", "0", "1", "2")
HYPERPARAMETERS = set(wire.Hyperparameters.__struct_fields__)
EDITABLE = ("display_name", "temperature", "top_p", "top_k", "reader_project_numbers")
JSON_NAMES = dict(
    zip(wire.TunedModel.__struct_fields__, wire.TunedModel.__struct_encode_fields__, strict=True)
)


def observed(provider: str, model: wire.TunedModel) -> ObservedModel:
    """Return a live model in our words; `ended` adds what only its operation knows."""
    task = model.tuning_task or wire.TuningTask()
    words, stamp = stamps.read(model.description)
    source = model.tuned_model_source
    return ObservedModel(
        provider=provider,
        model_id=model.name.rpartition("/")[2],
        resource=model.name,
        state=_state(model, task),
        source=(source.tuned_model if source else "") or model.base_model,
        display_name=model.display_name,
        description=words,
        stamp=stamp,
        temperature=model.temperature,
        top_p=model.top_p,
        top_k=model.top_k,
        reader_project_numbers=tuple(map(int, model.reader_project_numbers)),
        used=_used(task.hyperparameters) if task.hyperparameters else NOTHING_USED,
        created=model.create_time,
        completed=task.complete_time,
        curve=tuple(
            LossPoint(point.step, point.epoch, point.mean_loss) for point in task.snapshots
        ),
    )


def generation(config: GenerationConfig) -> wire.GenerationConfig:
    """Return how an answer is to be drawn."""
    return wire.GenerationConfig(**config.model_dump())


def ended(operations: Iterable[wire.Operation]) -> tuple[ModelState, str]:
    """Tell how a job that did not succeed ended, and the service's reason, where it gives one.

    There is no state for a cancelled job on the model; its operation ends with the error CANCELLED.
    """
    errors = [operation.error for operation in operations if operation.error]
    state = ModelState.FAILED
    if any(error.code == status.CANCELLED for error in errors):
        state = ModelState.CANCELLED
    return state, status.plain("; ".join(error.words for error in errors))


def base_model(model: wire.Model) -> BaseModel:
    """Return a model that is no tuned model in our words."""
    return BaseModel(
        name=model.name,
        display_name=model.display_name,
        is_tunable=wire.CREATE_METHOD in model.supported_generation_methods,
        input_token_limit=model.input_token_limit,
    )


def creation(desired: Desired, examples: Sequence[Example], stamp: Stamp) -> wire.TunedModel:
    """Return the body of a create: what is declared and nothing else.

    What the service was not told it may choose, and a default of ours would hide its own.
    """
    # Those that the API does not have are refused before (`manifests.honoured`).
    declared = desired.hyperparameters.model_dump(include=HYPERPARAMETERS)
    rows = [
        wire.TuningExample(prompt(desired.preamble, example.text_input), example.output)
        for example in examples
    ]
    is_base = not desired.source.startswith(f"{wire.TUNED_MODELS}/")
    return wire.TunedModel(
        base_model=desired.source if is_base else "",
        tuned_model_source=None if is_base else wire.TunedModelSource(desired.source),
        display_name=desired.display_name,
        description=stamps.write(desired.description, stamp),
        temperature=desired.temperature,
        top_p=desired.top_p,
        top_k=desired.top_k,
        reader_project_numbers=[str(each) for each in desired.reader_project_numbers or ()],
        tuning_task=wire.TuningTask(
            training_data=wire.Dataset(wire.TuningExamples(rows)),
            hyperparameters=wire.Hyperparameters(**declared),
        ),
    )


def patch(edit: Edit) -> tuple[wire.TunedModel, str]:
    """Return the body of a PATCH and its updateMask.

    A field that is in the mask and left out of the body is cleared, which is what an empty value
    means here.
    """
    values: dict[str, Any] = {
        field: value for field in EDITABLE if (value := getattr(edit, field)) is not None
    }
    if "reader_project_numbers" in values:
        values["reader_project_numbers"] = [str(each) for each in values["reader_project_numbers"]]
    values["description"] = stamps.write(edit.description, edit.stamp)
    return wire.TunedModel(**values), ",".join(sorted(JSON_NAMES[field] for field in values))


def question(
    text: str, system: str = "", config: GenerationConfig | None = None
) -> wire.GenerateRequest:
    """Return the body of a question: one turn, below a system instruction where there is one."""
    return wire.GenerateRequest(
        [wire.Content([wire.Part(text)], role="user")],
        generation_config=generation(config) if config else None,
        system_instruction=wire.Content([wire.Part(system)]) if system else None,
    )


def answer(message: wire.GenerateResponse) -> tuple[str, str]:
    """Return the next piece of an answer and why it ends there, empty as long as it goes on.

    Raises InvalidArgumentError for a question that was blocked, and ProviderError for an answer
    that broke off.
    """
    if message.error:
        raise ProviderError(f"The answer broke off: {status.plain(message.error.words)}")
    if message.prompt_feedback and message.prompt_feedback.block_reason:
        raise InvalidArgumentError(
            f"The question was blocked (blockReason: {message.prompt_feedback.block_reason}).",
            cure="Word it differently; the service decides what it takes.",
        )
    if not message.candidates:
        return "", ""
    candidate = message.candidates[0]
    end = str(candidate.finish_reason)
    if end not in GOOD_ENDS:
        raise ProviderError(f"The service stopped the answer (finishReason: {end}).")
    parts = candidate.content.parts if candidate.content else []
    return "".join(part.text for part in parts), end


def _state(model: wire.TunedModel, task: wire.TuningTask) -> ModelState:
    match wire.State.of(model.state):
        case wire.State.CREATING:
            return ModelState.TRAINING if task.start_time else ModelState.QUEUED
        case wire.State.ACTIVE:
            return ModelState.READY
        case wire.State.FAILED:
            return ModelState.FAILED
        case wire.State.STATE_UNSPECIFIED:
            # Neither to be called nor to be trained again: waiting does no harm.
            return ModelState.TRAINING


def _used(used: wire.Hyperparameters) -> UsedHyperparameters:
    return UsedHyperparameters(
        epoch_count=used.epoch_count,
        batch_size=used.batch_size,
        learning_rate=used.learning_rate,
        learning_rate_multiplier=used.learning_rate_multiplier,
    )
