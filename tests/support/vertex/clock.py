"""Time that passes when a test says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.support.builders import NOON


class Hands:
    """A clock whose hands a test moves."""

    def __init__(self, start: datetime = NOON) -> None:
        self.time = start

    def __call__(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.time += timedelta(seconds=seconds)


def text(time: datetime) -> str:
    """A Timestamp, as proto3 JSON writes it."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
