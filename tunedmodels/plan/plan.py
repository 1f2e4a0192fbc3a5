"""What a plan is made of. Everything here crosses a file (`plan --out`), so it is frozen pydantic.

A plan holds digests and counts, never credentials. Example snippets are looked up for people by the
renderer and are no part of it.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Final, Literal

from pydantic import Field, JsonValue

from tunedmodels.observed import ModelState
from tunedmodels.plan.gate import Gate
from tunedmodels.plan.version import Action, Cost, Frozen, Version, Wanted, is_none


# FOLDED
# What a plan says of versions that go later.
class Leaving(Frozen):
    """A former version that `keep` does not cover and `grace` still does.

    It is deleted by the first apply after `until` (UTC), which is empty as long as it serves.
    """

    name: str
    model_id: str
    grace: str
    until: str = ""


# FOLDED
# What a plan says of a sweep: every candidate, what is done for it, and what it costs.
class Candidate(Frozen):
    """A version that a sweep tries; `hyperparameters` are all that it is, or was, trained with.

    `action` is `create` or `retry` where it is trained, `wait` while it is, `promote` once it is
    ready and may be chosen, and `failed` where it is given up. `before` is the live version.
    """

    model_id: str
    fingerprint: str
    hyperparameters: dict[str, JsonValue]
    action: Action
    before: Version | None = None
    cost: Cost | None = None


class Sweep(Frozen):
    """The candidates, in the order that settles equal scores, and how the best is found.

    `digest` is over their fingerprints and over what decides their scores. `place` is `file:line`
    of the sweep, `max_cost_usd` what one plan may spend on it.
    """

    digest: str
    metric: str
    path: str
    examples: int
    candidates: tuple[Candidate, ...]
    max_cost_usd: float | None = None
    place: str = ""

    def wanted(self, shared: Wanted, candidate: Candidate) -> Wanted:
        """Return what would be sent for a candidate; `shared` is what all of them have."""
        return shared.model_copy(
            update={
                "model_id": candidate.model_id,
                "fingerprint": candidate.fingerprint,
                "hyperparameters": candidate.hyperparameters,
            }
        )

    @property
    def cost(self) -> Cost | None:
        """What the candidates that are to be trained cost; None where none is."""
        costs = [candidate.cost for candidate in self.candidates if candidate.cost]
        if not costs:
            return None
        known = [cost.usd for cost in costs if cost.usd is not None]
        epochs = [cost.epochs for cost in costs if cost.epochs is not None]
        # All have the same examples and one price, and differ in how often they see them.
        return costs[0].model_copy(
            update={
                "usd": round(sum(known), 2) if len(known) == len(costs) else None,
                "epochs": sum(epochs) if len(epochs) == len(costs) else None,
            }
        )


__all__ = [
    "FORMAT_VERSION",
    "Action",
    "Change",
    "Cost",
    "DatasetChange",
    "FieldChange",
    "Input",
    "LabelChange",
    "Plan",
    "Refusal",
    "Version",
    "Wanted",
]

FORMAT_VERSION: Final = 1


class FieldChange(Frozen):
    """One field that differs. `path` is dotted and camelCase, as in the manifest.

    `drift` says that the live value is not the one that was last applied.
    """

    path: str
    before: JsonValue
    after: JsonValue
    forces_replacement: bool = False
    drift: bool = False


class LabelChange(Frozen):
    """How many examples have one output, before and after."""

    label: str
    before: int
    after: int


class DatasetChange(Frozen):
    """How the training examples differ, as multisets: an edit counts once added, once removed.

    Among them, `reworded` counts the pairs with the same input and another output, `edited` those
    with nearly the same input. All four are None where the examples could not be compared, and
    `unknown` says why. `order_only` means: the same examples, other order. `labels` counts outputs
    that are labels, of datasets that everybody who reads the plan may read.
    """

    before: str
    after: str
    before_examples: int | None
    after_examples: int
    added: int | None = None
    removed: int | None = None
    reworded: int | None = None
    edited: int | None = None
    order_only: bool = False
    labels: tuple[LabelChange, ...] = ()
    unknown: str = ""


class Change(Frozen):
    """What happens to one name. `retires` are deleted after the promotion, oldest first.

    `fields` of `wait` and `promote` are mutable ones that the promotion writes as well. `gate` is
    what the version must pass to be promoted. With a `sweep` it is about all its candidates:
    `after` is what they share, the best of them is promoted, the others are deleted, and `retires`
    go after that. `cure` says what a person can do where apply can do nothing (`conflict`,
    `failed`, `rejected`). `drift` says that something was changed outside: not, or not only, in the
    manifests.
    """

    name: str
    action: Action
    reason: str
    cure: str = ""
    before: Version | None = None
    after: Wanted | None = None
    fields: tuple[FieldChange, ...] = ()
    dataset: DatasetChange | None = None
    gate: Gate | None = None
    sweep: Annotated[Sweep | None, Field(exclude_if=is_none)] = None
    cost: Cost | None = None
    retires: tuple[Version, ...] = ()
    warnings: tuple[str, ...] = ()
    drift: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies a change within a plan: its name, and the version it is about.

        The provider belongs to it: a model that moves has the same id in both places.
        """
        about = self.after or self.before
        return (self.name, about.provider, about.model_id) if about else (self.name, "", "")

    @property
    def jobs(self) -> int:
        """How many trainings are started."""
        if self.sweep and self.action.is_pending:
            return sum(candidate.action.trains for candidate in self.sweep.candidates)
        return int(self.action.trains)


class Refusal(Frozen):
    """Why the whole plan is refused, and the exact flag or edit that allows it."""

    code: Literal[
        "protected", "too-many-deletes", "no-manifests", "over-budget", "base-not-allowed"
    ]
    message: str
    cure: str


class Note(Frozen):
    """Something worth knowing about a name that decides nothing."""

    name: str
    words: str


class Input(Frozen):
    """A file that the plan rests on; `path` is relative to the folder of the Project file.

    `digest` is a whole SHA-256 in hex: of a manifest's bytes, or of a dataset's examples, so that
    a dataset in another format is the same one.
    """

    kind: Literal["manifest", "dataset"]
    path: str
    digest: str


class Plan(Frozen):
    """Everything apply will do, in the order in which people read it.

    `tool` is the version of the program that made it. `sets` are the values given with `--set`,
    which the same plan needs again. `inputs` say what was read; what must still hold stands in the
    changes, since an edited comment makes no plan stale. `unchanged` counts
    the names that are as declared; `retained` the versions without a manifest
    that stay by `onRemoval: retain`. `manifests` is the number of declared names, `live` of our
    versions. `leaving` are those that go later, and `moment` is the time for which that was
    decided, empty where it does not matter. `max_cost_usd` is the limit of the policy.
    """

    format_version: Literal[1] = FORMAT_VERSION
    project: str
    environment: str = ""
    sets: tuple[str, ...] = ()
    tool: str = ""
    inputs: tuple[Input, ...] = ()
    changes: tuple[Change, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    unchanged: int = 0
    retained: int = 0
    manifests: int = 0
    live: int = 0
    leaving: tuple[Leaving, ...] = ()
    moment: str = ""
    max_cost_usd: Annotated[float | None, Field(exclude_if=is_none)] = None

    @property
    def pending(self) -> tuple[Change, ...]:
        """The changes that apply has work for: the one definition of "is there anything to do"."""
        return tuple(change for change in self.changes if change.action.is_pending)

    @property
    def blocked(self) -> tuple[Change, ...]:
        """The names for which nothing can be done until a person steps in, gates apart."""
        blocked = (Action.CONFLICT, Action.FAILED)
        return tuple(change for change in self.changes if change.action in blocked)

    @property
    def rejected(self) -> tuple[Change, ...]:
        """The names whose declared version its gate keeps from serving."""
        return tuple(change for change in self.changes if change.action is Action.REJECTED)

    @property
    def drifted(self) -> tuple[Change, ...]:
        """The changes that mend what was changed outside, or report it."""
        return tuple(change for change in self.changes if change.drift)

    @property
    def cost_usd(self) -> float | None:
        """The sum over all changes; None when one of them is unknown."""
        costs = [change.cost.usd for change in self.changes if change.cost]
        return round(sum(usd for usd in costs if usd is not None), 2) if None not in costs else None

    @property
    def training_tokens(self) -> int:
        """The tokens that are billed, over all changes of which they are known."""
        return sum(change.cost.training_tokens or 0 for change in self.changes if change.cost)

    @property
    def digest(self) -> str:
        """`sha256:` over what decides the outcome: what would be done, to what, with what."""
        deciding = {
            "project": self.project,
            "environment": self.environment,
            "changes": [_deciding(change) for change in self.changes],
            "refusals": [refusal.code for refusal in self.refusals],
        }
        text = json.dumps(deciding, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


_DECIDES = {"name", "action", "before", "after", "gate", "sweep", "retires"}
# When a version was promoted does not matter once it is known which one serves and what retires;
# a file's name and our own patience change nothing at the service. What a gate asks is said by its
# digest and its rival.
_RUNNING: Final = tuple(state for state in ModelState if state.is_running)
_INCIDENTAL: Final[dict[str, Any]] = {
    "before": {"promoted", "unverified", "rejected"},
    "after": {"dataset_path", "validation_path", "timeout_s"},
    "sweep": {
        "metric": True,
        "path": True,
        "examples": True,
        "max_cost_usd": True,
        "place": True,
        "candidates": {"__all__": {"cost": True, "before": {"promoted", "unverified", "rejected"}}},
    },
    "gate": set(Gate.model_fields) - {"digest", "rival"},
    "retires": {"__all__": {"promoted", "unverified", "rejected"}},
}


def _deciding(change: Change) -> dict[str, Any]:
    if not change.action.is_pending:
        return {"name": change.name, "action": change.action.value}
    part = change.model_dump(mode="json", include=_DECIDES, exclude=_INCIDENTAL, by_alias=True)
    if change.gate is None:
        del part["gate"]  # so that a plan without gates has the digest that it always had
    for about in (part, *part.get("sweep", {}).get("candidates", ())):
        if about["before"] and about["before"]["state"] in _RUNNING:
            about["before"]["state"] = "running"  # a job that leaves the queue changes nothing
    return part
