"""Preferences: two responses to each input, in every format, with the checks of examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunedmodels.datasets.examples import Preference, digest
from tunedmodels.datasets.limits import Limits
from tunedmodels.datasets.load import load_preferences
from tunedmodels.datasets.scan import DatasetScan, scan_preferences
from tunedmodels.datasets.scan_cache import ScanCache, ScanRequest
from tunedmodels.errors import Severity
from tunedmodels.schema.tuned_model import TrainingFile

LIMITS = Limits(min_examples=1, recommended=None)
ROWS = [Preference(f"ask {n}", f"good {n}", f"bad {n}") for n in range(3)]


def turn(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"text": text}]}


def conversation(row: Preference) -> dict[str, Any]:
    return {
        "contents": [turn("user", row.text_input)],
        "completions": [
            {"score": 0, "completion": turn("model", row.rejected)},
            {"score": 1, "completion": turn("model", row.output)},
        ],
    }


def lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


PAIRS = [{"text_input": r.text_input, "output": r.output, "rejected": r.rejected} for r in ROWS]
FILES = {
    "d.jsonl": lines(PAIRS),
    "d.json": json.dumps(PAIRS),
    "d.csv": "text_input,output,rejected\n"
    + "".join(f"{r.text_input},{r.output},{r.rejected}\n" for r in ROWS),
    "contents.jsonl": lines([conversation(row) for row in ROWS]),
}


def scan(file: Path, **source: Any) -> DatasetScan:
    read_as = TrainingFile(path=file.name, **source)
    return scan_preferences(file, read_as, "rejected", display_path=file.name, limits=LIMITS)


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_same_preferences(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text(FILES[name])
    result = scan(file)
    assert result.problems == ()
    assert result.digest == digest(ROWS)
    assert load_preferences(file, TrainingFile(path=name), "rejected") == ROWS
    assert result.tokens > 0


def test_the_worse_response_is_part_of_the_digest() -> None:
    other = [*ROWS[:2], Preference("ask 2", "good 2", "worse 2")]
    assert digest(other) != digest(ROWS)


TWO_TURNS = [turn("user", "a"), turn("model", "b")]
WRONG = {
    "missing": (lines([{"text_input": "a", "output": "b"}]), "missing-field", "rejected"),
    "empty": (lines([{**PAIRS[0], "rejected": ""}]), "empty-text", "is empty"),
    "same": (
        lines([PAIRS[0], {**PAIRS[0], "rejected": "good 0"}]),
        "no-preference",
        "the first is example 2",
    ),
    "scores": (
        lines([{**conversation(ROWS[0]), "completions": []}]),
        "not-a-preference",
        "are not two",
    ),
    "turns": (
        lines([{**conversation(ROWS[0]), "contents": TWO_TURNS}]),
        "not-a-preference",
        "does not end with a user turn",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_row_that_is_not_a_preference_is_an_error(tmp_path: Path, case: str) -> None:
    text, code, message = WRONG[case]
    file = tmp_path / "d.jsonl"
    file.write_text(text)
    result = scan(file)
    assert not result.is_usable
    (problem,) = {p for p in result.problems if p.severity is Severity.ERROR}
    assert problem.code == code
    assert message in problem.message


def test_preferences_are_not_read_as_examples(tmp_path: Path) -> None:
    file = tmp_path / "d.jsonl"
    file.write_text(FILES["contents.jsonl"])
    result = ScanRequest(
        file, TrainingFile(path="d.jsonl"), display_path="d.jsonl", limits=LIMITS
    ).scan()
    assert "set method: preference" in result.problems[0].message


def test_the_cache_distinguishes_scans_of_preferences_and_of_examples(tmp_path: Path) -> None:
    file = tmp_path / "d.jsonl"
    file.write_text(FILES["d.jsonl"])
    cache = ScanCache(tmp_path / "cache")
    requests = [
        ScanRequest(file, TrainingFile(path="d.jsonl"), "d.jsonl", LIMITS, rejected_field=field)
        for field in (None, "rejected")
    ]
    examples, preferences = map(cache.scan, requests)
    assert examples.digest != preferences.digest == digest(ROWS)
