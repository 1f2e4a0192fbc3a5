"""What the store keeps: a tuned model with its job, one row, and whom it is shared with."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum, StrEnum


class State(StrEnum):
    """The states of the API. There is no cancelled one: a cancelled model is FAILED."""

    CREATING = "CREATING"
    ACTIVE = "ACTIVE"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class NewModel:
    """A tuned model as it is asked for, every default filled in.

    `source` is `tunedModels/ID` when training goes on from that model, whose row is `source_seq`.
    `readers` is a JSON list of project numbers. `learning_rate` has a multiplier applied.
    """

    id: str
    operation: str
    base_model: str
    source: str
    source_seq: int | None
    display_name: str
    description: str
    temperature: float
    top_p: float
    top_k: int | None
    readers: str
    epoch_count: int
    batch_size: int
    learning_rate: float
    total_steps: int
    create_time: str
    update_time: str


@dataclass(frozen=True, slots=True)
class Model(NewModel):
    """A tuned model as it is stored.

    `seq` is given once and never again, also when an id comes back after a delete: whatever
    belongs to the model on disk is named by it. Times are as sent, empty while unknown.
    `error_code` is a google.rpc.Code. `deaths` counts the workers that took the job and were never
    heard of again since it last made progress.
    """

    seq: int
    state: str
    start_time: str
    complete_time: str
    completed_steps: int
    error_code: int
    error_message: str
    deaths: int

    @property
    def name(self) -> str:
        """The resource name, `tunedModels/ID`."""
        return f"tunedModels/{self.id}"


class Role(IntEnum):
    """What somebody may do with a model, numbered as in the proto: a smaller one holds a larger."""

    OWNER = 1
    WRITER = 2
    READER = 3


class Grantee(IntEnum):
    """What a permission is given to, numbered as in the proto."""

    USER = 1
    GROUP = 2
    EVERYONE = 3


def grantee(kind: Grantee, email: str = "") -> str:
    """Return the one text that a grantee is stored under, whatever the case of the address."""
    return f"{kind.name}:{email.lower()}"


@dataclass(frozen=True, slots=True)
class Permission:
    """A permission as it is stored; `number` is given once and never again."""

    number: int
    id: str
    grantee: str
    role: Role

    @property
    def grantee_type(self) -> str:
        """`USER`, `GROUP` or `EVERYONE`."""
        return self.grantee.partition(":")[0]

    @property
    def email_address(self) -> str:
        """The address of a user or a group; empty for everyone."""
        return self.grantee.partition(":")[2]


def now(*, digits: int = 6) -> str:
    """Return the time, RFC 3339 in UTC with 6 or 9 digits of a second, as the service gives it."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{f'{nanoseconds:09d}'[:digits]}Z"
