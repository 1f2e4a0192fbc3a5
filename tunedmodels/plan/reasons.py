"""Why something happens, in words that fit after "because"; and what a person can do about it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan.plan import DatasetChange, FieldChange
from tunedmodels.schema.tuned_model import Lifecycle
from tunedmodels.stamp import HAND

NEW = "it does not exist yet"
GONE = "it was promoted from here, and is gone: somebody deleted it outside"
OUTDATED_JOB = "another version is declared now, and this job would cost money for nothing"
REJECTED = "its gate kept it from serving, and another version is declared"
LOST = "it lost its sweep, and never served"
NOT_DECLARED = "it is no longer in the manifests"
DESTROYED = "everything of this project is to go"

WAS_CANCELLED = (
    "this job was cancelled, and apply starts it again; to train for fewer epochs, lower"
    " epochCount; to stop for good, remove the manifest"
)
UNBOUNDED = (
    "the service chooses the number of epochs, and what it costs with it; set"
    " hyperparameters.epochCount to bound the cost"
)
CURE_OBJECTION = (
    "Mend those examples, or let it serve with what it learned:\n"
    "    onDroppedExamples: warn    # of the provider, in the Project file"
)
CURE_PARENT = "See there; this one follows by itself."
RENAME = "Rename the manifest, or delete that model yourself if nobody needs it."
UNVERIFIED = (
    "was adopted: that it was trained on the declared examples is unverified, until another version"
    " is trained"
)

_LABELS = {"baseModel": "the base model", "tunedModel": "the model it continues from"}


def waiting(exact: ObservedModel) -> str:
    """Say that the declared version is on its way."""
    return "it is queued" if exact.state is ModelState.QUEUED else "it is being trained"


def retrying(exact: ObservedModel, attempt: int, attempts: int) -> str:
    """Say how an attempt ended after which another one follows."""
    return f"attempt {attempt} of {attempts} {_end(exact)}"


def given_up(exact: ObservedModel, attempt: int) -> str:
    """Say how the last attempt ended, in the service's own words."""
    return f"attempt {attempt} {_end(exact)}"


def raise_retry(attempt: int) -> str:
    """Say how to go on after the last attempt."""
    return f"Edit the manifest or its examples, or set lifecycle.retry to {attempt} to try again."


def promoting(exact: ObservedModel, serves: ObservedModel | None) -> str:
    """Say why a ready version is made to serve; going back to a former one is a rollback."""
    if serves and overruled(exact, serves):
        return f"{serves.model_id} was promoted by hand; go back to what is declared"
    if exact.promoted and serves:
        return f"it is declared again: go back to it from {serves.model_id}, without training"
    if serves:
        return f"it is ready; {serves.model_id} serves until then"
    return "it is ready, and nothing serves yet"


def overruled(exact: ObservedModel, serves: ObservedModel | None) -> bool:
    """Whether a person promoted another version over the declared one, which served already.

    Going back in the manifests looks just the same but for the mark of the hand.
    """
    by_hand = serves is not None and serves.stamp is not None and serves.stamp.by == HAND
    return by_hand and exact is not serves and exact.promoted is not None


def replacing(fields: Sequence[FieldChange], dataset: DatasetChange | None) -> str:
    """Say what forces a new version, the examples first."""
    return differing(fields, dataset) or (
        "its hyperparameters are declared in another way, although what is known of their values"
        " is the same"
    )


def differing(fields: Sequence[FieldChange], dataset: DatasetChange | None) -> str:
    """Say what differs, the examples first; nothing where nothing does."""
    sentences = []
    if dataset:
        sentences.append(_examples(dataset))
    others = [_label(field.path) for field in fields if field.path != "dataset"]
    if others:
        sentences.append(f"{_joined(others)} changed")
    return "; ".join(sentences)


def updating(fields: Sequence[FieldChange]) -> str:
    """Say which mutable fields differ, and which of them were changed outside."""
    drifted = [field.path for field in fields if field.drift]
    others = [field.path for field in fields if not field.drift]
    sentences = []
    if others:
        sentences.append(f"{_joined(others)} {'differ' if others[1:] else 'differs'}")
    if drifted:
        verb = "were" if drifted[1:] else "was"
        sentences.append(f"{_joined(drifted)} {verb} changed outside since the last apply")
    return "; ".join(sentences)


def drifted(reason: str, fields: Sequence[FieldChange]) -> str:
    """Add to a reason which mutable fields were changed outside, if any."""
    outside = [field for field in fields if field.drift]
    return f"{reason}; {updating(outside)}" if outside else reason


def choosing(count: int, reason: str) -> str:
    """Say that a sweep has chosen none of its candidates yet, after why that is so."""
    return "; ".join(filter(None, [reason, f"none of the {count} candidates is chosen yet"]))


def awaiting(running: int, count: int) -> str:
    """Say how many candidates of a sweep are on their way."""
    return f"{running} of {count} candidates of its sweep are on their way"


CHOOSING = "every candidate of its sweep has ended, and none is chosen yet"


def all_failed(count: int, first: str) -> str:
    """Say that no candidate of a sweep came to its end, with the words of the first."""
    return f"all {count} candidates of its sweep are given up; the first: {first}"


def broken(model: ObservedModel) -> str:
    """Say why a version that never became ready is deleted."""
    state = "failed" if model.state is ModelState.FAILED else "was cancelled"
    return f"it {state}, and another version is declared"


def beyond(lifecycle: Lifecycle) -> str:
    """Say why a former version is deleted."""
    words = f"lifecycle.keep is {lifecycle.keep}, and newer versions than this are ready"
    return (
        f"{words}; its lifecycle.grace of {lifecycle.grace} is over" if lifecycle.grace else words
    )


def taken(there: ObservedModel) -> str:
    """Say who has the id that we want."""
    if there.stamp is None:
        return (
            f"{there.resource} exists and bears no stamp of ours: its description was changed"
            " outside, or somebody else made it"
        )
    owner = f"{there.stamp.name} of project {there.stamp.project}"
    return f"{there.resource} exists and bears another stamp: {owner}"


def cure_taken(there: ObservedModel, name: str) -> str:
    """Say how to get the id that we want; what bears a stamp is never taken from its owner."""
    if there.stamp is None:
        return f"If it is yours: tunedmodels adopt {name}. If not: {RENAME[0].lower()}{RENAME[1:]}"
    return RENAME


def orphaned(parent: str, *, is_rejected: bool = False) -> str:
    """Say that the model to continue from will not come."""
    if is_rejected:
        return f"it continues from {parent}, which its gate keeps from serving"
    return f"it continues from {parent}, for which nothing can be done as it is"


def not_tunable(provider: str, base: str) -> str:
    """Say that a provider does not tune a base model."""
    return f"provider {provider} cannot tune {base}"


def cure_base(tunable: Collection[str]) -> str:
    """Say what can be tuned instead."""
    if tunable:
        return f"Set baseModel to one of: {', '.join(sorted(tunable))}."
    return (
        "It lists no tunable base model (the Gemini API has none since May 2025): use provider:"
        " embedded, or tune on Vertex AI."
    )


def _end(exact: ObservedModel) -> str:
    if exact.state is ModelState.CANCELLED:
        return "was cancelled"
    return f"failed: {exact.failure}" if exact.failure else "failed; the service does not say why"


def _examples(dataset: DatasetChange) -> str:
    if dataset.order_only:
        return "the order of the examples changed, and training sees them in order"
    before = "?" if dataset.before_examples is None else dataset.before_examples
    counts = f"{before} -> {dataset.after_examples}"
    if dataset.added is None:
        return f"the dataset changed ({counts} examples)"
    return f"the dataset changed: +{dataset.added} -{dataset.removed} examples ({counts})"


def _label(path: str) -> str:
    return _LABELS.get(path) or f"the {path}" if "." not in path else path.rpartition(".")[2]


def _joined(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
