"""The cache of scans: unchanged files are not read again, changed ones are, damage is ignored."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tunedmodels.datasets import scan_cache as scan_cache_module
from tunedmodels.datasets.checks.leakage import DatasetFile
from tunedmodels.datasets.limits import GEMINI_API
from tunedmodels.datasets.scan import DatasetScan
from tunedmodels.datasets.scan_cache import ScanCache, ScanRequest
from tunedmodels.schema.tuned_model import ExampleFile

HOUR_NS = 3600 * 10**9
LATER: int = 4 * 10**18  # a clock long after the test wrote its files


def rows(*inputs: str) -> str:
    return "".join(json.dumps({"text_input": text, "output": "x"}) + "\n" for text in inputs)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "data.jsonl"
    file.write_text(rows("one", "two", "two"))
    return file


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were scanned, in order."""
    read: list[Path] = []
    original = ScanRequest.scan

    def record(request: ScanRequest) -> DatasetScan:
        read.append(request.file)
        return original(request)

    monkeypatch.setattr(ScanRequest, "scan", record)
    return read


def request(file: Path) -> ScanRequest:
    return ScanRequest(file, ExampleFile(path=file.name), "data/data.jsonl")


def open_cache(file: Path, now_ns: int = LATER) -> ScanCache:
    return ScanCache(file.parent / "state" / "scans", now_ns=lambda: now_ns)


@contextmanager
def one_run(file: Path) -> Iterator[ScanCache]:
    """Open the cache and save it at the end, as a command does."""
    cache = open_cache(file)
    yield cache
    cache.save()


def test_an_unchanged_file_is_read_once(file: Path, reads: list[Path]) -> None:
    with one_run(file) as cache:
        first = cache.scan(request(file))
        assert cache.scan(request(file)) == first
    with one_run(file) as cache:
        assert cache.scan(request(file)) == first
    assert reads == [file]
    assert {problem.code for problem in first.problems} >= {"duplicate", "too-few-examples"}


def test_a_request_without_a_cache_reads_the_file_every_time(file: Path, reads: list[Path]) -> None:
    assert request(file).scan() == request(file).scan()
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
    cache = open_cache(file)
    cache.scan(request(file))
    change(file)
    cache.scan(request(file))
    assert reads == [file, file]


@pytest.mark.parametrize(
    "other",
    [
        {"display_path": "elsewhere/data.jsonl"},
        {"source": ExampleFile(path="data.jsonl", output_field="text_input", input_field="output")},
        {"source": ExampleFile(path="data.jsonl", format="csv")},
        {"limits": GEMINI_API.for_held_out()},
        {"preamble": "Answer in one word."},
        {"task": "classification"},
    ],
)
def test_another_request_is_another_entry(
    file: Path, reads: list[Path], other: dict[str, object]
) -> None:
    cache = open_cache(file)
    for scan_request in (request(file), replace(request(file), **other)) * 2:  # type: ignore[arg-type]  # any field
        cache.scan(scan_request)
    assert reads == [file, file]


def test_an_edit_within_the_clock_tick_of_the_scan_is_detected(
    file: Path, reads: list[Path]
) -> None:
    """Such an entry is racy, as in git: same size, same times, other content."""
    before = file.stat()
    now_ns = before.st_mtime_ns + 1_000_000
    cache = open_cache(file, now_ns)
    cache.scan(request(file))
    file.write_text(rows("one", "two", "six"))
    os.utime(file, ns=(before.st_mtime_ns, before.st_mtime_ns))
    assert not [p for p in cache.scan(request(file)).problems if p.code == "duplicate"]
    assert reads == [file, file]


@pytest.mark.parametrize(("age_s", "times_read"), [(1, 2), (3, 1)])
def test_a_clock_of_whole_seconds_needs_more_time(
    file: Path, reads: list[Path], age_s: int, times_read: int
) -> None:
    second_ns = (file.stat().st_ctime_ns // 10**9 + 60) * 10**9
    os.utime(file, ns=(second_ns, second_ns))
    cache = open_cache(file, second_ns + age_s * 10**9)
    cache.scan(request(file))
    cache.scan(request(file))
    assert len(reads) == times_read


def test_a_file_that_changes_while_it_is_read_is_not_cached(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = ScanRequest.scan
    monkeypatch.setattr(
        ScanRequest, "scan", lambda request: (original(request), file.write_text(rows("x")))[0]
    )
    cache = open_cache(file)
    cache.scan(request(file))
    assert cache.scan(request(file)).examples == 1


def test_a_missing_file_is_looked_for_every_time(file: Path, reads: list[Path]) -> None:
    cache = open_cache(file)
    absent = request(file.with_name("absent.jsonl"))
    for _ in range(2):
        assert [p.code for p in cache.scan(absent).problems] == ["missing-file"]
    assert len(reads) == 2


@pytest.mark.parametrize(
    "content", [b"", b"\xc1garbage", b"\x92\xa5other\x80", b"\x92\xa5\xff\xffxxx\x80"]
)
def test_a_damaged_cache_is_rebuilt(file: Path, reads: list[Path], content: bytes) -> None:
    saved = file.parent / "state" / "scans"
    saved.parent.mkdir()
    saved.write_bytes(content)
    for _ in range(2):
        with one_run(file) as cache:
            assert cache.scan(request(file)).examples == 3
    assert reads == [file]


def test_a_damaged_entry_is_computed_again(file: Path, reads: list[Path]) -> None:
    with one_run(file) as cache:
        cache.scan(request(file))
    saved = file.parent / "state" / "scans"
    saved.write_bytes(
        saved.read_bytes().replace(b"problems", b"promlebs").replace(b"digest", b"gidest")
    )
    assert open_cache(file).scan(request(file)).examples == 3
    assert reads == [file, file]


def test_other_rules_invalidate_the_cache(
    file: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for rules in (scan_cache_module.RULES, scan_cache_module.RULES + 1):
        monkeypatch.setattr(scan_cache_module, "RULES", rules)
        with one_run(file) as cache:
            cache.scan(request(file))
    assert reads == [file, file]


def test_an_unchanged_cache_is_not_written_and_a_full_disk_is_ignored(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with one_run(file) as cache:
        cache.scan(request(file))
    saved = file.parent / "state" / "scans"
    before = saved.stat().st_mtime_ns, saved.stat().st_ino
    with one_run(file) as cache:
        cache.scan(request(file))
    assert (saved.stat().st_mtime_ns, saved.stat().st_ino) == before

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "open", full)
    saved.unlink()
    with one_run(file) as cache:
        cache.scan(request(file))
    assert not list(saved.parent.iterdir())


def test_entries_that_the_run_did_not_request_are_removed_from_a_full_cache(
    file: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with one_run(file) as cache:
        cache.scan(replace(request(file), task="summarization"))
        cache.scan(request(file))
    monkeypatch.setattr(scan_cache_module, "_MAX_ENTRIES", 2)
    with one_run(file) as cache:
        cache.scan(replace(request(file), task="classification"))
    with one_run(file) as cache:
        cache.scan(replace(request(file), task="classification"))
        cache.scan(request(file))
    assert len(reads) == 4


def test_overlaps_are_cached_until_one_of_the_files_changes(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_out = file.with_name("eval.jsonl")
    held_out.write_text(rows("two"))
    files = [DatasetFile(path, ExampleFile(path=path.name), path.name) for path in (file, held_out)]
    with one_run(file) as cache:
        first = cache.find_overlap(*files)
    assert [problem.location for problem in first] == ["eval.jsonl:1: text_input"]
    monkeypatch.setattr(scan_cache_module, "find_overlap", lambda *_: ())
    assert open_cache(file).find_overlap(*files) == first
    held_out.write_text(rows("new"))
    assert open_cache(file).find_overlap(*files) == ()


def test_with_a_key_known_bytes_are_not_scanned_again(file: Path, reads: list[Path]) -> None:
    """As after a fresh checkout in CI: other times and another inode."""
    state = file.parent / "state" / "scans"
    for _ in range(2):
        cache = ScanCache(state, key=b"a key", now_ns=lambda: LATER)
        cache.scan(request(file))
        cache.save()
        copy = file.with_name("copy")
        copy.write_bytes(file.read_bytes())
        copy.replace(file)
        os.utime(file, (5, 5))
    assert reads == [file]
    file.write_text(rows("one", "two", "six"))
    cache = ScanCache(state, key=b"a key", now_ns=lambda: LATER)
    assert not [p for p in cache.scan(request(file)).problems if p.code == "duplicate"]


def test_the_file_grows_only_by_what_changed(file: Path) -> None:
    others = [file.with_name(f"{number}.jsonl") for number in range(200)]
    for other in others:
        other.write_text(rows("one", "two"))
    with one_run(file) as cache:
        for other in others:
            cache.scan(request(other))
    saved = file.parent / "state" / "scans"
    size = saved.stat().st_size
    others[7].write_text(rows("one", "three"))
    with one_run(file) as cache:
        for other in others:
            cache.scan(request(other))
    assert saved.stat().st_size - size < size / 50
