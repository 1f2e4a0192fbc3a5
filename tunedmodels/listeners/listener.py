"""The contract of a listener, and the description of the run that every listener is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tunedmodels.events import Event, PlannedChange

OnWarning = Callable[[str], None]
"""Reports to the user that a listener failed; the run continues."""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """The run that listeners follow."""

    #: `apply`, `destroy` or `watch`.
    verb: str
    project: str
    environment: str = ""
    #: The digest of the plan; empty for `watch`.
    digest: str = ""
    #: The page of this run in a CI; empty outside CI.
    run_url: str = ""
    #: The changes that the run is going to make; `watch` makes none.
    planned: tuple[PlannedChange, ...] = ()
    #: The directory of the project in its repository, `.` for the top; empty if unknown.
    folder: str = ""


class Listener(Protocol):
    """Receives every event in order, and then the exit code. Never raises."""

    def __call__(self, event: Event) -> None:
        """Receive an event; returns at once."""

    async def finish(self, code: int) -> None:
        """Receive the exit code and release all resources; may take some seconds."""
