"""What is wrong with a sweep: too few candidates, too many, or settings that contradict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tunedmodels.errors import Problem
from tunedmodels.manifests.declared import Declared
from tunedmodels.manifests.yaml_scalars import shown
from tunedmodels.schema.tuned_model import MOST_CANDIDATES, Sweep

_RATES = ("learningRate", "learningRateMultiplier")
_WHERE = "spec.sweep.hyperparameters"


def problems(models: Sequence[Declared]) -> Iterator[Problem]:
    """Report what no single field shows; each at the line where it can be mended."""
    swept = {model.name for model in models if model.spec.sweep}
    for model in models:
        parent = model.spec.tuned_model
        if parent in swept:
            message = f"continues from {shown(parent)}, whose sweep may choose another version"
            cure = f"pin the version: give {parent} hyperparameters in place of its sweep"
            yield model.place_of("spec.tunedModel").problem("bad-sweep", message, cure)
        if model.spec.sweep:
            yield from _sweep(model, model.spec.sweep)


def _sweep(model: Declared, sweep: Sweep) -> Iterator[Problem]:
    if model.spec.evaluation is None:
        message = "needs spec.evaluation, whose metric chooses the best"
        cure = "add evaluation: {path: FILE, metric: NAME} with examples that are not trained on"
        yield model.place_of("spec.sweep").problem("bad-sweep", message, cure)
    lists = sweep.hyperparameters.model_dump(by_alias=True, exclude_none=True)
    yield from _repeated(model, lists)
    yield from _fixed(model, lists)
    count = sweep.hyperparameters.count
    if count < 2:  # noqa: PLR2004  # one candidate leaves nothing to choose
        message = "leaves nothing to choose: it has 1 candidate"
        cure = "list at least two values, or write the one into spec.hyperparameters"
        yield model.place_of(_WHERE).problem("bad-sweep", message, cure)
    if count > MOST_CANDIDATES:
        message = f"makes {count:,} candidates; at most {MOST_CANDIDATES} are allowed"
        cure = "try fewer values at once: the coarse ones first, then those around the best"
        yield model.place_of(_WHERE).problem("bad-sweep", message, cure)


def _repeated(model: Declared, lists: dict[str, Sequence[float]]) -> Iterator[Problem]:
    for field, values in lists.items():
        for value in _twice(values):
            message = f"lists {value:g} twice, which would be one candidate"
            place = model.place_of(f"{_WHERE}.{field}")
            yield place.problem("bad-sweep", message, "keep one of the two")


def _twice(values: Iterable[float]) -> list[float]:
    seen: dict[float, int] = {}
    for value in values:
        seen[value] = seen.get(value, 0) + 1
    return [value for value, count in seen.items() if count > 1]


def _fixed(model: Declared, lists: dict[str, Sequence[float]]) -> Iterator[Problem]:
    """Report settings that are swept and fixed, and the two rates beside each other."""
    fixed = model.spec.hyperparameters.model_dump(by_alias=True, exclude_none=True)
    for field in lists:
        if field in fixed:
            message = "is in spec.hyperparameters too, with one value"
            place = model.place_of(f"{_WHERE}.{field}")
            yield place.problem("bad-sweep", message, "keep one of the two")
    if all(rate in lists for rate in _RATES):
        place = model.place_of(f"{_WHERE}.{_RATES[1]}")
        message = f"excludes {_RATES[0]}, which is swept too"
        yield place.problem("exclusive", message, "keep one of the two")
    for one, other in (_RATES, _RATES[::-1]):
        if one in lists and other in fixed:
            place = model.place_of(f"{_WHERE}.{one}")
            message = f"excludes {other}, which is in spec.hyperparameters"
            yield place.problem("exclusive", message, "keep one of the two")
