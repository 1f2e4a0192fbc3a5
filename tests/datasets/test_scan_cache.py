"""An unchanged file is not read again; a changed one always is; a broken cache does no harm."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tunedmodels.datasets import scan_cache as caching
from tunedmodels.datasets.checks.leakage import Side
from tunedmodels.datasets.limits import GEMINI_API
from tunedmodels.datasets.scan import Survey
from tunedmodels.datasets.scan_cache import Request, SurveyCache, survey_all
from tunedmodels.schema.tuned_model import Examples

HOUR_NS = 3600 * 10**9
LATER: int = 4 * 10**18  # a clock long after every file of the test was written


def rows(*inputs: str) -> str:
    return "".join(json.dumps({"text_input": text, "output": "x"}) + "\n" for text in inputs)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "data.jsonl"
    file.write_text(rows("one", "two", "two"))
    return file


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were really surveyed, in order."""
    read: list[Path] = []
    answer = Request.answer

    def counted(request: Request) -> Survey:
        read.append(request.file)
        return answer(request)

    monkeypatch.setattr(Request, "answer", counted)
    return read


def request(file: Path) -> Request:
    return Request(file, Examples(path=file.name), "data/data.jsonl")


def opened(file: Path, now_ns: int = LATER) -> SurveyCache:
    return SurveyCache(file.parent / "state" / "surveys", now_ns=lambda: now_ns)


def test_an_unchanged_file_is_read_once(file: Path, reads: list[Path]) -> None:
    with opened(file) as cache:
        first = cache.survey(request(file))
        assert cache.survey(request(file)) == first
    with opened(file) as cache:
        assert survey_all([request(file)], cache) == [first]
    assert reads == [file]
    assert {problem.code for problem in first.problems} >= {"duplicate", "too-few-examples"}


def test_without_a_cache_every_file_is_read(file: Path, reads: list[Path]) -> None:
    assert survey_all([request(file)]) == survey_all([request(file)])
    assert reads == [file, file]


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.write_text(rows("one", "two", "three")),
        lambda file: os.utime(file, (5, 5)),
        lambda file: (
            file.rename(file.with_name("x")) and file.write_text(rows("one", "two", "two"))
        ),
    ],
    ids=["another size", "another time", "another file"],
)
def test_a_changed_file_is_read_again(
    file: Path, reads: list[Path], change: Callable[[Path], object]
) -> None:
    cache = opened(file)
    cache.survey(request(file))
    change(file)
    cache.survey(request(file))
    assert reads == [file, file]


@pytest.mark.parametrize(
    "other",
    [
        {"written": "elsewhere/data.jsonl"},
        {"source": Examples(path="data.jsonl", output_field="text_input", input_field="output")},
        {"source": Examples(path="data.jsonl", format="csv")},
        {"limits": GEMINI_API.for_held_out()},
        {"preamble": "Answer in one word."},
        {"task": "classification"},
    ],
)
def test_another_question_is_another_entry(
    file: Path, reads: list[Path], other: dict[str, object]
) -> None:
    cache = opened(file)
    for asked in (request(file), replace(request(file), **other)) * 2:  # type: ignore[arg-type]  # any field
        cache.survey(asked)
    assert reads == [file, file]


def test_an_edit_within_the_tick_of_the_survey_is_seen(file: Path, reads: list[Path]) -> None:
    """Git's racy entry: same size, same times, other content."""
    written = file.stat()
    now_ns = written.st_mtime_ns + 1_000_000
    cache = opened(file, now_ns)
    cache.survey(request(file))
    file.write_text(rows("one", "two", "six"))
    os.utime(file, ns=(written.st_mtime_ns, written.st_mtime_ns))
    assert not [p for p in cache.survey(request(file)).problems if p.code == "duplicate"]
    assert reads == [file, file]


@pytest.mark.parametrize(("age_s", "times_read"), [(1, 2), (3, 1)])
def test_a_clock_of_whole_seconds_is_given_more_time(
    file: Path, reads: list[Path], age_s: int, times_read: int
) -> None:
    second_ns = (file.stat().st_ctime_ns // 10**9 + 60) * 10**9
    os.utime(file, ns=(second_ns, second_ns))
    cache = opened(file, second_ns + age_s * 10**9)
    cache.survey(request(file))
    cache.survey(request(file))
    assert len(reads) == times_read


def test_a_file_that_changes_while_it_is_read_is_not_remembered(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Request.answer
    monkeypatch.setattr(
        Request, "answer", lambda asked: (answer(asked), file.write_text(rows("x")))[0]
    )
    cache = opened(file)
    cache.survey(request(file))
    assert cache.survey(request(file)).examples == 1


def test_a_file_that_is_not_there_is_asked_for_every_time(file: Path, reads: list[Path]) -> None:
    cache = opened(file)
    absent = request(file.with_name("absent.jsonl"))
    for _ in range(2):
        assert [p.code for p in cache.survey(absent).problems] == ["missing-file"]
    assert len(reads) == 2


@pytest.mark.parametrize(
    "content", [b"", b"\xc1garbage", b"\x92\xa5other\x80", b"\x92\xa5\xff\xffxxx\x80"]
)
def test_a_broken_cache_is_built_anew(file: Path, reads: list[Path], content: bytes) -> None:
    saved = file.parent / "state" / "surveys"
    saved.parent.mkdir()
    saved.write_bytes(content)
    for _ in range(2):
        with opened(file) as cache:
            assert cache.survey(request(file)).examples == 3
    assert reads == [file]


def test_a_broken_entry_is_made_anew(file: Path, reads: list[Path]) -> None:
    with opened(file) as cache:
        cache.survey(request(file))
    saved = file.parent / "state" / "surveys"
    saved.write_bytes(
        saved.read_bytes().replace(b"problems", b"promlebs").replace(b"digest", b"gidest")
    )
    assert opened(file).survey(request(file)).examples == 3
    assert reads == [file, file]


def test_other_rules_forget_everything(
    file: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for rules in (caching.RULES, caching.RULES + 1):
        monkeypatch.setattr(caching, "RULES", rules)
        with opened(file) as cache:
            cache.survey(request(file))
    assert reads == [file, file]


def test_nothing_new_writes_nothing_and_a_full_disk_is_no_failure(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(file) as cache:
        cache.survey(request(file))
    saved = file.parent / "state" / "surveys"
    before = saved.stat().st_mtime_ns, saved.stat().st_ino
    with opened(file) as cache:
        cache.survey(request(file))
    assert (saved.stat().st_mtime_ns, saved.stat().st_ino) == before

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    saved.unlink()
    with opened(file) as cache:
        cache.survey(request(file))
    assert not list(saved.parent.iterdir())


def test_what_nobody_asked_for_goes_when_there_is_too_much(
    file: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(file) as cache:
        cache.survey(replace(request(file), task="summarization"))
        cache.survey(request(file))
    monkeypatch.setattr(caching, "_ENTRIES", 2)
    with opened(file) as cache:
        cache.survey(replace(request(file), task="classification"))
    with opened(file) as cache:
        cache.survey(replace(request(file), task="classification"))
        cache.survey(request(file))
    assert len(reads) == 4


def test_overlaps_are_remembered_until_either_file_changes(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_out = file.with_name("eval.jsonl")
    held_out.write_text(rows("two"))
    sides = [Side(path, Examples(path=path.name), path.name) for path in (file, held_out)]
    with opened(file) as cache:
        first = cache.overlap(*sides)
    assert [problem.place for problem in first] == ["eval.jsonl:1: text_input"]
    monkeypatch.setattr(caching, "overlap", lambda *_: ())
    assert opened(file).overlap(*sides) == first
    held_out.write_text(rows("new"))
    assert opened(file).overlap(*sides) == ()
