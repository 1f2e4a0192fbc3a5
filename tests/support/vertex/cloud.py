"""A whole project of Google Cloud, as far as tuning needs one; tests turn it by its attributes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.support.vertex.buckets import Buckets
from tests.support.vertex.clock import Hands
from tests.support.vertex.faults import Faults
from tests.support.vertex.identity import NUMBER, Identity
from tests.support.vertex.jobs import Jobs
from tests.support.vertex.registry import Registry

PROJECT = "proj-1"


@dataclass
class Seen:
    """A request that came, with its answer's status: 0 while there is none."""

    name: str
    host: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    status: int = 0


class Cloud:
    """The project `proj-1`, number 123456789012.

    Time stands still until `advance`, goes on by `pace_s` with every request, or runs by `now`,
    such as the clock of a test. What a client does that the real services do not know is in
    `violations`, which must end empty.
    """

    def __init__(self, now: Callable[[], datetime] | None = None) -> None:
        self.hands = Hands()
        self.now = now or self.hands
        self.buckets = Buckets(self.now)
        self.registry = Registry(self.now, operation_s=5)
        self.identity = Identity(self.now)
        self.jobs = Jobs(self.now, self.buckets, self.registry, self.identity)
        self.faults = Faults()
        self.page_limit = 1000
        self.pace_s = 0.0
        self.seen: list[Seen] = []
        self.violations: list[str] = []
        self.project_ids = {PROJECT, NUMBER}

    def advance(self, seconds: float) -> None:
        """Let time pass, where it does not run by itself."""
        self.hands.advance(seconds)
        self.tick()

    def tick(self) -> None:
        """Let everything happen whose time has come."""
        self.jobs.tick()
        self.registry.tick()

    def count(self, name: str) -> int:
        """How many requests of a method came, such as `tuningJobs.create`."""
        return sum(seen.name == name for seen in self.seen)

    @property
    def names(self) -> list[str]:
        """The methods that were called, in their order."""
        return [seen.name for seen in self.seen]
