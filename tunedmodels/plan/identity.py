"""What a plan says about identities: moves, renames, foreign models and environments. Pure.

A version is moved when its stamp has a former identity, or the fingerprint that a former release
computed. Models of others are never part of a change; a plan names them once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tunedmodels.desired import Desired
from tunedmodels.observed import ObservedModel
from tunedmodels.observed import serving as serving_version
from tunedmodels.plan import reasons, safety
from tunedmodels.plan.inputs import PlanInputs
from tunedmodels.plan.plan import Action, Change, Note, Refusal
from tunedmodels.plan.reconcile import held_by
from tunedmodels.plan.version import live_version

VersionsByName = Mapping[str, Sequence[ObservedModel]]


def moves(
    name: str, versions: Sequence[ObservedModel], inputs: PlanInputs, changes: Sequence[Change]
) -> Iterator[Change]:
    """Yield a move for every version with a former identity that no other change removes.

    A running job is moved by its promotion, since not every service can change a job.
    """
    ownership = inputs.ownership
    removed = {
        (change.before.provider, change.before.model_id)
        for change in changes
        if change.before and change.action in (Action.DELETE, Action.CANCEL, Action.RETRY)
    }
    for model in sorted(versions, key=lambda model: (model.provider, model.model_id)):
        is_movable = not (model.state.is_running or model.is_job_record)
        is_removed = (model.provider, model.model_id) in removed
        if is_movable and not is_removed and ownership.is_moved(model):
            serves = model is serving_version(versions)
            before = live_version(model, serves=serves)
            yield Change(name=name, action=Action.MOVE, reason=_moved(model), before=before)


def _moved(model: ObservedModel) -> str:
    stamp, stored = model.stamp, model.live_stamp
    if stamp is None or stored is None:
        return reasons.MOVED
    former = []
    if stamp.name != stored.name:
        former.append(f"its name was {stored.name}")
    if stamp.project != stored.project:
        former.append(f"its project was {stored.project}")
    if stamp.lineage != stored.lineage:
        lineage = f"lineage {stored.lineage}" if stored.lineage else "without a lineage"
        former.append(f"it was made {'in ' * bool(stored.lineage)}{lineage}")
    if not former:
        former.append("a former release computed its fingerprint with the id of its parent")
    return f"{'; '.join(former)}; nothing is trained and its id stays"


def with_hints(
    change: Change, inputs: PlanInputs, versions: VersionsByName, desired: Mapping[str, Desired]
) -> Change:
    """Return a training with a hint if a live model is what it would train."""
    if not change.action.trains or change.after is None:
        return change
    candidates = change.sweep.candidates if change.sweep else ()
    fingerprints = {change.after.fingerprint, *(each.fingerprint for each in candidates)}
    hints = dict.fromkeys(_hints(change.name, fingerprints, inputs, versions, desired))
    if not hints:
        return change
    return change.model_copy(update={"warnings": (*change.warnings, *hints)})


def _hints(
    name: str,
    fingerprints: set[str],
    inputs: PlanInputs,
    versions: VersionsByName,
    desired: Mapping[str, Desired],
) -> Iterator[str]:
    for former, group in sorted(versions.items()):
        if former not in desired and any(model.fingerprint in fingerprints for model in group):
            yield reasons.renamed(name, former)
    ownership = inputs.ownership
    for model in inputs.observed:
        stamp = model.stamp
        if stamp is None or stamp.fingerprint not in fingerprints or ownership.claim(model):
            continue
        if ownership.is_of_project(model):
            yield reasons.trained_elsewhere(stamp.environment)
        elif model.has_trusted_owner and stamp.name == name:
            yield reasons.renamed_project(model, stamp)


def warnings(inputs: PlanInputs) -> Iterator[str]:
    """Yield the warnings about models of others that look like ours."""
    ownership = inputs.ownership
    foreign = [model for model in inputs.observed if ownership.is_foreign(model)]
    if foreign:
        yield reasons.foreign(foreign, ownership.project)
    untrusted = [model for model in inputs.observed if ownership.is_untrusted(model)]
    if untrusted:
        yield reasons.untrusted(untrusted)
    yield from inputs.owner_warnings


def refusals(inputs: PlanInputs) -> Iterator[Refusal]:
    """Yield the refusal of a plan that would take nothing for ours although it may be ours.

    If at least one model of the project has a trusted owner, other stamps may be forged: they must
    not stop the owner.
    """
    ownership = inputs.ownership
    untrusted = [model for model in inputs.observed if ownership.is_untrusted(model)]
    if untrusted and not any(ownership.is_of_project(model) for model in inputs.observed):
        yield safety.other_owner(sorted(model.model_id for model in untrusted))
    if inputs.lacks_etags:
        yield safety.NO_ETAGS
    if problem := inputs.missing_lineage:
        message = f"{problem.location}: {problem.path}: {problem.message}."
        cure = f"{problem.cure[:1].upper()}{problem.cure[1:]}."
        yield Refusal(code="no-lineage", message=message, cure=cure)


def notes(
    inputs: PlanInputs, versions: VersionsByName, changes: Sequence[Change]
) -> Iterator[Note]:
    """Yield the notes about versions that several environments use; they decide nothing."""
    ownership = inputs.ownership
    if ownership.is_promoting:
        live = {
            (model.provider, model.model_id): model.live_stamp or model.stamp
            for group in versions.values()
            for model in group
        }
        for change in changes:
            if change.action is Action.PROMOTE and change.after:
                stamp = live.get((change.after.provider, change.after.model_id))
                if stamp is None or not stamp.promoted:
                    words = reasons.not_served(ownership.training_environment)
                    yield Note(name=change.name, words=words)
        return
    for name, group in sorted(versions.items()):
        current = serving_version(group)
        for model in group:
            users = held_by(model)
            if users and model is not current:
                yield Note(name=name, words=reasons.held(model.model_id, users))


def held_updates(changes: Sequence[Change], versions: Sequence[ObservedModel]) -> Iterator[Refusal]:
    """Refuse to change the answers of a version that another environment uses."""
    users = {(model.provider, model.model_id): held_by(model) for model in versions}
    for change in changes:
        version = change.after
        held = users.get((version.provider, version.model_id)) if version else None
        if held and version and change.fields:
            yield from safety.held_fields(version.model_id, held, change.fields)
