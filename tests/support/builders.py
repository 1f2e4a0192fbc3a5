"""Values for tests, each with a sensible default for everything a test does not care about."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tunedmodels.desired import Desired, DesiredDataset, DesiredEvaluation, DesiredSweep, version_id
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan.gate import gate_of
from tunedmodels.plan.plan import Plan
from tunedmodels.plan.planner import make_plan
from tunedmodels.schema.project import Policy
from tunedmodels.schema.tuned_model import Evaluation, Examples, Hyperparameters
from tunedmodels.stamp import Decision, Stamp

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BASE = "models/embedded-label-001"


def sha(text: str) -> str:
    """A whole digest from a short word."""
    return hashlib.sha256(text.encode()).hexdigest()


def desired(
    name: str = "tone", *, data: str = "data", examples: int = 24, **others: Any
) -> Desired:
    """A declared model; another `data` word is another dataset and so another fingerprint."""
    written = f"data/{name}.jsonl"
    dataset = DesiredDataset(
        file=Path("/nowhere") / written,
        written=written,
        source=Examples(path=written),
        digest=sha(data),
        examples=examples,
    )
    values: dict[str, Any] = {
        "project": "demo",
        "provider": "embedded",
        "source": BASE,
        "display_name": name,
        "hyperparameters": Hyperparameters(epoch_count=5),
        **others,
    }
    return Desired(name=name, dataset=dataset, **values)


def evaluation(*, data: str = "held out", examples: int = 100, **rules: Any) -> DesiredEvaluation:
    """A declared evaluation; it is a gate when `rules` set a threshold."""
    written = "data/tone.eval.jsonl"
    return DesiredEvaluation(
        file=Path("/nowhere") / written,
        written=written,
        rules=Evaluation(path=written, **rules),
        digest=sha(data),
        examples=examples,
    )


def swept(want: Desired, *epochs: int, **others: Any) -> Desired:
    """`want` with a sweep over epochs; it needs an evaluation."""
    settings = tuple(
        want.hyperparameters.model_copy(update={"epoch_count": count}) for count in epochs
    )
    given = {"place": "manifests/tone.yaml:9", **others}
    shared = want.hyperparameters.model_copy(update={"epoch_count": None})
    return replace(want, hyperparameters=shared, sweep=DesiredSweep(settings, **given))


def live(
    want: Desired | None = None,
    *,
    state: ModelState = ModelState.READY,
    promoted: int | None = None,
    attempt: int = 1,
    **others: Any,
) -> ObservedModel:
    """The live version of `want`; `promoted` is the minute after noon at which it was."""
    want = want or desired()
    stamp = want.stamp(attempt=attempt)
    if promoted is not None:
        stamp = stamp.promoted_at(NOON + timedelta(minutes=promoted))
    values: dict[str, Any] = {
        "provider": want.provider,
        "model_id": want.model_id,
        "resource": f"tunedModels/{want.model_id}",
        "state": state,
        "source": want.source,
        "display_name": want.display_name,
        "description": want.description,
        "stamp": stamp,
        "temperature": want.temperature,
        "created": NOON,
        **others,
    }
    return ObservedModel(**values)


def ruled(
    model: ObservedModel, want: Desired, decision: Decision, *, rival: ObservedModel | None = None
) -> ObservedModel:
    """The live version with the decision that the gate of `want` made beside `rival`."""
    gate = gate_of(want, rival)
    assert model.stamp
    assert gate
    score = {Decision.PASSED: "0.912", Decision.INCONCLUSIVE: "0.860", Decision.REFUSED: "0.610"}
    stamp = replace(
        model.stamp, score=f"exactMatch:{score[decision]}", gate=str(gate.mark(decision))
    )
    return replace(model, stamp=stamp)


def foreign(model_id: str = "somebody-elses", **others: Any) -> ObservedModel:
    """A live model without any stamp."""
    values: dict[str, Any] = {
        "provider": "embedded",
        "resource": f"tunedModels/{model_id}",
        "state": ModelState.READY,
        "source": BASE,
        **others,
    }
    return ObservedModel(model_id=model_id, **values)


def planned(
    wants: Iterable[Desired] = (), there: Iterable[ObservedModel] = (), **others: Any
) -> Plan:
    """A plan of the project `demo`, without limits unless the test gives a policy."""
    values: dict[str, Any] = {"policy": Policy(max_delete_percent=100), **others}
    return make_plan(wants, there, project="demo", **values)


def stamp(name: str = "tone", **others: Any) -> Stamp:
    """A stamp of the project `demo`."""
    values: dict[str, Any] = {
        "project": "demo",
        "fingerprint": sha(name),
        "dataset": sha("data"),
        "examples": 24,
        **others,
    }
    return Stamp(name=name, **values)


__all__ = [
    "BASE",
    "NOON",
    "desired",
    "evaluation",
    "foreign",
    "live",
    "planned",
    "ruled",
    "sha",
    "stamp",
    "swept",
    "version_id",
]
