"""Prompts over several fields, known field names, and fields that no example contains."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.dataset_files import WriteFile, read_rows, source
from tunedmodels.datasets.examples import Conversation
from tunedmodels.datasets.limits import Limits
from tunedmodels.datasets.load import load
from tunedmodels.datasets.scan import scan

ANY = Limits(min_examples=1, recommended=None)


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("row", "pair"),
    [
        ({"prompt": "a", "completion": "b"}, ("a", "b")),
        ({"instruction": "do", "input": "a", "output": "b"}, ("do\na", "b")),
        ({"instruction": "do", "input": "", "output": "b"}, ("do", "b")),
        ({"instruction": "do", "output": "b"}, ("do", "b")),
        ({"instruction": "do", "context": "c", "response": "b", "category": "x"}, ("do\nc", "b")),
    ],
)
def test_known_field_names_are_recognised(
    write: WriteFile, row: dict[str, str], pair: tuple[str, str]
) -> None:
    assert read_rows(write("a.jsonl", lines(row))) == ([(*pair, 1)], [])
    assert read_rows(write("a.json", json.dumps([row]))) == ([(*pair, 1)], [])
    table = ",".join(row) + "\n" + ",".join(row.values()) + "\n"
    assert read_rows(write("a.csv", table)) == ([(*pair, 2)], [])


def test_a_template_drops_the_lines_whose_fields_are_empty(write: WriteFile) -> None:
    declared = source(input="Q: {q}\nContext: {c}\n{{end}}", output="{n}", system="{s}")
    file = write(
        "a.jsonl",
        lines(
            {"q": "one", "c": "two", "n": 1.50, "s": "S"}, {"q": "one", "c": " ", "n": 2, "s": ""}
        ),
    )
    first, second = load(file, declared)
    assert (first.text_input, first.output) == ("S\nQ: one\nContext: two\n{end}", "1.5")
    assert isinstance(first, Conversation)
    assert first.is_pair
    assert (second.text_input, second.output) == ("Q: one\n{end}", "2")


def test_the_text_of_a_number_is_its_text_in_the_file(write: WriteFile) -> None:
    rows = '{"text_input": "a", "output": 1.50}\n{"text_input": true, "output": 1e5}\n'
    assert read_rows(write("a.jsonl", rows)) == ([("a", "1.50", 1), ("true", "1e5", 2)], [])
    assert read_rows(write("a.json", f"[{rows.strip().replace(chr(10), ',')}]"))[0] == [
        ("a", "1.50", 1),
        ("true", "1e5", 1),
    ]
    table = read_rows(write("a.csv", "text_input,output\na,1.50\ntrue,1e5\n"))[0]
    assert [row[:2] for row in table] == [("a", "1.50"), ("true", "1e5")]


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("no field", "cannot be read with these templates: it names no field in braces"),
        ("{", "cannot be read with these templates: Single '{' encountered in format string"),
        ("{a!r}", "cannot be read with these templates: {a} is not the name of a field"),
        ("{z}", "has no field 'z'; it has 'a', 'output'"),
    ],
)
def test_a_template_that_cannot_be_read_is_one_problem(
    write: WriteFile, template: str, problem: str
) -> None:
    declared = source(input=template)
    for name, content in (
        ("a.jsonl", lines({"a": "1", "output": "2"})),
        ("a.csv", "a,output\n1,2\n"),
        ("a.json", json.dumps([{"a": "1", "output": "2"}])),
    ):
        rows, problems = read_rows(write(name, content), declared)
        assert rows == []
        assert [each.partition(": ")[2].partition(": ")[2] for each in problems] == [problem]


def test_fields_with_text_that_are_not_read_are_named_once(write: WriteFile) -> None:
    rows = [
        {"text_input": f"q{i}", "output": "x", "note": "two words", "id": "a1"} for i in range(3)
    ]
    (problem,) = scan(
        write("a.jsonl", lines(*rows)), source(), display_path="a", limits=ANY
    ).problems
    assert (problem.severity, problem.code) == ("warning", "unread-field")
    assert problem.message == "the field 'note' is not read"


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "json"])
def test_a_field_that_tells_equal_inputs_apart_must_be_read(write: WriteFile, suffix: str) -> None:
    rows = [
        {"task": f"do the {task}", "input": text, "output": f"{text} {task}"}
        for text in ("cup", "hat")
        for task in ("first", "second")
    ]
    contents = {
        "jsonl": lines(*rows),
        "json": json.dumps(rows),
        "csv": "\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows)]),
    }
    file = write(f"a.{suffix}", contents[suffix])
    declared = source(input_field="input")
    result = scan(file, declared, display_path="a", limits=ANY)
    (problem,) = result.problems
    assert not result.is_usable
    assert problem.message == (
        "the field 'task' is not read, and without it 2 inputs repeat with another output"
    )
    assert problem.cure == 'Set input: "{task}\\n{input}" to read task, too.'
    cured = source(input_field="input", input="{task}\n{input}")
    assert scan(file, cured, display_path="a", limits=ANY).problems == ()
