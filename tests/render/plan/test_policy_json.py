"""`plan --policy-format json`: what rules of people's own are told, whole, and by its schema."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.support.paths import GOLDEN as GOLDEN_FOLDER
from tests.support.paths import ROOT
from tests.support.project_dir import Desk, desk

__all__ = ["desk"]

GOLDEN = GOLDEN_FOLDER / "policy.json"
REGO = ROOT / "docs/ci/policy.rego"
PROJECT = """\
apiVersion: tunedmodels.dev/v1
kind: Project
metadata: {name: demo}
spec:
  policy:
    requiredLabels: [team]
    maxCostUsd: 5
    blackouts: [{from: 2020-12-20, to: 2020-12-31, reason: holidays}]
"""
TONE = """\
apiVersion: tunedmodels.dev/v1
kind: TunedModel
metadata: {name: tone, labels: {tier: gold, team: support}}
spec:
  baseModel: models/embedded-label-001
  description: Says how a text sounds.
  dataset: {path: data/tone.jsonl}
---
apiVersion: tunedmodels.dev/v1
kind: TunedModel
metadata: {name: swap, labels: {team: ops}}
spec:
  tunedModel: tone
  dataset: {path: data/tone.jsonl}
"""


@pytest.fixture
def labelled(desk: Desk) -> Desk:
    """Two models with labels, and a policy that asks for them."""
    desk.write("manifests/tunedmodels.yaml", PROJECT)
    desk.write("manifests/tone.yaml", TONE)
    return desk


def asked(desk: Desk) -> dict[str, Any]:
    ended = desk.run("plan", "--policy-format", "json")
    assert (ended.code, ended.err) == (0, "")
    document: dict[str, Any] = json.loads(ended.out)
    return document


def test_rules_are_told_the_policy_the_models_and_the_plan(
    labelled: Desk, golden: Callable[[Path, str], None]
) -> None:
    first = labelled.run("plan", "--policy-format", "json").out
    assert first == labelled.run("plan", "--policy-format", "json").out
    golden(GOLDEN, re.sub(r'"tool": "\d[^"]+"', '"tool": "VERSION"', first))
    assert asked(labelled)["plan"] == labelled.plan()
    schema = json.loads(labelled.run("schema", "policy").out)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(json.loads(first))
    for part in ("models", "policy", "plan"):
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(
                {key: value for key, value in asked(labelled).items() if key != part}
            )


def test_a_model_that_needs_no_change_is_told_of_as_well(labelled: Desk) -> None:
    assert labelled.run("apply", "--yes").code == 0
    document = asked(labelled)
    assert document["plan"]["changes"] == []
    assert [(m["name"], m["labels"]) for m in document["models"]] == [
        ("swap", {"team": "ops"}),
        ("tone", {"team": "support", "tier": "gold"}),
    ]


@pytest.mark.parametrize("other", [("--format", "json"), ("--format", "text"), ("--drift-only",)])
def test_what_would_be_another_form_is_a_usage_error(desk: Desk, other: tuple[str, ...]) -> None:
    ended = desk.run("plan", "--policy-format", "json", *other)
    assert (ended.code, ended.out) == (1, "")
    assert "--policy-format" in ended.err


def test_a_plan_is_saved_beside_it_and_its_code_is_that_of_a_plan(labelled: Desk) -> None:
    arguments = ("--policy-format", "json", "--out", "plan.json", "--detailed-exitcode")
    ended = labelled.run("plan", *arguments)
    assert ended.code == 2
    assert json.loads(ended.out)["plan"] == json.loads(labelled.read("plan.json"))


def test_the_example_rules_ask_only_for_what_they_are_told(desk: Desk) -> None:
    schema = json.loads(desk.run("schema", "policy").out)
    parts = schema["$defs"]
    known = {
        "model": schema["properties"]["models"]["items"]["properties"],
        "change": parts["Change"]["properties"],
        "after": parts["Wanted"]["properties"],
        "before": parts["Version"]["properties"],
        "plan": schema["properties"]["plan"]["properties"],
        "input": {"plan", "models"} & schema["properties"].keys(),
    }
    rules = REGO.read_text(encoding="utf-8").partition("package main")[2]
    asked_for = re.findall(r"\b(model|change|after|before|plan)\.(?=(\w+))", rules)
    asked_for += [("input", name) for name in re.findall(r'object\.get\(input, "(\w+)"', rules)]
    assert {part for part, _ in asked_for} == known.keys()
    assert [(part, name) for part, name in asked_for if name not in known[part]] == []
