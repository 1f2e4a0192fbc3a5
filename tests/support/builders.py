"""Values for tests, with defaults for every field that a test does not set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tunedmodels.desired import Desired, DesiredEvaluation, DesiredSweep, version_id
from tunedmodels.model_fields import DesiredDataset, MutableFields, TrainingInputs
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.ownership import Ownership
from tunedmodels.plan.gate import gate_for
from tunedmodels.plan.inputs import PlanInputs, PlanOptions
from tunedmodels.plan.plan import Plan
from tunedmodels.plan.planner import make_plan
from tunedmodels.plan.sweep import resolve_sweeps
from tunedmodels.schema.project import Policy
from tunedmodels.schema.tuned_model import Evaluation, ExampleFile, Hyperparameters
from tunedmodels.stamp import Decision, Stamp

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BASE = "models/embedded-label-001"

__all__ = [
    "BASE",
    "NOON",
    "desired",
    "evaluation",
    "live",
    "plan_for",
    "sha",
    "stamp",
    "unowned_model",
    "version_id",
    "with_dataset",
    "with_decision",
    "with_fields",
    "with_inputs",
    "with_sweep",
]


def sha(text: str) -> str:
    """Return the SHA-256 (hex) of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def desired(
    name: str = "tone", *, data: str = "data", examples: int = 24, **values: Any
) -> Desired:
    """Return a declared model; another `data` is another dataset, so another fingerprint.

    `values` are fields of Desired, TrainingInputs or MutableFields.
    """
    path = f"data/{name}.jsonl"
    dataset = DesiredDataset(
        file=Path("/nowhere") / path,
        declared_path=path,
        source=ExampleFile(path=path),
        digest=sha(data),
        examples=examples,
    )
    inputs: dict[str, Any] = {
        "source": BASE,
        "dataset": dataset,
        "hyperparameters": Hyperparameters(epoch_count=5),
        **_take(values, TrainingInputs),
    }
    mutable: dict[str, Any] = {"display_name": name, **_take(values, MutableFields)}
    others: dict[str, Any] = {
        "project": "demo",
        "provider": "embedded",
        "base_model": inputs["source"] if inputs["source"].startswith("models/") else BASE,
        **values,
    }
    return Desired(
        name=name, inputs=TrainingInputs(**inputs), fields=MutableFields(**mutable), **others
    )


def evaluation(*, data: str = "held out", examples: int = 100, **spec: Any) -> DesiredEvaluation:
    """Return a declared evaluation; it is a gate if `spec` sets a threshold."""
    path = "data/tone.eval.jsonl"
    return DesiredEvaluation(
        file=Path("/nowhere") / path,
        declared_path=path,
        spec=Evaluation(path=path, **spec),
        digest=sha(data),
        examples=examples,
    )


def with_inputs(model: Desired, **values: Any) -> Desired:
    """Return a declared model with other training inputs."""
    return replace(model, inputs=replace(model.inputs, **values))


def with_dataset(model: Desired, **values: Any) -> Desired:
    """Return a declared model with other values of its dataset."""
    return with_inputs(model, dataset=replace(model.inputs.dataset, **values))


def with_fields(model: Desired, **values: Any) -> Desired:
    """Return a declared model with other mutable fields."""
    return replace(model, fields=replace(model.fields, **values))


def with_sweep(model: Desired, *epochs: int, **values: Any) -> Desired:
    """Return a declared model with a sweep over epochs; it needs an evaluation."""
    shared = model.inputs.hyperparameters
    settings = tuple(shared.model_copy(update={"epoch_count": count}) for count in epochs)
    sweep = DesiredSweep(settings, **{"location": "manifests/tone.yaml:9", **values})
    without_epochs = shared.model_copy(update={"epoch_count": None})
    return replace(with_inputs(model, hyperparameters=without_epochs), sweep=sweep)


def live(
    model: Desired | None = None,
    *,
    state: ModelState = ModelState.READY,
    promoted: int | None = None,
    attempt: int = 1,
    **values: Any,
) -> ObservedModel:
    """Return the live version of a declared model.

    `promoted` is the time of its promotion, in minutes after noon. `values` are fields of
    ObservedModel or MutableFields.
    """
    model = model or desired()
    stamp = model.stamp(attempt=attempt)
    if promoted is not None:
        stamp = stamp.promoted_at(NOON + timedelta(minutes=promoted))
    mutable: dict[str, Any] = {
        "display_name": model.fields.display_name,
        "description": model.fields.description,
        "temperature": model.fields.temperature,
        "reader_project_numbers": (),
        **_take(values, MutableFields),
    }
    others: dict[str, Any] = {
        "provider": model.provider,
        "model_id": model.model_id,
        "resource": f"tunedModels/{model.model_id}",
        "state": state,
        "source": model.inputs.source,
        "stamp": stamp,
        "created": NOON,
        **values,
    }
    return ObservedModel(fields=MutableFields(**mutable), **others)


def with_decision(
    version: ObservedModel,
    model: Desired,
    decision: Decision,
    *,
    baseline: ObservedModel | None = None,
) -> ObservedModel:
    """Return a live version with a decision of the gate of `model`, compared with `baseline`."""
    gate = gate_for(model, baseline)
    assert version.stamp
    assert gate
    score = {Decision.PASSED: "0.912", Decision.INCONCLUSIVE: "0.860", Decision.REFUSED: "0.610"}
    stamp = replace(
        version.stamp, score=f"exactMatch:{score[decision]}", gate_record=str(gate.record(decision))
    )
    return replace(version, stamp=stamp)


def unowned_model(model_id: str = "unowned", **values: Any) -> ObservedModel:
    """Return a live model without a stamp."""
    mutable = {"reader_project_numbers": (), **_take(values, MutableFields)}
    others: dict[str, Any] = {
        "provider": "embedded",
        "resource": f"tunedModels/{model_id}",
        "state": ModelState.READY,
        "source": BASE,
        **values,
    }
    return ObservedModel(model_id=model_id, fields=MutableFields(**mutable), **others)


def plan_for(
    models: Iterable[Desired] = (), observed: Iterable[ObservedModel] = (), **values: Any
) -> Plan:
    """Return a plan of the project `demo`, without limits unless the test sets a policy.

    `values` are fields of PlanInputs or PlanOptions.
    """
    options = {"policy": Policy(max_delete_percent=100), **_take(values, PlanOptions)}
    observed = tuple(observed)
    ownership = values.pop("ownership", Ownership("demo"))
    resolved = resolve_sweeps(models, observed, ownership)
    inputs = PlanInputs(ownership=ownership, desired=resolved, observed=observed, **values)
    return make_plan(inputs, PlanOptions(**options))


def stamp(name: str = "tone", **values: Any) -> Stamp:
    """Return a stamp of the project `demo`."""
    others: dict[str, Any] = {
        "project": "demo",
        "fingerprint": sha(name),
        "dataset": sha("data"),
        "examples": 24,
        **values,
    }
    return Stamp(name=name, **others)


def _take(values: dict[str, Any], kind: type[Any]) -> dict[str, Any]:
    """Remove the fields of a dataclass from `values` and return them."""
    names = {field.name for field in fields(kind)} & values.keys()
    return {name: values.pop(name) for name in names}
