"""The time of the loopback cloud."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.support.builders import NOON


class ManualClock:
    """A clock that only a test advances."""

    def __init__(self, start: datetime = NOON) -> None:
        self.time = start

    def __call__(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> None:
        """Add seconds to the time."""
        self.time += timedelta(seconds=seconds)


def timestamp(time: datetime) -> str:
    """A Timestamp in the format of proto3 JSON."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
