"""The values of a plan. All of them are written to a file (`plan --out`): frozen pydantic models.

A plan has digests and counts, never credentials. Example snippets are not part of it; the renderer
adds them.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Final, Literal

from pydantic import JsonValue

from tunedmodels.observed import ModelState
from tunedmodels.plan.gate import Gate
from tunedmodels.plan.version import (
    OMIT_IF_EMPTY,
    OMIT_IF_NONE,
    Action,
    Cost,
    DesiredVersion,
    LiveVersion,
    PlanModel,
)

__all__ = [
    "FORMAT_VERSION",
    "Action",
    "Change",
    "Cost",
    "DatasetChange",
    "DesiredVersion",
    "FieldChange",
    "Input",
    "LabelChange",
    "LiveVersion",
    "Plan",
    "Refusal",
]

FORMAT_VERSION: Final = 2  # 1 had neither lineages nor environments that own their versions


class PendingRetirement(PlanModel):
    """A former version that `keep` does not cover and `grace` still protects."""

    name: str
    model_id: str
    grace: str
    until: str = ""  #: the first apply after this time (UTC) deletes it; empty while it serves


class Candidate(PlanModel):
    """A version of a sweep."""

    model_id: str
    fingerprint: str
    hyperparameters: dict[str, JsonValue]  #: all of them, not only those of the sweep
    action: Action
    """`create` or `retry`: to be trained; `wait`: in training; `promote`: ready, may be chosen;
    `failed`: given up."""
    before: LiveVersion | None = None
    cost: Cost | None = None


class PlannedSweep(PlanModel):
    """A sweep without a chosen candidate; among equal scores the first candidate is chosen."""

    digest: str  #: over the fingerprints and everything that decides the scores
    metric: str
    path: str
    examples: int
    candidates: tuple[Candidate, ...]
    max_cost_usd: float | None = None  #: limit for one plan
    place: str = ""  #: `file:line` of the sweep

    def desired_version(self, shared: DesiredVersion, candidate: Candidate) -> DesiredVersion:
        """Return the desired version of a candidate; `shared` has the values common to all."""
        return shared.model_copy(
            update={
                "model_id": candidate.model_id,
                "fingerprint": candidate.fingerprint,
                "hyperparameters": candidate.hyperparameters,
            }
        )

    @property
    def cost(self) -> Cost | None:
        """The cost of all candidates to be trained; None if there are none."""
        costs = [candidate.cost for candidate in self.candidates if candidate.cost]
        if not costs:
            return None
        known = [cost.usd for cost in costs if cost.usd is not None]
        epochs = [cost.epochs for cost in costs if cost.epochs is not None]
        # All candidates have the same examples and price; only the epochs differ.
        return costs[0].model_copy(
            update={
                "usd": round(sum(known), 2) if len(known) == len(costs) else None,
                "epochs": sum(epochs) if len(epochs) == len(costs) else None,
            }
        )


class FieldChange(PlanModel):
    """One field that differs."""

    path: str  #: dotted and camelCase, as in the manifest
    before: JsonValue
    after: JsonValue
    forces_replacement: bool = False
    drift: bool = False  #: the live value is not the one that was last applied


class LabelChange(PlanModel):
    """The number of examples with one output, before and after."""

    label: str
    before: int
    after: int


class DatasetChange(PlanModel):
    """How the training examples differ, as multisets.

    An edited example counts as one added and one removed. The four counts are None if the examples
    were not compared.
    """

    before: str  #: digest
    after: str  #: digest
    before_examples: int | None
    after_examples: int
    added: int | None = None
    removed: int | None = None
    reworded: int | None = None  #: of these, pairs with the same input and another output
    edited: int | None = None  #: of these, pairs with nearly the same input
    order_only: bool = False  #: the same examples in another order
    labels: tuple[LabelChange, ...] = ()
    """Only if outputs are labels and every reader of the plan may read the dataset."""
    unknown: str = ""  #: why the examples were not compared


class Change(PlanModel):
    """The change of one name.

    With a `sweep` the change is about all candidates: `after` has their common values, the best one
    is promoted, the others are deleted, and then the versions in `retires`.
    """

    name: str
    action: Action
    reason: str
    cure: str = ""  #: what the user can do if apply cannot: `conflict`, `failed`, `rejected`
    before: LiveVersion | None = None
    after: DesiredVersion | None = None
    fields: tuple[FieldChange, ...] = ()
    """For `wait` and `promote`: the mutable fields that the promotion writes as well."""
    dataset: DatasetChange | None = None
    gate: Gate | None = None  #: what the version must pass to be promoted
    sweep: Annotated[PlannedSweep | None, OMIT_IF_NONE] = None
    cost: Cost | None = None
    retires: tuple[LiveVersion, ...] = ()  #: deleted after the promotion, oldest first
    warnings: tuple[str, ...] = ()
    drift: bool = False  #: something was changed outside, not or not only in the manifests

    @property
    def key(self) -> tuple[str, str, str]:
        """The key of the change in its plan: name, provider and version.

        It contains the provider because a model can have the same id at two providers. A move is a
        change of its own, since another change of the same version can follow it.
        """
        version = self.after or self.before
        if version is None:
            return self.name, "", ""
        suffix = " (move)" if self.action is Action.MOVE else ""
        return self.name, version.provider, version.model_id + suffix

    @property
    def jobs(self) -> int:
        """The number of training jobs that it starts."""
        if self.sweep and self.action.is_pending:
            return sum(candidate.action.trains for candidate in self.sweep.candidates)
        return int(self.action.trains)


class Refusal(PlanModel):
    """Why the whole plan is refused, and the flag or edit that allows it."""

    code: Literal[
        "protected",
        "too-many-deletes",
        "no-manifests",
        "over-budget",
        "base-not-allowed",
        "manifest-not-read",
        "older-commit",
        "held",
        "other-owner",
        "no-etags",
        "no-lineage",
    ]
    message: str
    cure: str


class Note(PlanModel):
    """Information about a name that does not affect the plan."""

    name: str
    words: str


class Input(PlanModel):
    """A file that the plan depends on."""

    kind: Literal["manifest", "dataset"]
    path: str  #: relative to the directory of the Project manifest
    digest: str
    """SHA-256 (hex) of a manifest's bytes, or of the examples of a dataset in any file format."""


class Plan(PlanModel):
    """Everything that apply will do, in the order in which it is displayed.

    Apply checks the conditions in the changes, not the `inputs`: an edited comment in a manifest
    does not make a plan stale.
    """

    format_version: Literal[2] = FORMAT_VERSION
    project: str
    lineage: Annotated[str, OMIT_IF_EMPTY] = ""  #: lineage of the project
    environment: str = ""
    sets: tuple[str, ...] = ()  #: values of `--set`, needed again to repeat the plan
    folder: Annotated[str, OMIT_IF_EMPTY] = ""
    """The directory of the Project in its repository, `.` for the top; not part of the digest."""
    selection: Annotated[tuple[str, ...], OMIT_IF_EMPTY] = ()
    """The names that the user selected, sorted; empty: all. Nothing else was judged."""
    tool: str = ""  #: version of tunedmodels that made it
    inputs: tuple[Input, ...] = ()
    changes: tuple[Change, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    unchanged: int = 0  #: names without a change
    retained: int = 0  #: versions without a manifest that `onRemoval: retain` keeps
    manifests: int = 0  #: declared names
    live: int = 0  #: live versions of this project
    leaving: tuple[PendingRetirement, ...] = ()
    moment: str = ""  #: time for which grace periods were evaluated; empty if irrelevant
    max_cost_usd: Annotated[float | None, OMIT_IF_NONE] = None  #: limit of the policy

    @property
    def pending(self) -> tuple[Change, ...]:
        """The changes that apply executes: the only definition of "is there anything to do"."""
        return tuple(change for change in self.changes if change.action.is_pending)

    @property
    def blocked(self) -> tuple[Change, ...]:
        """The names that need an action by the user, except those rejected by a gate."""
        blocked = (Action.CONFLICT, Action.FAILED)
        return tuple(change for change in self.changes if change.action in blocked)

    @property
    def rejected(self) -> tuple[Change, ...]:
        """The names whose declared version was rejected by its gate."""
        return tuple(change for change in self.changes if change.action is Action.REJECTED)

    @property
    def drifted(self) -> tuple[Change, ...]:
        """The changes that correct or report drift."""
        return tuple(change for change in self.changes if change.drift)

    @property
    def cost_usd(self) -> float | None:
        """The cost of all changes; None if one of them is unknown."""
        costs = [change.cost.usd for change in self.changes if change.cost]
        return round(sum(usd for usd in costs if usd is not None), 2) if None not in costs else None

    @property
    def training_tokens(self) -> int:
        """The billed tokens of all changes for which they are known."""
        return sum(change.cost.training_tokens or 0 for change in self.changes if change.cost)

    @property
    def digest(self) -> str:
        """`sha256:` over everything that decides the outcome: actions, targets and values."""
        deciding = {
            **({"lineage": self.lineage} if self.lineage else {}),
            "project": self.project,
            "environment": self.environment,
            "changes": [_deciding(change) for change in self.changes],
            "refusals": [refusal.code for refusal in self.refusals],
            **({"selection": self.selection} if self.selection else {}),
        }
        text = json.dumps(deciding, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


_DECIDING_FIELDS: Final = {"name", "action", "before", "after", "gate", "sweep", "retires"}
# Left out of the digest because they change nothing at the service: the promotion time, once it is
# known which version serves and which ones retire; the names of files; timeouts. The conditions of
# a gate are covered by its digest and its baseline.
_INCIDENTAL_VERSION: Final = {"promoted", "unverified", "rejected"}
_INCIDENTAL: Final[dict[str, Any]] = {
    "before": _INCIDENTAL_VERSION,
    "after": {"dataset_path", "validation_path", "timeout_s"},
    "sweep": {
        "metric": True,
        "path": True,
        "examples": True,
        "max_cost_usd": True,
        "place": True,
        "candidates": {"__all__": {"cost": True, "before": _INCIDENTAL_VERSION}},
    },
    "gate": set(Gate.model_fields) - {"digest", "baseline"},
    "retires": {"__all__": _INCIDENTAL_VERSION},
}
_RUNNING: Final = tuple(state for state in ModelState if state.is_running)


def _deciding(change: Change) -> dict[str, Any]:
    if not change.action.is_pending:
        return {"name": change.name, "action": change.action.value}
    part = change.model_dump(
        mode="json", include=_DECIDING_FIELDS, exclude=_INCIDENTAL, by_alias=True
    )
    if change.gate is None:
        del part["gate"]  # plans without gates keep the digest that they had before gates existed
    for item in (part, *part.get("sweep", {}).get("candidates", ())):
        if item["before"] and item["before"]["state"] in _RUNNING:
            item["before"]["state"] = "running"  # a job that leaves the queue changes nothing
    return part
