"""The other states of the comment of a plan: errors, out of date, applying, applied.

It is one comment that is edited, so each begins with the marker by which it is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tunedmodels.errors import Problem, Severity
from tunedmodels.events import (
    Ending,
    Evaluating,
    Event,
    Failed,
    Outcome,
    Progressed,
    Refused,
    Rejected,
    Skipped,
    StillRunning,
    Succeeded,
    Tried,
)
from tunedmodels.plan.change import Action, Change, Plan
from tunedmodels.render import terms
from tunedmodels.render.escape import code, prose
from tunedmodels.render.frame import alert, cure, heading, marker
from tunedmodels.render.markdown import BUDGET
from tunedmodels.render.problems import counted

_MOST = 200  # problems, or lines of what moved; fewer where they are long
_BAR = 20

_BOXES = (
    (Severity.ERROR, "CAUTION"),
    (Severity.WARNING, "WARNING"),
    (Severity.ADVICE, "NOTE"),
)


def problems_markdown(
    problems: Iterable[Problem],
    *,
    environment: str = "",
    head: str = "",
    project: str = "",
    budget: int = BUDGET,
) -> str:
    """Return what is wrong with the manifests and datasets, of at most `budget` bytes.

    The heading counts all of them; of each severity the first are written out, each with its place
    and cure, as many as fit.
    """
    found = sorted(problems)
    most = _MOST
    while True:
        lines = [
            marker(environment=environment, head=head, level="errors", project=project),
            heading(environment, counted(found)),
            *_boxes(found, most),
        ]
        text = _text(lines)
        if len(text.encode()) <= budget or most <= 1:
            return text
        most //= 2


def stale_markdown(
    moved: Sequence[str],
    *,
    environment: str = "",
    digest: str = "",
    head: str = "",
    project: str = "",
) -> str:
    """Return that the plan of `digest` no longer holds, and what moved since it was made."""
    lines = [
        marker(environment=environment, digest=digest, head=head, level="stale", project=project),
        heading(environment, "out of date"),
        "",
        "Something changed since this plan was made, and it will not be applied.",
    ]
    if moved:
        lines += ["", *(f"- {prose(words)}" for words in moved[:_MOST])]
    if moved[_MOST:]:
        lines.append(f"- and {len(moved) - _MOST} more")
    lines += ["", "To make a new one, run `tunedmodels plan` on the branch as it is now."]
    return _text(lines)


def applying_markdown(plan: Plan, events: Iterable[Event], *, head: str = "") -> str:
    """Return how far the jobs of a plan are, a line for each, from the events so far."""
    progress: dict[str, Progressed | Evaluating] = {}
    endings: dict[str, Ending] = {}
    for event in events:
        if isinstance(event, Progressed | Evaluating):
            progress[event.model_id] = event
        elif isinstance(event, Ending):
            endings[event.model_id] = event
        elif isinstance(event, Tried):
            said = (event.name, event.model_id, Action.WAIT)
            endings[event.model_id] = Succeeded(*said) if event.score else Failed(*said, "")
    jobs = [job for change in plan.pending for job in _jobs(change)]
    done = sum(model_id in endings for _, model_id in jobs)
    words = f"{done} of {terms.number(len(jobs), 'job')} done" if jobs else "no job to wait for"
    lines = [
        _marker(plan, head, "applying"),
        heading(plan.environment, f"applying: {words}"),
        "",
        *(
            f"- {code(name, 31)} {_job(progress.get(model_id), endings.get(model_id))}"
            for name, model_id in jobs
        ),
    ]
    return _text(lines)


def _jobs(change: Change) -> Iterator[tuple[str, str]]:
    """Yield what a change waits for, as (label, id): the candidates of a sweep by their ids."""
    if change.sweep:
        for candidate in change.sweep.candidates:
            if candidate.action.is_pending:
                yield candidate.model_id, candidate.model_id
    elif change.after and (change.action.trains or change.gate or change.action is Action.WAIT):
        yield change.name, change.after.model_id


def outcome_markdown(plan: Plan, outcome: Outcome, *, head: str = "") -> str:
    """Return how an apply ended: what is done is folded, what is not is open, with its reason."""
    done = [event for event in outcome.events if isinstance(event, Succeeded)]
    running = [event for event in outcome.events if isinstance(event, StillRunning)]
    wrong = [event for event in outcome.events if isinstance(event, Failed | Refused | Skipped)]
    rejected = [event for event in outcome.events if isinstance(event, Rejected)]
    lines = [
        _marker(plan, head, "applied"),
        heading(plan.environment, _result(plan, outcome)),
    ]
    if wrong:
        lines += alert("CAUTION", _reasons(wrong))
    if rejected:
        lines += alert("WARNING", _rejections(rejected))
    if running:
        lines += alert("NOTE", (f"- {code(e.name, 31)}: {prose(e.words)}" for e in running))
    if done:
        some = (f"- {code(e.name, 31)}: {e.action.value}, {code(e.model_id)}" for e in done)
        lines += ["", "<details><summary>Done</summary>", "", *some, "", "</details>"]
    if wrong or running or outcome.interrupted:
        lines += ["", "The next `tunedmodels apply` goes on from here: what is done is not redone."]
    return _text(lines)


def _boxes(problems: Sequence[Problem], most: int) -> Iterator[str]:
    for severity, kind in _BOXES:
        of_kind = [problem for problem in problems if problem.severity is severity]
        lines: list[str] = []
        for problem in of_kind[:most]:
            lines.append(f"- {code(problem.place, 100)}: {prose(problem.message)}")
            lines += [f"  {cure(line)}" for line in problem.cure.splitlines()]
        if of_kind[most:]:
            lines.append(f"- and {len(of_kind) - most} more: `tunedmodels validate`")
        if lines:
            yield from alert(kind, lines)  # type: ignore[arg-type]  # the table above holds its words


def _result(plan: Plan, outcome: Outcome) -> str:
    kinds = (
        (Failed, "failed"),
        (Refused, "refused"),
        (Rejected, "not promoted"),
        (Skipped, "not begun"),
        (StillRunning, "still running"),
    )
    counts = [
        (sum(isinstance(event, kind) for event in outcome.events), words) for kind, words in kinds
    ]
    rest = [f"{count} {words}" for count, words in counts if count]
    done = sum(isinstance(event, Succeeded) for event in outcome.events)
    if not rest and not outcome.interrupted and done == len(plan.pending):
        return "applied"
    stopped = ["interrupted"] if outcome.interrupted else []
    return ", ".join([f"{done} of {len(plan.pending)} done", *rest, *stopped])


def _reasons(events: Iterable[Failed | Refused | Skipped]) -> Iterator[str]:
    for event in events:
        kind = {Failed: "failed", Refused: "refused", Skipped: "not begun"}[type(event)]
        yield f"- {code(event.name, 31)} ({event.action.value}) {kind}: {prose(event.words)}"
        if not isinstance(event, Skipped) and event.cure:
            yield f"  To go on: {cure(event.cure)}"


def _rejections(events: Iterable[Rejected]) -> Iterator[str]:
    for event in events:
        what = f"{code(event.name, 31)}: {code(event.model_id)} is not promoted"
        yield f"- {what}: {prose(event.words)}"
        yield f"  To go on: {cure(event.cure)}"


def _job(progressed: Progressed | Evaluating | None, ending: Ending | None) -> str:
    if isinstance(ending, Succeeded):
        return "done"
    if ending:
        return prose(ending.words, 200)
    if progressed is None:
        return "not begun"
    if isinstance(progressed, Evaluating):
        return f"evaluating, {progressed.done:,} of {progressed.total:,} answers"
    if not progressed.total_steps:
        return f"{progressed.state.value}, step {progressed.step:,}"
    share = min(1.0, progressed.step / progressed.total_steps)
    filled = round(share * _BAR)
    bar = "█" * filled + "░" * (_BAR - filled)
    return f"`{bar}` step {progressed.step:,} of {progressed.total_steps:,}"


def _marker(plan: Plan, head: str, level: str) -> str:
    return marker(
        environment=plan.environment,
        digest=plan.digest,
        head=head,
        level=level,
        project=plan.project,
    )


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"
