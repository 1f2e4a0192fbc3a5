"""What the last training of a name teaches about epochs, said before the next is paid for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan.plan import Note, Plan

# To read a curve takes up to a millisecond, and nobody reads a hundred notes.
_CURVES: Final = 100
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


def epoch_notes(
    plan: Plan, desired: Mapping[str, Desired], observed: Sequence[ObservedModel]
) -> Iterator[Note]:
    """Yield a note for every name whose last curve recommends other epochs than are declared.

    At most 100 curves are read: those of what the plan trains first, then the others by name.
    """
    curves = _last_curves(plan.project, observed)
    trained = {change.name for change in plan.changes if change.action.trains}
    # A sweep finds out by itself, and what it chose was measured.
    fixed = {name for name, want in desired.items() if not want.sweep_digest}
    declared = sorted(fixed & curves.keys(), key=lambda name: (name not in trained, name))
    for name in declared[:_CURVES]:
        if words := _differing(desired[name], curves[name]):
            yield Note(name=name, words=words)


def _last_curves(project: str, observed: Sequence[ObservedModel]) -> dict[str, ObservedModel]:
    """Return, by name, the version of ours that was trained last, if it has a curve."""
    finished: dict[str, list[ObservedModel]] = defaultdict(list)
    for model in observed:
        is_ours = model.stamp is not None and model.stamp.project == project
        if is_ours and model.stamp and model.state is ModelState.READY and model.curve:
            finished[model.stamp.name].append(model)
    return {name: max(models, key=_age) for name, models in finished.items()}


def _age(model: ObservedModel) -> tuple[datetime, str]:
    return model.completed or model.created or _LONG_AGO, model.model_id


def _differing(want: Desired, last: ObservedModel) -> str:
    from tunedmodels.evaluation.curves import read_curve  # a first plan has no curve

    reading = read_curve(last.curve, epoch_count=last.used.epoch_count)
    declared = want.hyperparameters.epoch_count or last.used.epoch_count
    recommended = reading.recommended_epoch_count
    if recommended is None or declared is None or declared == recommended:
        return ""
    epochs = "1 epoch is" if declared == 1 else f"{declared} epochs are"
    said = "declared" if want.hyperparameters.epoch_count else "the default"
    return f"{epochs} {said}. In {last.model_id}: {reading.advice}"
