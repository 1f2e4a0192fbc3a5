"""How many validation examples are allowed: a share of the training examples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tunedmodels.datasets.scan import DatasetScan
from tunedmodels.errors import Problem
from tunedmodels.manifests.declaration import DeclaredModel
from tunedmodels.schema.base_models import DatasetLimits

# Validation examples that are always allowed; above, a share of the training examples is.
MIN_VALIDATION_LIMIT: Final = 1000


def excess_validation(
    model: DeclaredModel,
    limits: DatasetLimits | None,
    training: DatasetScan,
    held_out: DatasetScan,
) -> Iterator[Problem]:
    """Yield a problem when there are too many validation examples for the training examples."""
    percent = limits.max_validation_percent if limits else None
    if percent is None or held_out.examples <= MIN_VALIDATION_LIMIT:
        return
    limit = max(training.examples * percent // 100, MIN_VALIDATION_LIMIT)
    if held_out.examples > limit:
        message = (
            f"has {held_out.examples:,} examples; at most {limit:,} are allowed for"
            f" {training.examples:,} training examples ({percent} %)"
        )
        location = model.location_of("spec.validation.path")
        yield location.problem("too-many-examples", message, "hold out fewer examples")


def excess_validation_bytes(
    model: DeclaredModel, known: DatasetLimits | None, training: DatasetScan, held_out: DatasetScan
) -> Iterator[Problem]:
    """Yield a problem when the validation examples are too large for the training examples."""
    percent = known.max_validation_bytes_percent if known else None
    if percent is None or not training.size or held_out.size * 100 <= training.size * percent:
        return
    message = (
        f"has {held_out.size:,} bytes; at most {percent} % of the {training.size:,} bytes of the"
        " training examples are allowed"
    )
    location = model.location_of("spec.validation.path")
    yield location.problem("too-large", message, "hold out fewer examples")
