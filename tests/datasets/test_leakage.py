"""Leakage: held-out inputs that are in the training set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunedmodels.datasets.checks.leakage import DatasetFile, find_overlap
from tunedmodels.schema.tuned_model import ExampleFile


def write_dataset(folder: Path, name: str, inputs: list[str]) -> DatasetFile:
    file = folder / name
    if name.endswith(".csv"):
        file.write_text("ask,answer\n" + "".join(f'"{text}",x\n' for text in inputs))
        return DatasetFile(
            file, ExampleFile(path=name, input_field="ask", output_field="answer"), name
        )
    rows = [json.dumps({"text_input": text, "output": "y"}) + "\n" for text in inputs]
    file.write_text("".join(rows))
    return DatasetFile(file, ExampleFile(path=name), name)


@pytest.mark.parametrize("padding", [0, 50], ids=["train is smaller", "train is larger"])
def test_inputs_in_both_files_are_reported_with_both_lines(tmp_path: Path, padding: int) -> None:
    filler = [f"only in the training set {number}" for number in range(padding)]
    train = write_dataset(tmp_path, "train.jsonl", ["a", "b\nb", "a", "c", *filler])
    held_out = write_dataset(
        tmp_path, "eval.csv", ["new", "b\r\nb", "a", "other", "b\nb", "and more"]
    )
    warnings = find_overlap(train, held_out)
    assert [(p.location, p.severity, p.code, p.message) for p in warnings] == [
        (
            f"eval.csv:{line}: ask",
            "warning",
            "overlap",
            f"the input is also in the training set, at {place}",
        )
        for line, place in [(3, "train.jsonl:2"), (5, "train.jsonl:1"), (7, "train.jsonl:2")]
    ]


def test_files_without_common_inputs_and_missing_files_do_not_overlap(tmp_path: Path) -> None:
    one, other = (
        write_dataset(tmp_path, "a.jsonl", ["a"]),
        write_dataset(tmp_path, "b.jsonl", ["b"]),
    )
    assert find_overlap(one, other) == ()
    assert find_overlap(one._replace(file=tmp_path / "absent.jsonl"), other) == ()
