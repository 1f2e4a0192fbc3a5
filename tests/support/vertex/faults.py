"""Planned faults of requests: rejected, lost, slow and truncated ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from tests.support.vertex.errors import ServiceError


class Fault(StrEnum):
    """The outcome of one request."""

    REJECTED = "not executed, and answered with an error"
    FAILED_AFTER = "executed, and answered with an error"
    LOST_BEFORE = "connection reset before the request was executed"
    LOST_AFTER = "executed, and the response was lost"
    TRUNCATED = "executed, and half of the response arrived"
    SLOW = "executed, and answered late"


@dataclass
class PlannedFault:
    """A fault for the `times` requests after the next `skip` ones."""

    fault: Fault
    method: str
    skip: int
    times: int
    error: ServiceError
    delay_s: float


class FaultPlan:
    """The faults that a test has planned, and its callbacks for requests."""

    def __init__(self) -> None:
        self.planned: list[PlannedFault] = []
        self.on_request: Callable[[str], None] = lambda _: None
        self.on_response: Callable[[str], None] = lambda _: None

    def add(
        self,
        fault: Fault,
        method: str = "",
        *,
        skip: int = 0,
        times: int = 1,
        error: ServiceError | None = None,
        delay_s: float = 0.0,
    ) -> None:
        """Plan a fault for a method, such as `tuningJobs.create`, or for all methods."""
        error = error or ServiceError(503, "The service is currently unavailable.")
        self.planned.append(PlannedFault(fault, method, skip, times, error, delay_s))

    def reject(
        self, error: ServiceError, method: str = "", *, skip: int = 0, times: int = 1
    ) -> None:
        """Plan to answer with an error instead of executing the request."""
        self.add(Fault.REJECTED, method, skip=skip, times=times, error=error)

    def next_fault(self, name: str) -> PlannedFault | None:
        """Return the fault for a request, and count it as used."""
        for planned in self.planned:
            if planned.method not in ("", name) or not planned.times:
                continue
            if planned.skip:
                planned.skip -= 1
                continue
            planned.times -= 1
            return planned
        return None

    @property
    def unused(self) -> list[PlannedFault]:
        """The planned faults that have not occurred."""
        return [planned for planned in self.planned if planned.times]
