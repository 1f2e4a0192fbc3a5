"""What became of a saved plan: which of its changes still hold, and what moved. Pure.

A plan is read, approved, and applied hours later by another machine. By then it is planned again,
and every change is held against what would be done now. Contents are compared, never times, and
"nothing there" is a value like any other.

planned     holds when now planned as                is done already when     else, for example
create      create, wait, promote, update            the version serves       it failed
replace     replace of the same, or as for create    the version serves       another one serves
retry       retry of the same attempt, or as for     the version serves       it failed again
            create (the failed version is gone)
wait        wait, promote, update                    the version serves       it is gone
promote     promote, update                          the version serves       it is gone
update      update to the same values                the values are those     another one serves
cancel      cancel, delete of what never got ready   the version is gone      it is ready
delete      delete in the same state                 the version is gone      it serves
conflict,   (never run)                                                       it can be done now
failed

So a job that goes on from queued to ready, and a version that somebody began from the same
manifests, make nothing stale: the outcome is the one that was approved. What retires must be the
same as well, but for what is gone already. A pending change that the plan does not contain makes it
stale too, since it was approved as the whole of what would happen.

The gate decides who serves, so it must be the one that was approved, with the same rival. That it
has refused the version meanwhile is one of the two outcomes that it was approved for.

One name is one decision: when a part of it moved, nothing is done for it, nor for those that
continue from it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel, serving
from tunedmodels.plan.gate import differences, gate_of
from tunedmodels.plan.history import wanted
from tunedmodels.plan.plan import Action, Change, Plan, Version, Wanted

Place = tuple[str, str]  # provider, model id

_ARRIVING: Final = (Action.WAIT, Action.PROMOTE, Action.UPDATE, Action.REJECTED)
_GOES_ON: Final = {
    Action.CREATE: (Action.CREATE, *_ARRIVING),
    Action.REPLACE: (Action.REPLACE, *_ARRIVING),
    Action.RETRY: (Action.RETRY, Action.CREATE, Action.REPLACE, *_ARRIVING),
    Action.WAIT: _ARRIVING,
    Action.PROMOTE: (Action.PROMOTE, Action.UPDATE, Action.REJECTED),
    Action.UPDATE: (Action.UPDATE,),
}
_GOING: Final = (Action.CANCEL, Action.DELETE)
# A file's name and our own patience change nothing at the service.
_INCIDENTAL: Final = {"dataset_path", "timeout_s", "model_id", "fingerprint"}


@dataclass(frozen=True, slots=True)
class Review:
    """`holds` are the changes to run, `moved` says by name what is no longer as planned."""

    holds: tuple[Change, ...]
    moved: Mapping[str, tuple[str, ...]]


def review(
    saved: Plan, now: Plan, desired: Mapping[str, Desired], observed: Iterable[ObservedModel]
) -> Review:
    """Hold a saved plan against `now`, made from `desired` and `observed` with the same options."""
    live = {(model.provider, model.model_id): model for model in observed}
    planned, found = _by_name(saved.changes), _by_name(now.changes)
    versions: defaultdict[str, list[ObservedModel]] = defaultdict(list)
    for model in live.values():
        if model.stamp and model.stamp.project == saved.project:
            versions[model.stamp.name].append(model)
    moved: dict[str, tuple[str, ...]] = {}
    for name in sorted(planned.keys() | found.keys()):
        serves = serving(versions[name])
        look = _Look(name, found.get(name, ()), desired.get(name), live, serves)
        if words := tuple(dict.fromkeys(look.moved(planned.get(name, ())))):
            moved[name] = words
    holds = []
    retries = {c.key: c for c in saved.changes if c.action is Action.RETRY}
    for change in now.changes:  # parents stand before their children
        parent = change.after.parent if change.after else None
        if change.name in planned and parent in moved:
            moved.setdefault(change.name, (f"it continues from {parent}, which moved",))
        if change.name not in moved and change.action.is_pending:
            # Only the saved retry knows the number of the attempt whose version is gone.
            gone = change.action in (Action.CREATE, Action.REPLACE)
            holds.append(retries.get(change.key, change) if gone else change)
        elif change.name in planned and change.name not in moved:
            holds.append(change)
    return Review(tuple(holds), moved)


@dataclass(frozen=True, slots=True)
class _Look:
    """One name as it is now; `serves` answers for it."""

    name: str
    found: Sequence[Change]
    want: Desired | None
    live: Mapping[Place, ObservedModel]
    serves: ObservedModel | None

    def moved(self, planned: Sequence[Change]) -> Iterator[str]:
        """Yield what is no longer as planned, in words."""
        keys = {change.key: change for change in self.found}
        is_about_another = False
        for change in planned:
            there = keys.get(change.key)
            if not change.action.is_pending:
                yield from _unblocked(there)
            elif change.after is None:
                yield from self._going(change, there)
            elif self.want and change.sweep and self.want.chosen_by == change.sweep.digest:
                continue  # its sweep came to its end, which is the outcome that was approved
            elif words := list(self._redeclared(change, change.after)):
                is_about_another = True
                yield from words
            else:
                yield from self._arriving(change, change.after, there)
        expected = {change.key for change in planned}
        expected |= {
            (self.name, *_place(version)) for change in planned for version in change.retires
        }
        # A sweep is approved with all that it leads to: its best one serves, the others go.
        tried = {key for change in planned for key in _tried(change)}
        expected |= tried
        # That a version was to go says nothing about making it: its key is the same.
        made = tried | {change.key for change in planned if change.after}
        for change in self.found:
            is_known = change.key in (made if change.after else expected)
            is_new = change.action.is_pending and not is_known
            if is_new and not (is_about_another and change.after):
                yield _unexpected(change)

    def _redeclared(self, change: Change, after: Wanted) -> Iterator[str]:
        """Yield how the manifest, or its dataset, differs from what was planned."""
        if self.want is None:
            yield "it is not declared any more"
            return
        now = wanted(self.want, after.model_id)
        if now.dataset != after.dataset:
            counts = f"{after.examples} -> {now.examples} examples"
            if after.examples == now.examples:
                counts = f"{now.examples} examples, not the same ones"
            yield f"the dataset {now.dataset_path} changed ({counts})"
        own = self.want.candidates
        planned = change.sweep.candidates if change.sweep else ()
        if {each.fingerprint for each in own} != {each.fingerprint for each in planned}:
            if not (own and planned):
                yield f"it was planned {'with' if planned else 'without'} a sweep"
            elif now.dataset == after.dataset:
                yield f"its sweep has other candidates ({len(planned)} then, {len(own)} now)"
        elif change.sweep and change.sweep.digest != self.want.sweep_digest:
            yield "its sweep would choose by other answers: its evaluation changed"
        was, is_ = (each.model_dump(mode="json", by_alias=True) for each in (after, now))
        skipped = _incidental_aliases()
        for path in was:
            if path not in skipped and was[path] != is_[path]:
                yield f"{path} changed from {_shown(was[path])} to {_shown(is_[path])}"

    def _arriving(self, change: Change, after: Wanted, there: Change | None) -> Iterator[str]:
        """Yield why the planned version would not come to serve as it was planned."""
        if there is not None:
            if there.action not in _GOES_ON[change.action]:
                yield f"it was planned to {change.action}, now to {there.action}: {there.reason}"
                return
            yield from self._same_gate(change, there)
            if there.action is Action.REJECTED:
                return
            yield from _same_candidates(change, there)
            yield from self._same_start(change, there)
            yield from self._same_service(change, after)
        retiring = {_place(v) for v in there.retires} if there else set()
        retiring |= {_place(c.before) for c in self.found if c.action in _GOING and c.before}
        planned = {_place(version) for version in change.retires}
        own = {_place(v) for v in there.retires} if there else set()
        for place in sorted(own - planned):
            yield f"{place[1]} would be deleted now as well"
        for place in sorted(planned - retiring):
            if place in self.live:
                yield f"{place[1]} was to be deleted, and is to stay now"

    def _same_gate(self, change: Change, there: Change) -> Iterator[str]:
        """Yield how another gate decides now; none does, once the version served."""
        is_gone = self.want is None or gate_of(self.want, self.serves) is None
        if there.gate or is_gone:
            yield from differences(change.gate, there.gate)

    def _same_start(self, change: Change, there: Change) -> Iterator[str]:
        """Yield what differs in the version that a change begins from, where it is the same one."""
        was, is_ = change.before, there.before
        if was is None or is_ is None or change.action is not there.action:
            return
        if change.action is Action.REPLACE and not _is_same(was, is_):
            yield f"it would replace {is_.model_id} now, and not {was.model_id} as it was then"
        if change.action is Action.RETRY and was.attempt != is_.attempt:
            yield f"{is_.model_id} was tried again since the plan, and is {is_.state}"

    def _same_service(self, change: Change, after: Wanted) -> Iterator[str]:
        """Yield who would be replaced that nobody saw when the plan was made."""
        if change.action not in (Action.CREATE, Action.REPLACE) or self.serves is None:
            return
        known = {_place(after)} | ({_place(change.before)} if change.before else set())
        if (self.serves.provider, self.serves.model_id) not in known:
            yield f"{self.serves.model_id} serves now, which it did not when it was planned"

    def _going(self, change: Change, there: Change | None) -> Iterator[str]:
        """Yield why a version that was to go may not go, or would go in another way."""
        before = change.before
        if before is None or _place(before) not in self.live:
            return
        now = there.before if there else None
        if there is None or now is None or there.action not in _GOING:
            is_serving = self.serves is self.live[_place(before)]
            why = "serves now" if is_serving and not before.serves else "is to stay now"
            yield f"{before.model_id} was planned to {change.action}, and {why}"
        elif change.action is Action.CANCEL and there.action is Action.DELETE:
            if now.state is ModelState.READY:
                yield f"{now.model_id} was {before.state} and is ready now"
        elif change.action is not there.action or now.state is not before.state:
            if not (now.state.is_running and before.state.is_running):
                yield f"{now.model_id} was {before.state} and is {now.state} now"
        elif not _is_same(before, now):
            yield f"{now.model_id} {'serves now' if now.serves else 'does not serve any more'}"


def _tried(change: Change) -> Iterator[tuple[str, str, str]]:
    provider = change.after.provider if change.after else ""
    for candidate in change.sweep.candidates if change.sweep else ():
        yield change.name, provider, candidate.model_id


def _same_candidates(change: Change, there: Change) -> Iterator[str]:
    """Yield which candidates would be trained now and were not to be, or not once more."""
    then = {each.fingerprint: each for each in change.sweep.candidates} if change.sweep else {}
    for now in there.sweep.candidates if there.sweep else ():
        was = then.get(now.fingerprint)
        if was is None or not now.action.trains:
            continue
        if not was.action.trains:
            yield f"{was.model_id} would be trained now, and was planned to {was.action}"
        elif now.before and was.before and now.before.attempt != was.before.attempt:
            yield f"{was.model_id} was tried again since the plan, and is {now.before.state}"
        elif now.before and not was.before:
            yield f"{was.model_id} was tried since the plan, and is {now.before.state}"


def _unblocked(there: Change | None) -> Iterator[str]:
    if there is None:
        yield "nothing could be done for it, and nothing is to do now"
    elif there.action.is_pending:
        yield f"nothing could be done for it, and now it is planned to {there.action}"


def _unexpected(change: Change) -> str:
    about = change.after or change.before
    which = f" {about.model_id}" if about else ""
    return f"now it is planned to {change.action}{which} too, because {change.reason}"


def _by_name(changes: Iterable[Change]) -> Mapping[str, Sequence[Change]]:
    grouped: defaultdict[str, list[Change]] = defaultdict(list)
    for change in changes:
        grouped[change.name].append(change)
    return grouped


def _is_same(one: Version, other: Version) -> bool:
    return (one.fingerprint, one.serves, _place(one)) == (
        other.fingerprint,
        other.serves,
        _place(other),
    )


def _place(part: Version | Wanted) -> Place:
    return part.provider, part.model_id


def _incidental_aliases() -> Collection[str]:
    fields = Wanted.model_fields
    return {"dataset", "examples", *(fields[name].alias or name for name in _INCIDENTAL)}


def _shown(value: object) -> str:
    text = "unset" if value in (None, "") else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


_LONGEST: Final = 40
