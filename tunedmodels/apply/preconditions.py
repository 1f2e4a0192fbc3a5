"""Check that the conditions of a plan still hold when a change is executed.

The plan was read and approved, so a change that differs from it needs a new plan. The functions
are pure comparisons; each `require_` function raises RefusedError when its condition is not met.
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
from tunedmodels.ownership import Ownership
from tunedmodels.plan import safety
from tunedmodels.plan.gate import describe_changes, gate_for
from tunedmodels.plan.history import history
from tunedmodels.plan.plan import Change
from tunedmodels.plan.reconcile import held_by
from tunedmodels.plan.version import DesiredVersion, LiveVersion, desired_version
from tunedmodels.stamp import Stamp

LoadExamples = Callable[[Desired], Sequence[Example]]

LOST_RESPONSE_CURE: Final = (
    "Run `tunedmodels apply` again: a repeated create has the same id and starts no second job."
)
REPLAN_CURE: Final = (
    "Nothing was changed for this name. To see the current changes, run `tunedmodels plan`."
)


@dataclass(frozen=True, slots=True)
class JobExamples:
    """The examples that a job is given."""

    training: Sequence[Example]
    validation: Sequence[Example] = ()


def require_before(change: Change) -> LiveVersion:
    """Return the live version that a change starts from. Raises RefusedError without one."""
    if change.before is None:
        raise _refused(f"the plan does not say which version to {change.action}")
    return change.before


def require_still_declared(
    change: Change, desired: Mapping[str, Desired]
) -> tuple[Desired, DesiredVersion]:
    """Return the declared model of a change, which must be the planned one, and its version."""
    planned = change.after
    declared = desired.get(change.name)
    if planned is None or declared is None:
        raise _refused(f"{change.name} is no longer declared")
    # The path of a file and the time limit have no effect at the service.
    incidental = {
        "dataset_path": planned.dataset_path,
        "validation_path": planned.validation_path,
        "timeout_s": planned.timeout_s,
    }
    if desired_version(declared, planned.model_id).model_copy(update=incidental) != planned:
        raise _refused(f"the manifest or the dataset of {change.name} changed since the plan")
    if change.gate or change.action.trains:  # refuse before the job is paid for
        gate = change.gate and change.gate.model_copy(update={"baseline": None})
        _refuse_if_any(describe_changes(gate, gate_for(declared, None)))
    return declared, planned


def require_same_gate(
    change: Change, declared: Desired, model: ObservedModel, versions: Sequence[ObservedModel]
) -> None:
    """Raise RefusedError unless gate and baseline of a promotion are the planned ones.

    A version that served before is promoted without a gate.
    """
    if change.gate and model.promoted:
        raise _refused(f"{model.model_id} was promoted or demoted since the plan")
    gate = None if model.promoted else gate_for(declared, serving(list(versions)))
    _refuse_if_any(describe_changes(change.gate, gate))


def require_stamp(model: ObservedModel) -> Stamp:
    """Return the stamp of a version that must have one."""
    if model.stamp is None:
        raise _refused(f"{model.model_id} has lost its stamp")
    return model.stamp


def require_not_declared_again(
    change: Change,
    version: LiveVersion,
    desired: Mapping[str, Desired],
    versions: Sequence[ObservedModel],
) -> None:
    """Raise RefusedError when the version to remove is the one that the manifests now declare."""
    declared = desired.get(change.name)
    if declared is None:
        return
    past = history(versions, provider=declared.provider, fingerprint=declared.fingerprint)
    if past.declared is not None and _key(past.declared) == _key(version):
        raise _refused(f"{version.model_id} was planned for removal and is declared again")


def require_not_held(model: ObservedModel, change: Change) -> None:
    """Raise RefusedError when an update would change the answers that another environment uses."""
    users = held_by(model)
    refusals = safety.held_fields(model.model_id, users, change.fields) if users else ()
    for refusal in refusals:
        raise RefusedError(refusal.message, cure=refusal.cure)


def load_planned_examples(
    load_examples: LoadExamples, declared: Desired, planned: DesiredVersion
) -> JobExamples:
    """Read the examples of a job, which must be those of the plan, in the same order."""
    training = _load_dataset(load_examples, declared, planned.dataset)
    validation = declared.inputs.validation
    if validation is None:
        return JobExamples(training)
    validated = replace(declared, inputs=replace(declared.inputs, dataset=validation))
    return JobExamples(training, _load_dataset(load_examples, validated, planned.validation))


def _load_dataset(
    load_examples: LoadExamples, declared: Desired, planned_digest: str
) -> Sequence[Example]:
    dataset = declared.inputs.dataset
    try:
        examples = load_examples(declared)
    except OSError as error:
        raise _refused(f"{dataset.declared_path} can no longer be read: {error}") from error
    except ProblemsFoundError as error:
        problem = error.problems[0]
        raise _refused(
            f"{dataset.declared_path} changed since the plan: {problem.location}: {problem.message}"
        ) from error
    if digest(examples) != planned_digest:
        raise _refused(
            f"the dataset {dataset.declared_path} changed since the plan "
            f"({dataset.examples} examples then, {len(examples)} now)"
        )
    return examples


def has_job(change: Change, model: ObservedModel, ownership: Ownership) -> bool:
    """Whether a change waits for the job of a live model, or reports its result, and creates none.

    A job record counts when the plan was to create a job and that job has failed since: another
    job would be paid for without approval. A plan already takes cancelled jobs into account.
    """
    if not model.is_job_record or not change.action.trains:
        return True
    return model.state is ModelState.FAILED and ownership.owns(model, change.name)


def require_same_version(
    model: ObservedModel, planned: DesiredVersion, ownership: Ownership, name: str
) -> ObservedModel:
    """Return the live model with the planned id, which must be ours and the planned version."""
    if not ownership.owns(model, name):
        raise _refused(f"{model.model_id} exists without a stamp of project {ownership.project}")
    if model.fingerprint != planned.fingerprint:
        raise _refused(f"{model.model_id} exists with other training inputs")
    return model


def require_unchanged(
    version: LiveVersion, model: ObservedModel | None, ownership: Ownership, name: str
) -> ObservedModel:
    """Return the live model, which must be exactly as planned."""
    same = _require_same(version, model, ownership, name)
    if same.state is not version.state:
        raise _refused(f"{version.model_id} was {version.state} and is {same.state} now")
    return same


def require_cancellable(
    version: LiveVersion, model: ObservedModel, ownership: Ownership, name: str
) -> ObservedModel:
    """Return a live model to cancel: its job may have progressed, but not finished."""
    same = _require_same(version, model, ownership, name)
    if not (same.state.is_running or same.state is ModelState.CANCELLED):
        raise _refused(f"{version.model_id} was {version.state} and is {same.state} now")
    return same


def require_not_serving(version: LiveVersion, versions: Sequence[ObservedModel]) -> None:
    """Raise RefusedError when a version to delete serves, unless the plan says that it does."""
    if is_serving(version, versions) and not version.serves:
        raise _refused(f"{version.model_id} serves now, which it did not when it was planned")


def require_successor(
    version: LiveVersion, planned: DesiredVersion, versions: Sequence[ObservedModel]
) -> None:
    """Raise RefusedError when a version would retire before the planned one serves."""
    if not is_serving(planned, versions):
        raise _refused(f"{version.model_id} is kept, because {planned.model_id} does not serve yet")


def is_serving(version: LiveVersion | DesiredVersion, versions: Sequence[ObservedModel]) -> bool:
    """Whether a version is the serving one; `versions` are all live versions of its name."""
    model = serving(list(versions))
    return model is not None and _key(model) == _key(version)


def _require_same(
    version: LiveVersion, model: ObservedModel | None, ownership: Ownership, name: str
) -> ObservedModel:
    if model is None:
        raise _refused(f"{version.model_id} was deleted since the plan")
    if not ownership.owns(model, name):
        raise _refused(f"{version.model_id} no longer has a stamp of project {ownership.project}")
    if model.fingerprint != version.fingerprint:
        raise _refused(f"{version.model_id} is another version than the planned one")
    promoted = datetime.fromisoformat(version.promoted) if version.promoted else None
    if model.promoted != promoted:
        raise _refused(f"{version.model_id} was promoted or demoted since the plan")
    return model


def _key(version: Desired | ObservedModel | LiveVersion | DesiredVersion) -> tuple[str, str]:
    # A model can have the same id at two providers.
    return version.provider, version.model_id


def _refuse_if_any(differences: Sequence[str]) -> None:
    if differences:
        raise _refused("; ".join(differences))


def _refused(message: str) -> RefusedError:
    return RefusedError(message, cure=REPLAN_CURE)
