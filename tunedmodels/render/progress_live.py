"""Progress as a moving table: one row per model, for a person who watches. Only here is rich."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from types import TracebackType
from typing import Final, Literal, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tunedmodels.events import (
    Call,
    Chosen,
    Evaluating,
    Event,
    Failed,
    Interrupted,
    Judged,
    Progressed,
    Refused,
    Rejected,
    Retried,
    Sending,
    Sent,
    Skipped,
    Started,
    StillRunning,
    Succeeded,
    Tried,
    Uploaded,
)
from tunedmodels.render.layout import Style, clean, cut, plain
from tunedmodels.render.progress import Elapsed, PlainProgress, Tally, duration, line

_BARS: Final = "▁▂▃▄▅▆▇█"
_ASCII_BARS: Final = "_.-=+*%#"
_CALLS: Final[dict[Call, str]] = {
    "create": "starting",
    "score": "scoring",
    "judge": "judging",
    "promote": "promoting",
    "update": "updating",
    "cancel": "stopping",
    "delete": "deleting",
}
# Justified how, and at least how wide, so that the table does not jump about.
_COLUMNS: Final[Sequence[tuple[Literal["left", "right"], int]]] = (
    ("left", 3),  # sign
    ("left", 4),  # name
    ("left", 10),  # state
    ("right", 5),  # step
    ("left", 7),  # epoch
    ("right", 6),  # last loss
    ("left", 12),  # curve
    ("right", 4),  # time
)
_WIDTH: Final = 12  # columns of a sparkline
_STATES: Final = {
    Succeeded: "done",
    Failed: "failed",
    Refused: "refused",
    Rejected: "not promoted",
    Skipped: "skipped",
}
_COLOURS: Final = {
    "done": "green",
    "failed": "red",
    "refused": "red",
    "not promoted": "yellow",
    "skipped": "yellow",
    "given up": "yellow",
}


@dataclass(frozen=True, slots=True)
class _Row:
    sign: str
    name: str
    state: str
    since_s: float
    until_s: float | None = None
    job: Progressed | None = None
    asked: Evaluating | None = None
    words: str = ""


class LiveProgress:
    """A table that moves: sign, name, state, step, epoch, last loss, curve, time, and what failed.

    Used as a context manager, which leaves the table as it was last, with the last words below.
    """

    def __init__(
        self, console: Console, *, style: Style = plain, elapsed: Elapsed = time.monotonic
    ) -> None:
        self._console = console
        self._style = style
        self._elapsed = elapsed
        self._tally = Tally()
        self._rows: dict[tuple[str, str], _Row] = {}
        self._note = ""
        self._is_over = False
        self._live = Live(
            get_renderable=self.table, console=console, refresh_per_second=8, transient=False
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over = True
        self._live.stop()
        for words in self._tally.lines(self._style):
            self._console.print(Text.from_ansi(words), soft_wrap=True)

    def __call__(self, event: Event) -> None:
        """Show an event."""
        self._tally.count(event)
        match event:
            case Started(name=name, model_id=model_id, action=action):
                label = model_id if event.candidate else name
                self._rows[name, model_id] = _Row(action.symbol, label, "checking", self._elapsed())
            case Sending(call=call) | Sent(call=call):
                is_gone = isinstance(event, Sent) and call == "delete"
                state = "deleted" if is_gone else _CALLS[call]
                self._change(event.name, event.model_id, state=state)
            case Progressed(name=name, model_id=model_id):
                self._note = ""
                self._change(name, model_id, state=event.phase or event.state.value, job=event)
            case Evaluating():
                self._change(event.name, event.model_id, state="evaluating", asked=event)
            case Judged():
                self._change(event.name, event.model_id, words=line(event)[2])
            case Tried() | Chosen():
                self._rule(event)
            case Uploaded() | Retried() | Interrupted():  # no row: it is about all of them
                self._note = line(event)[2]
            case Succeeded() | Failed() | Refused() | Rejected() | Skipped():
                self._end(event)
            case StillRunning():
                now = self._elapsed()
                self._change(event.name, event.model_id, state="unfinished", until_s=now)

    def table(self) -> RenderableType:
        """Return what is to be seen now; also called by the thread that keeps the time moving."""
        rows = list(self._rows.values())
        shown = rows if self._is_over else self._fitting(rows)
        bars = _ASCII_BARS if self._console.options.ascii_only else _BARS
        grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
        for justify, width in _COLUMNS:
            grid.add_column(justify=justify, min_width=width, no_wrap=True, overflow="ellipsis")
        # What went wrong takes what the others leave over; it is said in full at the end.
        grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for row in shown:
            until = self._elapsed() if row.until_s is None else row.until_s
            colour = _COLOURS.get(row.state, "")
            grid.add_row(
                Text(row.sign, colour),
                Text(cut(row.name, 31)),
                Text(row.state, colour),
                *_job(row, bars),
                Text(duration(until - row.since_s), "dim"),
                Text(cut(row.words, 200), colour),
            )
        below = [f"... {len(rows) - len(shown)} more" if len(rows) > len(shown) else "", self._note]
        # The terminal writes ^C where the cursor stands: at the end of a full line it would begin
        # another one, which nobody wipes away again. On a line of its own it does no harm.
        rest = [] if self._is_over else [Text()]
        return Group(grid, *(Text(clean(words)) for words in below if words), *rest)

    def _fitting(self, rows: list[_Row]) -> list[_Row]:
        """Leave out what is done, then what came last; what went wrong stays visible."""
        room = max(self._console.height - 4, 1)
        if len(rows) <= room:
            return rows
        done = [row for row in rows if row.state == "done"][: len(rows) - room]
        left = [row for row in rows if row not in done]
        wrong = ("failed", "refused", "not promoted")
        return sorted(left, key=lambda row: row.state not in wrong)[:room]

    def _change(self, name: str, model_id: str, **fields: object) -> None:
        # What a change does to other versions on its way (retiring them) has no row of its own.
        row = self._rows.get((name, model_id))
        if row:
            self._rows[name, model_id] = replace(row, **fields)  # type: ignore[arg-type]  # by name

    def _rule(self, event: Tried | Chosen) -> None:
        tried = "scored" if event.score else "given up"
        state = tried if isinstance(event, Tried) else "chosen"
        now = self._elapsed()
        self._change(event.name, event.model_id, state=state, until_s=now, words=event.words)

    def _end(self, event: Succeeded | Failed | Refused | Rejected | Skipped) -> None:
        now = self._elapsed()
        key = event.name, event.model_id
        row = self._rows.get(key) or _Row(event.action.symbol, event.name, "", now)
        words = "" if isinstance(event, Succeeded) else event.words
        self._rows[key] = replace(row, state=_STATES[type(event)], until_s=now, words=words)


def sparkline(values: Sequence[float], *, bars: str = _BARS, width: int = _WIDTH) -> str:
    """Draw a curve in one line of at most `width` characters, each the mean of its share."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    count = min(width, len(finite))
    edges = [len(finite) * part // count for part in range(count + 1)]
    means = [math.fsum(finite[left:right]) / (right - left) for left, right in pairwise(edges)]
    low, span = min(means), max(means) - min(means)
    top = len(bars) - 1
    return "".join(bars[round((mean - low) / span * top) if span else 0] for mean in means)


def _job(row: _Row, bars: str) -> tuple[str, str, str, str]:
    """Return step, epoch, last loss and curve of a job, as far as they are known.

    While a version is evaluated, its steps are the answers to what it is asked.
    """
    job = row.job
    answers = f"{row.asked.done}/{row.asked.total}" if row.asked else ""
    if job is None or not job.step:
        return answers, "", "", ""
    total = f"/{job.total_steps}" if job.total_steps else ""
    losses = [point.mean_loss for point in job.curve]
    loss = f"{losses[-1]:.4f}" if losses else ""
    steps = answers or f"{job.step}{total}"
    return steps, f"epoch {job.epoch}", loss, sparkline(losses, bars=bars)


# FOLDED
# Which view of the events a person gets: a moving table, or a line per event.
@contextmanager
def progress(
    *, live: bool, style: Style = plain, out: TextIO | None = None
) -> Iterator[Callable[[Event], None]]:
    """Show events while this block runs, as a moving table or line by line, and then how it ended.

    `out` is standard output unless it is said.
    """
    out = out or sys.stdout
    if not live:
        with PlainProgress(out, style=style) as view:
            yield view
        return
    from rich.console import Console  # noqa: PLC0415  # only for a person who watches

    with LiveProgress(Console(file=out, highlight=False), style=style) as moving:
        yield moving
