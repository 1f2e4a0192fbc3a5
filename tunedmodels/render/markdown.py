"""A plan as Markdown for a comment: a plain stand-in that shows the text of the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from tunedmodels.datasets.compare import Comparison
from tunedmodels.plan.change import Plan
from tunedmodels.plan.marker import Marker
from tunedmodels.render.text import plan_text


def plan_markdown(
    plan: Plan,
    *,
    examples: Mapping[str, Comparison] | None = None,
    head: str = "",
    base: str = "",
    budget: int = 60_000,
    level: str | None = None,
    full_url: str = "",
) -> str:
    """Return the comment: its marker, then the plan; at most `budget` bytes."""
    marker = Marker(plan.environment, plan.digest, head, level or "full", plan.project).line()
    text = plan_text(plan, examples=examples).replace("```", "'''")
    foot = " · ".join(part for part in (f"head {head[:7]}", base, plan.digest, full_url) if part)
    room = budget - len(f"{marker}{foot}".encode()) - 100
    cut = text.encode()[:room].decode(errors="ignore")
    return f"{marker}\n### tunedmodels · {plan.environment}\n\n```text\n{cut}```\n\n{foot}\n"
