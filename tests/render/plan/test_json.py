"""A saved plan is read as the same plan, or it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import desired, live, plan_for
from tunedmodels.errors import RefusedError
from tunedmodels.observed import ModelState
from tunedmodels.plan.plan import Plan
from tunedmodels.render.plan.json import plan_json, read_plan


def plan() -> Plan:
    observed = [
        live(desired(data="old"), promoted=1),
        live(desired("busy"), state=ModelState.TRAINING),
        live(desired("gone"), promoted=1),
    ]
    declared = [desired(temperature=0.4, reader_project_numbers=(1, 2)), desired("busy")]
    return plan_for(declared, observed, environment="prod")


def test_a_saved_plan_is_read_as_the_same_plan() -> None:
    assert read_plan(plan_json(plan())) == plan()
    assert plan_json(read_plan(plan_json(plan()))) == plan_json(plan())


def edited(edit: Callable[[dict[str, Any]], object]) -> str:
    """Return a saved plan after an edit of its JSON."""
    document = json.loads(plan_json(plan()))
    edit(document)
    return json.dumps(document)


NO_PLANS = ["", "no JSON", "[" * 100_000, "[]", "null", '{"formatVersion": 1}', '{"changes": []}',
            '{"apiVersion": "tunedmodels.dev/v1"}']  # fmt: skip


@pytest.mark.parametrize("text", NO_PLANS, ids=range(len(NO_PLANS)))
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(RefusedError, match="not a plan") as refused:
        read_plan(text)
    assert "plan --out" in refused.value.cure


EDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "another action": lambda d: d["changes"][0].update(action="update"),
    "another model": lambda d: d["changes"][1]["before"].update(modelId="gone-00000000"),
    "another value": lambda d: d["changes"][2]["after"].update(temperature=1.0),
    "a removed change": lambda d: d["changes"].pop(),
    "the changes in another order": lambda d: d["changes"].reverse(),
    "an added refusal": lambda d: d["refusals"].append(
        {"code": "protected", "message": "x", "cure": "y"}
    ),
    "another project": lambda d: d.update(project="other"),
    "another environment": lambda d: d.update(environment=""),
    "another digest": lambda d: d.update(digest="sha256:0"),
    "no summary": lambda d: d.pop("summary"),
    "an unknown field": lambda d: d.update(extra=1),
    "an unknown action": lambda d: d["changes"][0].update(action="explode"),
    "another kind of value": lambda d: d.update(changes={}),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edited_plan_is_refused(
    edit: Callable[[dict[str, Any]], object],
) -> None:
    with pytest.raises(RefusedError, match="was edited") as refused:
        read_plan(edited(edit))
    assert "plan --out" in refused.value.cure


def test_a_plan_of_a_newer_format_is_refused() -> None:
    text = edited(lambda d: d.update(formatVersion=2, novelty=True))
    with pytest.raises(RefusedError, match="format 2") as refused:
        read_plan(text)
    assert "the release that made it" in refused.value.cure


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=8,
)


@given(st.sampled_from(sorted(json.loads(plan_json(plan())))), json_values)
def test_any_value_of_a_field_gives_a_plan_or_a_refusal(key: str, value: Any) -> None:
    text = edited(lambda d: d.update({key: value}))
    with suppress(RefusedError):
        assert isinstance(read_plan(text), Plan)
