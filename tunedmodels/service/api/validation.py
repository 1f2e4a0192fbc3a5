"""Validation of requests: limits and ranges. An error lists every violation at once."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tunedmodels.datasets.examples import Example
from tunedmodels.engines.engine import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_EPOCH_COUNT,
    DEFAULT_LEARNING_RATE,
)
from tunedmodels.service.api.limits import (
    MAX_BATCH_SIZE,
    MAX_DISPLAY_NAME_LENGTH,
    MAX_EPOCHS,
    MAX_INPUT_LENGTH,
    MAX_OUTPUT_LENGTH,
    MAX_STEPS,
)
from tunedmodels.service.api.messages import Hyperparameters, TunedModel, TuningExample, TuningTask
from tunedmodels.service.api.responses import float32
from tunedmodels.service.errors import Violation, invalid_argument

# The pattern of CreateTunedModelRequest.tuned_model_id, v1beta.
_ID = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
_EMAIL = re.compile(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+")
_MAX_EMAIL_LENGTH = 254  # characters, RFC 5321
_TASK_PATH = "tuned_model.tuning_task"
_EXAMPLES_PATH = f"{_TASK_PATH}.training_data.examples.examples"


@dataclass(frozen=True, slots=True)
class JobSettings:
    """The settings of a requested job, with the defaults filled in and the multiplier applied."""

    examples: list[Example]
    epoch_count: int
    batch_size: int
    learning_rate: float

    @property
    def total_steps(self) -> int:
        """The number of steps. As in the hosted API, a batch can span two epochs."""
        return math.ceil(len(self.examples) * self.epoch_count / self.batch_size)


def validate_create(body: TunedModel, requested_id: str) -> JobSettings:
    """Return the settings of a create request.

    Raises ApiError (INVALID_ARGUMENT) with every violation.
    """
    task = body.tuning_task or TuningTask()
    data = task.training_data
    examples = (data.examples.examples if data and data.examples else None) or []
    settings = task.hyperparameters or Hyperparameters()
    violations = [
        *_id_violations(requested_id),
        *_source_violations(body),
        *mutable_field_violations(body),
        *_settings_violations(settings),
        *_examples_violations(examples),
    ]
    if violations:
        raise invalid_argument(violations)
    job = JobSettings(
        examples=[Example(pair.text_input or "", pair.output or "") for pair in examples],
        epoch_count=_or_default(settings.epoch_count, DEFAULT_EPOCH_COUNT),
        batch_size=_or_default(settings.batch_size, DEFAULT_BATCH_SIZE),
        learning_rate=_learning_rate(settings),
    )
    if job.total_steps > MAX_STEPS:
        message = (
            f"{len(examples)} examples for {job.epoch_count} epochs in batches of "
            f"{job.batch_size} are {job.total_steps} steps; at most {MAX_STEPS} are allowed."
        )
        raise invalid_argument([Violation(f"{_TASK_PATH}.hyperparameters", message)])
    return job


def mutable_field_violations(body: TunedModel) -> Iterator[Violation]:
    """Yield the violations of the fields that create and patch share."""
    name = body.display_name or ""
    if len(name) > MAX_DISPLAY_NAME_LENGTH:
        yield Violation(
            "tuned_model.display_name",
            f"display_name has {len(name)} characters; "
            f"at most {MAX_DISPLAY_NAME_LENGTH} are allowed.",
        )
    ranges = (
        ("temperature", body.temperature, 0, 1),
        ("top_p", body.top_p, 0, 1),
        ("top_k", body.top_k, 1, None),
    )
    for field, value, minimum, maximum in ranges:
        yield from range_violations(f"tuned_model.{field}", value, minimum, maximum)


def is_email(value: object) -> bool:
    """Return whether a value has the form of an e-mail address."""
    return (
        isinstance(value, str) and len(value) <= _MAX_EMAIL_LENGTH and bool(_EMAIL.fullmatch(value))
    )


def range_violations(
    path: str, value: float | None, minimum: float, maximum: float | None
) -> Iterator[Violation]:
    """Yield a violation if a value is outside its range. None is allowed."""
    if value is None or (value >= minimum and (maximum is None or value <= maximum)):
        return
    field = path.rpartition(".")[2]
    allowed = f"at least {minimum}" if maximum is None else f"between {minimum} and {maximum}"
    yield Violation(path, f"{field} must be {allowed} (got {value}).")


def _or_default(value: int | None, default: int) -> int:
    return default if value is None else value


def _learning_rate(settings: Hyperparameters) -> float:
    if settings.learning_rate is not None:
        return settings.learning_rate
    if settings.learning_rate_multiplier is not None:
        return float32(settings.learning_rate_multiplier * DEFAULT_LEARNING_RATE)
    return DEFAULT_LEARNING_RATE


def _id_violations(requested_id: str) -> Iterator[Violation]:
    if requested_id and not _ID.fullmatch(requested_id):
        yield Violation(
            "tuned_model_id",
            f"Invalid tuned_model_id {requested_id[:80]!r}: it must match "
            f"^{_ID.pattern}$ (at most 40 characters).",
        )


def _source_violations(body: TunedModel) -> Iterator[Violation]:
    source_name = body.tuned_model_source and body.tuned_model_source.tuned_model
    if body.base_model and body.tuned_model_source is not None:
        yield Violation(
            "tuned_model",
            "Invalid value at 'tuned_model' (oneof), oneof field 'source_model' is already set. "
            "Cannot set 'tunedModelSource'",
        )
    elif not body.base_model and not source_name:
        yield Violation("tuned_model.base_model", "base_model or tuned_model_source is required.")


def _settings_violations(settings: Hyperparameters) -> Iterator[Violation]:
    path = f"{_TASK_PATH}.hyperparameters"
    yield from range_violations(f"{path}.epoch_count", settings.epoch_count, 1, MAX_EPOCHS)
    yield from range_violations(f"{path}.batch_size", settings.batch_size, 1, MAX_BATCH_SIZE)
    if settings.learning_rate is not None and settings.learning_rate_multiplier is not None:
        yield Violation(
            path,
            f"Invalid value at '{path}' (oneof), oneof field 'learning_rate_option' is already "
            "set. Cannot set 'learningRateMultiplier'",
        )
    for field in ("learning_rate", "learning_rate_multiplier"):
        value = getattr(settings, field)
        # The smallest numbers become zero as a 32-bit float.
        if value is not None and float32(value * DEFAULT_LEARNING_RATE) <= 0:
            yield Violation(f"{path}.{field}", f"{field} must be greater than 0 (got {value}).")


def _examples_violations(examples: list[TuningExample]) -> Iterator[Violation]:
    if not examples:
        yield Violation(_EXAMPLES_PATH, "At least one training example is required.")
    for index, example in enumerate(examples):
        limits = (
            ("text_input", example.text_input, MAX_INPUT_LENGTH),
            ("output", example.output, MAX_OUTPUT_LENGTH),
        )
        for field, text, maximum in limits:
            path = f"{_EXAMPLES_PATH}[{index}].{field}"
            if not text:
                yield Violation(path, f"Example {index}: {field} is required.")
            elif len(text) > maximum:
                message = f"{field} has {len(text)} characters; at most {maximum} are allowed."
                yield Violation(path, f"Example {index}: {message}")
