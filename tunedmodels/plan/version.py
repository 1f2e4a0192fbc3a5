"""The versions in a plan, live or desired; the actions of a plan, and the cost of a training."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from tunedmodels.desired import Desired
from tunedmodels.model_fields import MutableFields
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.text import utc_iso


class PlanModel(BaseModel):
    """Base of all values of a plan: camelCase in the file, no unknown keys, immutable."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, validate_by_name=True
    )


def _is_empty(value: object) -> bool:
    return not value


def _is_none(value: object) -> bool:
    return value is None


# Fields that were added later are left out without a value, so that plans and digests of earlier
# releases stay valid.
OMIT_IF_EMPTY: Final[Any] = Field(exclude_if=_is_empty)
OMIT_IF_NONE: Final[Any] = Field(exclude_if=_is_none)


class Action(StrEnum):
    """The action of apply for one name.

    `move` writes the current identity of a version in place of a former one. `release` ends the use
    of a version that another environment trained.
    `conflict`, `failed` and `rejected` (by its gate) are only reported.
    """

    CREATE = "create"
    REPLACE = "replace"
    WAIT = "wait"
    RETRY = "retry"
    PROMOTE = "promote"
    UPDATE = "update"
    MOVE = "move"
    RELEASE = "release"
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
        """Whether it starts a training job."""
        return self in (Action.CREATE, Action.REPLACE, Action.RETRY)

    @property
    def is_pending(self) -> bool:
        """Whether apply has something to do, including waiting for a running job."""
        return self not in (Action.CONFLICT, Action.FAILED, Action.REJECTED)


_SYMBOLS = {
    Action.CREATE: "+",
    Action.REPLACE: "+/-",
    Action.WAIT: ".",
    Action.RETRY: "+",
    Action.PROMOTE: "^",
    Action.UPDATE: "~",
    Action.MOVE: "=",
    Action.RELEASE: "-",
    Action.CANCEL: "x",
    Action.DELETE: "-",
    Action.CONFLICT: "!",
    Action.FAILED: "!",
    Action.REJECTED: "!",
}


class LiveVersion(PlanModel):
    """A live version that the plan depends on: apply refuses if it changed since the plan."""

    provider: str
    model_id: str
    state: ModelState
    fingerprint: str
    dataset: str = ""
    examples: int | None = None
    promoted: str = ""  #: the promotion time in its stamp (UTC)
    serves: bool = False  #: it was the serving version when the plan was made
    attempt: int = 1
    unverified: bool = False  #: it was adopted: its training inputs cannot be proved
    rejected: bool = False  #: a gate rejected it


class DesiredVersion(PlanModel):
    """A declared version: everything that decides what is sent to the service."""

    provider: str
    model_id: str
    fingerprint: str
    source: str
    parent: str | None = None
    dataset: str
    dataset_path: str
    examples: int
    preamble: str = ""
    preamble_as: Annotated[str, OMIT_IF_EMPTY] = ""  #: empty: `input`
    method: Annotated[str, OMIT_IF_EMPTY] = ""  #: empty: `supervised`
    tuning_mode: Annotated[str, OMIT_IF_EMPTY] = ""  #: of an open model
    hyperparameters: dict[str, JsonValue]
    validation: Annotated[str, OMIT_IF_EMPTY] = ""
    validation_path: Annotated[str, OMIT_IF_EMPTY] = ""
    service_account: Annotated[str, OMIT_IF_EMPTY] = ""
    encryption_key: Annotated[str, OMIT_IF_EMPTY] = ""
    last_checkpoint_only: Annotated[bool, OMIT_IF_EMPTY] = False
    display_name: str = ""
    description: str = ""
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    reader_project_numbers: tuple[int, ...] | None = None
    labels: Annotated[dict[str, str], Field(exclude_if=_is_empty, default_factory=dict)]
    protect: bool = False
    retain: bool = False
    timeout_s: float

    @property
    def fields(self) -> MutableFields:
        """The mutable fields."""
        values = {field.name: getattr(self, field.name) for field in fields(MutableFields)}
        values |= {"display_name": self.display_name or None, "labels": self.labels or None}
        return MutableFields(**values)


class Cost(PlanModel):
    """The cost of a training, in US dollars."""

    usd: float | None  #: tokens x epochs x price, in whole cents; None: unknown, 0: free
    tokens: Annotated[int | None, OMIT_IF_NONE] = None  #: of one epoch
    epochs: Annotated[int | None, OMIT_IF_NONE] = None
    is_counted: Annotated[bool, OMIT_IF_EMPTY] = False
    """The service counted the tokens; else they are estimated."""
    usd_per_million_tokens: Annotated[float | None, OMIT_IF_NONE] = None
    prices_of: Annotated[str, OMIT_IF_EMPTY] = ""  #: ISO date on which the price was looked up
    is_official: Annotated[bool, Field(exclude_if=bool)] = True
    """The price is from the documentation of the service."""

    @property
    def training_tokens(self) -> int | None:
        """The billed tokens, those of all epochs; None if unknown."""
        if self.tokens is None or self.epochs is None:
            return None
        return self.tokens * self.epochs


def live_version(model: ObservedModel, *, serves: bool) -> LiveVersion:
    """Return the part of a live model that a plan depends on."""
    stamp = model.stamp
    return LiveVersion(
        provider=model.provider,
        model_id=model.model_id,
        state=model.state,
        fingerprint=model.fingerprint,
        dataset=stamp.dataset if stamp else "",
        examples=stamp.examples if stamp else None,
        promoted=format_time(model.promoted),
        serves=serves,
        attempt=stamp.attempt if stamp else 1,
        unverified=bool(stamp and stamp.unverified),
        rejected=bool(stamp and stamp.is_rejected),
    )


def desired_version(desired: Desired, model_id: str) -> DesiredVersion:
    """Return what a plan would send; `model_id` is the id of the live version, if there is one."""
    inputs, lifecycle = desired.inputs, desired.lifecycle
    values = inputs.plain() | desired.fields.values()
    values["preamble_as"] = "" if inputs.preamble_as == "input" else inputs.preamble_as
    values["method"] = "" if inputs.method == "supervised" else inputs.method
    return DesiredVersion(
        **values,
        provider=desired.provider,
        model_id=model_id,
        fingerprint=desired.fingerprint,
        parent=desired.parent,
        dataset_path=inputs.dataset.declared_path,
        examples=inputs.dataset.examples,
        validation_path=inputs.validation.declared_path if inputs.validation else "",
        service_account=desired.service_account,
        protect=lifecycle.protect,
        retain=lifecycle.on_removal == "retain",
        timeout_s=lifecycle.timeout_s,
    )


def format_time(time: datetime | None) -> str:
    """Return a time as a plan has it, in UTC with microseconds; empty for None."""
    return utc_iso(time, "microseconds") if time else ""
