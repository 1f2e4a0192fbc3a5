"""What must still hold when a change is carried out: pure comparisons, one per promise of a plan.

Each raises RefusedError in words when the world is no longer as the plan saw it. The plan was read
and approved; whatever differs from it is for a new plan to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from tunedmodels.datasets.examples import Example, digest
from tunedmodels.desired import Desired
from tunedmodels.errors import ProblemsFoundError, RefusedError
from tunedmodels.observed import ModelState, ObservedModel, serving
from tunedmodels.plan.gate import differences, gate_of
from tunedmodels.plan.history import wanted as planned_as
from tunedmodels.plan.plan import Change, Version, Wanted
from tunedmodels.stamp import Stamp

Load = Callable[[Desired], Sequence[Example]]

LOST_CURE: Final = "Run `tunedmodels apply` again: the id makes a repeat harmless."
CURE: Final = "Nothing was changed for it. To see what is to do now, run `tunedmodels plan`."


def before(change: Change) -> Version:
    """Return the version that a change begins from, where it must have one."""
    if change.before is None:
        raise _refused(f"the plan does not say which version to {change.action}")
    return change.before


def still_declared(change: Change, desired: Mapping[str, Desired]) -> tuple[Desired, Wanted]:
    """Return the declaration that `change` is about, which must be as it was planned."""
    wanted = change.after
    declared = desired.get(change.name)
    if wanted is None or declared is None:
        raise _refused(f"{change.name} is not declared any more")
    # Where the file lies and how long we wait change nothing at the service.
    incidental = {
        "dataset_path": wanted.dataset_path,
        "validation_path": wanted.validation_path,
        "timeout_s": wanted.timeout_s,
    }
    if planned_as(declared, wanted.model_id).model_copy(update=incidental) != wanted:
        raise _refused(f"the manifest or the dataset of {change.name} changed since the plan")
    if change.gate or change.action.trains:  # said before anything is trained for it
        gate = change.gate and change.gate.model_copy(update={"rival": None})
        _refuse_any(differences(gate, gate_of(declared, None)))
    return declared, wanted


def same_gate(
    change: Change, declared: Desired, live: ObservedModel, versions: Sequence[ObservedModel]
) -> None:
    """Refuse to promote through another gate, or beside another rival, than was planned.

    A version that served before has none.
    """
    if change.gate and live.promoted:
        raise _refused(f"{live.model_id} was promoted or demoted since the plan")
    now = None if live.promoted else gate_of(declared, serving(list(versions)))
    _refuse_any(differences(change.gate, now))


def stamped(live: ObservedModel) -> Stamp:
    """Return the stamp of a version that must have one."""
    if live.stamp is None:
        raise _refused(f"{live.model_id} has lost its stamp")
    return live.stamp


def not_declared_again(change: Change, version: Version, desired: Mapping[str, Desired]) -> None:
    """Refuse to remove the very version that the manifests declare by now."""
    declared = desired.get(change.name)
    there = (version.provider, version.model_id)
    if declared and (declared.provider, declared.model_id) == there:
        raise _refused(f"{version.model_id} was to be removed, but is declared again")


@dataclass(frozen=True, slots=True)
class Data:
    """What a job is given."""

    training: Sequence[Example]
    validation: Sequence[Example] = ()


def data_as_planned(load: Load, declared: Desired, wanted: Wanted) -> Data:
    """Read the examples, which must be those of the plan, in their order."""
    training = _as_planned(load, declared, wanted.dataset)
    if declared.validation is None:
        return Data(training)
    held_out = replace(declared, dataset=declared.validation)
    return Data(training, _as_planned(load, held_out, wanted.validation))


def _as_planned(load: Load, declared: Desired, planned: str) -> Sequence[Example]:
    dataset = declared.dataset
    try:
        examples = load(declared)
    except OSError as error:
        raise _refused(f"{dataset.written} cannot be read any more: {error}") from error
    except ProblemsFoundError as error:
        first = error.problems[0]
        raise _refused(
            f"{dataset.written} changed since the plan: {first.place}: {first.message}"
        ) from error
    if digest(examples) != planned:
        raise _refused(
            f"the dataset {dataset.written} changed since the plan "
            f"({dataset.examples} examples then, {len(examples)} now)"
        )
    return examples


def ours(live: ObservedModel, project: str, name: str) -> bool:
    """Whether a live model bears the stamp of this project and name."""
    return live.stamp is not None and (live.stamp.project, live.stamp.name) == (project, name)


def is_begun(change: Change, live: ObservedModel, project: str) -> bool:
    """Whether there is a job to go on from, if only to tell how it ended.

    Of a record that counts what a plan to create knew nothing of: a job that failed since then
    would be paid for once more without being asked. A plan knows of those that were cancelled.
    """
    if not live.is_record or not change.action.trains:
        return True
    return live.state is ModelState.FAILED and ours(live, project, change.name)


def exact(live: ObservedModel, wanted: Wanted, project: str, name: str) -> ObservedModel:
    """Return a live model under the wanted id, which must be the wanted version and ours."""
    if not ours(live, project, name):
        raise _refused(f"{live.model_id} exists and bears no stamp of project {project}")
    if live.fingerprint != wanted.fingerprint:
        raise _refused(f"{live.model_id} exists and was trained from something else")
    return live


def unchanged(
    version: Version, live: ObservedModel | None, project: str, name: str
) -> ObservedModel:
    """Return the live model, which must be just as the plan saw it."""
    same = _same_version(version, live, project, name)
    if same.state is not version.state:
        raise _refused(f"{version.model_id} was {version.state} and is {same.state} now")
    return same


def still_running(version: Version, live: ObservedModel, project: str, name: str) -> ObservedModel:
    """Return a live model that is to be cancelled: it may move on within its job, not beyond."""
    same = _same_version(version, live, project, name)
    if not (same.state.is_running or same.state is ModelState.CANCELLED):
        raise _refused(f"{version.model_id} was {version.state} and is {same.state} now")
    return same


def not_serving(version: Version, versions: Sequence[ObservedModel]) -> None:
    """Refuse to delete what answers for its name, unless the plan said that it does."""
    if serves(version, versions) and not version.serves:
        raise _refused(f"{version.model_id} serves now, which it did not when it was planned")


def replaced(version: Version, wanted: Wanted, versions: Sequence[ObservedModel]) -> None:
    """Refuse to retire a version before the wanted one is seen to answer in its place."""
    if not serves(wanted, versions):
        raise _refused(f"{version.model_id} stays, because {wanted.model_id} does not serve yet")


def serves(version: Version | Wanted, versions: Sequence[ObservedModel]) -> bool:
    """Whether a version answers for its name; `versions` are all of that name."""
    answers = serving(list(versions))
    # A model that moved to another provider has the same id in both places.
    there = (version.provider, version.model_id)
    return answers is not None and (answers.provider, answers.model_id) == there


def _same_version(
    version: Version, live: ObservedModel | None, project: str, name: str
) -> ObservedModel:
    if live is None:
        raise _refused(f"{version.model_id} is gone since the plan")
    if not ours(live, project, name):
        raise _refused(f"{version.model_id} bears no stamp of project {project} any more")
    if live.fingerprint != version.fingerprint:
        raise _refused(f"{version.model_id} is another version than the planned one")
    planned = datetime.fromisoformat(version.promoted) if version.promoted else None
    if live.promoted != planned:
        raise _refused(f"{version.model_id} was promoted or demoted since the plan")
    return live


def _refuse_any(words: Sequence[str]) -> None:
    if words:
        raise _refused("; ".join(words))


def _refused(words: str) -> RefusedError:
    return RefusedError(words, cure=CURE)
