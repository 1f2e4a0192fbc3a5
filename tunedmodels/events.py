"""The events of a run: one union of frozen classes, read by journal, progress view and listeners.

The class names and the field names are public: they are the `event` and the keys of a line of
`--events` and of the journal.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tunedmodels.errors import Exit
from tunedmodels.observed import LossPoint, ModelState
from tunedmodels.plan.plan import Action
from tunedmodels.stamp import Decision

RequestKind = Literal[
    "create", "score", "judge", "promote", "update", "move", "release", "cancel", "delete"
]


@dataclass(frozen=True, slots=True)
class Started:
    """Work on a change, or on one candidate of a sweep, begins; no request was sent yet."""

    name: str
    model_id: str
    action: Action
    #: Whether the version is a candidate of a sweep.
    candidate: bool = False


@dataclass(frozen=True, slots=True)
class Sending:
    """A request that changes something is about to be sent; the journal has it on disk before."""

    name: str
    model_id: str
    call: RequestKind


@dataclass(frozen=True, slots=True)
class Sent:
    """The service accepted the request."""

    name: str
    model_id: str
    call: RequestKind


@dataclass(frozen=True, slots=True)
class Progressed:
    """A job made progress."""

    name: str
    model_id: str
    state: ModelState
    step: int
    #: None where the total is unknown.
    total_steps: int | None
    epoch: int
    #: All loss points so far.
    curve: tuple[LossPoint, ...] = ()
    #: The current phase of the job as the service describes it; empty where it does not.
    phase: str = ""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A part of a dataset was uploaded to where its job reads it."""

    #: The address of the upload, for example `gs://bucket/datasets`.
    place: str
    #: Bytes uploaded so far.
    sent: int
    #: Bytes in all.
    total: int


@dataclass(frozen=True, slots=True)
class Evaluating:
    """The gate of a version sends its questions; `done` of `total` are answered."""

    name: str
    model_id: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Judged:
    """The gate of a version decided."""

    name: str
    model_id: str
    decision: Decision
    #: In the form of the stamp, for example `exactMatch:0.912`.
    score: str
    #: The decision in one sentence, without text of the dataset.
    words: str


@dataclass(frozen=True, slots=True)
class Tried:
    """A candidate of a sweep ended."""

    name: str
    model_id: str
    #: In the form of the stamp; empty when the candidate failed.
    score: str
    words: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """A sweep chose its best candidate; its gate decides afterwards whether it serves."""

    name: str
    model_id: str
    #: The number alone, for example `0.912`.
    score: str
    words: str


@dataclass(frozen=True, slots=True)
class Retried:
    """A request failed with a temporary error and is repeated after `wait_s` seconds."""

    call: str
    attempt: int
    wait_s: float
    words: str


@dataclass(frozen=True, slots=True)
class Succeeded:
    """A change is done: the live state is the desired one."""

    name: str
    model_id: str
    action: Action


@dataclass(frozen=True, slots=True)
class Failed:
    """A change failed."""

    name: str
    model_id: str
    action: Action
    #: The reason, in the words of the service where it gives one.
    words: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """A change was not started because something differs from the plan."""

    name: str
    model_id: str
    action: Action
    words: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A version is ready and its gate did not let it serve; the serving version is unchanged."""

    name: str
    model_id: str
    action: Action
    words: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A change was not started because of an interrupt or of a change that it depends on."""

    name: str
    model_id: str
    action: Action
    words: str


@dataclass(frozen=True, slots=True)
class StillRunning:
    """A job is not finished and this run no longer waits for it."""

    name: str
    model_id: str
    #: Where the job continues.
    words: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The user asked to stop: no further change is started, and the running jobs are listed."""


Ending = Succeeded | Failed | Refused | Rejected | Skipped | StillRunning
Event = (
    Started
    | Sending
    | Sent
    | Uploaded
    | Progressed
    | Evaluating
    | Judged
    | Tried
    | Chosen
    | Retried
    | Interrupted
    | Ending
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an apply."""

    #: The final event of every change, in the order in which the changes ended.
    events: tuple[Ending, ...] = ()
    interrupted: bool = False

    @property
    def code(self) -> Exit:
        """The exit code: interrupt, error, refusal, gate, running job, in this order of priority.

        A gate has priority over a running job: the job needs another run, the gate needs the user.
        """
        if self.interrupted:
            return Exit.INTERRUPTED
        kinds = {type(event) for event in self.events}
        if kinds & {Failed}:
            return Exit.ERROR
        if kinds & {Refused}:
            return Exit.REFUSED
        if kinds & {Rejected}:
            return Exit.GATE
        if kinds & {StillRunning}:
            return Exit.RUNNING
        return Exit.ERROR if kinds & {Skipped} else Exit.DONE


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """A change that a run is going to make."""

    name: str
    model_id: str
    action: Action
    #: The ids of the candidates of a sweep.
    candidates: tuple[str, ...] = ()

    @property
    def event_ids(self) -> tuple[str, ...]:
        """The ids that its events may have: the final event of a sweep has that of a candidate."""
        return self.model_id, *self.candidates


@dataclass(frozen=True, slots=True)
class RunLog:
    """A run as its JSON lines describe it, complete or so far."""

    project: str
    environment: str
    digest: str
    planned: tuple[PlannedChange, ...]
    events: tuple[Event, ...] = ()
    #: None while the run continues, and when it was killed before its last line.
    exit_code: int | None = None
    #: The time of the last line.
    last_time: datetime | None = None
    #: The directory of the project in its repository; empty if unknown.
    folder: str = ""
