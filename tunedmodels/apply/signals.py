"""Ctrl-C: once stops gently, twice leaves now.

The first signal cancels nothing: a create that is on its way gets its answer, so that nothing is
left unknown. Only the second one cancels, and a third one meets the handlers of before.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """The wish that a run begins nothing new. It is never taken back."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()

    @property
    def requested(self) -> bool:
        """Whether the wish was uttered."""
        return self._asked.is_set()

    def request(self) -> None:
        """Utter it."""
        self._asked.set()

    async def wait(self) -> None:
        """Return once it was uttered."""
        await self._asked.wait()


@contextmanager
def stop_on_signals(stop: Stop) -> Iterator[None]:
    """Bind SIGINT and SIGTERM to `stop` within the running task, in the main thread.

    The second signal cancels the task; it leaves this block as KeyboardInterrupt (exit 130).
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task(loop)
    former = {number: signal.getsignal(number) for number in _SIGNALS}
    is_leaving = False

    def give_back() -> None:
        for number, handler in former.items():
            if loop.remove_signal_handler(number):
                signal.signal(number, handler)

    def heed() -> None:
        nonlocal is_leaving
        if not stop.requested:
            stop.request()
        elif task is not None:
            is_leaving = True
            give_back()
            task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, heed)
    try:
        yield
    except asyncio.CancelledError:
        if is_leaving:
            raise KeyboardInterrupt from None
        raise
    finally:
        give_back()
