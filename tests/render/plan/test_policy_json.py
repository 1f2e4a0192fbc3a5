"""`plan --format policy`: what rules of people's own are told, whole, and by its schema."""

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
from tests.support.project_dir import ProjectDir, project_dir

__all__ = ["project_dir"]

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
def labelled(project_dir: ProjectDir) -> ProjectDir:
    """Return a project with two labelled models, and a policy that requires labels."""
    project_dir.write("manifests/tunedmodels.yaml", PROJECT)
    project_dir.write("manifests/tone.yaml", TONE)
    return project_dir


def policy_document(project_dir: ProjectDir) -> dict[str, Any]:
    ended = project_dir.run("plan", "--format", "policy")
    assert (ended.code, ended.err) == (0, "")
    document: dict[str, Any] = json.loads(ended.out)
    return document


def test_the_document_has_the_policy_the_models_and_the_plan(
    labelled: ProjectDir, golden: Callable[[Path, str], None]
) -> None:
    first = labelled.run("plan", "--format", "policy").out
    assert first == labelled.run("plan", "--format", "policy").out
    golden(GOLDEN, re.sub(r'"tool": "\d[^"]+"', '"tool": "VERSION"', first))
    plan = labelled.plan()
    del plan["checksum"]  # of the whole file, which the policy document does not contain
    assert policy_document(labelled)["plan"] == plan
    schema = json.loads(labelled.run("schema", "policy").out)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(json.loads(first))
    for part in ("models", "policy", "plan"):
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(
                {key: value for key, value in policy_document(labelled).items() if key != part}
            )


def test_the_document_has_models_without_a_change(labelled: ProjectDir) -> None:
    assert labelled.run("apply", "--yes").code == 0
    document = policy_document(labelled)
    assert document["plan"]["changes"] == []
    assert [(m["name"], m["labels"]) for m in document["models"]] == [
        ("swap", {"team": "ops"}),
        ("tone", {"team": "support", "tier": "gold"}),
    ]


@pytest.mark.parametrize(
    "options",
    [
        ("--policy-format", "json", "--format", "json"),
        ("--policy-format", "json", "--format", "text"),
        ("--policy-format", "json", "--drift-only"),
        ("--format", "policy", "--drift-only"),
    ],
)
def test_two_forms_at_once_are_a_usage_error(
    project_dir: ProjectDir, options: tuple[str, ...]
) -> None:
    ended = project_dir.run("plan", *options)
    assert (ended.code, ended.out) == (1, "")
    assert "--drift-only" in ended.err or "--policy-format are mutually exclusive" in ended.err


def test_the_deprecated_option_prints_the_same_document_and_a_note(labelled: ProjectDir) -> None:
    deprecated = labelled.run("plan", "--policy-format", "json")
    assert (deprecated.code, json.loads(deprecated.out)) == (0, policy_document(labelled))
    note = "`plan --policy-format json` is deprecated; use `plan --format policy`."
    assert deprecated.err == f"Warning: {note}\n"


def test_the_plan_is_saved_too_and_the_exit_code_is_that_of_a_plan(labelled: ProjectDir) -> None:
    arguments = ("--format", "policy", "--out", "plan.json", "--detailed-exitcode")
    ended = labelled.run("plan", *arguments)
    assert ended.code == 2
    saved = json.loads(labelled.read("plan.json"))
    del saved["checksum"]  # of the file
    assert json.loads(ended.out)["plan"] == saved


def test_the_example_rules_read_only_fields_of_the_document(project_dir: ProjectDir) -> None:
    schema = json.loads(project_dir.run("schema", "policy").out)
    parts = schema["$defs"]
    fields = {
        "model": schema["properties"]["models"]["items"]["properties"],
        "change": parts["Change"]["properties"],
        "after": parts["Wanted"]["properties"],
        "before": parts["Version"]["properties"],
        "plan": schema["properties"]["plan"]["properties"],
        "input": {"plan", "models"} & schema["properties"].keys(),
    }
    rules = REGO.read_text(encoding="utf-8").partition("package main")[2]
    used_fields = re.findall(r"\b(model|change|after|before|plan)\.(?=(\w+))", rules)
    used_fields += [("input", name) for name in re.findall(r'object\.get\(input, "(\w+)"', rules)]
    assert {part for part, _ in used_fields} == fields.keys()
    assert [(part, name) for part, name in used_fields if name not in fields[part]] == []
