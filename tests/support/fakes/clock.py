"""A clock in virtual time."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from datetime import datetime, timedelta

from tests.support.builders import NOON


class FakeClock:
    """Virtual time: it advances to the next sleeping task when no other task can run."""

    def __init__(self) -> None:
        self.time = 0.0
        self._sleeping: list[tuple[float, int, asyncio.Event]] = []
        self._counter = itertools.count()
        self._advancer: asyncio.Task[None] | None = None

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.time)

    def elapsed(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        is_over = asyncio.Event()
        heapq.heappush(self._sleeping, (self.time + seconds, next(self._counter), is_over))
        if self._advancer is None or self._advancer.done():
            self._advancer = asyncio.create_task(self._advance())
        await is_over.wait()

    def reset(self) -> None:
        """Discard all sleeping tasks, because their process and its event loop have ended."""
        self._sleeping.clear()
        self._advancer = None

    async def _advance(self) -> None:
        while self._sleeping:
            for _ in range(50):  # turns of the loop: first, let every task run that need not sleep
                await asyncio.sleep(0)
            time, _, is_over = heapq.heappop(self._sleeping)
            self.time = max(self.time, time)
            is_over.set()
