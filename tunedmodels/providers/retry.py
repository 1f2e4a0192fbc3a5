"""Whether a call that failed is asked again, and when: the one policy of retrying.

Up to 5 attempts within 60 seconds, or 2 where the service is on this machine: what is wrong there
(it is not running, its disk is full) does not pass by itself, and somebody waits. A service that
names a time (Retry-After, RetryInfo) is believed as long as that fits; otherwise the waits double
from half a second, with jitter, so that many callers do not come back together.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from tunedmodels.errors import RateLimitedError, UnavailableError

ATTEMPTS = 5
BUDGET_S = 60.0
NEAR_BUDGET_S = 2.0
FIRST_WAIT_S = 0.5

OnRetry = Callable[[str, int, float, str], None]


class Patience:
    """The patience with one call; used as the backoff hook of stamina, once per failure.

    `tell` hears, before the wait, of every attempt that is followed by another one: the call, the
    number of the attempt that failed, the wait in seconds, and why.
    """

    def __init__(
        self,
        call: str,
        tell: OnRetry | None,
        *,
        budget_s: float = BUDGET_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._call = call
        self._was_sent = False
        self._tell = tell
        self._budget_s = budget_s
        self._now = now
        self._began = now()
        self._attempt = 0

    def __call__(self, error: Exception) -> float | bool:
        """Return the seconds to wait before the next attempt, or False for none."""
        self._attempt += 1
        if not isinstance(error, RateLimitedError | UnavailableError):
            return False
        if isinstance(error, UnavailableError):
            # A last attempt that never left does not undo an earlier one that did.
            self._was_sent = error.sent = error.sent or self._was_sent
        wait_s = self._wait_s(error.retry_after_s)
        spent_s = self._now() - self._began
        if self._attempt >= ATTEMPTS or spent_s + wait_s > self._budget_s:
            return False
        if self._tell:
            self._tell(self._call, self._attempt, wait_s, error.message)
        return wait_s

    def _wait_s(self, asked_s: float | None) -> float:
        backoff_s = FIRST_WAIT_S * 2 ** (self._attempt - 1)
        jitter_s = random.uniform(0, backoff_s)  # noqa: S311  # spreads callers, guards nothing
        return asked_s if asked_s is not None else backoff_s + jitter_s
