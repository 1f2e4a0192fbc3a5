"""The reasons and cures in a plan, as text; a reason completes a sentence with "because"."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan.plan import DatasetChange, FieldChange
from tunedmodels.schema.tuned_model import Lifecycle
from tunedmodels.stamp import MANUAL, Stamp
from tunedmodels.text import join

NEW = "it does not exist yet"
OUTDATED_JOB = "another version is declared now, so this job would only cost money"
REJECTED = "its gate rejected it, and another version is declared"
LOST_SWEEP = "it lost its sweep and was never promoted"
NOT_DECLARED = "it is no longer in the manifests"
DESTROYED = "all models of this project are destroyed"
MOVED = "its identity changed; nothing is trained and its id stays"
RELEASED = "another version is used instead"
ALL_ENDED = "every candidate of its sweep has ended, and none is chosen yet"

WAS_CANCELLED = (
    "this job was cancelled, and apply starts it again; to train for fewer epochs, lower"
    " epochCount; to stop permanently, remove the manifest"
)
UNBOUNDED = (
    "the service chooses the number of epochs, and so the cost; set hyperparameters.epochCount to"
    " limit it"
)
UNVERIFIED = (
    "was adopted; it is not verified that it was trained on the declared examples, until another"
    " version is trained"
)

CURE_BLOCKED = (
    "Fix those examples, or accept the version as it was trained:\n"
    "    onDroppedExamples: warn    # of the provider, in the Project file"
)
CURE_PARENT = "Fix that model; this one follows without a change."
RENAME = "Rename the manifest, or delete that model manually if it is not needed."

_LABELS = {"baseModel": "the base model", "tunedModel": "the model it continues from"}


def waiting(declared: ObservedModel) -> str:
    """Return that the declared version is not ready yet."""
    return "it is queued" if declared.state is ModelState.QUEUED else "it is being trained"


def retrying(declared: ObservedModel, attempt: int, attempts: int) -> str:
    """Return how the attempt before a retry ended."""
    return f"attempt {attempt} of {attempts} {_end(declared)}"


def given_up(declared: ObservedModel, attempt: int) -> str:
    """Return how the last attempt ended, with the reason of the service."""
    return f"attempt {attempt} {_end(declared)}"


def raise_retry(attempt: int) -> str:
    """Return what to do after the last attempt."""
    return f"Edit the manifest or its examples, or set lifecycle.retry to {attempt} to try again."


def promoting(declared: ObservedModel, serving: ObservedModel | None) -> str:
    """Return why a ready version is promoted; for a former version it is a rollback."""
    if serving and is_overruled(declared, serving):
        return f"{serving.model_id} was promoted manually; return to the declared version"
    if declared.promoted and serving:
        return f"it is declared again: roll back from {serving.model_id}, without training"
    if serving:
        return f"it is ready; {serving.model_id} serves until then"
    return "it is ready, and no version serves yet"


def is_overruled(declared: ObservedModel, serving: ObservedModel | None) -> bool:
    """Return whether `tunedmodels promote` put another version over one that served already.

    Only the record of the manual promotion distinguishes it from a rollback in the manifests.
    """
    is_manual = serving is not None and serving.stamp and serving.stamp.promoted_by == MANUAL
    return bool(is_manual) and declared is not serving and declared.promoted is not None


def replacing(fields: Sequence[FieldChange], dataset: DatasetChange | None) -> str:
    """Return what forces a new version, the examples first."""
    return differing(fields, dataset) or (
        "its hyperparameters are declared differently, although their known values are the same"
    )


def differing(fields: Sequence[FieldChange], dataset: DatasetChange | None) -> str:
    """Return what differs, the examples first; empty if nothing does."""
    sentences = []
    if dataset:
        sentences.append(_examples(dataset))
    others = [_label(field.path) for field in fields if field.path != "dataset"]
    if others:
        sentences.append(f"{join(others)} changed")
    return "; ".join(sentences)


def updating(fields: Sequence[FieldChange]) -> str:
    """Return which mutable fields differ, and which of them were changed outside."""
    drifted = [field.path for field in fields if field.drift]
    others = [field.path for field in fields if not field.drift]
    sentences = []
    if others:
        sentences.append(f"{join(others)} {'differ' if others[1:] else 'differs'}")
    if drifted:
        verb = "were" if drifted[1:] else "was"
        sentences.append(f"{join(drifted)} {verb} changed outside since the last apply")
    return "; ".join(sentences)


def with_drift(reason: str, fields: Sequence[FieldChange]) -> str:
    """Return a reason followed by the mutable fields that were changed outside, if any."""
    drifted = [field for field in fields if field.drift]
    return f"{reason}; {updating(drifted)}" if drifted else reason


def sweep_open(count: int, reason: str) -> str:
    """Return a reason followed by the fact that no candidate of a sweep is chosen yet."""
    return "; ".join(filter(None, [reason, f"none of the {count} candidates is chosen yet"]))


def sweep_running(running: int, count: int) -> str:
    """Return how many candidates of a sweep are not ready yet."""
    return f"{running} of {count} candidates of its sweep are still running"


def sweep_failed(count: int, first: str) -> str:
    """Return that no candidate of a sweep became ready, with the reason of the first."""
    return f"all {count} candidates of its sweep are given up; the first: {first}"


def deleting_failed(model: ObservedModel) -> str:
    """Return why a version that never became ready is deleted."""
    state = "failed" if model.state is ModelState.FAILED else "was cancelled"
    return f"it {state}, and another version is declared"


def beyond_keep(lifecycle: Lifecycle) -> str:
    """Return why a former version is deleted."""
    reason = f"lifecycle.keep is {lifecycle.keep}, and newer versions are ready"
    if lifecycle.grace:
        reason += f"; its lifecycle.grace of {lifecycle.grace} is over"
    return reason


def id_taken(existing: ObservedModel) -> str:
    """Return which model already has the id of the declared version."""
    stamp = existing.stamp
    if stamp is None:
        return (
            f"{existing.resource} exists without a stamp: its description was changed outside, or"
            " it was not made by tunedmodels"
        )
    return (
        f"{existing.resource} exists with the stamp of another owner: {stamp.name} of project"
        f" {stamp.project}{_lineage(stamp)}"
    )


def cure_id_taken(existing: ObservedModel, desired: Desired) -> str:
    """Return how to get that id; a model with a stamp is never taken from its owner."""
    if existing.stamp is None:
        adopt = f"tunedmodels adopt {desired.name}"
        return f"If it is yours: {adopt}. If not: {RENAME[0].lower()}{RENAME[1:]}"
    if not existing.has_trusted_owner:
        return (
            "Ask its owner to delete it, or to transfer it to you; then run:"
            f" tunedmodels adopt {desired.name}"
        )
    if existing.stamp.fingerprint == desired.fingerprint:
        return (
            f"If {existing.stamp.project} is a former name of this project, take its models over:"
            f" add `{former_project(existing.stamp)}` to metadata of the Project. If not,"
            f" {RENAME[0].lower()}{RENAME[1:]}"
        )
    return RENAME


def former_project(stamp: Stamp) -> str:
    """Return the line with which a project takes over the models of an identity."""
    lineage = stamp.lineage or "none"
    return f"formerly: [{{project: {stamp.project}, lineage: {lineage}}}]"


def renamed(name: str, former: str) -> str:
    """Return that a model to be trained has the fingerprint of a name that is not declared."""
    return (
        f"{name} has the fingerprint of {former}: if it was renamed, add `formerly: [{former}]` to"
        " its metadata, and nothing is trained or deleted"
    )


def renamed_project(model: ObservedModel, stamp: Stamp) -> str:
    """Return that a model to be trained has the fingerprint of a model of another identity."""
    return (
        f"{model.model_id} of project {stamp.project}{_lineage(stamp)} has the same fingerprint: if"
        f" that is a former identity of this project, add `{former_project(stamp)}` to metadata of"
        " the Project, and nothing is trained"
    )


def trained_elsewhere(environment: str) -> str:
    """Return that another environment has a version with the same training."""
    return (
        f"environment {environment} has a version with the same fingerprint; with"
        f" `promotesFrom: {environment}` this environment would promote it without training"
    )


def foreign(models: Sequence[ObservedModel], project: str) -> str:
    """Return which models have the same project name and another lineage."""
    ids = join([model.model_id for model in models[:3]])
    more = f" and {len(models) - 3} more" if models[3:] else ""
    noun = "models belong" if models[1:] else "model belongs"
    return f"{len(models)} {noun} to another project {project} and stay unchanged: {ids}{more}"


def untrusted(models: Sequence[ObservedModel]) -> str:
    """Return which models have the stamp of the project and an owner who is not trusted."""
    ids = join([model.model_id for model in models[:3]])
    more = f" and {len(models) - 3} more" if models[3:] else ""
    return (
        f"{ids}{more} {'have' if models[1:] else 'has'} the stamp of this project, but belong"
        f"{'' if models[1:] else 's'} to another user; ignored"
    )


def held(model_id: str, environments: Sequence[str]) -> str:
    """Return that a version is kept because other environments use it."""
    return f"{model_id} is held by {join(environments)} and is deleted when it is no longer used"


def promoting_from(home: str) -> str:
    """Return why an environment promotes a version that another one trained."""
    return f"{home} trains it, and this environment does not serve it yet"


def not_served(home: str) -> str:
    """Return that the environment that trains a version has not served it."""
    return f"{home} has not served it yet, or has retired it"


def _lineage(stamp: Stamp) -> str:
    return f" (lineage {stamp.lineage})" if stamp.lineage else ""


def parent_blocked(parent: str, *, is_rejected: bool = False) -> str:
    """Return that there will be no version of the model to continue from."""
    if is_rejected:
        return f"it continues from {parent}, which its gate rejected"
    return f"it continues from {parent}, which is blocked"


def not_tunable(provider: str, base_model: str) -> str:
    """Return that a provider cannot tune a base model."""
    return f"provider {provider} cannot tune {base_model}"


def cure_base_model(tunable: Collection[str]) -> str:
    """Return which base models can be tuned instead."""
    if tunable:
        return f"Set baseModel to one of: {', '.join(sorted(tunable))}."
    return (
        "It lists no tunable base model (the Gemini API has none since May 2025): use provider:"
        " embedded, or tune on Vertex AI."
    )


def _end(model: ObservedModel) -> str:
    if model.state is ModelState.CANCELLED:
        return "was cancelled"
    return f"failed: {model.failure}" if model.failure else "failed; the service gives no reason"


def _examples(dataset: DatasetChange) -> str:
    if dataset.order_only:
        return "the order of the examples changed, which changes the training"
    before = "?" if dataset.before_examples is None else dataset.before_examples
    counts = f"{before} -> {dataset.after_examples}"
    if dataset.added is None:
        return f"the dataset changed ({counts} examples)"
    return f"the dataset changed: +{dataset.added} -{dataset.removed} examples ({counts})"


def _label(path: str) -> str:
    return _LABELS.get(path) or f"the {path}" if "." not in path else path.rpartition(".")[2]
