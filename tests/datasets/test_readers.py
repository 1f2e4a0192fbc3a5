"""Every format, every way in which a row can be wrong, and no byte that makes a reader raise."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunedmodels.datasets.examples import Example, digest
from tunedmodels.datasets.limits import GEMINI_API
from tunedmodels.datasets.load import load
from tunedmodels.datasets.problems import Found
from tunedmodels.datasets.readers import READERS, read
from tunedmodels.datasets.readers.jsonl import BATCH_BYTES, LINE_BYTES
from tunedmodels.datasets.scan import survey
from tunedmodels.datasets.source import Format
from tunedmodels.errors import ProblemsFoundError
from tunedmodels.schema.tuned_model import Examples

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), min_size=1)
EXAMPLES = st.lists(st.builds(Example, TEXTS, TEXTS), min_size=1, max_size=8)


def source(format_: Format | None = None, **fields: str) -> Examples:
    return Examples(path="x", format=format_, **fields)


def rows(file: Path, said: Examples | None = None) -> tuple[list[tuple[str, str, int]], list[str]]:
    """The rows (input, output, line) of a file, and `line: code: message` of its problems."""
    found = Found("data")
    read_rows = [
        row
        for block in read(file, said or source(), found)
        for row in zip(block.inputs, block.outputs, block.lines, strict=True)
    ]
    return read_rows, [f"{p.line}: {p.code}: {p.message}" for p in found.problems()]


Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(name: str, content: str | bytes) -> Path:
        file = tmp_path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    return written


GOOD = [("one", "1", 0), ("two", "2", 0)]
ONE, TWO = (
    '{"text_input": "one", "output": "1"}',
    '{"output": "2", "more": [1], "text_input": "two"}',
)
USER = '{"role": "user", "parts": [{"text": "one"}]}'
MODEL = '{"role": "model", "parts": [{"text": "1"}]}'
PAIR = f'{{"contents": [{USER}, {MODEL}]}}'


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        ("a.jsonl", f"{ONE}\n{TWO}\n", [1, 2]),
        ("no-last-line-end.jsonl", f"{ONE}\n{TWO}", [1, 2]),
        ("blank-lines.jsonl", f"\n{ONE}\n  \n\r\n{TWO}\n\n", [2, 5]),
        ("bom.jsonl", f"\ufeff{ONE}\r\n{TWO}\r\n", [1, 2]),
        ("UPPER.JSONL", f"{ONE}\n{TWO}\n", [1, 2]),
        ("array.json", f"[{ONE},\n\n {TWO}]\n", [1, 3]),
        ("one-line.json", f"[{ONE},{TWO}]", [1, 1]),
        ("bom.json", f"\ufeff [{ONE},\n{TWO}]", [1, 2]),
        ("columns.json", '{"n": 5,\n"text_input": ["one",\n"two"], "output": ["1", "2"]}', [2, 3]),
        ("swapped.json", '{"output": ["1", "2"], "x": [[1]],\n"text_input":["one","two"]}', [2, 2]),
        ("a.csv", "text_input,output\none,1\ntwo,2\n", [2, 3]),
        ("bom.csv", '\ufefftext_input,output\r\n"one",1\r\ntwo,2', [2, 3]),
        ("mac.csv", "text_input,output\rone,1\rtwo,2\r", [2, 3]),
        ("blank-lines.csv", "\n\noutput,n,text_input\n1,,one\n\n2,,two\n\n", [4, 6]),
        ("a.tsv", "text_input\toutput\none\t1\ntwo\t2\n", [2, 3]),
    ],
)  # fmt: skip
def test_every_format_gives_the_same_rows_with_their_lines(
    write: Write, name: str, content: str, lines: list[int]
) -> None:
    found, problems = rows(write(name, content))
    assert problems == []
    assert found == [(*good[:2], line) for good, line in zip(GOOD, lines, strict=True)]


def test_a_quoted_text_spans_lines_and_the_rows_after_it_keep_their_lines(write: Write) -> None:
    content = 'text_input,output\n"a\nb\r\nc",1\nnext,"2\n"\nlast,3\nshort\n'
    found, problems = rows(write("x.csv", content))
    assert found == [("a\nb\r\nc", "1", 2), ("next", "2\n", 5), ("last", "3", 7)]
    assert problems == ["8: malformed: has 1 column, the header has 2"]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.jsonl", '{"text_input": }', "2: malformed: is no JSON: invalid character (byte 15)"),
        ("a.jsonl", f"{ONE}{TWO}", "2: malformed: is no JSON: trailing characters (byte 37)"),
        ("a.jsonl", '{"text_input": "a",', "2: malformed: is no JSON: Input data was truncated"),
        ("a.jsonl", "[" * 9000, "2: malformed: is nested too deeply"),
        ("a.jsonl", '["one", "1"]', "2: not-an-object: is an array, not an object"),
        ("a.jsonl", "null", "2: not-an-object: is null, not an object"),
        ("a.jsonl", '{"text_input": 7, "output": "x"}',
         "2: not-a-text: is a number (7), not a text"),
        ("a.jsonl", '{"text_input": "x", "output": null}', "2: not-a-text: is null, not a text"),
        ("a.jsonl", '{"text_input": "x", "output": true}',
         "2: not-a-text: is true or false, not a text"),
        ("a.jsonl", '{"text_input": "x", "out": "1"}',
         "2: missing-field: has no field 'output'; it has 'text_input', 'out'"),
        ("a.jsonl", "{}", "2: missing-field: has no field 'text_input', nor any other"),
        ("a.jsonl", b'{"text_input": "caf\xe9", "output": "1"}',
         "2: not-utf8: byte 0xe9 at column 20 is not UTF-8"),
        ("a.jsonl", '{"text_input": "\\ud800", "output": "1"}',
         "2: malformed: is no JSON: unexpected end of escaped utf-16 surrogate pair (byte 22)"),
        ("a.csv", "one,1,\n", "3: malformed: has 3 columns, the header has 2"),
        ("a.csv", '"one"x,1\n', "3: malformed: is no row: ',' expected after '\"'"),
        ("a.csv", '"one,1', "3: malformed: is no row: unexpected end of data"),
        ("a.csv", f"{'x' * 200_000},1\n",
         "3: malformed: is no row: field larger than field limit (131072)"),
    ],
)  # fmt: skip
def test_a_wrong_row_is_named_and_the_next_ones_are_read(
    write: Write, name: str, content: str | bytes, problem: str
) -> None:
    wrong = content if isinstance(content, bytes) else content.encode()
    if name == "a.csv":
        whole = b"text_input,output\none,1\n" + wrong
        whole += b"" if problem.endswith("end of data") else b"\ntwo,2\n"
    else:
        whole = f"{ONE}\n".encode() + wrong + f"\n{TWO}\n".encode()
    found, problems = rows(write(name, whole))
    assert problem in problems
    assert [row[0] for row in found][-1] == ("one" if problem.endswith("end of data") else "two")


@pytest.mark.parametrize(
    ("content", "problem", "before"),
    [
        (f"[{ONE},\n{{]",
         "2: malformed: is no JSON: Expecting property name enclosed in double quotes", 1),
        (f"[{ONE}\n{TWO}]", "2: malformed: is no JSON: '{' where ',]' belongs", 1),
        (f"{ONE}\n{TWO}",
         "1: malformed: the field 'text_input' is a text, not an array of texts", 0),
        (f"[{ONE}]\n[]", "2: malformed: goes on after the end of the document", 1),
        (f"[{ONE},\n7]", "2: not-an-object: is a number, not an object", 1),
        ("[" * 9000, "1: malformed: is no JSON: it is too deep", 0),
        ("[]x", "1: malformed: goes on after the end of the document", 0),
        ("hello", "1: malformed: is no JSON: 'h' where '[' belongs", 0),
        (" \n", "2: malformed: is no JSON: the end of the file where '[' belongs", 0),
        ('{"text_input": ["a", "b"],\n"output": ["1"]}',
         "1: uneven-columns: the column 'text_input' goes on after the end of 'output'", 1),
        ('{"text_input": ["a"],\n"output": ["1", "2"]}',
         "2: uneven-columns: the column 'output' goes on after the end of 'text_input'", 1),
        ('{"text_input": ["a", 5],\n"output": ["1", "2"]}',
         "1: not-a-text: is a number (5), not a text", 1),
        ('{"textInput": ["a"], "output": ["1"]}',
         "0: missing-field: has no field 'text_input'; it has 'textInput', 'output'", 0),
        ("{}", "0: missing-field: has no field 'text_input', nor any other", 0),
        ("{5}", "1: malformed: is no JSON: a key must be a text in quotes", 0),
    ],
)  # fmt: skip
def test_a_document_is_read_up_to_what_is_wrong_with_it(
    write: Write, content: str, problem: str, before: int
) -> None:
    found, problems = rows(write("a.json", content))
    assert problem in problems
    assert len(found) == before


def test_a_document_may_be_longer_than_what_is_held_of_it(write: Write) -> None:
    wanted = [{"n": 12345678, "text_input": f"é{i}" * 20, "output": "x"} for i in range(3000)]
    found, problems = rows(write("a.json", json.dumps(wanted, indent=1)))
    assert not problems
    assert [row[0] for row in found] == [row["text_input"] for row in wanted]
    assert [row[2] for row in found] == [2 + 5 * i for i in range(3000)]


def test_a_header_that_is_cut_by_something_else_is_one_problem(write: Write) -> None:
    _, problems = rows(write("a.csv", "text_input\toutput\na\t1\n"))
    (problem,) = problems
    assert problem.startswith("1: wrong-delimiter: the header is one column, 'text_input\\toutput'")


def test_a_missing_column_names_those_there_are_and_the_likely_one(write: Write) -> None:
    found = Found("data")
    assert not list(read(write("a.csv", "prompt,outptu\na,1\n"), source(), found))
    first, second = found.problems()
    assert first.message == "has no field 'text_input'; it has 'prompt', 'outptu'"
    assert first.cure == "Set inputField to the field that holds it."
    assert second.cure == "Did you mean 'outptu'? Then set outputField: outptu"


def test_two_columns_of_one_name_are_refused(write: Write) -> None:
    _, problems = rows(write("a.csv", "text_input,output,output\na,1,2\n"))
    assert problems == ["1: same-field: 2 columns are called 'output'"]


def test_a_header_that_is_no_row_is_one_problem(write: Write) -> None:
    _, problems = rows(write("a.csv", '"text_input"x,output\na,1\n'))
    assert problems == ["1: malformed: is no row: ',' expected after '\"'"]


def test_field_names_are_the_manifests_even_with_quotes_in_them(write: Write) -> None:
    row = json.dumps({'say "this"': "a", "\\that": "b"})
    said = source(input_field='say "this"', output_field="\\that")
    assert rows(write("a.jsonl", f"{row}\n{row}\n"), said)[0] == [("a", "b", 1), ("a", "b", 2)]


def test_one_field_cannot_be_both_sides(write: Write) -> None:
    said = source(input_field="x", output_field="x")
    assert rows(write("a.jsonl", ONE), said)[1] == [
        "0: same-field: inputField and outputField are both 'x'"
    ]


def test_lines_keep_their_numbers_over_batches_and_over_a_line_that_is_too_long(
    write: Write,
) -> None:
    many = [ONE] * (2 * BATCH_BYTES // len(ONE))
    file = write("a.jsonl", "\n".join([*many, "x" * (LINE_BYTES + 2 * BATCH_BYTES), ONE, "oops"]))
    found, problems = rows(file)
    last = len(many) + 3
    assert [row[2] for row in found] == [*range(1, last - 2), last - 1]
    assert [p.partition(": ")[0] for p in problems] == [str(last - 2), str(last)]
    assert problems[0].endswith("long-line: is longer than 4 MiB")


def test_contents_are_recognised_in_a_jsonl_file(write: Write) -> None:
    system = PAIR.replace("{", '{"systemInstruction": {"parts": [{"text": "Count."}]}, ', 1)
    file = write("a.jsonl", f"\n{PAIR}\n\n{system}\n")
    assert rows(file) == ([("one", "1", 2), ("Count.\none", "1", 4)], [])


def test_text_parts_of_a_turn_are_joined(write: Write) -> None:
    parts = PAIR.replace('{"text": "one"}', '{"text": "o"}, {"text": "ne"}')
    assert rows(write("a.jsonl", parts)) == ([("one", "1", 1)], [])


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (f'{{"contents": [{USER}, {MODEL}, {USER}, {MODEL}]}}',
         "has 4 turns; an example is one user turn and one model turn"),
        (f'{{"contents": [{MODEL}, {USER}]}}',
         "has the turns 'model', 'user', not 'user', 'model'"),
        ('{"contents": []}', "has the turns of nobody, not 'user', 'model'"),
        (PAIR.replace('{"text": "one"}', '{"fileData": {"fileUri": "gs://x"}}'),
         "is not one pair of texts: Object contains unknown field 'fileData'"),
        (PAIR.replace('"one"', "5"), "is not one pair of texts: Expected 'str', got 'int'"),
        (PAIR[:-1] + ', "tools": [{}]}', "has tools; only text can be trained on"),
    ],
)  # fmt: skip
def test_a_conversation_that_is_no_pair_of_texts_is_an_error(
    write: Write, row: str, problem: str
) -> None:
    found, problems = rows(write("a.jsonl", f"{PAIR}\n{row}\n{PAIR}\nno\n"))
    assert problems[0] == f"2: not-a-pair: {problem}"
    assert problems[1].startswith("4: malformed: is no JSON")
    assert [row[2] for row in found] == [1, 3]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.jsonl", b"", "0: no-examples: is empty"),
        ("a.jsonl", "é".encode("utf-16"), "0: not-utf8: is UTF-16"),
        ("a.csv", b"a,b\n1\0", "2: binary: is no text: byte 6 is 0x00"),
        ("a.csv", b"PK\x03\x04\0", "0: binary: is packed with zip (perhaps Excel)"),
        ("a.txt", b"a", "0: unknown-format: has the ending '.txt', which names no format"),
        ("a", b"a", "0: unknown-format: has the ending '', which names no format"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_dataset_is_one_problem(
    write: Write, name: str, content: bytes, problem: str
) -> None:
    assert rows(write(name, content)) == ([], [problem])


def test_a_file_that_is_not_there_suggests_its_neighbour(write: Write, tmp_path: Path) -> None:
    write("train.jsonl", ONE)
    found = Found("data")
    assert not list(read(tmp_path / "trian.jsonl", source(), found))
    (problem,) = found.problems()
    assert (problem.code, problem.cure) == ("missing-file", "Did you mean 'train.jsonl'?")
    assert rows(tmp_path / "no" / "x.csv")[1] == ["0: missing-file: does not exist"]


def test_what_cannot_be_opened_is_one_problem(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rows(tmp_path)[1] == ["0: not-a-file: is a directory"]  # whatever its ending
    assert rows(tmp_path, source("csv"))[1] == ["0: not-a-file: is a directory"]
    assert rows(Path("/dev/null"), source("csv"))[1] == ["0: not-a-file: is no regular file"]
    assert rows(Path("a\0b.csv"))[1][0].startswith("0: unreadable: cannot be read: ")
    file = write("a.jsonl", ONE)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert rows(file)[1] == ["0: no-permission: may not be read"]


def test_a_disk_that_fails_while_reading_is_one_problem(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setitem(READERS, "jsonl", fail)
    assert rows(write("a.jsonl", ONE))[1] == ["0: unreadable: cannot be read: Input/output error"]


def test_loading_gives_examples_or_all_problems(write: Write) -> None:
    assert load(write("a.csv", 'text_input,output\n"a\r\nb\rc",1\n'), source()) == [
        Example("a\nb\nc", "1")
    ]
    with pytest.raises(ProblemsFoundError) as caught:
        load(write("b.jsonl", f"x\n{ONE}\ny\n"), source(), written="data/b.jsonl")
    assert [problem.place for problem in caught.value.problems] == [
        "data/b.jsonl:1",
        "data/b.jsonl:3",
    ]


@given(content=st.binary(max_size=300), form=st.sampled_from(get_args(Format)))
def test_random_bytes_never_raise(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, form: Format
) -> None:
    file = tmp_path_factory.getbasetemp() / f"random.{form}"
    file.write_bytes(content)
    result = survey(file, source(form), written="x", limits=GEMINI_API)
    assert result.examples or not result.is_usable


# Nearly right is harder than random: pieces of real files in any order.
PIECES = st.sampled_from(
    [ONE, TWO, PAIR, "\n", "\r", ",", "[", "]", "{", "}", '"', "text_input", "output", ":", "1",
     '"text_input":["a"]', '"output":["b"]', "\\ud800", "\x00", "é", "\ufeff", "\t", "\\", "\udce9"]
)  # fmt: skip


@given(pieces=st.lists(PIECES, max_size=14), form=st.sampled_from(get_args(Format)))
def test_pieces_of_real_files_never_raise(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[str], form: Format
) -> None:
    file = tmp_path_factory.getbasetemp() / f"pieces.{form}"
    file.write_bytes("".join(pieces).encode("utf-8", "surrogateescape"))
    result = survey(file, source(form), written="x", limits=GEMINI_API)
    if result.is_usable:
        assert digest(load(file, source(form))) == result.digest


def as_jsonl(examples: list[Example]) -> str:
    return "".join(
        json.dumps({"output": e.output, "text_input": e.text_input}) + "\n" for e in examples
    )


def as_columns(examples: list[Example]) -> str:
    return json.dumps(
        {"output": [e.output for e in examples], "text_input": [e.text_input for e in examples]}
    )


def as_table(examples: list[Example], delimiter: str) -> str:
    out = io.StringIO(newline="")
    # The csv module leaves what other readers take for a line break unquoted.
    table = csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    table.writerows([("text_input", "output"), *((e.text_input, e.output) for e in examples)])
    return out.getvalue()


@settings(max_examples=50)
@given(examples=EXAMPLES)
def test_format_and_key_order_do_not_change_the_digest(
    tmp_path_factory: pytest.TempPathFactory, examples: list[Example]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    plain = [{"text_input": e.text_input, "output": e.output} for e in examples]
    for name, content in [
        ("a.jsonl", as_jsonl(examples)),
        ("b.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\r\n" for row in plain)),
        ("a.json", json.dumps(plain, indent=2)),
        ("b.json", as_columns(examples)),
        ("a.csv", as_table(examples, ",")),
        ("a.tsv", as_table(examples, "\t")),
    ]:
        file = folder / name
        file.write_bytes(content.encode())
        assert load(file, source()) == examples
        result = survey(file, source(), written=name, limits=GEMINI_API)
        if all(e.text_input.strip() and e.output.strip() for e in examples):
            assert result.digest == digest(examples)
        assert result.examples == len(examples)


@given(examples=EXAMPLES, random=st.randoms(use_true_random=False))
def test_another_order_is_another_digest(examples: list[Example], random: Random) -> None:
    shuffled = random.sample(examples, len(examples))
    assert (digest(shuffled) == digest(examples)) is (shuffled == examples)
