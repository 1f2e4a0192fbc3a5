"""What a file is comes first: one problem for the file, with a cure that works as written."""

# ruff: noqa: RUF001  # texts of other scripts

from __future__ import annotations

import gzip
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.dataset_files import ONE, TWO, WriteFile, read_rows, source
from tunedmodels.datasets.examples import digest
from tunedmodels.datasets.limits import Limits
from tunedmodels.datasets.load import load
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.readers import read
from tunedmodels.datasets.scan import scan
from tunedmodels.errors import Problem

ANY = Limits(min_examples=1, recommended=None)
PAIRS = [("one", "1"), ("two", "2")]
GERMAN = "text_input,output\nGrüße,für dich\nschön,größer\n"
RUSSIAN = "text_input,output\nпривет мир,до свидания\nспасибо,пожалуйста\n"
JAPANESE = "text_input,output\nこんにちは,さようなら\nありがとう,どういたしまして\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("array.jsonl", f"[{ONE}, {TWO}]"),
        ("indented.jsonl", json.dumps([json.loads(ONE), json.loads(TWO)], indent=2)),
        ("objects.jsonl", "\n".join(json.dumps(json.loads(row), indent=2) for row in (ONE, TWO))),
        ("lines.json", f"{ONE}\n{TWO}\n"),
        ("a.ndjson", f"{ONE}\n{TWO}\n"),
        ("a.jsonl.gz", gzip.compress(f"{ONE}\n{TWO}\n".encode(), mtime=0)),
        ("compressed.csv", gzip.compress(b"text_input,output\none,1\ntwo,2\n", mtime=0)),
        ("a.csv.gz", gzip.compress(b"text_input;output\none;1\ntwo;2\n", mtime=0)),
        ("excel.csv", "text_input;output\r\none;1\r\ntwo;2\r\n"),
        ("separator.csv", "sep=;\r\ntext_input;output\r\none;1\r\ntwo;2\r\n"),
        ("separator2.csv", "\ufeffsep=,\ntext_input,output\none,1\ntwo,2\n"),
        ("blank-cells.csv", "text_input,output\none,1\n,\ntwo,2\n"),
        ("columns.json",
         '{"text_input": {"0": "one", "1": "two"}, "output": {"0": "1", "1": "2"}}'),
        ("index.json", f'{{"0": {ONE}, "1": {TWO}}}'),
        ("split.json", ('{"columns": ["text_input", "output"], "index": [0, 1], '
         '"data": [["one", "1"], ["two", "2"]]}')),
        ("table.json", f'{{"schema": {{}}, "data": [{ONE}, {TWO}]}}'),
    ],
)  # fmt: skip
def test_a_file_that_has_one_meaning_is_read(
    write: WriteFile, name: str, content: str | bytes
) -> None:
    assert [(e.text_input, e.output) for e in load(write(name, content), source())] == PAIRS


def follow(problem: Problem, declared: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Do what a cure says, word for word; return the settings of the manifest afterwards."""
    settings_text = re.match(r"Set (\w+: .+?)(?:, in the order|, or | to read|$)", problem.cure)
    if settings_text:
        text = re.sub(r" and (\w+:)", r"\n\1", settings_text[1])
        added: dict[str, Any] = yaml.safe_load(text)
        return declared | added
    if problem.cure.startswith("Remove encoding"):
        return {key: value for key, value in declared.items() if key != "encoding"}
    command = problem.cure.splitlines()[-1]
    subprocess.run(["bash", "-c", command], cwd=folder, check=True)
    return declared


def read_all(
    file: Path, declared: dict[str, Any]
) -> tuple[list[tuple[str, str]], tuple[Problem, ...]]:
    problems = ProblemCollector(str(file))
    names = {"inputField": "input_field", "outputField": "output_field"}
    fields = {names.get(key, key): value for key, value in declared.items()}
    blocks = list(read(file, source(fields.pop("format", None), **fields), problems))
    return [pair for block in blocks for pair in block.pairs()], problems.by_line()


@pytest.mark.parametrize(
    ("name", "content", "declared", "message"),
    [
        ("comma.jsonl", f"{ONE},\n{TWO},\n", {},
         "has a comma after the object of each line; JSON Lines have none"),
        ("a.csv", "one,1\ntwo,2\nthree,1\n", {}, "is an example and not a header"),
        ("sentences.csv", "what is one,1\nwhat is two,2\n", {}, "is an example and not a header"),
        ("german.csv", GERMAN.encode("cp1252"), {}, "is not UTF-8 but probably windows-1252"),
        ("russian.csv", RUSSIAN.encode("cp1251"), {}, "is not UTF-8 but probably windows-1251"),
        ("japanese.csv", JAPANESE.encode("shift_jis"), {}, "is not UTF-8 but probably shift_jis"),
        ("excel.csv", GERMAN.encode("utf-16"), {}, "is UTF-16"),
        ("no-mark.csv", GERMAN.encode("utf-16-le"), {}, "is UTF-16-LE"),
        ("german.jsonl", '{"text_input": "Grüße", "output": "für"}\n'.encode("cp1252"), {},
         "is not UTF-8 but probably windows-1252"),
        ("utf8.csv", "\ufeff" + GERMAN, {"encoding": "cp1252"}, "is UTF-8, not cp1252"),
        ("array.jsonl", f"[{ONE}]", {"format": "jsonl"}, "is one JSON document"),
        ("lines.json", f"{ONE}\n{TWO}", {"format": "json"}, "is JSON Lines: one object per line"),
        ("lines.csv", f"{ONE}\n{TWO}", {}, "is JSON Lines, not a table"),
        ("table.jsonl", "text_input,output\none,1\ntwo,2\n", {}, "is not JSON"),
        ("data.txt", f"{ONE}\n{TWO}\n", {}, "has the suffix '.txt'"),
        ("table.txt", "text_input,output\none,1\n", {}, "has the suffix '.txt'"),
        ("names.csv", "prompt_text,output\none,1\n", {}, "has no field 'text_input'"),
    ],
)  # fmt: skip
def test_a_cure_ends_its_problem(
    write: WriteFile, name: str, content: str | bytes, declared: dict[str, Any], message: str
) -> None:
    file = write(name, content)
    rows, problems = read_all(file, declared)
    assert rows == []
    (problem,) = problems
    assert message in problem.message
    if name == "names.csv":
        return  # only the author knows which field is the input
    rows, problems = read_all(file, follow(problem, declared, file.parent))
    assert problems == ()
    assert len(rows) >= 1


def test_a_file_without_a_header_keeps_its_first_row(write: WriteFile) -> None:
    file = write("a.csv", "what is one,1\nwhat is two,2\n")
    declared = source(header=False, columns=["text_input", "output"])
    assert read_rows(file, declared)[0] == [("what is one", "1", 1), ("what is two", "2", 2)]


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_merge_conflict_is_one_problem(write: WriteFile, suffix: str) -> None:
    one, two = (ONE, TWO) if suffix == "jsonl" else ("one,1", "two,2")
    head = "" if suffix == "jsonl" else "text_input,output\n"
    marks = f"<<<<<<< HEAD\n{one}\n=======\n{two}\n>>>>>>> other\n"
    line = 1 + (suffix == "csv")
    assert read_rows(write(f"a.{suffix}", head + marks))[1] == [
        f"{line}: merge-conflict: begins a merge conflict that is not resolved"
    ]
    many = "".join(f"{one}\n" for _ in range(20_000))
    rows, problems = read_rows(write(f"b.{suffix}", head + many + marks))
    assert len(rows) == 20_000
    assert problems == [
        f"{line + 20_000}: merge-conflict: begins a merge conflict that is not resolved"
    ]


def test_a_key_twice_is_an_error_with_its_line(write: WriteFile) -> None:
    twice = '{"text_input": "x", "output": "old", "output": "new"}'
    text = '{"text_input": "output", "output": "a \\"output\\": b", "meta": {"output": 1}}'
    for name, content in (
        ("a.jsonl", f"{ONE}\n{twice}\n{text}\n"),
        ("a.json", f"[{ONE},\n{twice},\n{text}]"),
    ):
        rows, problems = read_rows(write(name, content))
        assert problems == ["2: repeated-key: has the key 'output' twice"]
        assert [row[2] for row in rows] == [1, 3]
    _, problems = read_rows(write("b.jsonl", f"{twice}\n"), source(input="{text_input}!"))
    assert problems == ["1: repeated-key: has the key 'output' twice"]


def test_line_separators_of_unicode_do_not_end_a_line(write: WriteFile) -> None:
    text = "a\u2028b\u2029c\u0085d\x0be"
    row = json.dumps({"text_input": text, "output": "1"}, ensure_ascii=False)
    for name, content in (
        ("a.jsonl", f"{row}\n{ONE}\n"),
        ("a.csv", f"text_input,output\n{text},1\n"),
    ):
        assert read_rows(write(name, content))[0][0][0] == text


def test_a_damaged_archive_is_one_problem(write: WriteFile) -> None:
    content = gzip.compress(f"{ONE}\n".encode() * 9)[:-9]
    _, problems = read_rows(write("a.jsonl.gz", content))
    assert problems == ["0: damaged: is compressed with gzip and damaged or cut off"]


def test_python_objects_are_named(write: WriteFile) -> None:
    file = write("a.jsonl", "{'text_input': 'one', 'output': '1'}\n")
    problems = ProblemCollector(str(file))
    assert not list(read(file, source(), problems))
    (problem,) = problems.by_line()
    assert problem.code == "python-objects"
    subprocess.run(["bash", "-c", problem.cure.splitlines()[-1]], check=True)
    assert read_rows(file.with_suffix(".converted.jsonl"))[0] == [("one", "1", 1)]


def test_parquet_is_read(write: WriteFile, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet  # noqa: PLC0415  # an extra

    table = pyarrow.table({"text_input": ["one", "two"], "output": [1, 2]})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert read_rows(tmp_path / "a.parquet") == ([("one", "1", 1), ("two", "2", 2)], [])
    chats = [[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]]
    parquet.write_table(pyarrow.table({"messages": chats}), tmp_path / "c.parquet")
    assert read_rows(tmp_path / "c.parquet") == ([("a", "b", 1)], [])
    assert read_rows(write("b.parquet", b"PAR1PAR1"))[1][0].startswith("0: damaged: ")
    assert read_rows(write("d.parquet", b"text"))[1] == [
        "0: binary: is not Parquet, as its name says"
    ]


CELLS = st.text("abcéü ;,\t\"'|", min_size=1, max_size=12).filter(str.strip)


@settings(max_examples=60)
@given(
    rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6),
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-be"]),
    end=st.sampled_from(["\n", "\r\n"]),
    is_compressed=st.booleans(),
)
def test_delimiter_encoding_line_ends_and_compression_do_not_change_the_digest(  # noqa: PLR0917  # drawn values
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str]],
    delimiter: str,
    encoding: str,
    end: str,
    is_compressed: bool,  # noqa: FBT001  # a drawn value
) -> None:
    file = tmp_path_factory.getbasetemp() / "table.csv"
    cells = [("text_input", "output"), *rows]
    quoted = [[f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row] for row in cells]
    content = "".join(delimiter.join(row) + end for row in quoted).encode(encoding)
    file.write_bytes(gzip.compress(content) if is_compressed else content)
    declared = source(encoding=None if encoding.startswith("utf-8") else encoding)
    assert [(e.text_input, e.output) for e in load(file, declared)] == rows
    result = scan(file, declared, display_path="x", limits=ANY)
    assert result.digest == digest(load(file, declared))
