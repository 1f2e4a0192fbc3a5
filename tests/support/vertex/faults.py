"""What can go wrong on the way: refusals, lost requests, lost answers, slow and broken ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from tests.support.vertex.errors import Refused


class Fault(StrEnum):
    """What becomes of one request."""

    REFUSED = "refused, and nothing was done"
    REFUSED_AFTER = "done, and refused all the same"
    LOST_BEFORE = "reset before anything was done"
    LOST_AFTER = "done, and the answer was lost"
    CUT = "done, and half of the answer arrived"
    SLOW = "answered late"


@dataclass
class Planned:
    """A fault for requests to come: after `skip` of them, `times` times."""

    fault: Fault
    on: str
    skip: int
    times: int
    refusal: Refused
    seconds: float


class Faults:
    """The faults that a test has planned, and whoever watches the requests pass."""

    def __init__(self) -> None:
        self.planned: list[Planned] = []
        self.before: Callable[[str], None] = lambda _: None
        self.after: Callable[[str], None] = lambda _: None

    def plan(
        self,
        fault: Fault,
        on: str = "",
        *,
        skip: int = 0,
        times: int = 1,
        refusal: Refused | None = None,
        seconds: float = 0.0,
    ) -> None:
        """Let requests of a method, such as `tuningJobs.create`, or of all, go wrong."""
        refusal = refusal or Refused(503, "The service is currently unavailable.")
        self.planned.append(Planned(fault, on, skip, times, refusal, seconds))

    def refuse(self, refusal: Refused, on: str = "", *, skip: int = 0, times: int = 1) -> None:
        """Refuse, and do nothing."""
        self.plan(Fault.REFUSED, on, skip=skip, times=times, refusal=refusal)

    def take(self, name: str) -> Planned | None:
        """The fault of this request, which is then spent."""
        for planned in self.planned:
            if planned.on not in ("", name) or not planned.times:
                continue
            if planned.skip:
                planned.skip -= 1
                continue
            planned.times -= 1
            return planned
        return None

    @property
    def left(self) -> list[Planned]:
        """What was planned and did not happen."""
        return [planned for planned in self.planned if planned.times]
