"""What a plan is made of. Everything here crosses a file (`plan --out`), so it is frozen pydantic.

A plan holds digests and counts, never credentials. Example snippets are looked up for people by the
renderer and are no part of it.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import Field, JsonValue

from tunedmodels.observed import ModelState
from tunedmodels.plan.frozen import Frozen
from tunedmodels.plan.gate import Gate
from tunedmodels.plan.leaving import Leaving

FORMAT_VERSION: Final = 1


class Action(StrEnum):
    """What apply would do for one name.

    `conflict`, `failed` and `rejected` (by its gate) are reported; nothing is done.
    """

    CREATE = "create"
    REPLACE = "replace"
    WAIT = "wait"
    RETRY = "retry"
    PROMOTE = "promote"
    UPDATE = "update"
    CANCEL = "cancel"
    DELETE = "delete"
    CONFLICT = "conflict"
    FAILED = "failed"
    REJECTED = "rejected"

    @property
    def symbol(self) -> str:
        """The sign before the name, the same in every format."""
        return _SYMBOLS[self]

    @property
    def trains(self) -> bool:
        """Whether a training job is started."""
        return self in (Action.CREATE, Action.REPLACE, Action.RETRY)

    @property
    def is_pending(self) -> bool:
        """Whether apply has something to do for it (waiting for a running job included)."""
        return self not in (Action.CONFLICT, Action.FAILED, Action.REJECTED)


_SYMBOLS = {
    Action.CREATE: "+",
    Action.REPLACE: "+/-",
    Action.WAIT: ".",
    Action.RETRY: "+",
    Action.PROMOTE: "^",
    Action.UPDATE: "~",
    Action.CANCEL: "x",
    Action.DELETE: "-",
    Action.CONFLICT: "!",
    Action.FAILED: "!",
    Action.REJECTED: "!",
}


class Version(Frozen):
    """A live version, as far as the plan rests on it: apply refuses when it is no longer so.

    `promoted` is the text of the mark in the stamp, in UTC. `serves` says whether it answered for
    its name when the plan was made. `unverified` means that it was adopted, so that nobody can
    prove what it was trained on, and `rejected` that a gate kept it from ever serving.
    """

    provider: str
    model_id: str
    state: ModelState
    fingerprint: str
    dataset: str = ""
    examples: int | None = None
    promoted: str = ""
    serves: bool = False
    attempt: int = 1
    unverified: bool = False
    rejected: bool = False


def _is_unset(value: object) -> bool:
    return not value


Later = Annotated[str, Field(exclude_if=_is_unset)]  # left out where unset: older plans still hold


class Wanted(Frozen):
    """A declared version: everything that decides what is sent to the service.

    `method` and `preamble_as` are empty where they are `supervised` and `input`.
    """

    provider: str
    model_id: str
    fingerprint: str
    source: str
    parent: str | None = None
    dataset: str
    dataset_path: str
    examples: int
    preamble: str = ""
    preamble_as: Later = ""
    method: Later = ""
    hyperparameters: dict[str, JsonValue]
    validation: Later = ""
    validation_path: Later = ""
    service_account: Later = ""
    encryption_key: Later = ""
    last_checkpoint_only: Annotated[bool, Field(exclude_if=_is_unset)] = False
    display_name: str = ""
    description: str = ""
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    reader_project_numbers: tuple[int, ...] | None = None
    protect: bool = False
    retain: bool = False
    timeout_s: float


def _is_none(value: object) -> bool:
    return value is None


Known = Annotated[int | None, Field(exclude_if=_is_none)]


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


class Cost(Frozen):
    """What training costs, in US dollars; None means unknown, 0 means free.

    `usd` is `tokens` x `epochs` x the price of a million, in whole cents. `tokens` are those of one
    epoch, estimated unless the service counted them. `prices_of` is the day (ISO) on which the
    price was looked up; one that is not `is_official` was read by somebody else.
    """

    usd: float | None
    tokens: Known = None
    epochs: Known = None
    is_counted: Annotated[bool, Field(exclude_if=_is_unset)] = False
    usd_per_million_tokens: Annotated[float | None, Field(exclude_if=_is_none)] = None
    prices_of: Later = ""
    is_official: Annotated[bool, Field(exclude_if=bool)] = True

    @property
    def training_tokens(self) -> int | None:
        """The tokens of all epochs, which are billed; None where unknown."""
        if self.tokens is None or self.epochs is None:
            return None
        return self.tokens * self.epochs


class Change(Frozen):
    """What happens to one name. `retires` are deleted after the promotion, oldest first.

    `fields` of `wait` and `promote` are mutable ones that the promotion writes as well. `gate` is
    what the version must pass to be promoted. `cure` says what a person can do where apply can do
    nothing (`conflict`, `failed`, `rejected`). `drift` says that something was changed outside:
    not, or not only, in the manifests.
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
    max_cost_usd: Annotated[float | None, Field(exclude_if=_is_none)] = None

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


_DECIDES = {"name", "action", "before", "after", "gate", "retires"}
# When a version was promoted does not matter once it is known which one serves and what retires;
# a file's name and our own patience change nothing at the service. What a gate asks is said by its
# digest and its rival.
_INCIDENTAL: Final[dict[str, Any]] = {
    "before": {"promoted", "unverified", "rejected"},
    "after": {"dataset_path", "validation_path", "timeout_s"},
    "gate": set(Gate.model_fields) - {"digest", "rival"},
    "retires": {"__all__": {"promoted", "unverified", "rejected"}},
}


def _deciding(change: Change) -> dict[str, Any]:
    if not change.action.is_pending:
        return {"name": change.name, "action": change.action.value}
    part = change.model_dump(mode="json", include=_DECIDES, exclude=_INCIDENTAL, by_alias=True)
    if change.gate is None:
        del part["gate"]  # so that a plan without gates has the digest that it always had
    if change.before and change.before.state.is_running:
        part["before"]["state"] = "running"  # a job that leaves the queue makes no plan stale
    return part
