"""The archive of datasets: undamaged copies come back, and damaged ones count as absent."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from tunedmodels.datasets.archive import Archive
from tunedmodels.datasets.examples import Example, digest

TONE = [Example("Good morning", "warm"), Example("What?", "cold"), Example("a\n\x01é", "\u2028")]


def test_an_archived_dataset_comes_back_unchanged(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "new" / "archive")
    assert archive.get(digest(TONE)) is None
    archive.put(digest(TONE), TONE)
    archive.put(digest(TONE), TONE)
    assert archive.get(digest(TONE)) == TONE
    assert [file.name for file in (tmp_path / "new" / "archive").iterdir()] == [
        f"{digest(TONE)}.jsonl.gz"
    ]


def test_a_dataset_is_not_archived_under_the_digest_of_another(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="do not have the digest"):
        Archive(tmp_path).put(digest(TONE[:1]), TONE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-9],
        lambda content: content[:12] + b"\xff" + content[13:],
        lambda _: b"",
        lambda _: b"not gzip",
        lambda _: gzip.compress(b'["another","dataset"]\n'),
    ],
    ids=["truncated", "flipped", "empty", "not compressed", "another"],
)
def test_a_damaged_copy_counts_as_absent_and_is_replaced(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    archive = Archive(tmp_path)
    archive.put(digest(TONE), TONE)
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert archive.get(digest(TONE)) is None
    archive.put(digest(TONE), TONE)
    assert archive.get(digest(TONE)) == TONE


def test_a_failed_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        Archive(tmp_path).put(digest(TONE), TONE)
    assert not list(tmp_path.iterdir())
