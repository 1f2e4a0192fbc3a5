"""Records of the store: a tuned model with its job in one row, and its permissions."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum

from tunedmodels.stamp import parse_description


class TunedModelState(StrEnum):
    """The states of the API. A cancelled model is FAILED: the API has no state for it."""

    CREATING = "CREATING"
    ACTIVE = "ACTIVE"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class NewModel:
    """A tuned model to create, with the defaults filled in."""

    id: str
    operation: str  #: id of the operation of its job
    base_model: str
    source: str  #: `tunedModels/ID` if the model continues from a tuned model, otherwise empty
    source_seq: int | None  #: `seq` of that tuned model
    display_name: str
    description: str
    temperature: float
    top_p: float
    top_k: int | None
    readers: str  #: JSON list of the project numbers that may read the model
    epoch_count: int
    batch_size: int
    learning_rate: float  #: with the multiplier applied
    total_steps: int
    create_time: str
    update_time: str


@dataclass(frozen=True, slots=True)
class StoredModel(NewModel):
    """A tuned model in the store. Times are in the format of the API, empty if unknown."""

    #: Unique for ever, also if an id is reused after a delete. The files of the model contain it.
    seq: int
    state: str
    start_time: str
    complete_time: str
    completed_steps: int
    error_code: int  #: a google.rpc.Code
    error_message: str
    crash_count: int  #: workers that took the job since its last progress, with the present one

    @property
    def name(self) -> str:
        """The resource name, `tunedModels/ID`."""
        return f"tunedModels/{self.id}"

    @property
    def etag(self) -> str:
        """The entity tag of its current state; each change gives it another update time."""
        return f'"{self.seq}-{self.update_time}"'


def group_key(model_id: str, display_name: str, description: str) -> str:
    """Return the key of the name of a model: that in its stamp, otherwise its display name.

    The versions of one name have the same key. It is stored, so a change requires a migration.
    """
    _, stamp = parse_description(description)
    if stamp:
        return json.dumps(["stamp", stamp.project, stamp.lineage, stamp.environment, stamp.name])
    if display_name:
        return json.dumps(["name", display_name.casefold()])
    return json.dumps(["id", model_id])


class AccessRole(IntEnum):
    """A role on a model, numbered as in the proto. A role includes those with larger numbers."""

    OWNER = 1
    WRITER = 2
    READER = 3


class Grantee(IntEnum):
    """The kind of recipient of a permission, numbered as in the proto."""

    USER = 1
    GROUP = 2
    EVERYONE = 3


def grantee_key(kind: Grantee, email: str = "") -> str:
    """Return the text under which a grantee is stored. The case of the address is ignored."""
    return f"{kind.name}:{email.lower()}"


@dataclass(frozen=True, slots=True)
class StoredPermission:
    """A permission in the store."""

    number: int  #: never reused
    id: str
    grantee: str  #: see `grantee_key`
    role: AccessRole

    @property
    def grantee_type(self) -> str:
        """`USER`, `GROUP` or `EVERYONE`."""
        return self.grantee.partition(":")[0]

    @property
    def email_address(self) -> str:
        """The address of a user or a group; empty for everyone."""
        return self.grantee.partition(":")[2]


def later_timestamp(former: str) -> str:
    """Return the current time, or the first time after `former` if the clock is behind it."""
    now = timestamp()
    if now > former:
        return now
    time = datetime.fromisoformat(former) + timedelta(microseconds=1)
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def timestamp(*, digits: int = 6) -> str:
    """Return the current time in the format of the API: RFC 3339 in UTC.

    `digits` is the number of digits of the fraction of a second, 6 or 9.
    """
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    second = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{second}.{f'{nanoseconds:09d}'[:digits]}Z"
