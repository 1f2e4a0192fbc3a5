"""Readers: every format, every kind of malformed row, and no input that makes a reader raise."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from random import Random
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.dataset_files import ONE, TWO, WriteFile, read_rows, source
from tunedmodels.datasets.examples import Example, digest
from tunedmodels.datasets.limits import GEMINI_API, Limits
from tunedmodels.datasets.load import load
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.readers import read
from tunedmodels.datasets.readers.jsonl import BATCH_BYTES, MAX_LINE_BYTES
from tunedmodels.datasets.scan import scan
from tunedmodels.datasets.source import Format
from tunedmodels.errors import ProblemsFoundError

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), min_size=1)
EXAMPLES = st.lists(st.builds(Example, TEXTS, TEXTS), min_size=1, max_size=8)


PAIRS = [("one", "1"), ("two", "2")]
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
    write: WriteFile, name: str, content: str, lines: list[int]
) -> None:
    rows, problems = read_rows(write(name, content))
    assert problems == []
    assert rows == [(*pair, line) for pair, line in zip(PAIRS, lines, strict=True)]


def test_a_quoted_text_may_span_lines_and_later_rows_keep_their_lines(write: WriteFile) -> None:
    content = 'text_input,output\n"a\nb\r\nc",1\nnext,"2\n"\nlast,3\nshort\n'
    rows, problems = read_rows(write("x.csv", content))
    assert rows == [("a\nb\r\nc", "1", 2), ("next", "2\n", 5), ("last", "3", 7)]
    assert problems == ["8: malformed: has 1 column, the header has 2"]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.jsonl", '{"text_input": }',
         "2: malformed: is not valid JSON: invalid character (byte 15)"),
        ("a.jsonl", f"{ONE}{TWO}",
         "2: malformed: is not valid JSON: trailing characters (byte 37)"),
        ("a.jsonl", '{"text_input": "a",',
         "2: malformed: is not valid JSON: Input data was truncated"),
        ("a.jsonl", "[" * 9000, "2: malformed: is nested too deeply"),
        ("a.jsonl", '["one", "1"]', "2: not-an-object: is an array, not an object"),
        ("a.jsonl", "null", "2: not-an-object: is null, not an object"),
        ("a.jsonl", '{"text_input": [7], "output": "x"}',
         "2: not-a-text: is an array, not a string"),
        ("a.jsonl", '{"text_input": "x", "output": null}', "2: not-a-text: is null, not a string"),
        ("a.jsonl", '{"text_input": "x", "output": {}}',
         "2: not-a-text: is an object, not a string"),
        ("a.jsonl", '{"text_input": "x", "out": "1"}',
         "2: missing-field: has no field 'output'; it has 'text_input', 'out'"),
        ("a.jsonl", "{}", "2: missing-field: has no field 'text_input'; it has no fields"),
        ("a.jsonl", b'{"text_input": "\xe6\x9d\xb1 caf\xe9", "output": "1"}',
         "2: not-utf8: byte 0xe9 at column 24 is not UTF-8"),
        ("a.jsonl", '{"text_input": "\\ud800", "output": "1"}',
         ("2: malformed: is not valid JSON: unexpected end of escaped utf-16 surrogate pair "
          "(byte 22)")),
        ("a.csv", "one,1,\n", "3: malformed: has 3 columns, the header has 2"),
        ("a.csv", '"one"x,1\n', "3: malformed: is not a valid row: ',' expected after '\"'"),
        ("a.csv", '"one,1', "3: malformed: is not a valid row: unexpected end of data"),
        ("a.csv", f"{'x' * 200_000},1\n",
         "3: malformed: is not a valid row: field larger than field limit (131072)"),
    ],
)  # fmt: skip
def test_a_malformed_row_is_reported_and_later_rows_are_read(
    write: WriteFile, name: str, content: str | bytes, problem: str
) -> None:
    row = content if isinstance(content, bytes) else content.encode()
    if name == "a.csv":
        whole = b"text_input,output\none,1\n" + row
        whole += b"" if problem.endswith("end of data") else b"\ntwo,2\n"
    else:
        whole = f"{ONE}\n".encode() + row + f"\n{TWO}\n".encode()
    rows, problems = read_rows(write(name, whole))
    assert problem in problems
    assert [row[0] for row in rows][-1] == ("one" if problem.endswith("end of data") else "two")


@pytest.mark.parametrize("delimiter", ["\t", ";", "|"])
def test_the_delimiter_is_recognised_by_the_header(write: WriteFile, delimiter: str) -> None:
    rows, problems = read_rows(write("a.csv", f"text_input{delimiter}output\na, b{delimiter}1\n"))
    assert (rows, problems) == ([("a, b", "1", 2)], [])


def test_a_header_with_an_unknown_delimiter_is_one_problem(write: WriteFile) -> None:
    _, problems = read_rows(write("a.csv", "text_input^output\na^1\n"))
    assert problems == ["1: wrong-delimiter: the header is one column, 'text_input^output'"]


def test_a_missing_column_lists_the_existing_columns_and_suggests_one(write: WriteFile) -> None:
    problems = ProblemCollector("data")
    assert not list(read(write("a.csv", "prompt,outptu\na,1\n"), source(), problems))
    first, second = problems.by_line()
    assert first.message == "has no field 'text_input'; it has 'prompt', 'outptu'"
    assert first.cure == "Set inputField to the name of the field that contains it."
    assert second.cure == "Did you mean 'outptu'? Then set outputField: outptu"


def test_two_columns_with_the_same_name_are_an_error(write: WriteFile) -> None:
    _, problems = read_rows(write("a.csv", "text_input,output,output\na,1,2\n"))
    assert problems == ["1: same-field: has 2 columns named 'output'"]


def test_a_malformed_header_is_one_problem(write: WriteFile) -> None:
    _, problems = read_rows(write("a.csv", '"text_input"x,output\na,1\n'))
    assert problems == ["1: malformed: is not a valid row: ',' expected after '\"'"]


def test_field_names_may_contain_quotes_and_backslashes(write: WriteFile) -> None:
    row = json.dumps({'say "this"': "a", "\\that": "b"})
    declared = source(input_field='say "this"', output_field="\\that")
    assert read_rows(write("a.jsonl", f"{row}\n{row}\n"), declared)[0] == [
        ("a", "b", 1),
        ("a", "b", 2),
    ]


def test_one_field_cannot_be_input_and_output(write: WriteFile) -> None:
    declared = source(input_field="x", output_field="x")
    assert read_rows(write("a.jsonl", ONE), declared)[1] == [
        "0: same-field: inputField and outputField are both 'x'"
    ]


def test_line_numbers_are_right_across_batches_and_after_a_line_that_is_too_long(
    write: WriteFile,
) -> None:
    many = [ONE] * (2 * BATCH_BYTES // len(ONE))
    file = write(
        "a.jsonl", "\n".join([*many, "x" * (MAX_LINE_BYTES + 2 * BATCH_BYTES), ONE, "oops"])
    )
    rows, problems = read_rows(file)
    last = len(many) + 3
    assert [row[2] for row in rows] == [*range(1, last - 2), last - 1]
    assert [p.partition(": ")[0] for p in problems] == [str(last - 2), str(last)]
    assert problems[0].endswith("long-line: is longer than 4 MiB")


def test_contents_are_detected_in_a_jsonl_file(write: WriteFile) -> None:
    system = PAIR.replace("{", '{"systemInstruction": {"parts": [{"text": "Count."}]}, ', 1)
    file = write("a.jsonl", f"\n{PAIR}\n\n{system}\n")
    assert read_rows(file) == ([("one", "1", 2), ("Count.\none", "1", 4)], [])


def test_text_parts_of_a_turn_are_joined(write: WriteFile) -> None:
    parts = PAIR.replace('{"text": "one"}', '{"text": "o"}, {"text": "ne"}')
    assert read_rows(write("a.jsonl", parts)) == ([("one", "1", 1)], [])


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (f'{{"contents": [{MODEL}, {USER}]}}',
         ("begins with a model turn and ends with a user turn; "
          "it must begin with user and end with model")),
        ('{"contents": []}', "has no turns; an example needs a user turn and a model turn"),
        (PAIR.replace('{"text": "one"}', '{"video": {}}'),
         "contains 'video', which is not a part of Vertex AI"),
        (PAIR.replace('"one"', "5"), "is not a text"),
        (PAIR.replace('{"text": "1"}', '{"functionCall": {"name": "f"}}'),
         "has a functionCall, but the row declares no tools"),
    ],
)  # fmt: skip
def test_a_conversation_that_cannot_be_trained_on_is_an_error(
    write: WriteFile, row: str, problem: str
) -> None:
    rows, problems = read_rows(write("a.jsonl", f"{PAIR}\n{row}\n{PAIR}\nno\n"))
    assert problems[0] == f"2: not-a-conversation: {problem}"
    assert problems[1].startswith("4: malformed: is not valid JSON")
    assert [row[2] for row in rows] == [1, 3]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (f'{{"contents": [{USER}, {MODEL}, {USER}, {MODEL}]}}',
         "has 4 turns; an example is one user turn and one model turn"),
        (PAIR.replace('{"text": "one"}', '{"fileData": {"fileUri": "gs://x"}}'),
         "has a fileData; only text can be trained on"),
        (PAIR[:-1] + ', "tools": [{}]}', "has tools; only text can be trained on"),
    ],
)  # fmt: skip
def test_a_conversation_is_an_error_for_a_base_model_that_trains_on_pairs(
    write: WriteFile, row: str, problem: str
) -> None:
    file = write("a.jsonl", f"{PAIR}\n{row}\n")
    pairs = Limits(min_examples=1, recommended=None)
    result = scan(file, source(), display_path="a", limits=pairs)
    assert [(p.line, p.code, p.message) for p in result.problems] == [(2, "not-a-pair", problem)]
    for each in (replace(pairs, allows_conversations=True), pairs):
        declared = source(turns="keep" if each.allows_conversations else "split")
        is_usable = scan(file, declared, display_path="a", limits=each).is_usable
        assert is_usable is (each.allows_conversations or "turns;" in problem)


def test_loading_gives_examples_or_all_problems(write: WriteFile) -> None:
    assert load(write("a.csv", 'text_input,output\n"a\r\nb\rc",1\n'), source()) == [
        Example("a\nb\nc", "1")
    ]
    with pytest.raises(ProblemsFoundError) as caught:
        load(write("b.jsonl", f"x\n{ONE}\ny\n"), source(), display_path="data/b.jsonl")
    assert [problem.location for problem in caught.value.problems] == [
        "data/b.jsonl:1",
        "data/b.jsonl:3",
    ]


@given(content=st.binary(max_size=300), format_=st.sampled_from(get_args(Format)))
def test_random_bytes_never_raise(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, format_: Format
) -> None:
    file = tmp_path_factory.getbasetemp() / f"random.{format_}"
    file.write_bytes(content)
    result = scan(file, source(format_), display_path="x", limits=GEMINI_API)
    assert result.examples or not result.is_usable


# Almost valid input is harder to read than random bytes: pieces of real files in any order.
PIECES = st.sampled_from(
    [ONE, TWO, PAIR, "\n", "\r", ",", "[", "]", "{", "}", '"', "text_input", "output", ":", "1",
     '"text_input":["a"]', '"output":["b"]', "\\ud800", "\x00", "é", "\ufeff", "\t", "\\", "\udce9"]
)  # fmt: skip


@given(pieces=st.lists(PIECES, max_size=14), format_=st.sampled_from(get_args(Format)))
def test_pieces_of_real_files_never_raise(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[str], format_: Format
) -> None:
    file = tmp_path_factory.getbasetemp() / f"pieces.{format_}"
    file.write_bytes("".join(pieces).encode("utf-8", "surrogateescape"))
    result = scan(file, source(format_), display_path="x", limits=GEMINI_API)
    if result.is_usable:
        assert digest(load(file, source(format_))) == result.digest


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
    # The csv module does not quote all characters that other readers regard as line breaks.
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
        result = scan(file, source(), display_path=name, limits=GEMINI_API)
        if all(e.text_input.strip() and e.output.strip() for e in examples):
            assert result.digest == digest(examples)
        assert result.examples == len(examples)


@given(examples=EXAMPLES, random=st.randoms(use_true_random=False))
def test_another_order_is_another_digest(examples: list[Example], random: Random) -> None:
    shuffled = random.sample(examples, len(examples))
    assert (digest(shuffled) == digest(examples)) is (shuffled == examples)
