"""Progress in words: a line per event where nobody watches, and the last words at the end.

Both views (the other one is in `live`) read the same events, and both end with `Tally.lines`: what
went wrong in full, what still runs and how to watch it, and the counts.
"""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Final, Self, TextIO, assert_never

from tunedmodels.events import (
    Call,
    Chosen,
    Ending,
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
from tunedmodels.observed import ModelState
from tunedmodels.plan.plan import Action
from tunedmodels.render.layout import WIDTH, Style, clean, cut, plain, wrapped
from tunedmodels.stamp import Decision

Elapsed = Callable[[], float]

# How much of a job must pass between two lines about it, and what time. How long it may be silent.
_SHARE: Final = 0.1
_PAUSE_S: Final = 1.0
_SILENCE_S: Final = 60.0
_SILENCE_OF_UNKNOWN_LENGTH_S: Final = 5.0

_DONE: Final = {
    Action.CREATE: "created",
    Action.REPLACE: "replaced",
    Action.WAIT: "ready",
    Action.RETRY: "trained again",
    Action.PROMOTE: "promoted",
    Action.UPDATE: "updated",
    Action.CANCEL: "cancelled",
    Action.DELETE: "deleted",
    Action.CONFLICT: "settled",
    Action.FAILED: "settled",
    Action.REJECTED: "settled",
}
_TAKEN: Final[dict[Call, str]] = {
    "create": "was accepted",
    "score": "bears its score now",
    "judge": "bears the decision of its gate now",
    "promote": "serves now",
    "update": "was updated",
    "cancel": "was cancelled",
    "delete": "was deleted",
}
_KIB: Final = 1024
_COUNTED: Final = {
    Succeeded: "done",
    Failed: "failed",
    Refused: "refused",
    Rejected: "not promoted",
    StillRunning: "still running",
    Skipped: "skipped",
}


class PlainProgress:
    """One line of at most 100 columns per event; of a job's steps about every tenth.

    A job is told about once a second at most; what a gate said takes the lines that it needs.

    Used as a context manager, which writes the last words, also after an exception.
    """

    def __init__(
        self, out: TextIO, *, style: Style = plain, elapsed: Elapsed = time.monotonic
    ) -> None:
        self._out = out
        self._style = style
        self._elapsed = elapsed
        self._tally = Tally()
        self._candidates: set[str] = set()  # model ids: their name alone would not tell them apart
        self._shown: dict[str, tuple[str, int, float]] = {}  # by model id: stage, step and when

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
        if self._is_news(event):
            sign, role, words = line(self._told_apart(event))
            is_told_once = isinstance(event, Judged)  # all others are told in full at the end
            lines = wrapped(words, indent=4, hang=2) if is_told_once else [cut(words, WIDTH - 4)]
            first, *rest = lines
            self._write(f"{self._style(f'{sign:<3}', role)} {first.strip()}", *rest)

    def _told_apart(self, event: Event) -> Event:
        if isinstance(event, Progressed | Evaluating) and event.model_id in self._candidates:
            return replace(event, name=event.model_id)
        return event

    def _is_news(self, event: Event) -> bool:
        match event:
            # A request shows by what comes of it; the journal has both of its ends.
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
        last, before, then = self._shown.get(model_id, ("", 0, 0.0))
        if last == stage:
            is_far = bool(total) and step - before >= (total or 0) * _SHARE
            is_far = is_far and now - then >= _PAUSE_S
            silence_s = _SILENCE_S if total else _SILENCE_OF_UNKNOWN_LENGTH_S
            if not is_far and now - then < silence_s:
                return False
        self._shown[model_id] = stage, step, now
        return True

    def _write(self, *lines: str) -> None:
        self._out.writelines(f"{one.rstrip()}\n" for one in lines)
        self._out.flush()


def line(event: Event) -> tuple[str, str, str]:  # noqa: PLR0911  # one per kind of event
    """Say an event in one line: its sign, the role that colours the sign, and the words."""
    match event:
        case Started(name=name, model_id=model_id, action=action):
            return action.symbol, action.value, f"{name}: {action} {model_id}"
        case Sending(name=name, model_id=model_id, call=call):
            return "", "dim", f"{name}: sending {call} of {model_id}"
        case Sent(name=name, model_id=model_id, call=call):
            return "", "dim", f"{name}: {model_id} {_TAKEN[call]}"
        case Progressed(name=name):
            return "", "dim", f"{name}: {', '.join(steps(event))}"
        case Evaluating(name=name, done=done, total=total):
            return "", "dim", f"{name}: evaluating, {done}/{total} answers"
        case Judged() | Tried() | Chosen():
            return "", *ruling(event)
        case Uploaded(place=place, sent=sent, total=total):
            return "", "dim", f"{sent / max(total, 1):.0%} of {size(total)} are at {place}"
        case Retried(call=call, wait_s=wait_s, words=words):
            return "", "warning", f"no answer to {call}, again in {duration(wait_s)}: {words}"
        case Interrupted():
            words = (
                "interrupted: nothing new is sent, and what runs is listed; once more leaves now"
            )
            return "!", "warning", words
        case _:
            return _last_word(event)


def _last_word(event: Ending) -> tuple[str, str, str]:
    match event:
        case Succeeded(name=name, model_id=model_id, action=action):
            return "ok", "good", f"{name}: {_DONE[action]} {model_id}"
        case Failed(name=name, action=action, words=words):
            return "!", "error", f"{name}: {action} failed: {words}"
        case Refused(name=name, action=action, words=words):
            return "!", "error", f"{name}: {action} refused: {words}"
        case Rejected(name=name, model_id=model_id):
            return "!", "warning", f"{name}: {model_id} is not promoted"
        case Skipped(name=name, action=action, words=words):
            return "o", "warning", f"{name}: {action} skipped: {words}"
        case StillRunning(name=name, words=words):
            return ".", "wait", f"{name}: still running: {words}"
        case _:
            assert_never(event)


def steps(event: Progressed) -> list[str]:
    """Return how far a job is, in parts: state, step, epoch and last loss, as far as known."""
    parts = [event.phase or event.state.value]
    if event.step:
        total = f"/{event.total_steps}" if event.total_steps else ""
        parts += [f"step {event.step}{total}", f"epoch {event.epoch}"]
    if event.curve:
        parts.append(f"loss {event.curve[-1].mean_loss:.4f}")
    return parts


def duration(seconds: float) -> str:
    """Say a time as `0.5 s`, `12 s`, `3 min 05 s` or `1 h 02 min`."""
    if seconds < 1:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def size(count: int) -> str:
    """Say a number of bytes as `812 B`, `3.4 KiB`, `12.0 MiB` or `1.2 GiB`."""
    if count < _KIB:
        return f"{count} B"
    amount = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        amount /= _KIB
        if amount < _KIB or unit == "GiB":
            break
    return f"{amount:.1f} {unit}"


class Tally:
    """Counts how changes ended, and knows which jobs run even when nobody was told."""

    def __init__(self) -> None:
        self._endings: list[Ending] = []
        self._jobs: dict[tuple[str, str], StillRunning] = {}
        self._evaluated: set[str] = set()  # model ids: nothing runs at the service for them

    def count(self, event: Event) -> None:
        """Take note of an event."""
        match event:
            case Sent(call="create") | Progressed(state=ModelState.QUEUED | ModelState.TRAINING):
                key = event.name, event.model_id
                # What will be true if this run is cut off before it says anything about the job.
                self._jobs[key] = StillRunning(*key, "left while its job was running")
            case Progressed():
                self._jobs.pop((event.name, event.model_id), None)
            case Evaluating(model_id=model_id):
                self._evaluated.add(model_id)
            case Succeeded() | Failed() | Refused() | Rejected() | Skipped() | StillRunning():
                self._jobs.pop((event.name, event.model_id), None)
                self._endings.append(event)
            case Tried():
                self._jobs.pop((event.name, event.model_id), None)
            case (
                Started()
                | Sending()
                | Sent()
                | Uploaded()
                | Judged()
                | Chosen()
                | Retried()
                | Interrupted()
            ):
                pass
            case _:
                assert_never(event)

    def lines(self, style: Style = plain) -> list[str]:
        """Return the last words: failures in full, what still runs, and the counts."""
        endings = [*self._endings, *self._jobs.values()]
        if not endings:
            return []
        lines: list[str] = []
        for ending in endings:
            if isinstance(ending, Failed | Refused | Rejected):
                lines += ["", *_in_full(ending, style)]
        running = [ending for ending in endings if isinstance(ending, StillRunning)]
        if running:
            lines += ["", style("Still running", "bold")]
            # How they go on is mostly the same for all: it is said once.
            for words in dict.fromkeys(job.words for job in running):
                alike = [job for job in running if job.words == words]
                lines += [f"  {cut(f'{job.name}: {job.model_id}', WIDTH - 2)}" for job in alike]
                lines += wrapped(words, indent=4)
            watched = [job.name for job in running if job.model_id not in self._evaluated]
            if names := " ".join(dict.fromkeys(shlex.quote(clean(name)) for name in watched)):
                lines.append(f"  To watch: tunedmodels watch {names}")
        counts = Counter(type(ending) for ending in endings)
        counted = [f"{counts[kind]} {word}" for kind, word in _COUNTED.items() if counts[kind]]
        return [*lines, "", f"Result: {', '.join(counted)}."]


def _in_full(ending: Failed | Refused | Rejected, style: Style) -> Iterator[str]:
    sign, role, words = line(ending)
    if not isinstance(ending, Rejected):
        what = "failed" if isinstance(ending, Failed) else "refused"
        words = f"{ending.name}: {ending.action} {what}"
    yield f"{style(f'{sign:<3}', role)} {cut(words, WIDTH - 4)}"
    # A cure may hold a command on a line of its own.
    for text in (*ending.words.splitlines(), *ending.cure.splitlines()):
        yield from wrapped(text, indent=6, limit=2000)


# FOLDED
# How a version was judged while a plan is carried out: by its gate, or by its sweep.
_RULINGS: Final = {
    Decision.PASSED: "its gate passed",
    Decision.INCONCLUSIVE: "its gate could not decide",
    Decision.REFUSED: "its gate refused it",
}


def ruling(event: Judged | Tried | Chosen) -> tuple[str, str]:
    """Say in words, after the role that colours them, how a version was judged."""
    match event:
        case Judged(name=name, decision=decision, words=words):
            role = "good" if decision is Decision.PASSED else "warning"
            return role, f"{name}: {_RULINGS[decision]}: {words}"
        case Tried(name=name, model_id=model_id, score="", words=words):
            return "warning", f"{name}: {model_id} is given up: {words}"
        case Tried(name=name, model_id=model_id, words=words):
            return "dim", f"{name}: {model_id} is scored: {words}"
        case Chosen(name=name, model_id=model_id, score=score, words=words):
            return "good", f"{name}: {model_id} is chosen with {score}: {words}"
