"""Files that stand for the data: one problem, which names the command that gets the data."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.dataset_files import ONE, WriteFile, source
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.readers import read
from tunedmodels.errors import Problem

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "ab" * 32 + "\nsize 314\n"
DVC = "outs:\n- md5: 0123456789abcdef0123456789abcdef\n  size: 2048\n  path: tone.jsonl\n"


def problems_of(file: Path) -> tuple[Problem, ...]:
    problems = ProblemCollector(file.name)
    assert not list(read(file, source(), problems))
    return problems.by_line()


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "json", "tsv", "parquet"])
@pytest.mark.parametrize(
    ("content", "message", "cure"),
    [
        (LFS, "is a pointer of Git LFS", "git lfs pull"),
        (b"\0GITCRYPT\0abcdefgh\1\2\3", "is encrypted with git-crypt", "git-crypt unlock"),
        ("../common/tone.jsonl", "a symbolic link", "git config core.symlinks true"),
        (DVC, "is a file of DVC", "dvc pull"),
        ("../../.git/annex/objects/a/b", "is a pointer of git-annex", "git annex get"),
        ("<!DOCTYPE html><html>", "is a web page", "Download the file itself"),
        ("age-encryption.org/v1\n", "is encrypted with age", "Decrypt it"),
    ],
)
def test_a_stand_in_is_one_problem(
    write: WriteFile, suffix: str, content: str | bytes, message: str, cure: str
) -> None:
    (problem,) = problems_of(write(f"tone.{suffix}", content))
    assert problem.code == "stand-in"
    assert message in problem.message
    assert cure in problem.cure


def test_a_missing_file_that_dvc_tracks_names_its_command(write: WriteFile) -> None:
    pointer = write("tone.jsonl.dvc", DVC)
    (problem,) = problems_of(pointer.with_suffix(""))
    assert (problem.code, problem.cure) == (
        "missing-file",
        "DVC tracks it: dvc pull tone.jsonl.dvc",
    )
    (problem,) = problems_of(pointer)
    assert problem.cure == "Run dvc pull tone.jsonl.dvc, and name tone.jsonl as the path."


def test_data_that_resembles_a_stand_in_is_read(write: WriteFile) -> None:
    for name, content in (
        ("a.jsonl", ONE),
        ("a.csv", "text_input,output\nsee ../common/tone.jsonl,x\n"),
        ("b.csv", "text_input,output\noid sha256,outs:\n"),
    ):
        problems = ProblemCollector(name)
        assert list(read(write(name, content), source(), problems))
        assert problems.by_line() == ()
