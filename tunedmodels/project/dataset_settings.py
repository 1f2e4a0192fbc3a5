"""The settings of a training compared with the number of its examples, before it is paid for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from tunedmodels.datasets.scan import DatasetScan
from tunedmodels.errors import Problem, Severity
from tunedmodels.manifests.load import DeclaredModel
from tunedmodels.schema.project import AnyProvider

# Defaults of the Gemini API and of the embedded service.
_DEFAULT_EPOCHS: Final = 5
_DEFAULT_BATCH_SIZE: Final = 4
_FEW_STEPS: Final = 20
_MIN_RATE_SUM: Final = 0.02
"""Steps times the learning rate, below which the text and label bases learn next to nothing."""


def check_settings(
    model: DeclaredModel, scan: DatasetScan, settings: AnyProvider | None
) -> Iterator[Problem]:
    """Advise on settings that do not suit the number of examples."""
    if settings is None or settings.type == "vertex" or not (scan.is_usable and scan.examples):
        return  # Vertex AI chooses the batch size itself
    declared = model.spec.hyperparameters
    batch_size = declared.batch_size or _DEFAULT_BATCH_SIZE
    epochs = declared.epoch_count or _DEFAULT_EPOCHS
    steps = math.ceil(scan.examples * epochs / batch_size)
    have = f"{scan.examples:,} examples"
    path = "spec.hyperparameters"
    if batch_size > scan.examples:
        yield model.location_of(f"{path}.batchSize").problem(
            "large-batch",
            f"is {batch_size}, but the dataset has {have}: every step sees all of them",
            f"set batchSize to {max(1, scan.examples // 5)} or less",
            Severity.ADVICE,
        )
    if steps < _FEW_STEPS:
        enough = math.ceil(_FEW_STEPS * batch_size / scan.examples)
        yield model.location_of(f"{path}.epochCount").problem(
            "few-steps",
            f"{have} for {epochs} epochs in batches of {batch_size} are {steps} steps, which teach "
            "a model next to nothing",
            f"set epochCount to {enough} or more, or a smaller batchSize",
            Severity.ADVICE,
        )
    elif settings.type == "embedded" and declared.learning_rate:
        yield from _check_rate(model, declared.learning_rate, steps)


def _check_rate(model: DeclaredModel, rate: float, steps: int) -> Iterator[Problem]:
    """Advise on a rate that is far too low for the number of steps."""
    if rate * steps >= _MIN_RATE_SUM:
        return
    yield model.location_of("spec.hyperparameters.learningRate").problem(
        "low-rate",
        f"is {rate:g}: in {steps:,} steps, this base model changes too little to learn the "
        "examples",
        "remove learningRate, so that the default of 0.001 is used, or set a higher one",
        Severity.ADVICE,
    )
