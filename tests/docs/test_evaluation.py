"""docs/evaluation.md: its manifest, metrics and tables are those of the code."""

from __future__ import annotations

import re

import pytest
import yaml

from benchmarks import gates
from benchmarks.tables import Table
from tests.evaluation.test_gate import scores
from tests.support.builders import evaluation
from tests.support.paths import ROOT
from tunedmodels.evaluation.gate import evaluate_gate
from tunedmodels.evaluation.metrics import METRICS
from tunedmodels.schema.dataset import HeldOutFile
from tunedmodels.schema.tuned_model import Evaluation, TunedModelManifest
from tunedmodels.stamp import Decision

PAGE = (ROOT / "docs/evaluation.md").read_text(encoding="utf-8")
TABLES: dict[str, Table] = {"better": gates.BETTER_TABLE, "not-worse": gates.NOT_WORSE_TABLE}


def test_the_manifest_is_valid_and_contains_every_field() -> None:
    manifest = yaml.safe_load(PAGE.partition("```yaml\n")[2].partition("```")[0])
    TunedModelManifest.model_validate(manifest)
    # The other settings of its file are those of every dataset: docs/datasets.md.
    common = {*HeldOutFile.model_fields} - {"path", "input_field", "output_field"}
    fields = {field.alias for name, field in Evaluation.model_fields.items() if name not in common}
    assert set(manifest["spec"]["evaluation"]) == fields


def test_the_page_describes_every_metric() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (.*) \|$", PAGE.partition("## Significance")[0], re.MULTILINE
    )
    assert dict(rows) == {name: metric.description for name, metric in METRICS.items()}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_the_columns_and_rows_of_the_benchmark(name: str) -> None:
    _, _, below = PAGE.partition(f"<!-- printed: {name} -->\n")
    head, line, *rows = below.split("\n\n")[0].splitlines()
    assert f"{head}\n{line}" == TABLES[name].markdown_head
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == list(TABLES[name].rows)


def test_a_row_of_a_table_has_the_simulated_values() -> None:
    measured = gates.BETTER_TABLE.rows["20 examples, true gain +0.00"]()
    assert f"| 20 examples, true gain +0.00 | {' | '.join(measured)} |" in PAGE


def test_the_example_report_is_the_golden_file() -> None:
    shown = PAGE.partition("$ tunedmodels evaluate support-triage\n")[2].partition("\n```")[0]
    golden = (ROOT / "tests/golden/evaluation/better.txt").read_text(encoding="utf-8")
    assert golden.startswith(f"{shown}\n\n")


def test_the_statements_on_numbers_of_examples_are_true() -> None:
    assert "twenty right answers of twenty are 0.88 to 1.00" in PAGE
    assert "(0.88 to 1.00)" in evaluate_gate(evaluation(at_least=0.5), scores(20, 20)).message
    assert "to show 0.90, 100 examples need a score of about 0.95" in PAGE
    assert evaluate_gate(evaluation(at_least=0.9), scores(95, 100)).decision is Decision.PASSED
    assert evaluate_gate(evaluation(at_least=0.9), scores(93, 100)).decision is not Decision.PASSED
