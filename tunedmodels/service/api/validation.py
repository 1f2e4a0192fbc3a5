"""What a request may ask for: limits and ranges, with everything that is wrong at once."""

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
    MOST_BATCH,
    MOST_DISPLAY_NAME,
    MOST_EPOCHS,
    MOST_INPUT,
    MOST_OUTPUT,
    MOST_STEPS,
)
from tunedmodels.service.api.messages import Hyperparameters, TunedModel, TuningExample, TuningTask
from tunedmodels.service.api.responses import float32
from tunedmodels.service.errors import Violation, invalid

# CreateTunedModelRequest.tuned_model_id, v1beta.
_ID = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
_EMAIL = re.compile(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+")
_LONGEST_EMAIL = 254  # characters, RFC 5321
_TASK = "tuned_model.tuning_task"
_EXAMPLES = f"{_TASK}.training_data.examples.examples"


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is asked for, every default filled in and a multiplier applied."""

    examples: list[Example]
    epoch_count: int
    batch_size: int
    learning_rate: float

    @property
    def total_steps(self) -> int:
        """The number of steps, as the API counts: batches run on across epochs."""
        return math.ceil(len(self.examples) * self.epoch_count / self.batch_size)


def job(body: TunedModel, wanted_id: str) -> Job:
    """Check all of a create request. Raises ApiError (INVALID_ARGUMENT) with every violation."""
    task = body.tuning_task or TuningTask()
    data = task.training_data
    examples = (data.examples.examples if data and data.examples else None) or []
    settings = task.hyperparameters or Hyperparameters()
    violations = [
        *_id_violations(wanted_id),
        *_source_violations(body),
        *word_violations(body),
        *_settings_violations(settings),
        *_examples_violations(examples),
    ]
    if violations:
        raise invalid(violations)
    found = Job(
        examples=[Example(one.text_input or "", one.output or "") for one in examples],
        epoch_count=_or(settings.epoch_count, DEFAULT_EPOCH_COUNT),
        batch_size=_or(settings.batch_size, DEFAULT_BATCH_SIZE),
        learning_rate=_rate(settings),
    )
    if found.total_steps > MOST_STEPS:
        words = (
            f"{len(examples)} examples for {found.epoch_count} epochs in batches of "
            f"{found.batch_size} are {found.total_steps} steps; at most {MOST_STEPS} are allowed."
        )
        raise invalid([Violation(f"{_TASK}.hyperparameters", words)])
    return found


def word_violations(body: TunedModel) -> Iterator[Violation]:
    """Yield what is wrong with the fields that create and patch share."""
    name = body.display_name or ""
    if len(name) > MOST_DISPLAY_NAME:
        yield Violation(
            "tuned_model.display_name",
            f"display_name has {len(name)} characters; at most {MOST_DISPLAY_NAME} are allowed.",
        )
    ranges = (
        ("temperature", body.temperature, 0, 1),
        ("top_p", body.top_p, 0, 1),
        ("top_k", body.top_k, 1, None),
    )
    for field, value, least, most in ranges:
        yield from range_violations(f"tuned_model.{field}", value, least, most)


def is_email(value: object) -> bool:
    """Whether a value looks like an e-mail address."""
    return isinstance(value, str) and len(value) <= _LONGEST_EMAIL and bool(_EMAIL.fullmatch(value))


def range_violations(
    place: str, value: float | None, least: float, most: float | None
) -> Iterator[Violation]:
    """Yield a violation when a value is given and outside of what is allowed."""
    if value is None or (value >= least and (most is None or value <= most)):
        return
    field = place.rpartition(".")[2]
    allowed = f"at least {least}" if most is None else f"between {least} and {most}"
    yield Violation(place, f"{field} must be {allowed} (got {value}).")


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


def _rate(settings: Hyperparameters) -> float:
    if settings.learning_rate is not None:
        return settings.learning_rate
    if settings.learning_rate_multiplier is not None:
        return float32(settings.learning_rate_multiplier * DEFAULT_LEARNING_RATE)
    return DEFAULT_LEARNING_RATE


def _id_violations(wanted_id: str) -> Iterator[Violation]:
    if wanted_id and not _ID.fullmatch(wanted_id):
        yield Violation(
            "tuned_model_id",
            f"Invalid tuned_model_id {wanted_id[:80]!r}: it must match "
            f"^{_ID.pattern}$ (at most 40 characters).",
        )


def _source_violations(body: TunedModel) -> Iterator[Violation]:
    continues = body.tuned_model_source and body.tuned_model_source.tuned_model
    if body.base_model and body.tuned_model_source is not None:
        yield Violation(
            "tuned_model",
            "Invalid value at 'tuned_model' (oneof), oneof field 'source_model' is already set. "
            "Cannot set 'tunedModelSource'",
        )
    elif not body.base_model and not continues:
        yield Violation("tuned_model.base_model", "base_model or tuned_model_source is required.")


def _settings_violations(settings: Hyperparameters) -> Iterator[Violation]:
    at = f"{_TASK}.hyperparameters"
    yield from range_violations(f"{at}.epoch_count", settings.epoch_count, 1, MOST_EPOCHS)
    yield from range_violations(f"{at}.batch_size", settings.batch_size, 1, MOST_BATCH)
    if settings.learning_rate is not None and settings.learning_rate_multiplier is not None:
        yield Violation(
            at,
            f"Invalid value at '{at}' (oneof), oneof field 'learning_rate_option' is already set. "
            "Cannot set 'learningRateMultiplier'",
        )
    for field in ("learning_rate", "learning_rate_multiplier"):
        value = getattr(settings, field)
        # The smallest numbers are no more than zero once they are a rate of 32 bits.
        if value is not None and float32(value * DEFAULT_LEARNING_RATE) <= 0:
            yield Violation(f"{at}.{field}", f"{field} must be greater than 0 (got {value}).")


def _examples_violations(examples: list[TuningExample]) -> Iterator[Violation]:
    if not examples:
        yield Violation(_EXAMPLES, "At least one training example is required.")
    for index, example in enumerate(examples):
        limits = (
            ("text_input", example.text_input, MOST_INPUT),
            ("output", example.output, MOST_OUTPUT),
        )
        for field, text, most in limits:
            place = f"{_EXAMPLES}[{index}].{field}"
            if not text:
                yield Violation(place, f"Example {index}: {field} is required.")
            elif len(text) > most:
                words = f"{field} has {len(text)} characters; at most {most} are allowed."
                yield Violation(place, f"Example {index}: {words}")
