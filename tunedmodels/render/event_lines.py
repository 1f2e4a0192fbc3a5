"""Write the events of a run as lines of text, and its summary.

The summary has the failures in full, the running jobs with the command that watches them, and the
counts.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from typing import Final, assert_never

from tunedmodels.events import (
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
from tunedmodels.observed import ModelState
from tunedmodels.plan.plan import Action
from tunedmodels.render.layout import (
    Style,
    cut,
    format_duration,
    format_size,
    no_style,
    text_width,
    wrap,
)
from tunedmodels.stamp import Decision
from tunedmodels.text import printable

_DONE: Final = {
    Action.CREATE: "created",
    Action.REPLACE: "replaced",
    Action.WAIT: "ready",
    Action.RETRY: "trained again",
    Action.PROMOTE: "promoted",
    Action.UPDATE: "updated",
    Action.MOVE: "moved",
    Action.RELEASE: "released",
    Action.CANCEL: "cancelled",
    Action.DELETE: "deleted",
    Action.CONFLICT: "settled",
    Action.FAILED: "settled",
    Action.REJECTED: "settled",
}
_SENT: Final[dict[RequestKind, str]] = {
    "create": "was accepted",
    "score": "has its score recorded",
    "judge": "has the decision of its gate recorded",
    "promote": "serves now",
    "update": "was updated",
    "move": "was moved",
    "release": "was released",
    "cancel": "was cancelled",
    "delete": "was deleted",
}
_DECISIONS: Final = {
    Decision.PASSED: "its gate passed",
    Decision.INCONCLUSIVE: "its gate could not decide",
    Decision.REFUSED: "its gate refused it",
}
_INTERRUPTED: Final = (
    "interrupted: no new request is sent, running jobs are listed; interrupt again to exit now"
)
_COUNT_LABELS: Final = {
    Succeeded: "done",
    Failed: "failed",
    Refused: "refused",
    Rejected: "not promoted",
    StillRunning: "still running",
    Skipped: "skipped",
}


def event_line(event: Event) -> tuple[str, str, str]:  # noqa: PLR0911  # one per kind of event
    """Return an event as its sign, the role that colours the sign, and one line of text."""
    match event:
        case Started(name=name, model_id=model_id, action=action):
            return action.symbol, action.value, f"{name}: {action} {model_id}"
        case Sending(name=name, model_id=model_id, call=call):
            return "", "dim", f"{name}: sending {call} of {model_id}"
        case Sent(name=name, model_id=model_id, call=call):
            return "", "dim", f"{name}: {model_id} {_SENT[call]}"
        case Progressed(name=name):
            return "", "dim", f"{name}: {', '.join(job_progress(event))}"
        case Evaluating(name=name, done=done, total=total):
            return "", "dim", f"{name}: evaluating, {done}/{total} answers"
        case Judged() | Tried() | Chosen():
            return "", *gate_result_phrase(event)
        case Uploaded(place=place, sent=sent, total=total):
            share = sent / max(total, 1)
            return "", "dim", f"uploaded {share:.0%} of {format_size(total)} to {place}"
        case Retried(call=call, wait_s=wait_s, words=words):
            wait = format_duration(wait_s)
            return "", "warning", f"no answer to {call}, retrying in {wait}: {words}"
        case Interrupted():
            return "!", "warning", _INTERRUPTED
        case _:
            return _ending_line(event)


def _ending_line(event: Ending) -> tuple[str, str, str]:
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


def gate_result_phrase(event: Judged | Tried | Chosen) -> tuple[str, str]:
    """Return the role and the text of a decision that a gate or a sweep made on a version."""
    match event:
        case Judged(name=name, decision=decision, words=words):
            role = "good" if decision is Decision.PASSED else "warning"
            return role, f"{name}: {_DECISIONS[decision]}: {words}"
        case Tried(name=name, model_id=model_id, score="", words=words):
            return "warning", f"{name}: {model_id} is given up: {words}"
        case Tried(name=name, model_id=model_id, words=words):
            return "dim", f"{name}: {model_id} is scored: {words}"
        case Chosen(name=name, model_id=model_id, score=score, words=words):
            return "good", f"{name}: {model_id} is chosen with {score}: {words}"


def job_progress(event: Progressed) -> list[str]:
    """Return the known facts about a job: state, step, epoch and last loss."""
    parts = [event.phase or event.state.value]
    if event.step:
        total = f"/{event.total_steps}" if event.total_steps else ""
        parts += [f"step {event.step}{total}", f"epoch {event.epoch}"]
    if event.curve:
        parts.append(f"loss {event.curve[-1].mean_loss:.4f}")
    return parts


class Tally:
    """Counts how the changes ended, and which jobs are still running."""

    def __init__(self) -> None:
        self._endings: list[Ending] = []
        self._jobs: dict[tuple[str, str], StillRunning] = {}
        self._evaluated: set[str] = set()  # model ids; the service runs no job for them

    def count(self, event: Event) -> None:
        """Count an event."""
        match event:
            case Sent(call="create") | Progressed(state=ModelState.QUEUED | ModelState.TRAINING):
                key = event.name, event.model_id
                # True if this run ends before another event of the job.
                self._jobs[key] = StillRunning(*key, "the run ended while its job was running")
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

    def lines(self, style: Style = no_style) -> list[str]:
        """Return the summary: failures in full, running jobs, and the counts."""
        endings = [*self._endings, *self._jobs.values()]
        if not endings:
            return []
        lines: list[str] = []
        for ending in endings:
            if isinstance(ending, Failed | Refused | Rejected):
                lines += ["", *_failure_lines(ending, style)]
        running = [ending for ending in endings if isinstance(ending, StillRunning)]
        if running:
            lines += ["", style("Still running", "bold"), *self._running_lines(running)]
        counts = Counter(type(ending) for ending in endings)
        result = [
            f"{counts[kind]} {label}" for kind, label in _COUNT_LABELS.items() if counts[kind]
        ]
        return [*lines, "", f"Result: {', '.join(result)}."]

    def _running_lines(self, running: list[StillRunning]) -> Iterator[str]:
        # Most jobs have the same message: it is written once.
        for message in dict.fromkeys(job.words for job in running):
            for job in running:
                if job.words == message:
                    yield f"  {cut(f'{job.name}: {job.model_id}', text_width() - 2)}"
            yield from wrap(message, indent=4)
        watched = [job.name for job in running if job.model_id not in self._evaluated]
        if names := " ".join(dict.fromkeys(shlex.quote(printable(name)) for name in watched)):
            yield f"  To watch: tunedmodels watch {names}"


def _failure_lines(ending: Failed | Refused | Rejected, style: Style) -> Iterator[str]:
    sign, role, title = event_line(ending)
    if not isinstance(ending, Rejected):
        result = "failed" if isinstance(ending, Failed) else "refused"
        title = f"{ending.name}: {ending.action} {result}"
    yield f"{style(f'{sign:<3}', role)} {cut(title, text_width() - 4)}"
    # A cure may have a command on a line of its own.
    for text in (*ending.words.splitlines(), *ending.cure.splitlines()):
        yield from wrap(text, indent=6, limit=2000)
