"""The output for uploads and for the phases of a job."""

from __future__ import annotations

import io

import pytest

from tests.support.builders import live
from tunedmodels.events import Progressed, Uploaded
from tunedmodels.observed import ModelState, ModelVersions, UsedHyperparameters
from tunedmodels.render.event_lines import event_line
from tunedmodels.render.layout import format_size
from tunedmodels.render.progress import PlainProgress
from tunedmodels.render.status import show_text, status_text


def test_an_upload_shows_its_progress() -> None:
    text = event_line(Uploaded("gs://b/d.jsonl", 8 * 1024**2, 32 * 1024**2))[2]
    assert text == "uploaded 25% of 32.0 MiB to gs://b/d.jsonl"
    assert event_line(Uploaded("gs://b/d.jsonl", 0, 0))[2].startswith("uploaded 0% of 0 B")


@pytest.mark.parametrize(
    ("count", "text"),
    [(812, "812 B"), (3482, "3.4 KiB"), (12 * 1024**2, "12.0 MiB"), (5 * 1024**4, "5120.0 GiB")],
)
def test_a_size_has_its_unit(count: int, text: str) -> None:
    assert format_size(count) == text


def test_each_phase_of_a_job_has_one_line() -> None:
    out = io.StringIO()
    phases = ["waiting for quota", "waiting for quota", "tuning", "post processing"]
    with PlainProgress(out, elapsed=lambda: 0.0) as view:
        for phase in phases:
            view(Progressed("tone", "tone-1", ModelState.TRAINING, 0, None, 0, phase=phase))
    lines = [line.strip() for line in out.getvalue().splitlines()]
    lines = [line.removeprefix("tone: ") for line in lines if line.startswith("tone:")]
    assert lines[:3] == [
        "waiting for quota",
        "tuning",
        "post processing",
    ]


def test_status_shows_the_phase_of_a_job_and_the_warning_of_a_version() -> None:
    waiting = live(state=ModelState.QUEUED, job_phase="waiting for quota")
    assert "waiting for quota" in status_text([ModelVersions("tone", (waiting,), is_declared=True)])
    less = live(promoted=1, warning="trained on 22 of 24 examples")
    assert "trained on 22 of 24" in status_text([ModelVersions("tone", (less,), is_declared=True)])


def test_show_lists_the_hyperparameters() -> None:
    used = UsedHyperparameters(learning_rate_multiplier=0.5, adapter_size=4, beta=0.1)
    text = show_text(ModelVersions("tone", (live(promoted=1, used=used),), is_declared=True))
    assert "rate factor" in text
    assert "adapter size" in text
