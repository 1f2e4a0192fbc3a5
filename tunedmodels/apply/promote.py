"""How a ready version comes to serve, or does not: its gate, then one atomic PATCH.

What serves goes on serving until that PATCH, which carries the mark, the score and the decision of
the gate at once. A refusal is written as well, so that every machine knows it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tunedmodels.apply import preconditions, remove
from tunedmodels.apply.context import Judgement, Run, about
from tunedmodels.apply.gate import OVERTIME, OvertimeError, judge
from tunedmodels.desired import Desired
from tunedmodels.errors import RefusedError
from tunedmodels.events import Call, Ending, Rejected, StillRunning, Succeeded
from tunedmodels.observed import ModelState, ObservedModel, next_mark, serving
from tunedmodels.plan import reasons
from tunedmodels.plan.gate import Gate, cure, judged, refusal
from tunedmodels.plan.plan import Change, Wanted
from tunedmodels.providers.provider import Edit
from tunedmodels.stamp import Stamp, word_marks


async def promote_planned(run: Run, change: Change) -> Ending:
    """Promote a version that is ready already."""
    declared, wanted = preconditions.still_declared(change, run.desired)
    if change.before:
        async with run.starts:
            live = await run.provider(change.before.provider).get(change.before.model_id)
        preconditions.unchanged(change.before, live, run.project, change.name)
    return await promote(run, change, declared, wanted)


async def promote(run: Run, change: Change, declared: Desired, wanted: Wanted) -> Ending:
    """Make the wanted version serve if its gate lets it, then retire what the plan lists.

    A version that serves already is judged no more.
    """
    candidate = _Candidate(run, change, declared, wanted)
    judgement = None
    if change.gate:
        try:
            judgement = await candidate.judged(change.gate)
        except OvertimeError:
            return StillRunning(change.name, wanted.model_id, OVERTIME)
    async with run.starts:
        live, versions = await candidate.look()
        if not preconditions.serves(wanted, versions):
            if change.gate and judgement and not change.gate.admits(judgement.decision):
                return await candidate.reject(live, change.gate, judgement)
            await candidate.make_it_serve(live, versions, judgement)
        else:
            await candidate.mark_as_chosen(live)
        for version in change.retires:
            await remove.retire(run, change, version, wanted)
    return Succeeded(*about(change))


def edit(change: Change, wanted: Wanted, live: ObservedModel, stamp: Stamp) -> Edit:
    """Return the planned mutable fields, or the words that are live where the plan has none.

    The candidates of a sweep may be older than its words, so that the chosen one takes them on.
    """
    if not change.sweep and (not change.fields or change.action.trains):
        return Edit(description=live.description, stamp=stamp)
    return Edit(
        description=wanted.description,
        stamp=replace(
            stamp, protect=wanted.protect, retain=wanted.retain, words=word_marks(wanted)
        ),
        display_name=wanted.display_name or None,
        temperature=wanted.temperature,
        top_p=wanted.top_p,
        top_k=wanted.top_k,
        reader_project_numbers=wanted.reader_project_numbers,
        labels=wanted.labels or None,
    )


@dataclass(frozen=True, slots=True)
class _Candidate:
    """The version of a change, once it is ready."""

    run: Run
    change: Change
    declared: Desired
    wanted: Wanted

    async def look(self) -> tuple[ObservedModel, list[ObservedModel]]:
        """Return it as it is now, which must be ready, and all versions of its name."""
        versions = await self.run.versions(self.change.name)
        live = await self.run.provider(self.wanted.provider).get(self.wanted.model_id)
        if live is None or live.state is not ModelState.READY:
            raise RefusedError(
                f"{self.wanted.model_id} is not ready any more", cure=preconditions.CURE
            )
        preconditions.exact(live, self.wanted, self.run.project, self.change.name)
        if not preconditions.serves(self.wanted, versions):
            if live.objection:
                raise RefusedError(live.objection, cure=reasons.CURE_OBJECTION)
            preconditions.same_gate(self.change, self.declared, live, versions)
        return live, versions

    async def judged(self, gate: Gate) -> Judgement | None:
        """Return what its gate says: now, or to another run that was quicker."""
        async with self.run.starts:
            live, versions = await self.look()
        if preconditions.serves(self.wanted, versions):
            return None
        known, score = judged(live, gate), preconditions.stamped(live).score
        if known and not gate.admits(known):
            return Judgement(known, score, refusal(gate, known, score))
        rival = serving(versions) if gate.rival else None
        return await judge(self.run, self.change, self.declared, live, rival)

    async def make_it_serve(
        self, live: ObservedModel, versions: list[ObservedModel], judgement: Judgement | None
    ) -> None:
        """Promote it: mark, score and decision in one request."""
        mark = next_mark(self.run.clock.now(), versions)
        stamp = preconditions.stamped(live).promoted_at(mark, head=self.run.commit)
        if self.change.gate and judgement:
            stamp = _with_decision(stamp, self.change.gate, judgement)
        elif preconditions.stamped(live).is_rejected:
            stamp = replace(stamp, gate="")  # there is no gate any more that keeps it back
        stamp = self._chosen(stamp)
        await self._send("promote", live, edit(self.change, self.wanted, live, stamp))

    async def mark_as_chosen(self, live: ObservedModel) -> None:
        """Write on a version that serves already that its sweep chose it, if there is one."""
        stamp = self._chosen(preconditions.stamped(live))
        if stamp != live.stamp:
            await self._send("update", live, edit(self.change, self.wanted, live, stamp))

    async def reject(self, live: ObservedModel, gate: Gate, judgement: Judgement) -> Rejected:
        """Write on it that it does not come to serve, unless that is known."""
        stamp = self._chosen(_with_decision(preconditions.stamped(live), gate, judgement))
        if stamp != live.stamp:
            await self._send("judge", live, Edit(description=live.description, stamp=stamp))
        to_do = cure(gate, judgement.decision, self.change.name, live.model_id)
        return Rejected(*about(self.change), judgement.words, to_do)

    def _chosen(self, stamp: Stamp) -> Stamp:
        # In the same request as the promotion: a sweep is over when its best one serves.
        return stamp.chosen_by(self.change.sweep.digest) if self.change.sweep else stamp

    async def _send(self, call: Call, live: ObservedModel, edit: Edit) -> None:
        provider = self.run.provider(live.provider)
        await self.run.send(
            call, self.change.name, live.model_id, lambda: provider.update(live.model_id, edit)
        )


def _with_decision(stamp: Stamp, gate: Gate, judgement: Judgement) -> Stamp:
    return replace(stamp, score=judgement.score, gate=str(gate.mark(judgement.decision)))
