"""What a version must prove before it serves, as the plan says it. Pure.

A gate decides once: its decision stands on the live model with the gate it was made under, so that
any machine knows a refused version and nobody trains it again. It counts as long as gate and rival
are the same. A version that served before is past its gate: going back to it must never be held up
by a comparison with what is broken now.
"""

from __future__ import annotations

from typing import Literal

from tunedmodels.desired import Desired
from tunedmodels.observed import ObservedModel
from tunedmodels.plan.version import Frozen
from tunedmodels.stamp import Decision, GateMark, gate_mark


class Rival(Frozen):
    """The version that serves, with which a new one is compared."""

    provider: str
    model_id: str
    fingerprint: str


class Gate(Frozen):
    """The evaluation that decides whether the version of a change comes to serve.

    `digest` is over all that decides the decision, but for the `rival`; that is missing where
    nothing is compared or nothing serves. The scores are from 0 to 1.
    """

    digest: str
    path: str
    examples: int
    metric: str
    at_least: float | None = None
    not_worse_than_serving_by: float | None = None
    on_inconclusive: Literal["refuse", "promote"] = "refuse"
    rival: Rival | None = None

    def admits(self, decision: Decision) -> bool:
        """Whether a version with this decision comes to serve."""
        is_open = self.on_inconclusive == "promote"
        return decision is Decision.PASSED or (decision is Decision.INCONCLUSIVE and is_open)

    def mark(self, decision: Decision) -> GateMark:
        """Return what the stamp of a version says after this gate."""
        return GateMark(decision, self.digest, self.rival.fingerprint[:8] if self.rival else "")


def gate_of(want: Desired, serves: ObservedModel | None) -> Gate | None:
    """Return the gate of a declaration beside the version that serves, or None without one."""
    evaluation = want.evaluation
    if evaluation is None or not evaluation.rules.is_gate:
        return None
    rules = evaluation.rules
    compares = rules.not_worse_than_serving_by is not None
    return Gate(
        digest=evaluation.gate,
        path=evaluation.written,
        examples=evaluation.examples,
        metric=rules.metric,
        at_least=rules.at_least,
        not_worse_than_serving_by=rules.not_worse_than_serving_by,
        on_inconclusive=rules.on_inconclusive,
        rival=_rival(serves) if serves and compares else None,
    )


def judged(model: ObservedModel, gate: Gate) -> Decision | None:
    """Return the decision that a live version bears, if it was made under this very gate."""
    mark = gate_mark(model.stamp.gate) if model.stamp else None
    return mark.decision if mark and mark == gate.mark(mark.decision) else None


def terms_of(gate: Gate) -> list[str]:
    """Say what a gate asks, a condition each: `exactMatch >= 0.85 on PATH (100)`."""
    told = f"on {gate.path} ({gate.examples})"
    terms = [f"{gate.metric} >= {gate.at_least:g} {told}"] if gate.at_least is not None else []
    if gate.not_worse_than_serving_by is not None:
        who = gate.rival.model_id if gate.rival else "what serves (nothing yet)"
        margin = f"not more than {gate.not_worse_than_serving_by:g} below {who}"
        terms.append(margin if terms else f"{gate.metric} {told} {margin}")
    return terms


def refusal(gate: Gate, decision: Decision, score: str) -> str:
    """Say why a version with a score (`exactMatch:0.61`, or nothing) does not serve."""
    reached = [f"it reached {score.replace(':', ' ')}"] if score else []
    asked = f"asked is {' and '.join(terms_of(gate))}"
    if decision is Decision.INCONCLUSIVE:
        few = "1 example is" if gate.examples == 1 else f"{gate.examples} examples are"
        told = "; ".join([*reached, f"{few} too few to tell", asked])
        return f"its gate could not decide: {told}"
    return f"its gate refused it: {'; '.join([*reached, asked])}"


def cure(gate: Gate, decision: Decision, name: str, model_id: str) -> str:
    """Say what a person can do about a version that its gate keeps from serving."""
    by_hand = f"or let it serve all the same: tunedmodels promote {name} {model_id}"
    if decision is Decision.INCONCLUSIVE:
        return f"Add examples to {gate.path}, or edit the gate; {by_hand}"
    return f"Edit its training examples or hyperparameters, or the gate; {by_hand}"


def differences(then: Gate | None, now: Gate | None) -> list[str]:
    """Say how a gate changed since the plan, or nothing where it decides as it did."""
    if then is None or now is None:
        return [] if then is now else [f"it was planned {'without a' if now else 'with a'} gate"]
    if (then.digest, then.rival) == (now.digest, now.rival):
        return []
    if then.digest == now.digest:
        rivals = [each.rival.model_id if each.rival else "nothing" for each in (then, now)]
        return [f"its gate would compare it with {rivals[1]}, and not with {rivals[0]} as planned"]
    before, after = (" and ".join(terms_of(each)) for each in (then, now))
    if before == after:
        why = f"{now.path} holds other examples, or is asked in another way"
        return [f"its gate changed since the plan: {why}"]
    return [f"its gate changed since the plan: from {before} to {after}"]


def _rival(serves: ObservedModel) -> Rival:
    return Rival(provider=serves.provider, model_id=serves.model_id, fingerprint=serves.fingerprint)
