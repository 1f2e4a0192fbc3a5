"""A Google Cloud project with the services that tuning needs; tests configure its attributes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.support.vertex.buckets import Buckets
from tests.support.vertex.clock import ManualClock
from tests.support.vertex.faults import FaultPlan
from tests.support.vertex.identity import PROJECT_NUMBER, IdentityService
from tests.support.vertex.jobs import TuningJobs
from tests.support.vertex.registry import ModelRegistry

PROJECT = "proj-1"


@dataclass
class RecordedRequest:
    """A request that arrived."""

    name: str
    """The method, such as `tuningJobs.create`."""
    host: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    status: int = 0
    """The status of the response; 0 until there is one."""


class LoopbackCloud:
    """The project `proj-1`, number 123456789012.

    The time changes by `advance` and by `seconds_per_request` with every request, or is that of
    `now`, such as the clock of a test. `violations` lists everything in requests that the real
    services do not document; it must be empty at the end of a test.
    """

    def __init__(self, now: Callable[[], datetime] | None = None) -> None:
        self.clock = ManualClock()
        self.now = now or self.clock
        self.buckets = Buckets(self.now)
        self.registry = ModelRegistry(self.now, operation_s=5)
        self.identity = IdentityService(self.now)
        self.jobs = TuningJobs(self.now, self.buckets, self.registry, self.identity)
        self.faults = FaultPlan()
        self.page_limit = 1000
        self.seconds_per_request = 0.0
        self.requests: list[RecordedRequest] = []
        self.violations: list[str] = []
        self.project_ids = {PROJECT, PROJECT_NUMBER}

    def advance(self, seconds: float) -> None:
        """Advance the manual clock and update all jobs and operations."""
        self.clock.advance(seconds)
        self.tick()

    def tick(self) -> None:
        """Update all jobs and operations to the current time."""
        self.jobs.tick()
        self.registry.tick()

    def request_count(self, name: str) -> int:
        """The number of requests of a method, such as `tuningJobs.create`."""
        return sum(request.name == name for request in self.requests)

    @property
    def called_methods(self) -> list[str]:
        """The methods of all requests, in order."""
        return [request.name for request in self.requests]
