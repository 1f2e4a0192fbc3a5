"""A plan in every form: every state as a whole golden file, and laws of text and JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from tests.support.paths import GOLDEN as GOLDEN_FOLDER
from tests.support.plans import EXAMPLES, PLANS
from tunedmodels import __version__
from tunedmodels.cli.plan import FORMS
from tunedmodels.render.layout import columns
from tunedmodels.render.plan import RENDERERS, Reading
from tunedmodels.render.plan.json import plan_document, plan_json, plan_schema
from tunedmodels.render.plan.text import plan_text

GOLDEN = GOLDEN_FOLDER / "plan"
ENDINGS = {"text": "txt", "json": "json", "markdown": "md", "html": "html"}
READING = Reading(EXAMPLES, head="3c9d2e1", base="main@a81f0c4")


every_plan = pytest.mark.parametrize("name", PLANS)


@pytest.mark.parametrize("form", RENDERERS)
@every_plan
def test_a_plan_in_every_form_is_the_golden_file(
    name: str, form: str, golden: Callable[[Path, str], None]
) -> None:
    shown = RENDERERS[form](PLANS[name](), READING)
    golden(GOLDEN / f"{name}.{ENDINGS[form]}", shown.replace(__version__, "VERSION"))


def test_every_golden_file_has_its_plan() -> None:
    there = {path.name for path in GOLDEN.iterdir()}
    assert there == {f"{name}.{ending}" for name in PLANS for ending in ENDINGS.values()}


def test_the_command_line_offers_every_form() -> None:
    assert list(RENDERERS) == FORMS


@pytest.mark.parametrize("form", RENDERERS)
@every_plan
def test_equal_plans_give_equal_bytes_and_nothing_invisible(name: str, form: str) -> None:
    render, plan = RENDERERS[form], PLANS[name]()
    shown = render(plan, READING)
    assert shown == render(type(plan).model_validate(plan.model_dump()), READING)
    assert shown.encode().endswith(b"\n")
    # A plan in Markdown breaks mentions with a space of no width; no other sign is invisible.
    assert shown.replace("\n", "").replace("\N{ZERO WIDTH SPACE}", "").isprintable()


@every_plan
def test_every_document_fits_the_published_schema(name: str) -> None:
    schema = plan_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(plan_document(PLANS[name]()), schema)


@every_plan
def test_no_line_is_wide_or_ends_in_blanks_or_steers_the_terminal(name: str) -> None:
    text = plan_text(PLANS[name](), examples=EXAMPLES)
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    for line in text[:-1].split("\n"):
        assert columns(line) <= 100, line
        assert line == line.rstrip()
        assert line.isprintable()


@every_plan
def test_colour_adds_nothing_but_colour(name: str) -> None:
    plan = PLANS[name]()
    coloured = plan_text(plan, examples=EXAMPLES, style=lambda text, role: f"<{role}>{text}</>")
    bare = re.sub(r"</>|<(?:create|replace|wait|retry|promote|update|cancel|delete|conflict|failed"
                  r"|rejected|bold|good|warning|error)>", "", coloured)  # fmt: skip
    assert bare == plan_text(plan, examples=EXAMPLES)


@every_plan
def test_the_counts_in_the_summary_add_up(name: str) -> None:
    plan = PLANS[name]()
    document = plan_document(plan)
    assert sum(document["summary"].values()) == len(plan.changes) + plan.unchanged
    text = plan_text(plan)
    said = r"(\d+) (?:to \w+|in conflict|failed|not promoted)"
    counted = re.findall(said, text.partition("Plan: ")[2])
    assert sum(map(int, counted)) in (0, len(plan.changes))


@every_plan
def test_the_document_is_plain_ascii(name: str) -> None:
    text = plan_json(PLANS[name]())
    assert text.isascii()
    assert text.replace("\n", "").isprintable()


def test_snippets_are_shown_only_where_they_are_given() -> None:
    plan = PLANS["replace"]()
    assert "invoice" in plan_text(plan, examples=EXAMPLES)
    assert "invoice" not in plan_text(plan) + plan_json(plan)


def test_json_has_the_shape_that_other_programs_rest_on() -> None:
    document = json.loads(plan_json(PLANS["replace"]()))
    assert list(document)[:3] == ["formatVersion", "digest", "project"]
    assert document["summary"]["replace"] == document["summary"]["keep"] == 1
    (change,) = document["changes"]
    assert {"name", "action", "reason", "before", "after", "fields", "cost"} <= set(change)
    assert change["dataset"] | {"added": 14, "removed": 5, "reworded": 2} == change["dataset"]
    assert change["warnings"]
