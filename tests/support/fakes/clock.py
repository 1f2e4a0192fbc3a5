"""A clock that jumps: the edge of time."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from datetime import datetime, timedelta

from tests.support.builders import NOON


class FakeClock:
    """Virtual time: it jumps to the next sleeper once nobody has anything else to do."""

    def __init__(self) -> None:
        self.time = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []
        self._numbers = itertools.count()
        self._mover: asyncio.Task[None] | None = None

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.time)

    def elapsed(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        is_over = asyncio.Event()
        heapq.heappush(self._sleepers, (self.time + seconds, next(self._numbers), is_over))
        if self._mover is None or self._mover.done():
            self._mover = asyncio.create_task(self._move())
        await is_over.wait()

    def forget(self) -> None:
        """Forget who sleeps: their process is gone, and its loop with it."""
        self._sleepers.clear()
        self._mover = None

    async def _move(self) -> None:
        while self._sleepers:
            for _ in range(50):  # turns of the loop: whoever can go on without time does so first
                await asyncio.sleep(0)
            time, _, is_over = heapq.heappop(self._sleepers)
            self.time = max(self.time, time)
            is_over.set()
