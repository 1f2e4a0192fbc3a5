"""The common pace of all requests of one client, which quota errors slow down.

Without it, each of many concurrent requests would find out by itself that the quota is used up, and
all of them would try again at the same time until their attempts are used up as well.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import stamina

MIN_INTERVAL_S: Final = 0.05
MAX_INTERVAL_S: Final = 5.0
_RECOVERY: Final = 0.9  # the interval after a success, as a share of the one before


class Pace:
    """Delays requests after quota errors (429).

    The first quota error stops all requests for as long as the service asks for, and doubles the
    interval between any two of them; errors of requests that were sent before that count as the
    same one. Each success shortens the interval by a tenth.
    """

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self.interval_s = 0.0
        self._now = now
        self._next_s = 0.0
        self._stopped_until_s = 0.0

    async def wait(self) -> None:
        """Wait until another request may be sent."""
        delay_s = self.reserve()
        # This is a backoff, and the testing mode of stamina turns backoffs off.
        if delay_s > 0 and not stamina.is_testing():
            await asyncio.sleep(delay_s)

    def reserve(self) -> float:
        """Return the seconds until the next request may be sent, and count it as sent then."""
        now = self._now()
        start_s = max(now, self._next_s)
        self._next_s = start_s + self.interval_s
        return start_s - now

    def slow_down(self, wait_s: float) -> None:
        """Stop all requests for some seconds, and send the later ones more slowly."""
        now = self._now()
        if now >= self._stopped_until_s:
            self.interval_s = min(max(2 * self.interval_s, MIN_INTERVAL_S), MAX_INTERVAL_S)
        self._stopped_until_s = max(self._stopped_until_s, now + wait_s)
        self._next_s = max(self._next_s, self._stopped_until_s)

    def speed_up(self) -> None:
        """Shorten the interval after a success."""
        if self.interval_s:
            interval_s = self.interval_s * _RECOVERY
            self.interval_s = interval_s if interval_s > MIN_INTERVAL_S / 10 else 0.0
