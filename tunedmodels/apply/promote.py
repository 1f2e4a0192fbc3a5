"""Promote a ready version, or record that its gate did not let it serve.

The serving version is unchanged until a single PATCH promotes the new one: it writes promotion
time, score and gate decision together. A rejection is written to the version as well, so that every
machine knows it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tunedmodels.apply import preconditions, remove
from tunedmodels.apply.context import ApplyContext, GateResult, event_key
from tunedmodels.apply.gate import DEADLINE_MESSAGE, DeadlineExceededError, evaluate_gate
from tunedmodels.desired import Desired
from tunedmodels.errors import RefusedError
from tunedmodels.events import Ending, Rejected, RequestKind, StillRunning, Succeeded
from tunedmodels.model_fields import field_hashes
from tunedmodels.observed import ModelState, ObservedModel, next_promotion_time, serving
from tunedmodels.plan import reasons
from tunedmodels.plan.gate import Gate, cure, recorded_decision, refusal
from tunedmodels.plan.plan import Change, DesiredVersion
from tunedmodels.plan.promotion import has_served
from tunedmodels.providers.provider import Edit
from tunedmodels.stamp import Stamp


async def promote_ready(context: ApplyContext, change: Change) -> Ending:
    """Promote a version that was ready when the plan was made."""
    declared, planned = preconditions.require_still_declared(change, context.desired)
    if change.before:
        async with context.request_slots:
            model = await context.get(change.before.provider, change.before.model_id)
        preconditions.require_unchanged(change.before, model, context.ownership, change.name)
    return await promote(context, change, declared, planned)


async def promote(
    context: ApplyContext, change: Change, declared: Desired, planned: DesiredVersion
) -> Ending:
    """Promote the planned version if its gate allows it, then retire the versions of the plan.

    A version that already serves is not evaluated again.
    """
    promotion = _Promotion(context, change, declared, planned)
    if context.ownership.is_promoting and (reason := await promotion.reason_to_wait()):
        return StillRunning(change.name, planned.model_id, reason)
    result = None
    if change.gate:
        try:
            result = await promotion.evaluate(change.gate)
        except DeadlineExceededError:
            return StillRunning(change.name, planned.model_id, DEADLINE_MESSAGE)

    async def decide() -> Rejected | None:
        model, versions = await promotion.observe()
        if preconditions.is_serving(planned, versions):
            await promotion.record_choice(model)
            return None
        if change.gate and result and not change.gate.allows(result.decision):
            return await promotion.reject(model, change.gate, result)
        await promotion.promote(model, versions, result)
        return None

    async with context.request_slots:
        if rejected := await context.decide_again(decide):
            return rejected
        for version in change.retires:
            await remove.retire(context, change, version, planned)
    return Succeeded(*event_key(change))


def planned_edit(
    change: Change, planned: DesiredVersion, model: ObservedModel, stamp: Stamp
) -> Edit:
    """Return an edit with the planned mutable fields, or the live ones if the plan has none.

    The candidates of a sweep may be older than the declared fields, so the chosen one gets them.
    """
    if not change.sweep and (not change.fields or change.action.trains):
        return Edit.of_stamp(model, stamp)
    stamp = replace(
        stamp,
        protect=planned.protect,
        retain=planned.retain,
        field_hashes=field_hashes(planned.fields),
    )
    return Edit(stamp, planned.fields)


@dataclass(frozen=True, slots=True)
class _Promotion:
    """The promotion of the ready version of one change."""

    context: ApplyContext
    change: Change
    declared: Desired
    planned: DesiredVersion

    async def reason_to_wait(self) -> str:
        """Return why the home of the version does not let it serve here yet; empty if it does."""
        async with self.context.request_slots:
            model = await self.context.get(self.planned.provider, self.planned.model_id)
        if model is None or model.state is not ModelState.READY or not has_served(model):
            return reasons.not_served(self.context.ownership.training_environment)
        if model.live_stamp and model.live_stamp.is_leaving:
            return f"{self.context.ownership.training_environment} is about to delete it"
        return ""

    async def observe(self) -> tuple[ObservedModel, list[ObservedModel]]:
        """Return the version as it is now, and all versions of its name.

        Raises RefusedError unless the version is ready and the conditions of the plan still hold.
        """
        versions = await self.context.observe_versions(self.change.name)
        model = await self.context.get(self.planned.provider, self.planned.model_id)
        if model is None or model.state is not ModelState.READY:
            raise RefusedError(
                f"{self.planned.model_id} is no longer ready", cure=preconditions.REPLAN_CURE
            )
        preconditions.require_same_version(
            model, self.planned, self.context.ownership, self.change.name
        )
        if not preconditions.is_serving(self.planned, versions):
            if model.blocked_reason:
                raise RefusedError(model.blocked_reason, cure=reasons.CURE_BLOCKED)
            preconditions.require_same_gate(self.change, self.declared, model, versions)
        return model, versions

    async def evaluate(self, gate: Gate) -> GateResult | None:
        """Return the decision of the gate, from the stamp if another run has already written it.

        Return None if the version serves already.
        """
        async with self.context.request_slots:
            model, versions = await self.observe()
        if preconditions.is_serving(self.planned, versions):
            return None
        decision = recorded_decision(model, gate)
        score = preconditions.require_stamp(model).score
        if decision and not gate.allows(decision):
            return GateResult(decision, score, refusal(gate, decision, score))
        baseline = serving(versions) if gate.baseline else None
        return await evaluate_gate(self.context, self.change, self.declared, model, baseline)

    async def promote(
        self, model: ObservedModel, versions: list[ObservedModel], result: GateResult | None
    ) -> None:
        """Write promotion time, score and gate decision in one request."""
        time = next_promotion_time(self.context.clock.now(), versions)
        stamp = preconditions.require_stamp(model).promoted_at(
            time, promoted_commit=self.context.commit
        )
        if self.change.gate and result:
            stamp = _with_decision(stamp, self.change.gate, result)
        elif preconditions.require_stamp(model).is_rejected:
            stamp = replace(stamp, gate_record="")  # the gate that rejected it was removed
        stamp = replace(self._with_choice(stamp), is_leaving=False)
        if self.context.ownership.is_promoting:  # the lifecycle of its own line
            stamp = replace(stamp, protect=self.planned.protect, retain=self.planned.retain)
        edit = planned_edit(self.change, self.planned, model, stamp)
        await self._send("promote", model, edit)

    async def record_choice(self, model: ObservedModel) -> None:
        """Write to a version that already serves that its sweep chose it, if it has a sweep."""
        stamp = self._with_choice(preconditions.require_stamp(model))
        if stamp != model.stamp:
            edit = planned_edit(self.change, self.planned, model, stamp)
            await self._send("update", model, edit)

    async def reject(self, model: ObservedModel, gate: Gate, result: GateResult) -> Rejected:
        """Write the rejection to the version, unless its stamp already has it."""
        stamp = _with_decision(preconditions.require_stamp(model), gate, result)
        stamp = self._with_choice(stamp)
        if stamp != model.stamp:
            await self._send("judge", model, Edit.of_stamp(model, stamp))
        next_step = cure(gate, result.decision, self.change.name, model.model_id)
        return Rejected(*event_key(self.change), result.message, next_step)

    def _with_choice(self, stamp: Stamp) -> Stamp:
        # In the same request as the promotion: a sweep is over when its best candidate serves.
        return stamp.with_choice_of(self.change.sweep.digest) if self.change.sweep else stamp

    async def _send(self, call: RequestKind, model: ObservedModel, edit: Edit) -> None:
        await self.context.update(call, self.change.name, model, edit)


def _with_decision(stamp: Stamp, gate: Gate, result: GateResult) -> Stamp:
    return replace(stamp, score=result.score, gate_record=str(gate.record(result.decision)))
