"""Every form of a plan, in one table: a new form is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tunedmodels.datasets.diff import Comparison
from tunedmodels.plan.plan import Plan
from tunedmodels.render.layout import Style, plain
from tunedmodels.render.plan.examples import FEW
from tunedmodels.render.plan.json import plan_json
from tunedmodels.render.plan.text import plan_text


@dataclass(frozen=True, slots=True)
class Reading:
    """What a form may show beside the plan itself, and how; each takes what it has a use for.

    `examples` and `most` are as in `plan_text`; `head` and `base` are commits.
    """

    examples: Mapping[str, Comparison] = field(default_factory=dict)
    most: int = FEW
    head: str = ""
    base: str = ""
    style: Style = plain


def _text(plan: Plan, reading: Reading) -> str:
    return plan_text(plan, examples=reading.examples, most=reading.most, style=reading.style)


def _json(plan: Plan, _reading: Reading) -> str:
    return plan_json(plan)


def _markdown(plan: Plan, reading: Reading) -> str:
    from tunedmodels.render.plan.markdown import plan_markdown  # noqa: PLC0415  # for this form alone

    return plan_markdown(
        plan,
        examples=reading.examples,
        most=reading.most,
        head=reading.head,
        base=reading.base,
    )


def _html(plan: Plan, reading: Reading) -> str:
    from tunedmodels.render.plan.html import plan_page  # noqa: PLC0415  # jinja2 is for this form alone

    return plan_page(
        plan,
        examples=reading.examples,
        most=reading.most,
        head=reading.head,
        base=reading.base,
    )


RENDERERS: dict[str, Callable[[Plan, Reading], str]] = {
    "text": _text,
    "json": _json,
    "markdown": _markdown,
    "html": _html,
}
