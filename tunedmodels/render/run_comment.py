"""The comment of a plan after the merge: how far the run is, or how it ended.

It edits the comment that showed the plan, so it begins with the same marker. It says no word of a
service: where a change failed, the page of the run does.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from tunedmodels.errors import Exit
from tunedmodels.events import (
    Account,
    Chosen,
    Due,
    Ending,
    Evaluating,
    Event,
    Failed,
    Interrupted,
    Judged,
    Progressed,
    Refused,
    Rejected,
    Sending,
    Skipped,
    StillRunning,
    Succeeded,
    Tried,
)
from tunedmodels.forges.plan_comment import APPLIED, APPLYING, STALE, read_marker
from tunedmodels.render.layout import cut
from tunedmodels.render.markup import (
    BUDGET,
    alert,
    code,
    cure,
    footer,
    heading,
    link,
    marker,
    prose,
)
from tunedmodels.render.plan import phrases

_BAR = 20
_MOST = 200  # entries of a list; fewer where they are long
_NAME = 31
_NEXT = (
    "The next `tunedmodels plan` shows what is left: what is done is not done again, and a job that"
    " runs is waited for, never begun twice."
)
_Step = Progressed | Evaluating | Tried | Ending
_KINDS = (
    (Failed, "failed"),
    (Refused, "refused"),
    (Rejected, "not promoted"),
    (Skipped, "not begun"),
    (StillRunning, "still running"),
)


def applying_markdown(account: Account, *, head: str = "", url: str = "") -> str:
    """Return how far every change of a run is, a line for each; `url` is the page of the run."""
    latest: dict[str, _Step] = {}
    for event in account.events:
        if isinstance(event, _Step):
            latest[event.model_id] = event
    steps = [[latest[each] for each in due.ids if each in latest] for due in account.due]
    done = sum(any(isinstance(step, Ending) for step in of_one) for of_one in steps)
    words = f"applying: {done} of {phrases.number(len(account.due), 'change')} done"
    jobs = [
        f"- {_about(due)}: {_job(due, of_one)}"
        for due, of_one in zip(account.due, steps, strict=True)
    ]
    top = [_marker(account, head, APPLYING), heading(account.environment, words), ""]
    return _fitting(lambda most: [*top, *_first(most, jobs), *_footer(account, url, "as of")])


def applied_markdown(account: Account, *, head: str = "", url: str = "") -> str:
    """Return how a run ended: what is done is folded, what is not is open, with its reason."""
    top = [_marker(account, head, APPLIED), heading(account.environment, _result(account))]
    words = "last heard of" if account.code is None else "ended"
    return _fitting(lambda most: [*top, *_body(account, most), *_footer(account, url, words)])


def _body(account: Account, most: int) -> Iterator[str]:
    endings = [event for event in account.events if isinstance(event, Ending)]
    wrong = [_reason(e) for e in endings if isinstance(e, Failed | Refused | Skipped)]
    wrong += _lost(account)
    if wrong:
        yield from alert("CAUTION", _first(most, wrong))
    if rejected := [_rejection(event) for event in endings if isinstance(event, Rejected)]:
        yield from alert("WARNING", _first(most, rejected))
    runs = [event for event in endings if isinstance(event, StillRunning)]
    if running := [f"- {code(event.name, _NAME)}: {prose(event.words)}" for event in runs]:
        yield from alert("NOTE", _first(most, running))
    done = [event for event in endings if isinstance(event, Succeeded)]
    if scores := list(_scores(account, done)):
        yield from ("", *_first(most, scores))
    if done:
        some = [f"- {code(e.name, _NAME)}: {e.action.value}, {code(e.model_id)}" for e in done]
        yield from ("", "<details><summary>Done</summary>", "", *_first(most, some), "")
        yield "</details>"
    if wrong or running:
        yield from ("", _NEXT)


def _fitting(written: Callable[[int], Iterable[str]]) -> str:
    """Return the text with as many entries of each list as fit."""
    most = _MOST
    while True:
        text = "\n".join(written(most)) + "\n"
        if len(text.encode()) <= BUDGET or most <= 1:
            return text
        most //= 2


def _first(most: int, entries: Sequence[str]) -> list[str]:
    lines = [line for entry in entries[:most] for line in entry.split("\n")]
    return [*lines, f"- and {len(entries) - most} more"] if entries[most:] else lines


def _result(account: Account) -> str:
    counts = [(_count(account.events, kind), words) for kind, words in _KINDS]
    rest = [f"{count} {words}" for count, words in counts if count]
    done = _count(account.events, Succeeded)
    if account.code == Exit.DONE and not rest:
        return "applied"
    if account.code == Exit.REFUSED and not (done or rest):
        return "refused, nothing was done"
    was_stopped = account.code in (None, Exit.INTERRUPTED) or _count(account.events, Interrupted)
    stopped = ["interrupted"] if was_stopped else []
    return ", ".join([f"{done} of {len(account.due)} done", *rest, *stopped])


def _count(events: Iterable[Event], kind: type[Event]) -> int:
    return sum(isinstance(event, kind) for event in events)


def _lost(account: Account) -> Iterator[str]:
    """Say which changes have no end: the run was refused as a whole, broke off, or was killed."""
    ended = {event.model_id for event in account.events if isinstance(event, Ending)}
    sent = {event.model_id for event in account.events if isinstance(event, Sending)}
    for due in account.due:
        if ended.isdisjoint(due.ids):
            is_begun = not sent.isdisjoint(due.ids)
            words = "begun, and nobody saw its end" if is_begun else "not begun"
            yield f"- {_about(due)}: {words}"


def _reason(event: Failed | Refused | Skipped) -> str:
    kind = {Failed: "failed", Refused: "refused", Skipped: "not begun"}[type(event)]
    why = f", {prose(event.words)}" if event.words else "; the log of the run says why"
    to_do = "" if isinstance(event, Skipped) else event.cure
    return f"- {_about(event)}: {kind}{why}{to_do and _to_do(to_do)}"


def _rejection(event: Rejected) -> str:
    what = f"{code(event.name, _NAME)}: {code(event.model_id)} is not promoted"
    return f"- {what}: {prose(event.words)}{_to_do(event.cure)}"


def _about(what: Due | Failed | Refused | Skipped) -> str:
    return f"{code(what.name, _NAME)} ({what.action.value})"


def _to_do(words: str) -> str:
    return f"\n  To go on: {cure(words)}"


def _scores(account: Account, done: Iterable[Succeeded]) -> Iterator[str]:
    """Say what sweeps chose, and what the versions scored that serve now.

    Of the others the reason says it.
    """
    for event in account.events:
        if isinstance(event, Chosen):
            version = f"{code(event.name, _NAME)}: {code(event.model_id)}"
            yield f"- {version} is chosen with {code(event.score)}: {prose(event.words)}"
    judged = {event.model_id: event for event in account.events if isinstance(event, Judged)}
    for ending in done:
        if verdict := judged.get(ending.model_id):
            version = f"{code(ending.name, _NAME)}: {code(ending.model_id)}"
            yield f"- {version} serves: {prose(verdict.words)}"


def _job(due: Due, steps: Sequence[_Step]) -> str:
    """Say how far a change is, from the latest step of each version that it is about."""
    if due.candidates and not any(isinstance(step, Ending) for step in steps):
        tried = sum(isinstance(step, Tried) for step in steps)
        return f"{tried} of {phrases.number(len(due.candidates), 'candidate')} tried"
    # Of a sweep that ended, the others of its candidates say nothing more.
    step = next((step for step in steps if isinstance(step, Ending)), steps[0] if steps else None)
    match step:
        case None:
            return "not begun"
        case Succeeded():
            return "done"
        case Progressed():
            return _progress(step)
        case Evaluating():
            return f"evaluating, {step.done:,} of {step.total:,} answers"
        case _:
            return prose(step.words, 200) or "failed"


def _progress(progressed: Progressed) -> str:
    if not progressed.total_steps:
        return f"{progressed.state.value}, step {progressed.step:,}"
    share = min(1.0, progressed.step / progressed.total_steps)
    filled = round(share * _BAR)
    bar = "█" * filled + "░" * (_BAR - filled)
    return f"`{bar}` step {progressed.step:,} of {progressed.total_steps:,}"


def _footer(account: Account, url: str, words: str) -> list[str]:
    moment = account.moment
    when = f"{words} {moment:%Y-%m-%d %H:%M} UTC" if moment else ""
    return footer([when, link("the run", url) if url else ""]) if when or url else []


def _marker(account: Account, head: str, level: str) -> str:
    return marker(
        environment=account.environment,
        digest=account.digest,
        head=head,
        level=level,
        project=account.project,
    )


# FOLDED
# A comment that no longer holds: says so first, and keeps the plan below for whoever wants it.
LONGEST_REASON = 300  # columns; with the plan's own budget it stays below what forges take
_BEFORE = "<details><summary>The plan as it was</summary>\n\n"
_AFTER = "\n\n</details>\n"


def outdated_markdown(body: str, reason: str) -> str:
    """Return the text of a comment marked as out of date; marked again, it gets the new reason.

    `reason` is plain text of anybody. A body without our marker is returned as it is, and so is one
    that tells of a run: what was done stays done.
    """
    marker = read_marker(body)
    if marker is None or marker.level in (APPLYING, APPLIED):
        return body
    _, _, plan = body.partition("\n")
    if marker.level == STALE:
        plan = plan.partition(_BEFORE)[2].rstrip().removesuffix(_AFTER.strip())
    environment = f" · {_safe(marker.env)}" if marker.env else ""
    return (
        f"{replace(marker, level=STALE).line()}\n"
        f"### tunedmodels{environment} · out of date\n\n"
        f"> [!WARNING]\n> {_safe(cut(reason, LONGEST_REASON))}\n"
        "> Nothing of the plan below is applied. The next run for this pull request writes a new "
        f"one here.\n\n{_BEFORE}{plan.strip()}{_AFTER}"
    )


def _safe(text: str) -> str:
    """Escape what Markdown, HTML and a forge would read as more than text."""
    escaped = html.escape(text, quote=False).replace("@", "@\u200b").replace("#", "#\u200b")
    return "".join(f"\\{char}" if char in "\\`*_[]|~" else char for char in escaped)
