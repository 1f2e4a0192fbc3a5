"""The gate of a version in a plan: the evaluation that it must pass before it is promoted. Pure.

A gate decides once. The decision is written to the stamp of the live model, together with the gate
and the baseline, so that every machine knows a rejected version and does not train it again. The
decision is valid for the same gate and the same baseline. A version that was promoted before has no
gate: a comparison with a broken serving version must not delay a rollback.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tunedmodels.desired import Desired
from tunedmodels.observed import ObservedModel
from tunedmodels.plan.version import PlanModel
from tunedmodels.stamp import Decision, GateRecord, parse_gate_record


class Baseline(PlanModel):
    """The serving version with which a gate compares a new one."""

    provider: str
    model_id: str
    fingerprint: str


class Gate(PlanModel):
    """The evaluation that decides whether the version of a change is promoted.

    Scores and thresholds are from 0 to 1.
    """

    digest: str  #: over everything that decides the result, except the baseline
    path: str
    examples: int
    metric: str
    at_least: float | None = None
    not_worse_than_serving_by: float | None = None
    on_inconclusive: Literal["refuse", "promote"] = "refuse"
    baseline: Baseline | None = Field(default=None, alias="rival")
    """None if nothing is compared, or no version is serving."""

    def allows(self, decision: Decision) -> bool:
        """Return whether a version with this decision is promoted."""
        is_permissive = self.on_inconclusive == "promote"
        return decision is Decision.PASSED or (decision is Decision.INCONCLUSIVE and is_permissive)

    def record(self, decision: Decision) -> GateRecord:
        """Return the record of a decision of this gate for a stamp."""
        prefix = self.baseline.fingerprint[:8] if self.baseline else ""
        return GateRecord(decision, self.digest, prefix)


def gate_for(desired: Desired, serving: ObservedModel | None) -> Gate | None:
    """Return the gate of a desired model, with the serving version as baseline, if it has one."""
    evaluation = desired.evaluation
    if evaluation is None or not evaluation.spec.is_gate:
        return None
    spec = evaluation.spec
    baseline = None
    if serving and spec.not_worse_than_serving_by is not None:
        baseline = Baseline(
            provider=serving.provider,
            model_id=serving.model_id,
            fingerprint=serving.fingerprint,
        )
    return Gate(
        digest=evaluation.gate_digest,
        path=evaluation.declared_path,
        examples=evaluation.examples,
        metric=spec.metric,
        at_least=spec.at_least,
        not_worse_than_serving_by=spec.not_worse_than_serving_by,
        on_inconclusive=spec.on_inconclusive,
        baseline=baseline,
    )


def recorded_decision(model: ObservedModel, gate: Gate) -> Decision | None:
    """Return the decision in the stamp of a live version, if this gate made it."""
    record = parse_gate_record(model.stamp.gate_record) if model.stamp else None
    return record.decision if record and record == gate.record(record.decision) else None


def describe_conditions(gate: Gate) -> list[str]:
    """Return the conditions of a gate as text: `exactMatch >= 0.85 on PATH (100)`."""
    examples = f"on {gate.path} ({gate.examples})"
    conditions = []
    if gate.at_least is not None:
        conditions.append(f"{gate.metric} >= {gate.at_least:g} {examples}")
    if gate.not_worse_than_serving_by is not None:
        baseline = gate.baseline.model_id if gate.baseline else "the serving version (none yet)"
        margin = f"not more than {gate.not_worse_than_serving_by:g} below {baseline}"
        conditions.append(margin if conditions else f"{gate.metric} {examples} {margin}")
    return conditions


def refusal(gate: Gate, decision: Decision, score: str) -> str:
    """Return why a gate rejects a version; `score` is `exactMatch:0.61` or empty."""
    scored = [f"it scored {score.replace(':', ' ')}"] if score else []
    required = f"required is {' and '.join(describe_conditions(gate))}"
    if decision is Decision.INCONCLUSIVE:
        count = "1 example is" if gate.examples == 1 else f"{gate.examples} examples are"
        details = "; ".join([*scored, f"{count} too few", required])
        return f"its gate could not decide: {details}"
    return f"its gate refused it: {'; '.join([*scored, required])}"


def cure(gate: Gate, decision: Decision, name: str, model_id: str) -> str:
    """Return what the user can do about a version that its gate rejected."""
    override = f"or promote it anyway: tunedmodels promote {name} {model_id}"
    if decision is Decision.INCONCLUSIVE:
        return f"Add examples to {gate.path}, or edit the gate; {override}"
    return f"Edit its training examples or hyperparameters, or the gate; {override}"


def describe_changes(planned: Gate | None, current: Gate | None) -> list[str]:
    """Return how a gate changed since the plan; empty if it still decides in the same way."""
    if planned is None or current is None:
        article = "without a" if current else "with a"
        return [] if planned is current else [f"it was planned {article} gate"]
    if (planned.digest, planned.baseline) == (current.digest, current.baseline):
        return []
    if planned.digest == current.digest:
        before, after = (
            gate.baseline.model_id if gate.baseline else "no version" for gate in (planned, current)
        )
        return [f"its gate would compare it with {after} instead of {before}"]
    before, after = (" and ".join(describe_conditions(gate)) for gate in (planned, current))
    if before == after:
        reason = f"{current.path} has other examples, or answers are sampled differently"
        return [f"its gate changed since the plan: {reason}"]
    return [f"its gate changed since the plan: from {before} to {after}"]
