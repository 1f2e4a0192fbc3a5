"""Staleness of a saved plan: which of its changes are still valid, and what changed since. Pure.

A plan is read, approved, and applied hours later by another machine. Before that it is planned
again, and every saved change is compared with the new plan. Only contents are compared, never
times, and a missing object is a value like any other.

saved       valid if now planned as                 done already if          else, for example
create      create, wait, promote, update           the version serves       it failed
replace     replace of the same, or as for create   the version serves       another one serves
retry       retry of the same attempt, or as for    the version serves       it failed again
            create (the failed version is gone)
wait        wait, promote, update                   the version serves       it is gone
promote     promote, update                         the version serves       it is gone
update      update to the same values               it has these values      another one serves
move        move                                    it has the identity      (never)
release     release                                 it is not used           it serves
cancel      cancel, delete of what never got ready  the version is gone      it is ready
delete      delete in the same state                the version is gone      it serves
conflict,   (never executed)                                                 it can be done now
failed

A job that leaves the queue, and a version that another process started from the same manifests, do
not make a plan stale: the approved outcome is the same. The versions that retire must be the same
as well, except those that are gone already. A pending change that the saved plan does not contain
makes it stale, since the plan was approved as the whole of what would happen.

The gate decides which version is promoted, so the gate and its baseline must be the approved ones.
A rejection in the meantime is one of the two approved outcomes.

One name is one decision: if a part of it is stale, nothing is done for it, nor for the names that
continue from it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel, serving
from tunedmodels.ownership import Ownership
from tunedmodels.plan.gate import describe_changes, gate_for
from tunedmodels.plan.plan import Action, Change, DesiredVersion, LiveVersion, Plan
from tunedmodels.plan.version import desired_version

VersionId = tuple[str, str]  # provider, model id

_PROGRESS: Final = (Action.WAIT, Action.PROMOTE, Action.UPDATE, Action.REJECTED)
_VALID_CONTINUATIONS: Final = {
    Action.CREATE: (Action.CREATE, *_PROGRESS),
    Action.REPLACE: (Action.REPLACE, *_PROGRESS),
    Action.RETRY: (Action.RETRY, Action.CREATE, Action.REPLACE, *_PROGRESS),
    Action.WAIT: _PROGRESS,
    Action.PROMOTE: (Action.PROMOTE, Action.UPDATE, Action.REJECTED),
    Action.UPDATE: (Action.UPDATE,),
}
_REMOVALS: Final = (Action.CANCEL, Action.DELETE, Action.RELEASE)
# Names of files and timeouts change nothing at the service; the others are compared separately.
_NOT_COMPARED: Final = {
    "dataset",
    "examples",
    *(
        DesiredVersion.model_fields[name].alias or name
        for name in ("dataset_path", "timeout_s", "model_id", "fingerprint")
    ),
}
_MAX_VALUE_LENGTH: Final = 40


@dataclass(frozen=True, slots=True)
class StalenessReport:
    """The result of comparing a saved plan with a new one."""

    valid: tuple[Change, ...]  #: the changes to execute
    stale: Mapping[str, tuple[str, ...]]  #: by name, what changed since the plan


def check_staleness(
    saved: Plan,
    now: Plan,
    desired: Mapping[str, Desired],
    observed: Iterable[ObservedModel],
    ownership: Ownership,
) -> StalenessReport:
    """Compare a saved plan with `now`, made from `desired` and `observed` with the same options."""
    live = {(model.provider, model.model_id): model for model in observed}
    saved_changes, new_changes = _by_name(saved.changes), _by_name(now.changes)
    versions = ownership.versions(live.values())
    live |= {(m.provider, m.model_id): m for group in versions.values() for m in group}
    stale: dict[str, tuple[str, ...]] = {}
    for name in sorted(saved_changes.keys() | new_changes.keys()):
        review = _NameReview(
            name, new_changes.get(name, ()), desired.get(name), live, serving(versions[name])
        )
        if messages := tuple(dict.fromkeys(review.messages(saved_changes.get(name, ())))):
            stale[name] = messages
    valid = []
    retries = {c.key: c for c in saved.changes if c.action is Action.RETRY}
    for change in now.changes:  # parents before their children
        parent = change.after.parent if change.after else None
        if change.name in saved_changes and parent in stale:
            stale.setdefault(change.name, (f"it continues from {parent}, which is stale",))
        if change.name not in stale and change.action.is_pending:
            # Only the saved retry has the number of the attempt if its version is gone.
            is_recreated = change.action in (Action.CREATE, Action.REPLACE)
            valid.append(retries.get(change.key, change) if is_recreated else change)
        elif change.name in saved_changes and change.name not in stale:
            valid.append(change)
    return StalenessReport(tuple(valid), stale)


@dataclass(frozen=True, slots=True)
class _NameReview:
    """The current state of one name."""

    name: str
    new_changes: Sequence[Change]
    desired: Desired | None
    live: Mapping[VersionId, ObservedModel]
    serving: ObservedModel | None

    def messages(self, saved_changes: Sequence[Change]) -> Iterator[str]:
        """Yield what is no longer as planned."""
        by_key = {change.key: change for change in self.new_changes}
        is_redeclared = False
        for saved in saved_changes:
            new = by_key.get(saved.key)
            if not saved.action.is_pending:
                yield from _unblocked(new)
            elif saved.action is Action.MOVE:
                continue  # it is done already if it is not planned any more
            elif saved.after is None:
                yield from self._removal_changes(saved, new)
            elif self.desired and saved.sweep and self._has_chosen(saved.sweep.digest):
                continue  # the sweep has ended, which is the approved outcome
            elif messages := list(self._declaration_changes(saved, saved.after)):
                is_redeclared = True
                yield from messages
            else:
                yield from self._outcome_changes(saved, saved.after, new)
        removed = {saved.key for saved in saved_changes}
        removed |= {
            (self.name, *_id(version)) for saved in saved_changes for version in saved.retires
        }
        # Approving a sweep approves its outcome: the best candidate serves, the others are deleted.
        candidates = {key for saved in saved_changes for key in _candidate_keys(saved)}
        removed |= candidates
        # A planned removal does not allow a creation: their keys are the same.
        created = candidates | {saved.key for saved in saved_changes if saved.after}
        for new in self.new_changes:
            is_planned = new.key in (created if new.after else removed)
            is_unexpected = new.action.is_pending and not is_planned
            if is_unexpected and not (is_redeclared and new.after):
                yield _unexpected(new)

    def _has_chosen(self, sweep_digest: str) -> bool:
        return self.desired is not None and self.desired.chosen_by_sweep == sweep_digest

    def _declaration_changes(self, saved: Change, after: DesiredVersion) -> Iterator[str]:
        """Yield how the manifest or its dataset differs from the saved plan."""
        if self.desired is None:
            yield "it is no longer declared"
            return
        current = desired_version(self.desired, after.model_id)
        if current.dataset != after.dataset:
            counts = f"{after.examples} -> {current.examples} examples"
            if after.examples == current.examples:
                counts = f"{current.examples} examples, but different ones"
            yield f"the dataset {current.dataset_path} changed ({counts})"
        candidates = {candidate.fingerprint for candidate in self.desired.candidates}
        planned = {c.fingerprint for c in saved.sweep.candidates} if saved.sweep else set()
        if candidates != planned:
            if not (candidates and planned):
                yield f"it was planned {'with' if planned else 'without'} a sweep"
            elif current.dataset == after.dataset:
                counts = f"{len(planned)} planned, {len(candidates)} now"
                yield f"its sweep has other candidates ({counts})"
        elif saved.sweep and saved.sweep.digest != self.desired.sweep_digest:
            yield "its sweep would score its candidates differently: its evaluation changed"
        before, now = (v.model_dump(mode="json", by_alias=True) for v in (after, current))
        for path in {**before, **now}:  # fields without a value may be missing in either
            values = before.get(path), now.get(path)
            if path not in _NOT_COMPARED and values[0] != values[1]:
                yield f"{path} changed from {_display(values[0])} to {_display(values[1])}"

    def _outcome_changes(
        self, saved: Change, after: DesiredVersion, new: Change | None
    ) -> Iterator[str]:
        """Yield why the version would not be promoted as planned."""
        if new is not None:
            if new.action not in _VALID_CONTINUATIONS[saved.action]:
                yield f"it was planned to {saved.action}, now to {new.action}: {new.reason}"
                return
            yield from self._gate_changes(saved, new)
            if new.action is Action.REJECTED:
                return
            yield from _candidate_changes(saved, new)
            yield from _start_changes(saved, new)
            yield from self._serving_changes(saved, after)
        own = {_id(version) for version in new.retires} if new else set()
        retiring = own | {
            _id(change.before)
            for change in self.new_changes
            if change.action in _REMOVALS and change.before
        }
        planned = {_id(version) for version in saved.retires}
        for version_id in sorted(own - planned):
            yield f"{version_id[1]} would now be deleted as well"
        for version_id in sorted(planned - retiring):
            if version_id in self.live:
                yield f"{version_id[1]} was planned to be deleted, and now stays"

    def _gate_changes(self, saved: Change, new: Change) -> Iterator[str]:
        """Yield how the gate changed; a version that was promoted has none any more."""
        has_no_gate = self.desired is None or gate_for(self.desired, self.serving) is None
        if new.gate or has_no_gate:
            yield from describe_changes(saved.gate, new.gate)

    def _serving_changes(self, saved: Change, after: DesiredVersion) -> Iterator[str]:
        """Yield a serving version that the saved plan did not know and that would be replaced."""
        if saved.action not in (Action.CREATE, Action.REPLACE) or self.serving is None:
            return
        expected = {_id(after)} | ({_id(saved.before)} if saved.before else set())
        if (self.serving.provider, self.serving.model_id) not in expected:
            yield f"{self.serving.model_id} serves now, but did not when the plan was made"

    def _removal_changes(self, saved: Change, new: Change | None) -> Iterator[str]:
        """Yield why a version may no longer be removed, or would be removed differently."""
        before = saved.before
        if before is None or _id(before) not in self.live:
            return
        now = new.before if new else None
        if new is None or now is None or new.action not in _REMOVALS:
            is_serving = self.serving is self.live[_id(before)]
            reason = "serves now" if is_serving and not before.serves else "now stays"
            yield f"{before.model_id} was planned to {saved.action}, and {reason}"
        elif saved.action is Action.CANCEL and new.action is Action.DELETE:
            if now.state is ModelState.READY:
                yield f"{now.model_id} was {before.state} and is now ready"
        elif saved.action is not new.action or now.state is not before.state:
            if not (now.state.is_running and before.state.is_running):
                yield f"{now.model_id} was {before.state} and is now {now.state}"
        elif not _is_same(before, now):
            yield f"{now.model_id} {'serves now' if now.serves else 'no longer serves'}"


def _candidate_keys(change: Change) -> Iterator[tuple[str, str, str]]:
    provider = change.after.provider if change.after else ""
    for candidate in change.sweep.candidates if change.sweep else ():
        yield change.name, provider, candidate.model_id


def _candidate_changes(saved: Change, new: Change) -> Iterator[str]:
    """Yield the candidates that would now be trained, or trained again, contrary to the plan."""
    planned = {c.fingerprint: c for c in saved.sweep.candidates} if saved.sweep else {}
    for now in new.sweep.candidates if new.sweep else ():
        before = planned.get(now.fingerprint)
        if before is None or not now.action.trains:
            continue
        if not before.action.trains:
            yield f"{before.model_id} was planned to {before.action}, and would now be trained"
        elif now.before and before.before and now.before.attempt != before.before.attempt:
            yield f"{before.model_id} was retried since the plan, and is {now.before.state}"
        elif now.before and not before.before:
            yield f"{before.model_id} was started since the plan, and is {now.before.state}"


def _start_changes(saved: Change, new: Change) -> Iterator[str]:
    """Yield how the version changed that an unchanged action starts from."""
    before, now = saved.before, new.before
    if before is None or now is None or saved.action is not new.action:
        return
    if saved.action is Action.REPLACE and not _is_same(before, now):
        yield f"it would now replace {now.model_id} instead of {before.model_id}"
    if saved.action is Action.RETRY and before.attempt != now.attempt:
        yield f"{now.model_id} was retried since the plan, and is {now.state}"


def _unblocked(new: Change | None) -> Iterator[str]:
    if new is None:
        yield "it was blocked in the plan, and now needs no change"
    elif new.action.is_pending:
        yield f"it was blocked in the plan, and is now planned to {new.action}"


def _unexpected(new: Change) -> str:
    version = new.after or new.before
    model_id = f" {version.model_id}" if version else ""
    return f"it is now also planned to {new.action}{model_id}, because {new.reason}"


def _by_name(changes: Iterable[Change]) -> Mapping[str, Sequence[Change]]:
    grouped: defaultdict[str, list[Change]] = defaultdict(list)
    for change in changes:
        grouped[change.name].append(change)
    return grouped


def _is_same(before: LiveVersion, now: LiveVersion) -> bool:
    return (before.fingerprint, before.serves, _id(before)) == (
        now.fingerprint,
        now.serves,
        _id(now),
    )


def _id(version: LiveVersion | DesiredVersion) -> VersionId:
    return version.provider, version.model_id


def _display(value: object) -> str:
    text = "unset" if value in (None, "") else repr(value)
    return text if len(text) <= _MAX_VALUE_LENGTH else f"{text[:_MAX_VALUE_LENGTH]}..."
