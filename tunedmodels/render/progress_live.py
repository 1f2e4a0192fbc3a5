"""Show a run as a table that is updated in place, with a row per model. Only this module uses rich.

The package has a second view of the same events: lines of text (`progress`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, Literal, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tunedmodels.events import (
    Chosen,
    Evaluating,
    Event,
    Failed,
    Interrupted,
    Judged,
    Progressed,
    Refused,
    Rejected,
    RequestKind,
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
from tunedmodels.render.chart import ASCII_BLOCKS, BLOCKS, sparkline
from tunedmodels.render.event_lines import Tally, event_line
from tunedmodels.render.layout import Style, cut, format_duration, no_style
from tunedmodels.text import printable

_SENDING: Final[dict[RequestKind, str]] = {
    "create": "starting",
    "score": "scoring",
    "judge": "judging",
    "promote": "promoting",
    "update": "updating",
    "cancel": "stopping",
    "delete": "deleting",
}
# The alignment and the least width of each column, so that the columns do not move.
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
_SPARKLINE_WIDTH: Final = 12
_END_STATES: Final = {
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
class _ProgressRow:
    sign: str
    name: str
    state: str
    since_s: float
    until_s: float | None = None
    job: Progressed | None = None
    evaluation: Evaluating | None = None
    message: str = ""


class LiveProgress:
    """Shows sign, name, state, step, epoch, last loss, curve, time and message of every change.

    As a context manager, it leaves the last table on the screen and writes the summary below.
    """

    def __init__(
        self,
        console: Console,
        *,
        style: Style = no_style,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._style = style
        self._elapsed = elapsed
        self._tally = Tally()
        self._rows: dict[tuple[str, str], _ProgressRow] = {}
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
        for line in self._tally.lines(self._style):
            self._console.print(Text.from_ansi(line), soft_wrap=True)

    def __call__(self, event: Event) -> None:
        """Show an event."""
        self._tally.count(event)
        match event:
            case Started(name=name, model_id=model_id, action=action):
                label = model_id if event.candidate else name
                self._rows[name, model_id] = _ProgressRow(
                    action.symbol, label, "checking", self._elapsed()
                )
            case Sending(call=call) | Sent(call=call):
                is_gone = isinstance(event, Sent) and call == "delete"
                state = "deleted" if is_gone else _SENDING[call]
                self._change(event.name, event.model_id, state=state)
            case Progressed(name=name, model_id=model_id):
                self._note = ""
                self._change(name, model_id, state=event.phase or event.state.value, job=event)
            case Evaluating():
                self._change(event.name, event.model_id, state="evaluating", evaluation=event)
            case Judged():
                self._change(event.name, event.model_id, message=event_line(event)[2])
            case Tried() | Chosen():
                self._end_candidate(event)
            case Uploaded() | Retried() | Interrupted():  # no row: they concern all changes
                self._note = event_line(event)[2]
            case Succeeded() | Failed() | Refused() | Rejected() | Skipped():
                self._end(event)
            case StillRunning():
                now = self._elapsed()
                self._change(event.name, event.model_id, state="unfinished", until_s=now)

    def table(self) -> RenderableType:
        """Return the current table; the thread that updates the times calls this too."""
        rows = list(self._rows.values())
        shown = rows if self._is_over else self._visible_rows(rows)
        blocks = ASCII_BLOCKS if self._console.options.ascii_only else BLOCKS
        grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
        for justify, width in _COLUMNS:
            grid.add_column(justify=justify, min_width=width, no_wrap=True, overflow="ellipsis")
        # The message takes the remaining width; the summary has it in full.
        grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for row in shown:
            until = self._elapsed() if row.until_s is None else row.until_s
            colour = _COLOURS.get(row.state, "")
            grid.add_row(
                Text(row.sign, colour),
                Text(cut(row.name, 31)),
                Text(row.state, colour),
                *_job_cells(row, blocks),
                Text(format_duration(until - row.since_s), "dim"),
                Text(cut(row.message, 200), colour),
            )
        below = [f"... {len(rows) - len(shown)} more" if len(rows) > len(shown) else "", self._note]
        # The terminal writes ^C at the cursor. At the end of a full line, ^C would start a new line
        # that is never cleared, so the cursor waits on an empty line.
        rest = [] if self._is_over else [Text()]
        return Group(grid, *(Text(printable(line)) for line in below if line), *rest)

    def _visible_rows(self, rows: list[_ProgressRow]) -> list[_ProgressRow]:
        """Return the rows that fit: failures first, without those that are done."""
        height = max(self._console.height - 4, 1)
        if len(rows) <= height:
            return rows
        done = [row for row in rows if row.state == "done"][: len(rows) - height]
        others = [row for row in rows if row not in done]
        failures = ("failed", "refused", "not promoted")
        return sorted(others, key=lambda row: row.state not in failures)[:height]

    def _change(self, name: str, model_id: str, **fields: object) -> None:
        # The other versions that a change retires have no row.
        row = self._rows.get((name, model_id))
        if row:
            self._rows[name, model_id] = replace(row, **fields)  # type: ignore[arg-type]  # by name

    def _end_candidate(self, event: Tried | Chosen) -> None:
        is_chosen = isinstance(event, Chosen)
        state = "chosen" if is_chosen else "scored" if event.score else "given up"
        now = self._elapsed()
        self._change(event.name, event.model_id, state=state, until_s=now, message=event.words)

    def _end(self, event: Succeeded | Failed | Refused | Rejected | Skipped) -> None:
        now = self._elapsed()
        key = event.name, event.model_id
        row = self._rows.get(key) or _ProgressRow(event.action.symbol, event.name, "", now)
        message = "" if isinstance(event, Succeeded) else event.words
        state = _END_STATES[type(event)]
        self._rows[key] = replace(row, state=state, until_s=now, message=message)


def _job_cells(row: _ProgressRow, blocks: str) -> tuple[str, str, str, str]:
    """Return the step, the epoch, the last loss and the curve of a job, as far as they are known.

    During an evaluation, the answers are counted instead of the steps.
    """
    job = row.job
    answers = f"{row.evaluation.done}/{row.evaluation.total}" if row.evaluation else ""
    if job is None or not job.step:
        return answers, "", "", ""
    total = f"/{job.total_steps}" if job.total_steps else ""
    losses = [point.mean_loss for point in job.curve]
    loss = f"{losses[-1]:.4f}" if losses else ""
    steps = answers or f"{job.step}{total}"
    return steps, f"epoch {job.epoch}", loss, sparkline(losses, _SPARKLINE_WIDTH, blocks=blocks)
