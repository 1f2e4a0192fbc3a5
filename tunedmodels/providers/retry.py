"""Whether and when a failed call is retried: the only retry policy of the package.

A call has up to 5 attempts within 60 seconds, or within 2 seconds where the service runs on this
machine: a process that is not running or a full disk does not recover by itself, and the user
waits. A delay that the service asks for (Retry-After, RetryInfo) is used if it fits into that time.
Otherwise the delays double from half a second, with jitter, so that clients that failed together do
not retry together.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

from tunedmodels.errors import RateLimitedError, UnavailableError

MAX_ATTEMPTS = 5
BUDGET_S = 60.0
LOOPBACK_BUDGET_S = 2.0
INITIAL_WAIT_S = 0.5

OnRetry = Callable[[str, int, float, str], None]
"""Called before a retry: the call, the failed attempt's number, the wait in seconds, the reason."""

# stamina logs every retry. Without a handler, Python would print that next to our own messages.
logging.getLogger("stamina").addHandler(logging.NullHandler())


class RetryPolicy:
    """The retries of one call. Used as the backoff hook of stamina, which calls it per failure."""

    def __init__(
        self,
        call: str,
        on_retry: OnRetry | None,
        *,
        budget_s: float = BUDGET_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._call = call
        self._on_retry = on_retry
        self._budget_s = budget_s
        self._now = now
        self._started = now()
        self._attempt = 0
        self._was_sent = False

    def __call__(self, error: Exception) -> float | bool:
        """Return the seconds to wait before the next attempt, or False to give up."""
        self._attempt += 1
        if not isinstance(error, RateLimitedError | UnavailableError):
            return False
        if isinstance(error, UnavailableError):
            # An earlier attempt may have reached the service although this one did not.
            self._was_sent = error.was_sent = error.was_sent or self._was_sent
        wait_s = self._wait_s(error.retry_after_s)
        spent_s = self._now() - self._started
        if self._attempt >= MAX_ATTEMPTS or spent_s + wait_s > self._budget_s:
            return False
        if self._on_retry:
            self._on_retry(self._call, self._attempt, wait_s, error.message)
        return wait_s

    def _wait_s(self, requested_s: float | None) -> float:
        backoff_s = INITIAL_WAIT_S * 2 ** (self._attempt - 1)
        jitter_s = random.uniform(0, backoff_s)  # noqa: S311  # not for security
        return requested_s if requested_s is not None else backoff_s + jitter_s
