"""JSON documents: arrays and columns, the lines of their rows, and documents that are too large."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.dataset_files import ONE, TWO, WriteFile, read_rows, source
from tunedmodels.datasets.limits import GEMINI_API
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.readers import json_document, read
from tunedmodels.datasets.readers.json_document import MAX_DOCUMENT_BYTES
from tunedmodels.datasets.scan import scan


@pytest.mark.parametrize(
    ("content", "problem", "row_count"),
    [
        (f"[{ONE},\n{{]",
         "2: malformed: is not valid JSON: Expecting property name enclosed in double quotes", 0),
        (f"[{ONE}\n{TWO}]", "2: malformed: is not valid JSON: Expecting ',' delimiter", 0),
        (f"[{ONE}]\n[]", "2: malformed: continues after the end of the document", 0),
        ("[]x", "1: malformed: continues after the end of the document", 0),
        (f"{ONE}\n{TWO}\n[]", "3: not-an-object: is an array, not an object", 2),
        ("hello", "1: malformed: is not valid JSON: Expecting value", 0),
        (" \n", "2: malformed: is not valid JSON: Expecting value", 0),
        ("{5}",
         "1: malformed: is not valid JSON: Expecting property name enclosed in double quotes", 0),
        ("[" * 9000, "0: malformed: is nested too deeply", 0),
        (f"[{'1' * 5000}]", "1: not-an-object: is a number, not an object", 0),
        ("5", "0: malformed: is a number, not an array", 0),
        ('{"text_input": ["one"],\n"output": "1"}',
         "2: malformed: the field 'output' is a string, not an array of strings", 0),
        (f"[{ONE},\n7]", "2: not-an-object: is a number, not an object", 1),
        ('{"text_input": ["a", "b"],\n"output": ["1"]}',
         "1: uneven-columns: the column 'text_input' is longer than 'output'", 1),
        ('{"text_input": ["a"],\n"output": ["1", "2"]}',
         "2: uneven-columns: the column 'output' is longer than 'text_input'", 1),
        ('{"text_input": ["a", [5]],\n"output": ["1", "2"]}',
         "1: not-a-text: is an array, not a string", 1),
        ('{"text_input": [], "output": [\n"1"]}',
         "2: uneven-columns: the column 'output' is longer than 'text_input'", 0),
        ('{"textInput": ["a"], "output": ["1"]}',
         "0: missing-field: has no field 'text_input'; it has 'textInput', 'output'", 0),
        ("{}", "0: missing-field: has no field 'text_input'; it has no fields", 0),
    ],
)  # fmt: skip
def test_a_problem_in_a_json_document_is_reported_with_its_line(
    write: WriteFile, content: str, problem: str, row_count: int
) -> None:
    rows, problems = read_rows(write("a.json", content))
    assert problem in problems
    assert len(rows) == row_count


def test_a_row_of_a_json_document_that_is_not_utf8_leaves_the_others(write: WriteFile) -> None:
    content = f'[{ONE},\n{{"text_input": "caf\udce9", "output": "1"}},\n{TWO},\n"東京"]'.encode(
        errors="surrogateescape"
    )
    result = scan(write("a.json", content), source(), display_path="a.json", limits=GEMINI_API)
    errors = [p for p in result.problems if p.code == "not-utf8"]
    assert [p.location for p in errors] == ["a.json:2: text_input"]
    assert result.labels == {"1": 1, "2": 1}


def test_the_rows_of_a_long_json_document_have_their_lines(write: WriteFile) -> None:
    written = [{"n": 12345678, "text_input": f"é{i}" * 20, "output": "x"} for i in range(3000)]
    rows, problems = read_rows(write("a.json", json.dumps(written, indent=1)))
    assert not problems
    assert [row[0] for row in rows] == [row["text_input"] for row in written]
    assert [row[2] for row in rows] == [2 + 5 * i for i in range(3000)]


def test_nested_arrays_and_brackets_in_texts_do_not_shift_the_lines(write: WriteFile) -> None:
    content = """[ {"more": [[1,\n2], {"x": "]"}], "text_input": "one", "output": "1"}\n,
        {"text_input": "two", "output": "2", "text": "[,:\\"]"}\n]\n"""
    assert read_rows(write("a.json", content)) == ([("one", "1", 1), ("two", "2", 4)], [])
    columns = '{"x": {"output": ["0"]},\n"output" :\n["1",\n"2"], "text_input"\n: [\n"one", "two"]}'
    assert read_rows(write("b.json", columns)) == ([("one", "1", 6), ("two", "2", 6)], [])


def test_a_json_document_over_64_mib_is_refused_before_it_is_read(
    write: WriteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write("a.json", b"[" + b" " * 9000)
    with file.open("r+b") as opened:
        opened.truncate(MAX_DOCUMENT_BYTES + 1)
    monkeypatch.delattr(Path, "read_bytes")
    rows, problems = read_rows(file)
    assert not rows
    assert problems == [
        "0: document-too-large: has 67,108,865 bytes; a JSON document may have 67,108,864 (64 MiB)"
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("array.json", f"\ufeff [{ONE},\n{TWO}]"),
        ("its 'columns'.json", '{"n": 5, "text_input": ["one", "two"], "output": ["1", "2"]}'),
        ("more columns.json", '{"x": [[1]], "text_input": ["one", "two"], "output": ["1", "2"]}'),
        ("json as.jsonl", f"[{ONE},{TWO}]"),
        ("no-suffix", f"[{ONE},{TWO}]"),
    ],
)
def test_the_command_for_a_json_document_that_is_too_large_converts_it(
    write: WriteFile, monkeypatch: pytest.MonkeyPatch, name: str, content: str
) -> None:
    file = write(name, content)
    monkeypatch.setattr(json_document, "MAX_DOCUMENT_BYTES", len(content) - 10)
    problems = ProblemCollector(name)
    assert not list(read(file, source("json"), problems))
    (problem,) = problems.by_line()
    sentence, command = problem.cure.splitlines()
    assert sentence == "Convert it to JSON Lines, which have no limit, and declare the new file:"
    subprocess.run(["bash", "-c", command], cwd=file.parent, check=True)
    (converted,) = {*file.parent.iterdir()} - {file}
    assert read_rows(converted) == ([("one", "1", 1), ("two", "2", 2)], [])


def test_the_command_for_a_remote_json_document_names_the_local_copy(
    write: WriteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write("copy.json", f"[{ONE}]")
    monkeypatch.setattr(json_document, "MAX_DOCUMENT_BYTES", 10)
    problems = ProblemCollector("gs://bucket/a.json")
    assert not list(read(file, source(), problems))
    assert f"< {file} > {file.with_suffix('.jsonl')}" in problems.by_line()[0].cure
