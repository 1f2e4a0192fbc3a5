"""HAPPENS: one union of frozen events; journal, progress view and outcome are its readers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tunedmodels.errors import Exit
from tunedmodels.observed import LossPoint, ModelState
from tunedmodels.plan.plan import Action
from tunedmodels.stamp import Decision

Call = Literal["create", "score", "judge", "promote", "update", "cancel", "delete"]


@dataclass(frozen=True, slots=True)
class Started:
    """Work on a change begins, or on one `candidate` of a sweep; nothing was sent yet."""

    name: str
    model_id: str
    action: Action
    candidate: bool = False


@dataclass(frozen=True, slots=True)
class Sending:
    """A request that changes something is about to leave: on disk before it goes out."""

    name: str
    model_id: str
    call: Call


@dataclass(frozen=True, slots=True)
class Sent:
    """The service took the request."""

    name: str
    model_id: str
    call: Call


@dataclass(frozen=True, slots=True)
class Progressed:
    """A job moved on. `curve` holds all loss points so far; `total_steps` is None where unknown.

    `phase` says in words what it is at, where the service does.
    """

    name: str
    model_id: str
    state: ModelState
    step: int
    total_steps: int | None
    epoch: int
    curve: tuple[LossPoint, ...] = ()
    phase: str = ""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """So much of a dataset is where its job will read it: `sent` of `total` bytes at `place`."""

    place: str
    sent: int
    total: int


@dataclass(frozen=True, slots=True)
class Evaluating:
    """A version is asked the questions of its gate; `done` of `total` are answered."""

    name: str
    model_id: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Judged:
    """The gate of a version decided. `score` is as in its stamp; `words` hold no dataset text."""

    name: str
    model_id: str
    decision: Decision
    score: str
    words: str


@dataclass(frozen=True, slots=True)
class Tried:
    """A candidate of a sweep came to its end: `score` is as in its stamp, empty where it failed."""

    name: str
    model_id: str
    score: str
    words: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """A sweep chose the best of its candidates; whether it serves is for its gate to say.

    `score` is the number alone, such as `0.912`.
    """

    name: str
    model_id: str
    score: str
    words: str


@dataclass(frozen=True, slots=True)
class Retried:
    """A request failed in a way that passes, and is asked again after `wait_s` seconds."""

    call: str
    attempt: int
    wait_s: float
    words: str


@dataclass(frozen=True, slots=True)
class Succeeded:
    """A change is done: the live state is as the change wanted it."""

    name: str
    model_id: str
    action: Action


@dataclass(frozen=True, slots=True)
class Failed:
    """A change could not be done. `words` say why, in the service's own words where it has some."""

    name: str
    model_id: str
    action: Action
    words: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """A change was not begun because something is no longer as planned."""

    name: str
    model_id: str
    action: Action
    words: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A version is ready, and its gate keeps it from serving: what serves goes on serving."""

    name: str
    model_id: str
    action: Action
    words: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A change was not begun: an interrupt came, or what it waits for did not end well."""

    name: str
    model_id: str
    action: Action
    words: str


@dataclass(frozen=True, slots=True)
class StillRunning:
    """A job that is not finished, and nobody waits for it any more; `words` say how it goes on."""

    name: str
    model_id: str
    words: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The person asked to stop: nothing new is sent, and what runs is listed."""


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
    """How an apply ended: the last word on every change, in the order in which they ended."""

    events: tuple[Ending, ...] = ()
    interrupted: bool = False

    @property
    def code(self) -> Exit:
        """What matters most: an interrupt, an error, a refusal, a gate, a job that still runs.

        A gate comes before a job: the job needs another run, and the gate needs a person.
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
class Due:
    """A change that a run set out to make; of a sweep with the ids of its `candidates`."""

    name: str
    model_id: str
    action: Action
    candidates: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids that events about it may bear: a sweep ends with that of one candidate."""
        return self.model_id, *self.candidates


@dataclass(frozen=True, slots=True)
class Account:
    """What the JSON lines of a run tell of it, to its end or so far.

    `moment` is that of the last line. `code` is the exit code, and None where no last line says it:
    the run goes on, or it was killed.
    """

    project: str
    environment: str
    digest: str
    due: tuple[Due, ...]
    events: tuple[Event, ...] = ()
    code: int | None = None
    moment: datetime | None = None
