"""Archiving and overlapping: what is true of whole datasets."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tunedmodels.datasets.archive import Archive
from tunedmodels.datasets.checks.leakage import Side, overlap
from tunedmodels.datasets.examples import Example, digest
from tunedmodels.schema.tuned_model import Examples

TONE = [Example("Good morning", "warm"), Example("What?", "cold"), Example("a\n\x01é", "\u2028")]


def test_an_archived_dataset_comes_back_as_it_was(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "not" / "there yet")
    assert archive.get(digest(TONE)) is None
    archive.put(digest(TONE), TONE)
    archive.put(digest(TONE), TONE)
    assert archive.get(digest(TONE)) == TONE
    assert [file.name for file in (tmp_path / "not" / "there yet").iterdir()] == [
        f"{digest(TONE)}.jsonl.gz"
    ]


def test_a_dataset_is_not_archived_under_the_digest_of_another(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="do not have the digest"):
        Archive(tmp_path).put(digest(TONE[:1]), TONE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "damage",
    [
        lambda written: written[:-9],
        lambda written: written[:12] + b"\xff" + written[13:],
        lambda _: b"",
        lambda _: b"no gzip",
        lambda _: gzip.compress(b'["another","dataset"]\n'),
    ],
    ids=["cut", "flipped", "empty", "not packed", "another"],
)
def test_a_damaged_archive_is_an_absent_one_and_is_mended(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    archive = Archive(tmp_path)
    archive.put(digest(TONE), TONE)
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert archive.get(digest(TONE)) is None
    archive.put(digest(TONE), TONE)
    assert archive.get(digest(TONE)) == TONE


def test_a_failed_write_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        Archive(tmp_path).put(digest(TONE), TONE)
    assert not list(tmp_path.iterdir())


def side(folder: Path, name: str, inputs: list[str]) -> Side:
    file = folder / name
    if name.endswith(".csv"):
        file.write_text("ask,answer\n" + "".join(f'"{text}",x\n' for text in inputs))
        return Side(file, Examples(path=name, input_field="ask", output_field="answer"), name)
    rows = [json.dumps({"text_input": text, "output": "y"}) + "\n" for text in inputs]
    file.write_text("".join(rows))
    return Side(file, Examples(path=name), name)


@pytest.mark.parametrize("padding", [0, 50], ids=["train is smaller", "train is larger"])
def test_inputs_of_both_files_are_named_with_both_lines(tmp_path: Path, padding: int) -> None:
    filler = [f"only trained on {number}" for number in range(padding)]
    train = side(tmp_path, "train.jsonl", ["a", "b\nb", "a", "c", *filler])
    held_out = side(tmp_path, "eval.csv", ["new", "b\r\nb", "a", "other", "b\nb", "and more"])
    warnings = overlap(train, held_out)
    assert [(p.place, p.severity, p.code, p.message) for p in warnings] == [
        (f"eval.csv:{line}: ask", "warning", "overlap", f"the input is also trained on, at {place}")
        for line, place in [(3, "train.jsonl:2"), (5, "train.jsonl:1"), (7, "train.jsonl:2")]
    ]


def test_files_that_share_nothing_or_are_not_there_do_not_overlap(tmp_path: Path) -> None:
    one, other = side(tmp_path, "a.jsonl", ["a"]), side(tmp_path, "b.jsonl", ["b"])
    assert overlap(one, other) == ()
    assert overlap(one._replace(file=tmp_path / "absent.jsonl"), other) == ()
