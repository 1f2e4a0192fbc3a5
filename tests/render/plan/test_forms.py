"""The renderers of a plan: a golden file for every state and form, and invariants of the output."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from tests.support.paths import GOLDEN as GOLDEN_FOLDER
from tests.support.plan_models import EXAMPLES
from tests.support.plans import PLANS
from tunedmodels import __version__
from tunedmodels.cli.plan import FORMATS
from tunedmodels.render.layout import columns
from tunedmodels.render.options import RenderOptions
from tunedmodels.render.plan import PLAN_RENDERERS
from tunedmodels.render.plan.json import plan_document, plan_json, plan_schema
from tunedmodels.render.plan.text import plan_text

GOLDEN = GOLDEN_FOLDER / "plan"
ENDINGS = {"text": "txt", "json": "json", "markdown": "md", "html": "html"}
WITH_EXAMPLES = RenderOptions(dataset_diffs=EXAMPLES)
OPTIONS = RenderOptions(dataset_diffs=EXAMPLES, head="3c9d2e1", base="main@a81f0c4")
every_plan = pytest.mark.parametrize("name", PLANS)


@pytest.mark.parametrize("form", PLAN_RENDERERS)
@every_plan
def test_every_form_equals_its_golden_file(
    name: str, form: str, golden: Callable[[Path, str], None]
) -> None:
    text = PLAN_RENDERERS[form](PLANS[name](), OPTIONS)
    golden(GOLDEN / f"{name}.{ENDINGS[form]}", text.replace(__version__, "VERSION"))


def test_every_golden_file_has_a_plan() -> None:
    names = {path.name for path in GOLDEN.iterdir()}
    assert names == {f"{name}.{ending}" for name in PLANS for ending in ENDINGS.values()}


def test_the_command_line_offers_every_form() -> None:
    assert [*PLAN_RENDERERS, "policy"] == FORMATS


@pytest.mark.parametrize("form", PLAN_RENDERERS)
@every_plan
def test_equal_plans_give_equal_and_printable_bytes(name: str, form: str) -> None:
    render, plan = PLAN_RENDERERS[form], PLANS[name]()
    text = render(plan, OPTIONS)
    assert text == render(type(plan).model_validate(plan.model_dump()), OPTIONS)
    assert text.encode().endswith(b"\n")
    # Markdown breaks mentions with a zero-width space; no other character is invisible.
    assert text.replace("\n", "").replace("\N{ZERO WIDTH SPACE}", "").isprintable()


@every_plan
def test_every_document_is_valid_against_the_published_schema(name: str) -> None:
    schema = plan_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(plan_document(PLANS[name]()), schema)


@every_plan
def test_no_line_is_too_wide_or_has_trailing_spaces_or_escapes(name: str) -> None:
    text = plan_text(PLANS[name](), WITH_EXAMPLES)
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    for line in text[:-1].split("\n"):
        assert columns(line) <= 100, line
        assert line == line.rstrip()
        assert line.isprintable()


@every_plan
def test_colour_does_not_change_the_text(name: str) -> None:
    plan = PLANS[name]()
    options = replace(WITH_EXAMPLES, style=lambda text, role: f"<{role}>{text}</>")
    coloured = plan_text(plan, options)
    bare = re.sub(r"</>|<(?:create|replace|wait|retry|promote|update|cancel|delete|conflict|failed"
                  r"|rejected|bold|good|warning|error)>", "", coloured)  # fmt: skip
    assert bare == plan_text(plan, WITH_EXAMPLES)


@every_plan
def test_the_counts_in_the_summary_add_up(name: str) -> None:
    plan = PLANS[name]()
    document = plan_document(plan)
    assert sum(document["summary"].values()) == len(plan.changes) + plan.unchanged
    text = plan_text(plan)
    pattern = r"(\d+) (?:to \w+|in conflict|failed|not promoted)"
    counts = re.findall(pattern, text.partition("Plan: ")[2])
    assert sum(map(int, counts)) in (0, len(plan.changes))


@every_plan
def test_the_document_is_printable_ascii(name: str) -> None:
    text = plan_json(PLANS[name]())
    assert text.isascii()
    assert text.replace("\n", "").isprintable()


def test_examples_are_shown_only_if_they_are_passed() -> None:
    plan = PLANS["replace"]()
    assert "invoice" in plan_text(plan, WITH_EXAMPLES)
    assert "invoice" not in plan_text(plan) + plan_json(plan)


def test_json_has_the_keys_that_other_programs_read() -> None:
    document = json.loads(plan_json(PLANS["replace"]()))
    assert list(document)[:3] == ["formatVersion", "digest", "project"]
    assert document["summary"]["replace"] == document["summary"]["keep"] == 1
    (change,) = document["changes"]
    assert {"name", "action", "reason", "before", "after", "fields", "cost"} <= set(change)
    assert change["dataset"] | {"added": 14, "removed": 5, "reworded": 2} == change["dataset"]
    assert change["warnings"]
