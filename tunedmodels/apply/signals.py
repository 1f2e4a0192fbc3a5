"""Handle Ctrl-C: the first signal stops gracefully, the second one exits at once.

The first signal cancels nothing: a create that was sent still receives its response, so that its
result is known. The second signal cancels the task and restores the previous handlers, which a
third signal would reach.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignal:
    """A one-way stop request: a run starts nothing new after it."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def is_set(self) -> bool:
        """Whether a stop was requested."""
        return self._event.is_set()

    def request(self) -> None:
        """Request a stop."""
        self._event.set()

    async def wait(self) -> None:
        """Return when a stop was requested."""
        await self._event.wait()


@contextmanager
def stop_on_signals(stop: StopSignal) -> Iterator[None]:
    """Bind SIGINT and SIGTERM to `stop` while the block runs, in a task of the main thread.

    The second signal cancels the task and leaves the block as KeyboardInterrupt (exit 130).
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task(loop)
    previous = {number: signal.getsignal(number) for number in _SIGNALS}
    is_leaving = False

    def restore_handlers() -> None:
        for number, handler in previous.items():
            if loop.remove_signal_handler(number):
                signal.signal(number, handler)

    def on_signal() -> None:
        nonlocal is_leaving
        if not stop.is_set:
            stop.request()
        elif task is not None:
            is_leaving = True
            restore_handlers()
            task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    except asyncio.CancelledError:
        if is_leaving:
            raise KeyboardInterrupt from None
        raise
    finally:
        restore_handlers()
