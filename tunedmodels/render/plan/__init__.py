"""Render a plan; a new form is one module and one line of the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from tunedmodels.plan.plan import Plan
from tunedmodels.render.options import RenderOptions
from tunedmodels.render.plan.html import plan_html
from tunedmodels.render.plan.json import plan_json
from tunedmodels.render.plan.markdown import plan_markdown
from tunedmodels.render.plan.text import plan_text

PLAN_RENDERERS: Final[Mapping[str, Callable[[Plan, RenderOptions], str]]] = MappingProxyType(
    {
        "text": plan_text,
        "json": plan_json,
        "markdown": plan_markdown,
        "html": plan_html,
    }
)
