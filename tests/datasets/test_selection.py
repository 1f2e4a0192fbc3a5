"""The selection of examples: several files, limits, samples, drops and hold-outs."""

# ruff: noqa: RUF001  # texts of other scripts

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.dataset_files import ONE, TWO, WriteFile, source
from tunedmodels.datasets.examples import digest
from tunedmodels.datasets.limits import Limits
from tunedmodels.datasets.load import load, load_numbered
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.readers import read
from tunedmodels.datasets.scan import scan
from tunedmodels.datasets.scan_cache import ScanCache, ScanRequest
from tunedmodels.schema.dataset import ExampleFile, HoldOutPart, Part

ANY = Limits(min_examples=1, recommended=None)
SIZES = (10, 10, 0)


def rows(*pairs: tuple[str, str]) -> str:
    return "".join(json.dumps({"text_input": q, "output": a}) + "\n" for q, a in pairs)


def inputs(file: Path, declared: ExampleFile) -> list[str]:
    return [example.text_input for example in load(file, declared)]


def messages(file: Path, declared: ExampleFile) -> list[str]:
    problems = scan(file, declared, display_path="data", limits=ANY).problems
    return [f"{p.file}:{p.line}: {p.severity}: {p.message}" for p in problems]


def test_several_files_are_one_dataset(write: WriteFile, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    write("s/b.jsonl", f"{TWO}\n{TWO}\nno\n")
    write("s/a.csv", "text_input,output\none,1\n")
    write("s/c.txt", "not data")
    for path in (["s/a.csv", "s/b.jsonl"], ["s/*.csv", "s/b.*", "s/a.csv"], "s/[ab].*"):
        declared = source().model_copy(
            update={"path": tuple(path) if isinstance(path, list) else path}
        )
        result = scan(tmp_path, declared, display_path="data", limits=ANY)
        assert [f"{p.file}:{p.line}: {p.message}" for p in result.problems] == [
            "data/s/b.jsonl:2: is the same as data/s/b.jsonl:1",
            "data/s/b.jsonl:3: is not valid JSON: Input data was truncated",
        ]
        assert result.examples == 3
    write("s/b.jsonl", f"{TWO}\n")
    joined = write("all.jsonl", f"{ONE}\n{TWO}\n")
    declared = source().model_copy(update={"path": "s/[ab].*"})
    assert [row.line for row in load_numbered(tmp_path, declared)] == [2, 1]
    assert digest(load(tmp_path, declared)) == digest(load(joined, source()))


def test_a_pattern_without_a_file_and_a_link_outside_are_errors(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (tmp_path / "secret.jsonl").write_text(ONE)
    (root / "link.jsonl").symlink_to(tmp_path / "secret.jsonl")
    for pattern, message in (
        ("*.csv", "contains no file that matches '*.csv'"),
        ("*.jsonl", "contains link.jsonl, which links to a file outside the project"),
    ):
        problems = ProblemCollector("project")
        declared = source().model_copy(update={"path": pattern})
        assert not list(read(root, declared, problems))
        assert [problem.message for problem in problems.by_line()] == [message]


def test_the_cache_sees_a_new_file_of_a_pattern(write: WriteFile, tmp_path: Path) -> None:
    write("a.jsonl", f"{ONE}\n")
    declared = source().model_copy(update={"path": "*.jsonl"})
    cache = ScanCache(tmp_path / "cache", now_ns=lambda: 2**62)
    request = ScanRequest(tmp_path, declared, "data", ANY)
    assert cache.scan(request).examples == 1
    write("b.jsonl", f"{TWO}\n")
    assert cache.scan(request).examples == 2


def test_the_cache_distinguishes_every_setting(write: WriteFile, tmp_path: Path) -> None:
    file = write("a.jsonl", f"{ONE}\n{TWO}\n{TWO}\n")
    settings: Sequence[dict[str, Any]] = (
        {}, {"limit": 1}, {"sample": 1}, {"sample": {"size": 1, "seed": 4}},
        {"drop": ["duplicates"]},
        {"input": "{text_input}!"}, {"system": "{more}"},
    )  # fmt: skip
    keys = {ScanRequest(file, source(**each), "data", ANY).key for each in settings}
    assert len(keys) == len(settings)


def test_a_limit_keeps_the_first_and_a_sample_any_examples(write: WriteFile) -> None:
    file = write("a.jsonl", rows(*[(f"q{n}", "x") for n in range(2000)]))
    assert inputs(file, source(limit=3)) == ["q0", "q1", "q2"]
    samples = [inputs(file, source(sample={"size": 50, "seed": seed})) for seed in (0, 0, 1)]
    assert samples[0] == samples[1] != samples[2]
    for sample in samples:
        assert len(sample) == 50
        assert sample == sorted(sample, key=lambda text: int(text[1:]))
    assert inputs(file, source(sample=5000)) == [f"q{n}" for n in range(2000)]
    # Rows that are added change a sample only where they are chosen themselves.
    more = write("b.jsonl", file.read_text() + rows(*[(f"q{n}", "x") for n in range(2000, 2100)]))
    assert len({*inputs(more, source(sample=50))} & {*samples[0]}) > 40


def test_dropped_rows_are_counted_with_their_lines(write: WriteFile) -> None:
    content = rows(
        ("a", "1"), ("b", ""), ("c", "#N/A"), ("A ", "1"), ("long input text", "1"), ("d", "2")
    )
    file = write("a.jsonl", content)
    kinds = ["empty", "duplicates", "tooLong", "placeholders"]
    declared = source(drop=kinds).read_as("training", (), SIZES)
    assert inputs(file, declared) == ["a", "d"]
    assert messages(file, declared) == [
        "data:0: advice: drop: duplicates leaves out 1 row that occur earlier (line 4)",
        "data:0: advice: drop: empty leaves out 1 row with an empty text (line 2)",
        (
            "data:0: advice: drop: placeholders leaves out 1 row whose output is a placeholder "
            "(line 3)"
        ),
        "data:0: advice: drop: tooLong leaves out 1 row that are too long (line 5)",
    ]


HOLD_OUTS = (
    HoldOutPart("evaluation", 0.2, None, 7),
    HoldOutPart("validation", 0.3, "customer", 0),
)


def parts(file: Path, hold_outs: Sequence[HoldOutPart]) -> dict[str, list[str]]:
    names: tuple[Part, ...] = ("training", "evaluation", "validation")
    return {name: inputs(file, source().read_as(name, hold_outs, SIZES)) for name in names}


def customers(count: int) -> str:
    return "".join(
        json.dumps({"text_input": f"q{n}", "output": "x", "customer": n % 40}) + "\n"
        for n in range(count)
    )


def test_a_hold_out_is_stable_and_never_trained_on(write: WriteFile) -> None:
    small = parts(write("a.jsonl", customers(800)), HOLD_OUTS)
    large = parts(write("b.jsonl", customers(1000)), HOLD_OUTS)
    assert sorted(text for texts in small.values() for text in texts) == sorted(
        f"q{n}" for n in range(800)
    )
    for name, texts in small.items():
        assert [text for text in large[name] if int(text[1:]) < 800] == texts
    assert 120 < len(small["evaluation"]) < 200
    groups = {name: {int(text[1:]) % 40 for text in texts} for name, texts in small.items()}
    assert not groups["validation"] & groups["training"]
    other = parts(write("a.jsonl", customers(800)), [HOLD_OUTS[0]._replace(seed=8), HOLD_OUTS[1]])
    assert other["evaluation"] != small["evaluation"]


@given(
    texts=st.lists(st.sampled_from(["a", "A", " a\u200b", "b", "ｂ", "c d", "C  d"]), min_size=1)
)
def test_spellings_of_one_input_are_in_one_part(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    file = tmp_path_factory.getbasetemp() / "spellings.jsonl"
    file.write_text(rows(*[(text, "x") for text in texts]))
    for same in ("a", "b", "c d"):
        spellings = {"a": {"a", "A", " a\u200b"}, "b": {"b", "ｂ"}, "c d": {"c d", "C  d"}}[same]
        holding = [
            name
            for name, read_texts in parts(file, HOLD_OUTS[:1]).items()
            if spellings & {*read_texts}
        ]
        assert len(holding) <= 1
