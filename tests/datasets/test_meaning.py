"""What examples mean: spellings of one label or input, placeholders, and different examples."""

# ruff: noqa: RUF001  # texts of other scripts

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunedmodels.datasets.checks.leakage import DatasetFile, find_overlap
from tunedmodels.datasets.folding import fold
from tunedmodels.datasets.limits import Limits
from tunedmodels.datasets.scan import DatasetScan, scan
from tunedmodels.schema.tuned_model import ExampleFile

ANY = Limits(min_examples=1, recommended=None)
SOURCE = ExampleFile(path="x")


def scan_rows(folder: Path, *rows: tuple[str, str], limits: Limits = ANY) -> DatasetScan:
    file = folder / "data.jsonl"
    file.write_text("".join(json.dumps({"text_input": q, "output": a}) + "\n" for q, a in rows))
    return scan(file, SOURCE, display_path="data", limits=limits)


@pytest.mark.parametrize(
    "other", ["Billing ", "BILLING", "bill\u200bing", "ｂｉｌｌｉｎｇ", "billing\u00a0"]
)
def test_spellings_of_one_text_have_one_key(other: str) -> None:
    assert fold(other) == fold("billing")
    assert fold("bill ing") != fold("billing")


def test_spellings_of_a_label_are_named_with_their_counts(tmp_path: Path) -> None:
    labels = ["billing", "Billing", "billing", "bug", "bill\u200bing"]
    result = scan_rows(tmp_path, *[(f"q{n}", label) for n, label in enumerate(labels)])
    (problem,) = result.problems
    assert (problem.severity, problem.code, problem.line) == ("warning", "label-spellings", 5)
    assert problem.message == (
        "3 spellings of one label: 'billing' (2), 'Billing' (1) and 'bill\\u200bing' (1)"
    )


@pytest.mark.parametrize("text", ["#N/A", "nan", "NULL", "None", "TODO", " #REF! "])
def test_a_placeholder_is_named_with_its_line(tmp_path: Path, text: str) -> None:
    (problem,) = scan_rows(tmp_path, ("a", "1"), ("b", text)).problems
    assert (problem.severity, problem.code, problem.line) == ("warning", "placeholder", 2)
    assert problem.message == f"is {text.strip()!r}, which means a missing value"


def test_inputs_that_differ_only_in_their_spelling_are_named(tmp_path: Path) -> None:
    result = scan_rows(tmp_path, ("Hello  you", "x"), ("hello you", "x"), ("HELLO YOU", "y"))
    assert [(p.line, p.code) for p in result.problems] == [
        (2, "near-duplicate"),
        (3, "near-contradiction"),
    ]
    assert result.is_usable


def test_the_number_of_examples_counts_different_ones(tmp_path: Path) -> None:
    limits = Limits(min_examples=20)
    result = scan_rows(tmp_path, *[(f"q{n % 10}", "x") for n in range(40)], limits=limits)
    messages = [p.message for p in result.problems if p.code == "too-few-examples"]
    assert messages == ["has 40 examples, of which 10 are different; tuning works with 20 or more"]


def test_rows_without_any_text_are_skipped_like_blank_lines(tmp_path: Path) -> None:
    result = scan_rows(tmp_path, ("a", "1"), ("", " "), ("b", "2"))
    assert (result.examples, result.problems) == (2, ())


def test_totals_count_every_problem(tmp_path: Path) -> None:
    rows = [(f"q{n}", "" if n % 2 else "x") for n in range(4000)]
    result = scan_rows(tmp_path, *rows)
    assert sum(p.count for p in result.problems if p.severity == "error") == 2000
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"text_input": "a"}\n' * 3000)
    result = scan(bad, SOURCE, display_path="bad", limits=ANY)
    assert [p.code for p in result.problems] == ["missing-field"]


def test_a_file_above_the_limit_is_refused_without_being_read(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    with file.open("wb") as opened:
        opened.truncate(1_000_000_000)
    limits = Limits(max_bytes=999_999_999)
    assert [p.code for p in scan(file, SOURCE, display_path="x", limits=limits).problems] == [
        "file-too-large"
    ]


def test_an_input_in_another_spelling_is_in_both_files(tmp_path: Path) -> None:
    files = []
    for name, text in (("train", "Where is my Order?"), ("eval", "where is  my order?")):
        file = tmp_path / f"{name}.jsonl"
        file.write_text(json.dumps({"text_input": text, "output": "x"}) + "\n")
        files.append(DatasetFile(file, SOURCE, file.name))
    (problem,) = find_overlap(*files)
    assert problem.message == "the input is also in the training set, at train.jsonl:1"
