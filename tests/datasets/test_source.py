"""Paths that cannot be read as a dataset: missing, binary, unreadable or of an unknown format."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.dataset_files import ONE, WriteFile, read_rows, source
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.readers import READERS, read


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.jsonl", b"", "0: no-examples: is empty"),
        ("a.jsonl", "é".encode("utf-16"), "0: not-utf8: is UTF-16"),
        ("a.csv", b"a,b\n1\0", "2: binary: is not text: byte 6 is 0x00"),
        ("a.csv", b"PK\x03\x04\0", "0: binary: is compressed with zip (perhaps Excel)"),
        ("a.txt", b"a",
         "0: unknown-format: has the suffix '.txt', which is not that of a known format"),
        ("a", b"a", "0: unknown-format: has the suffix '', which is not that of a known format"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_a_dataset_is_one_problem(
    write: WriteFile, name: str, content: bytes, problem: str
) -> None:
    assert read_rows(write(name, content)) == ([], [problem])


def test_a_missing_file_suggests_a_file_with_a_similar_name(
    write: WriteFile, tmp_path: Path
) -> None:
    write("train.jsonl", ONE)
    problems = ProblemCollector("data")
    assert not list(read(tmp_path / "trian.jsonl", source(), problems))
    (problem,) = problems.by_line()
    assert (problem.code, problem.cure) == ("missing-file", "Did you mean 'train.jsonl'?")
    assert read_rows(tmp_path / "no" / "x.csv")[1] == ["0: missing-file: does not exist"]


def test_a_path_that_cannot_be_opened_is_one_problem(
    write: WriteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_rows(tmp_path)[1] == ["0: not-a-file: is a directory"]  # without a suffix
    assert read_rows(tmp_path, source("csv"))[1] == ["0: not-a-file: is a directory"]
    assert read_rows(Path("/dev/null"), source("csv"))[1] == [
        "0: not-a-file: is not a regular file"
    ]
    assert read_rows(Path("a\0b.csv"))[1][0].startswith("0: unreadable: cannot be read: ")
    file = write("a.jsonl", ONE)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert read_rows(file)[1] == ["0: no-permission: cannot be read: permission denied"]


def test_a_disk_error_while_reading_is_one_problem(
    write: WriteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setitem(READERS, "jsonl", fail)
    assert read_rows(write("a.jsonl", ONE))[1] == [
        "0: unreadable: cannot be read: Input/output error"
    ]
