"""The contract of a listener, and what every one of them is told about the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tunedmodels.events import Due, Event


@dataclass(frozen=True, slots=True)
class About:
    """The run that is listened to. `verb` is `apply`, `destroy` or `watch`.

    `digest` is that of the plan, and `link` the page of this run in a CI; both may be empty. `due`
    are the changes that it sets out to make; who only watches makes none.
    """

    verb: str
    project: str
    environment: str = ""
    digest: str = ""
    link: str = ""
    due: tuple[Due, ...] = ()


Complain = Callable[[str], None]
"""Says to a person that a listener could not do its work; the run goes on."""


class Listener(Protocol):
    """Hears every event in its order, and then the exit code. Never raises."""

    def __call__(self, event: Event) -> None:
        """Hear of an event; returns at once."""

    async def finish(self, code: int) -> None:
        """Hear how it ended, and let go of everything; may take some seconds."""
