"""Caches: when an entry is valid, who can have written it, and what a change writes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from tunedmodels import cache_file
from tunedmodels.cache_file import KEY_VARIABLE, CacheFile, cache_key
from tunedmodels.errors import TunedModelsError

LATER = 4 * 10**18  # a clock long after the test wrote its files
KEY = cache_key({KEY_VARIABLE: "a-secret-of-the-CI-pipeline"})
OTHER_KEY = cache_key({KEY_VARIABLE: "another-secret-of-some-CI"})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "data.txt"
    file.write_text("content")
    return file


def open_cache(folder: Path, key: bytes = b"", rules: str = "1") -> CacheFile:
    return CacheFile(folder / "cache", rules=rules, key=key, now_ns=lambda: LATER)


def store(folder: Path, values: Mapping[str, object], key: bytes = b"") -> None:
    cache = open_cache(folder, key)
    for name, value in values.items():
        cache.get(name)
        cache.put(name, msgspec.msgpack.encode(value))
    cache.save()


def load(folder: Path, name: str, key: bytes = b"", rules: str = "1") -> object:
    raw = open_cache(folder, key, rules).get(name)
    return None if raw is None else msgspec.msgpack.decode(raw)


@pytest.mark.parametrize("key", [b"", KEY])
def test_a_saved_entry_is_read_again(tmp_path: Path, key: bytes) -> None:
    store(tmp_path, {"a": [1, "x"]}, key)
    assert load(tmp_path, "a", key) == [1, "x"]
    assert load(tmp_path, "b", key) is None


def test_entries_of_other_rules_are_ignored(tmp_path: Path) -> None:
    store(tmp_path, {"a": 1})
    assert load(tmp_path, "a", rules="2") is None


@pytest.mark.parametrize(("written", "read"), [(b"", KEY), (OTHER_KEY, KEY), (KEY, b"")])
def test_entries_that_were_not_written_with_the_key_are_ignored(
    tmp_path: Path, written: bytes, read: bytes
) -> None:
    store(tmp_path, {"a": 1}, written)
    assert load(tmp_path, "a", read) is None
    store(tmp_path, {"a": 2}, read)
    assert load(tmp_path, "a", read) == 2


def test_every_changed_byte_is_detected(tmp_path: Path) -> None:
    store(tmp_path, {"a": "value"}, KEY)
    saved = (tmp_path / "cache").read_bytes()
    for index in range(len(saved)):
        tampered = bytearray(saved)
        tampered[index] ^= 1
        (tmp_path / "cache").write_bytes(tampered)
        assert load(tmp_path, "a", KEY) is None


def test_a_torn_end_costs_only_the_last_entries(tmp_path: Path) -> None:
    store(tmp_path, {"a": 1})
    store(tmp_path, {"b": 2})
    saved = (tmp_path / "cache").read_bytes()
    (tmp_path / "cache").write_bytes(saved[:-1])
    assert [load(tmp_path, name) for name in "ab"] == [1, None]
    store(tmp_path, {"c": 3})
    assert [load(tmp_path, name) for name in "abc"] == [1, None, 3]


def test_a_change_appends_a_little(tmp_path: Path) -> None:
    store(tmp_path, {str(number): "x" * 100 for number in range(500)})
    saved = (tmp_path / "cache").read_bytes()
    store(tmp_path, {"7": "new"})
    again = (tmp_path / "cache").read_bytes()
    assert again[: len(saved)] == saved
    assert len(again) - len(saved) < 100
    assert [load(tmp_path, name) for name in ("7", "8")] == ["new", "x" * 100]


def test_a_file_of_outdated_entries_is_written_again(tmp_path: Path) -> None:
    store(tmp_path, {"a": "x" * 1000})
    for number in range(10):
        store(tmp_path, {"a": number})
    assert (tmp_path / "cache").stat().st_size < 500
    assert load(tmp_path, "a") == 9


def test_many_small_additions_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_file, "_MAX_SEGMENTS", 3)
    for name in "abcde":
        store(tmp_path, {name: name})
    assert open_cache(tmp_path)._segments <= 3
    assert [load(tmp_path, name) for name in "abcde"] == list("abcde")


def test_former_contents_do_not_accumulate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_file, "_MIN_KEPT", 3)
    store(tmp_path, {f"old-{number}": 1 for number in range(10)})
    store(tmp_path, {"new": 1})
    assert load(tmp_path, "new") == 1
    assert load(tmp_path, "old-0") is None


def test_without_a_key_a_copy_of_a_file_is_another_content(data: Path) -> None:
    cache = open_cache(data.parent)
    before = cache.identify([data])
    copy = data.with_name("copy")
    shutil.copy2(data, copy)
    copy.replace(data)
    assert before
    assert open_cache(data.parent).identify([data]) != before


def test_with_a_key_the_bytes_of_a_file_identify_it(data: Path) -> None:
    before = open_cache(data.parent, KEY).identify([data])
    copy = data.with_name("copy")
    shutil.copyfile(data, copy)
    os.utime(copy, (5, 5))
    cache = open_cache(data.parent, KEY)
    assert before
    assert cache.identify([copy]) == before
    copy.write_text("Content")
    assert cache.identify([copy]) != before


def test_the_hash_of_an_unchanged_file_is_remembered(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = open_cache(data.parent, KEY)
    before = cache.identify([data])
    cache.save()
    monkeypatch.setattr("hashlib.file_digest", None)
    assert open_cache(data.parent, KEY).identify([data]) == before


def test_a_missing_file_has_no_identity(tmp_path: Path) -> None:
    for key in (b"", KEY):
        assert open_cache(tmp_path, key).identify([tmp_path / "missing", Path("a\0b")]) is None


def test_a_short_key_is_an_error_with_a_cure() -> None:
    assert cache_key({}) == b""
    with pytest.raises(TunedModelsError, match="has 5 characters") as caught:
        cache_key({KEY_VARIABLE: "short"})
    assert "openssl" in caught.value.cure
