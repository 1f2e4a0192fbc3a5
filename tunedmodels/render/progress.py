"""Show a run as lines of text: a line per event, and a summary at the end.

The live table (`progress_live`) shows the same events and ends with the same summary.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Final, Self, TextIO

from tunedmodels.events import Evaluating, Event, Judged, Progressed, Sending, Sent, Started
from tunedmodels.render.event_lines import Tally, event_line
from tunedmodels.render.layout import Style, cut, no_style, text_width, wrap

# The least share of a job and the least time between two lines about it, and the most time.
_MIN_SHARE: Final = 0.1
_MIN_INTERVAL_S: Final = 1.0
_MAX_INTERVAL_S: Final = 60.0
_MAX_INTERVAL_OF_UNKNOWN_LENGTH_S: Final = 5.0


@contextmanager
def open_progress(
    *, live: bool, style: Style = no_style, out: TextIO | None = None
) -> Iterator[Callable[[Event], None]]:
    """Show events while the block runs, as a table or as lines, and then the summary.

    `out` is standard output by default.
    """
    out = out or sys.stdout
    if not live:
        with PlainProgress(out, style=style) as view:
            yield view
        return
    # Start-up: rich is loaded only for a terminal.
    from rich.console import Console  # noqa: PLC0415

    from tunedmodels.render.progress_live import LiveProgress  # noqa: PLC0415

    with LiveProgress(Console(file=out, highlight=False), style=style) as table:
        yield table


class PlainProgress:
    """Writes one line of at most 100 columns per event, and about ten lines per job.

    A job gets at most one line per second. The decision of a gate takes as many lines as it needs.

    As a context manager, it writes the summary at the end, also after an exception.
    """

    def __init__(
        self, out: TextIO, *, style: Style = no_style, elapsed: Callable[[], float] = time.monotonic
    ) -> None:
        self._out = out
        self._style = style
        self._elapsed = elapsed
        self._tally = Tally()
        self._candidates: set[str] = set()  # model ids, since candidates have the same name
        self._shown: dict[str, tuple[str, int, float]] = {}  # by model id: stage, step and time

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._write(*self._tally.lines(self._style))

    def __call__(self, event: Event) -> None:
        """Show an event."""
        self._tally.count(event)
        if isinstance(event, Started) and event.candidate:
            self._candidates.add(event.model_id)
        if self._is_due(event):
            sign, role, text = event_line(self._with_candidate_id(event))
            # The summary does not repeat the decision of a gate, so it is not cut here.
            is_final = isinstance(event, Judged)
            lines = wrap(text, indent=4, hang=2) if is_final else [cut(text, text_width() - 4)]
            first, *rest = lines
            self._write(f"{self._style(f'{sign:<3}', role)} {first.strip()}", *rest)

    def _with_candidate_id(self, event: Event) -> Event:
        if isinstance(event, Progressed | Evaluating) and event.model_id in self._candidates:
            return replace(event, name=event.model_id)
        return event

    def _is_due(self, event: Event) -> bool:
        match event:
            # The events that follow show the result of the request.
            case Sending() | Sent(call="create" | "score"):
                return False
            case Progressed(model_id=model_id, step=step, total_steps=total):
                stage = event.phase or event.state.value
                return self._is_far_enough(model_id, stage, step, total)
            case Evaluating(model_id=model_id, done=done, total=total):
                return self._is_far_enough(model_id, "evaluating", done, total)
            case _:
                return True

    def _is_far_enough(self, model_id: str, stage: str, step: int, total: int | None) -> bool:
        now = self._elapsed()
        last_stage, last_step, last_time = self._shown.get(model_id, ("", 0, 0.0))
        if last_stage == stage:
            is_far = bool(total) and step - last_step >= (total or 0) * _MIN_SHARE
            is_far = is_far and now - last_time >= _MIN_INTERVAL_S
            max_interval_s = _MAX_INTERVAL_S if total else _MAX_INTERVAL_OF_UNKNOWN_LENGTH_S
            if not is_far and now - last_time < max_interval_s:
                return False
        self._shown[model_id] = stage, step, now
        return True

    def _write(self, *lines: str) -> None:
        self._out.writelines(f"{line.rstrip()}\n" for line in lines)
        self._out.flush()
