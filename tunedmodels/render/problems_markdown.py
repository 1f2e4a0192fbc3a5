"""What is wrong with the manifests and datasets, in the place where their plan would be shown.

It is one comment that is edited, so it begins with the marker by which it is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tunedmodels.errors import Problem, Severity
from tunedmodels.render.frame import alert, cure, heading, marker
from tunedmodels.render.markup import code, prose
from tunedmodels.render.plan.markdown import BUDGET
from tunedmodels.render.problems import counted

_MOST = 200  # problems; fewer where they are long

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
        text = "\n".join(lines) + "\n"
        if len(text.encode()) <= budget or most <= 1:
            return text
        most //= 2


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
