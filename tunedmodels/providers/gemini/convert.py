"""Conversions between messages of the Gemini API and values of this package."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any

from tunedmodels import stamp as stamps
from tunedmodels.datasets.examples import Example, prompt
from tunedmodels.desired import Desired
from tunedmodels.errors import InvalidArgumentError, ProviderError
from tunedmodels.model_fields import MutableFields
from tunedmodels.observed import ModelState, ObservedModel, UsedHyperparameters
from tunedmodels.providers.provider import AvailableBaseModel, Edit
from tunedmodels.schema.tuned_model import GenerationConfig
from tunedmodels.stamp import Stamp
from tunedmodels.wire import gemini as wire
from tunedmodels.wire import status

NO_HYPERPARAMETERS = UsedHyperparameters()
NORMAL_FINISH_REASONS = ("", "FINISH_REASON_UNSPECIFIED", "STOP", "MAX_TOKENS", "0", "1", "2")
HYPERPARAMETERS = set(wire.Hyperparameters.__struct_fields__)
JSON_NAMES = dict(
    zip(wire.TunedModel.__struct_fields__, wire.TunedModel.__struct_encode_fields__, strict=True)
)
# The mutable fields that the API has, under the same names; it has no labels.
MUTABLE = [field.name for field in fields(MutableFields) if field.name in JSON_NAMES]


def observed_model(provider: str, model: wire.TunedModel) -> ObservedModel:
    """Return a live model; the state and reason of a failed job come from `job_outcome`."""
    task = model.tuning_task or wire.TuningTask()
    description, stamp = stamps.parse_description(model.description)
    source = model.tuned_model_source
    return ObservedModel(
        provider=provider,
        model_id=model.name.rpartition("/")[2],
        resource=model.name,
        state=_state(model, task),
        source=(source.tuned_model if source else "") or model.base_model,
        fields=_mutable_fields(model, description),
        stamp=stamp,
        used=(
            _used_hyperparameters(task.hyperparameters)
            if task.hyperparameters
            else NO_HYPERPARAMETERS
        ),
        created=model.create_time,
        completed=task.complete_time,
        curve=task.snapshots,
    )


def generation_config(config: GenerationConfig) -> wire.GenerationConfig:
    """Return the generation settings of a request."""
    return wire.GenerationConfig(**config.model_dump())


def job_outcome(operations: Iterable[wire.Operation]) -> tuple[ModelState, str]:
    """Return the state of a job that did not succeed, and the service's reason if it gives one.

    A model has no state for a cancelled job; only its operation ends with the error CANCELLED.
    """
    errors = [operation.error for operation in operations if operation.error]
    state = ModelState.FAILED
    if any(error.code == status.CANCELLED for error in errors):
        state = ModelState.CANCELLED
    return state, status.printable_line("; ".join(error.text for error in errors))


def available_base_model(model: wire.Model) -> AvailableBaseModel:
    """Return a model that is not tuned."""
    return AvailableBaseModel(
        name=model.name,
        display_name=model.display_name,
        is_tunable=wire.CREATE_METHOD in model.supported_generation_methods,
        input_token_limit=model.input_token_limit,
    )


def create_body(desired: Desired, examples: Sequence[Example], stamp: Stamp) -> wire.TunedModel:
    """Return the body of a create, with declared fields only.

    The service chooses the values of other fields; a default set here would hide its own.
    """
    # Validation rejects fields that the API does not have (`manifests.provider_support`).
    inputs = desired.inputs
    declared = inputs.hyperparameters.model_dump(include=HYPERPARAMETERS)
    rows = [
        wire.TuningExample(prompt(inputs.preamble, example.text_input), example.output)
        for example in examples
    ]
    is_base = not inputs.source.startswith(f"{wire.TUNED_MODELS}/")
    return wire.TunedModel(
        **_field_values(desired.fields, stamp),
        base_model=inputs.source if is_base else "",
        tuned_model_source=None if is_base else wire.TunedModelSource(inputs.source),
        tuning_task=wire.TuningTask(
            training_data=wire.Dataset(wire.TuningExamples(rows)),
            hyperparameters=wire.Hyperparameters(**declared),
        ),
    )


def created_model(provider: str, desired: Desired, stamp: Stamp) -> ObservedModel:
    """Return a model that the service has just created, without the values that it chose."""
    return ObservedModel(
        provider=provider,
        model_id=desired.model_id,
        resource=f"{wire.TUNED_MODELS}/{desired.model_id}",
        state=ModelState.QUEUED,
        source=desired.inputs.source,
        fields=replace(desired.fields, labels=None),
        stamp=stamp,
    )


def patch_body(edit: Edit) -> tuple[wire.TunedModel, str]:
    """Return the body of a PATCH and its updateMask.

    A field in the mask that is missing in the body is cleared, as an empty value should be.
    """
    values = _field_values(edit.fields, edit.stamp)
    return wire.TunedModel(**values), ",".join(sorted(JSON_NAMES[field] for field in values))


def has_edit(model: wire.TunedModel, edit: Edit) -> bool:
    """Whether a live model has the values of an edit."""
    description = stamps.format_description(edit.fields.description, edit.stamp)
    if model.description.split() != description.split():  # a service may change line ends
        return False
    live = _mutable_fields(model, "")
    written = edit.fields.values()
    return all(
        _is_same(getattr(live, name), written[name])
        for name in MUTABLE
        if name in written and name != "description"
    )


def _is_same(live: object, written: object) -> bool:
    match live, written:
        case float(), float():  # the service stores 32 bits of a number
            return math.isclose(live, written, rel_tol=1e-6, abs_tol=1e-6)
        case tuple(), tuple():
            return set(live) == set(written)
        case _:
            return live == written


def _mutable_fields(model: wire.TunedModel, description: str) -> MutableFields:
    values: dict[str, Any] = {name: getattr(model, name) for name in MUTABLE}
    values["description"] = description
    values["reader_project_numbers"] = tuple(map(int, model.reader_project_numbers))
    return MutableFields(**values)


def _field_values(mutable: MutableFields, stamp: Stamp) -> dict[str, Any]:
    """Return the values of a wire.TunedModel for the fields that have a value."""
    values = {name: value for name, value in mutable.values().items() if name in MUTABLE}
    values["description"] = stamps.format_description(mutable.description, stamp)
    if "reader_project_numbers" in values:
        values["reader_project_numbers"] = [
            str(number) for number in values["reader_project_numbers"]
        ]
    return values


def generate_request(
    text: str, system: str = "", config: GenerationConfig | None = None
) -> wire.GenerateRequest:
    """Return the body of a generate request: one turn, with an optional system instruction."""
    return wire.GenerateRequest(
        [wire.Content([wire.Part(text)], role="user")],
        generation_config=generation_config(config) if config else None,
        system_instruction=wire.Content([wire.Part(system)]) if system else None,
    )


def answer_part(message: wire.GenerateResponse) -> tuple[str, str]:
    """Return the next part of an answer and its finish reason, empty while it continues.

    Raises InvalidArgumentError for a blocked prompt, and ProviderError for an incomplete answer.
    """
    if message.error:
        raise ProviderError(
            f"The answer is incomplete: {status.printable_line(message.error.text)}"
        )
    if message.prompt_feedback and message.prompt_feedback.block_reason:
        raise InvalidArgumentError(
            f"The prompt was blocked (blockReason: {message.prompt_feedback.block_reason}).",
            cure="Rephrase the prompt; the service decides what it accepts.",
        )
    if not message.candidates:
        return "", ""
    candidate = message.candidates[0]
    reason = str(candidate.finish_reason)
    if reason not in NORMAL_FINISH_REASONS:
        raise ProviderError(f"The service stopped the answer (finishReason: {reason}).")
    parts = candidate.content.parts if candidate.content else []
    return "".join(part.text for part in parts), reason


def _state(model: wire.TunedModel, task: wire.TuningTask) -> ModelState:
    match wire.State.parse(model.state):
        case wire.State.CREATING:
            return ModelState.TRAINING if task.start_time else ModelState.QUEUED
        case wire.State.ACTIVE:
            return ModelState.READY
        case wire.State.FAILED:
            return ModelState.FAILED
        case wire.State.STATE_UNSPECIFIED:
            # An unknown state is neither ready nor failed, so that a run waits.
            return ModelState.TRAINING


def _used_hyperparameters(used: wire.Hyperparameters) -> UsedHyperparameters:
    return UsedHyperparameters(
        epoch_count=used.epoch_count,
        batch_size=used.batch_size,
        learning_rate=used.learning_rate,
        learning_rate_multiplier=used.learning_rate_multiplier,
    )
