"""The reasons and cures in a plan, as text; a reason completes a sentence with "because"."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan.plan import DatasetChange, FieldChange
from tunedmodels.schema.tuned_model import Lifecycle
from tunedmodels.stamp import MANUAL
from tunedmodels.text import join

NEW = "it does not exist yet"
OUTDATED_JOB = "another version is declared now, so this job would only cost money"
REJECTED = "its gate rejected it, and another version is declared"
LOST_SWEEP = "it lost its sweep and was never promoted"
NOT_DECLARED = "it is no longer in the manifests"
DESTROYED = "all models of this project are destroyed"
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
        f" {stamp.project}"
    )


def cure_id_taken(existing: ObservedModel, name: str) -> str:
    """Return how to get that id; a model with a stamp is never taken from its owner."""
    if existing.stamp is None:
        return f"If it is yours: tunedmodels adopt {name}. If not: {RENAME[0].lower()}{RENAME[1:]}"
    return RENAME


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
