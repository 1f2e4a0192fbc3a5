"""Render the comment of a plan after the merge: the progress and the result of its run.

It replaces the text of the comment that showed the plan, so it begins with the same marker. It
contains no message of a service; for the reason of a failure, it links to the page of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from tunedmodels.errors import Exit
from tunedmodels.events import (
    Chosen,
    Ending,
    Evaluating,
    Event,
    Failed,
    Interrupted,
    Judged,
    PlannedChange,
    Progressed,
    Refused,
    Rejected,
    RunLog,
    Sending,
    Skipped,
    StillRunning,
    Succeeded,
    Tried,
)
from tunedmodels.forges.plan_comment import APPLIED_LEVEL, APPLYING_LEVEL, STALE_LEVEL, Marker
from tunedmodels.render.markup import (
    MAX_COMMENT_BYTES,
    alert,
    code,
    footer,
    format_cure,
    heading,
    link,
    prose,
)
from tunedmodels.render.plan.phrases import quantity
from tunedmodels.text import utc_minute

_BAR_WIDTH: Final = 20
_MAX_ENTRIES: Final = 200  # of a list; fewer if they are long
_MAX_NAME: Final = 31  # columns
_MAX_REASON: Final = 300  # columns; with the plan's own limit, the comment fits every forge
_NEXT_STEP: Final = (
    "The next `tunedmodels plan` shows the remaining changes: finished changes are not repeated,"
    " and apply waits for a running job instead of starting it again."
)
_BEFORE_PLAN: Final = "<details><summary>The plan as it was</summary>\n\n"
_AFTER_PLAN: Final = "\n\n</details>\n"

_Step = Progressed | Evaluating | Tried | Ending
_RESULT_LABELS: Final = (
    (Failed, "failed"),
    (Refused, "refused"),
    (Rejected, "not promoted"),
    (Skipped, "not started"),
    (StillRunning, "still running"),
)


def progress_comment(log: RunLog, *, head: str = "", url: str = "") -> str:
    """Return the progress of every change of a run; `url` is the page of the run."""
    latest: dict[str, _Step] = {}
    for event in log.events:
        if isinstance(event, _Step):
            latest[event.model_id] = event
    steps = [
        [latest[each] for each in change.event_ids if each in latest] for change in log.planned
    ]
    done = sum(any(isinstance(step, Ending) for step in of_change) for of_change in steps)
    result = f"applying: {done} of {quantity(len(log.planned), 'change')} done"
    entries = [
        f"- {_change(change)}: {_progress(change, of_change)}"
        for change, of_change in zip(log.planned, steps, strict=True)
    ]
    top = [_marker(log, head, APPLYING_LEVEL), _heading(log, result), ""]
    return _fit(lambda most: [*top, *_first(most, entries), *_footer(log, url, "as of")])


def result_comment(log: RunLog, *, head: str = "", url: str = "") -> str:
    """Return the result of a run: finished changes folded, the others open with their reasons."""
    top = [_marker(log, head, APPLIED_LEVEL), _heading(log, _result(log))]
    label = "last event" if log.exit_code is None else "ended"
    return _fit(lambda most: [*top, *_body(log, most), *_footer(log, url, label)])


def stale_comment(body: str, reason: str) -> str:
    """Return a comment marked as stale; a second call replaces the reason.

    `reason` is plain text. A body without a marker is returned unchanged, and so is one that shows
    a run, because applied changes remain applied.
    """
    marker = Marker.parse(body)
    if marker is None or marker.level in (APPLYING_LEVEL, APPLIED_LEVEL):
        return body
    _, _, plan = body.partition("\n")
    if marker.level == STALE_LEVEL:
        plan = plan.partition(_BEFORE_PLAN)[2].rstrip().removesuffix(_AFTER_PLAN.strip())
    lines = [
        replace(marker, level=STALE_LEVEL).format(),
        heading(marker.environment, "stale", marker.project, marker.folder),
        *alert(
            "WARNING",
            [
                prose(reason, _MAX_REASON),
                "The plan below is not applied. The next run for this pull request replaces it.",
            ],
        ),
        "",
        f"{_BEFORE_PLAN}{plan.strip()}{_AFTER_PLAN}",
    ]
    return "\n".join(lines)


def _body(log: RunLog, most: int) -> Iterator[str]:
    endings = [event for event in log.events if isinstance(event, Ending)]
    failures = [_failure(e) for e in endings if isinstance(e, Failed | Refused | Skipped)]
    failures += _without_ending(log)
    if failures:
        yield from alert("CAUTION", _first(most, failures))
    if rejections := [_rejection(event) for event in endings if isinstance(event, Rejected)]:
        yield from alert("WARNING", _first(most, rejections))
    jobs = [event for event in endings if isinstance(event, StillRunning)]
    if running := [f"- {code(job.name, _MAX_NAME)}: {prose(job.words)}" for job in jobs]:
        yield from alert("NOTE", _first(most, running))
    done = [event for event in endings if isinstance(event, Succeeded)]
    if scores := list(_scores(log, done)):
        yield from ("", *_first(most, scores))
    if done:
        entries = [
            f"- {code(event.name, _MAX_NAME)}: {event.action.value}, {code(event.model_id)}"
            for event in done
        ]
        yield from ("", "<details><summary>Done</summary>", "", *_first(most, entries), "")
        yield "</details>"
    if failures or running:
        yield from ("", _NEXT_STEP)


def _fit(render: Callable[[int], Iterable[str]]) -> str:
    """Return the text with as many entries of each list as a comment can have."""
    most = _MAX_ENTRIES
    while True:
        text = "\n".join(render(most)) + "\n"
        if len(text.encode()) <= MAX_COMMENT_BYTES or most <= 1:
            return text
        most //= 2


def _first(most: int, entries: Sequence[str]) -> list[str]:
    lines = [line for entry in entries[:most] for line in entry.split("\n")]
    return [*lines, f"- and {len(entries) - most} more"] if entries[most:] else lines


def _result(log: RunLog) -> str:
    counts = [(_count(log.events, kind), label) for kind, label in _RESULT_LABELS]
    others = [f"{count} {label}" for count, label in counts if count]
    done = _count(log.events, Succeeded)
    if log.exit_code == Exit.DONE and not others:
        return "applied"
    if log.exit_code == Exit.REFUSED and not (done or others):
        return "refused, nothing was done"
    has_stopped = log.exit_code in (None, Exit.INTERRUPTED) or _count(log.events, Interrupted)
    stopped = ["interrupted"] if has_stopped else []
    return ", ".join([f"{done} of {len(log.planned)} done", *others, *stopped])


def _count(events: Iterable[Event], kind: type[Event]) -> int:
    return sum(isinstance(event, kind) for event in events)


def _without_ending(log: RunLog) -> Iterator[str]:
    """Yield the changes without an ending: the whole run was refused, stopped or killed."""
    ended = {event.model_id for event in log.events if isinstance(event, Ending)}
    sent = {event.model_id for event in log.events if isinstance(event, Sending)}
    for change in log.planned:
        if ended.isdisjoint(change.event_ids):
            is_started = not sent.isdisjoint(change.event_ids)
            state = "started, result unknown" if is_started else "not started"
            yield f"- {_change(change)}: {state}"


def _failure(event: Failed | Refused | Skipped) -> str:
    result = {Failed: "failed", Refused: "refused", Skipped: "not started"}[type(event)]
    reason = f", {prose(event.words)}" if event.words else "; see the log of the run"
    cure = "" if isinstance(event, Skipped) else event.cure
    return f"- {_change(event)}: {result}{reason}{cure and _fix(cure)}"


def _rejection(event: Rejected) -> str:
    result = f"{code(event.name, _MAX_NAME)}: {code(event.model_id)} is not promoted"
    return f"- {result}: {prose(event.words)}{_fix(event.cure)}"


def _change(change: PlannedChange | Failed | Refused | Skipped) -> str:
    return f"{code(change.name, _MAX_NAME)} ({change.action.value})"


def _fix(cure: str) -> str:
    return f"\n  To fix: {format_cure(cure)}"


def _scores(log: RunLog, done: Iterable[Succeeded]) -> Iterator[str]:
    """Yield the choices of sweeps, and the scores of the versions that serve now.

    The reason of a version that does not serve has its score already.
    """
    for event in log.events:
        if isinstance(event, Chosen):
            version = f"{code(event.name, _MAX_NAME)}: {code(event.model_id)}"
            yield f"- {version} is chosen with {code(event.score)}: {prose(event.words)}"
    decisions = {event.model_id: event for event in log.events if isinstance(event, Judged)}
    for ending in done:
        if decision := decisions.get(ending.model_id):
            version = f"{code(ending.name, _MAX_NAME)}: {code(ending.model_id)}"
            yield f"- {version} serves: {prose(decision.words)}"


def _progress(change: PlannedChange, steps: Sequence[_Step]) -> str:
    """Return the progress of a change from the latest step of each of its versions."""
    if change.candidates and not any(isinstance(step, Ending) for step in steps):
        tried = sum(isinstance(step, Tried) for step in steps)
        return f"{tried} of {quantity(len(change.candidates), 'candidate')} tried"
    # If a sweep has ended, the steps of its other candidates are not shown.
    step = next((step for step in steps if isinstance(step, Ending)), steps[0] if steps else None)
    match step:
        case None:
            return "not started"
        case Succeeded():
            return "done"
        case Progressed():
            return _bar(step)
        case Evaluating():
            return f"evaluating, {step.done:,} of {step.total:,} answers"
        case _:
            return prose(step.words, 200) or "failed"


def _bar(progressed: Progressed) -> str:
    if not progressed.total_steps:
        return f"{progressed.state.value}, step {progressed.step:,}"
    share = min(1.0, progressed.step / progressed.total_steps)
    filled = round(share * _BAR_WIDTH)
    bar = "█" * filled + "░" * (_BAR_WIDTH - filled)
    return f"`{bar}` step {progressed.step:,} of {progressed.total_steps:,}"


def _footer(log: RunLog, url: str, label: str) -> list[str]:
    time = f"{label} {utc_minute(log.last_time)}" if log.last_time else ""
    return footer([time, link("the run", url) if url else ""]) if time or url else []


def _heading(log: RunLog, result: str) -> str:
    return heading(log.environment, result, log.project, log.folder)


def _marker(log: RunLog, head: str, level: str) -> str:
    marker = Marker(log.environment, log.digest, head, level, log.project, folder=log.folder)
    return marker.format()
