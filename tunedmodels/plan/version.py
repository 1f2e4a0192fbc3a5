"""What a plan says of one version, live or wanted; what may be done for it, and what that costs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from tunedmodels.observed import ModelState


# FOLDED
# What every value of a plan has in common: it crosses a file, so it is frozen pydantic.
class Frozen(BaseModel):
    """A value of the plan: camelCase outside, nothing unknown, never changed."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, validate_by_name=True
    )


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
    labels: Annotated[dict[str, str], Field(exclude_if=_is_unset, default_factory=dict)]
    protect: bool = False
    retain: bool = False
    timeout_s: float


def is_none(value: object) -> bool:
    """Whether a field is left out, as older plans did: they still hold."""
    return value is None


Known = Annotated[int | None, Field(exclude_if=is_none)]


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
    usd_per_million_tokens: Annotated[float | None, Field(exclude_if=is_none)] = None
    prices_of: Later = ""
    is_official: Annotated[bool, Field(exclude_if=bool)] = True

    @property
    def training_tokens(self) -> int | None:
        """The tokens of all epochs, which are billed; None where unknown."""
        if self.tokens is None or self.epochs is None:
            return None
        return self.tokens * self.epochs
