"""The journal: written before a request is sent, limited in size, an error if it cannot be."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.support.apply_harness import ApplyHarness, declare
from tests.support.builders import NOON
from tunedmodels.apply.journal import MAX_FILES, Journal
from tunedmodels.errors import StoreError
from tunedmodels.events import Failed, Progressed, Sending, Sent, Started
from tunedmodels.observed import LossPoint, ModelState
from tunedmodels.plan.plan import Action

START = Started("tone", "tone-1", Action.CREATE)


def noon() -> datetime:
    return NOON


def lines(folder: Path) -> list[dict[str, object]]:
    (file,) = folder.iterdir()
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_every_event_is_a_line_with_its_time_and_without_loss_points(tmp_path: Path) -> None:
    point = LossPoint(step=1, epoch=0, mean_loss=1.0)
    with Journal(tmp_path / "new" / "journal", noon) as journal:
        journal.write(START)
        journal.write(Sending("tone", "tone-1", "create"))
        journal.write(Progressed("tone", "tone-1", ModelState.TRAINING, 1, 30, 0, (point,)))
        journal.write(Failed("tone", "tone-1", Action.CREATE, "ünlucky\nline"))
    time = "2026-11-22T12:00:00+00:00"
    key = {"name": "tone", "model_id": "tone-1"}
    assert lines(tmp_path / "new" / "journal") == [
        {"time": time, "event": "Started", **key, "action": "create", "candidate": False},
        {"time": time, "event": "Sending", **key, "call": "create"},
        {
            "time": time,
            "event": "Failed",
            **key,
            "action": "create",
            "words": "ünlucky\nline",
            "cure": "",
        },
    ]


def test_without_events_no_file_is_created(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal", noon):
        pass
    assert not (tmp_path / "journal").exists()


def test_the_line_of_a_request_is_synced_before_it_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    with Journal(tmp_path, noon) as journal:
        journal.write(START)
        assert synced == []
        journal.write(Sending("tone", "tone-1", "create"))
        assert len(synced) == 1
        journal.write(Sent("tone", "tone-1", "create"))
        assert len(synced) == 1


def test_only_the_newest_files_are_kept(tmp_path: Path) -> None:
    for number in range(MAX_FILES + 5):
        with Journal(tmp_path, lambda n=number: NOON + timedelta(minutes=n)) as journal:  # type: ignore[misc]  # a lambda per file
            journal.write(START)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert len(names) == MAX_FILES
    assert names[0].startswith("20261122T120500Z-")
    assert names[-1] == f"20261122T125400Z-{os.getpid()}.jsonl"


async def test_a_folder_that_cannot_be_written_stops_the_run_before_the_first_request(
    tmp_path: Path,
) -> None:
    (tmp_path / "journal").write_text("a file where the folder should be")
    harness = ApplyHarness([declare()])
    journal = Journal(tmp_path / "journal", noon)
    with pytest.raises(StoreError, match="cannot be written") as caught:
        await harness.apply(emit=journal.write)
    assert "writable" in caught.value.cure
    assert harness.provider.requests == []
