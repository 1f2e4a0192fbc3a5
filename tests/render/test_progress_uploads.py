"""What a person sees of an upload, and of what a job of a service is at."""

from __future__ import annotations

import io

import pytest

from tests.support.builders import live
from tunedmodels.events import Progressed, Uploaded
from tunedmodels.observed import ModelState, Named, UsedHyperparameters
from tunedmodels.render.progress import PlainProgress, line, size
from tunedmodels.render.status import show_text, status_text


def test_an_upload_says_how_far_it_is() -> None:
    words = line(Uploaded("gs://b/d.jsonl", 8 * 1024**2, 32 * 1024**2))[2]
    assert words == "25% of 32.0 MiB are at gs://b/d.jsonl"
    assert line(Uploaded("gs://b/d.jsonl", 0, 0))[2].startswith("0% of 0 B")


@pytest.mark.parametrize(
    ("count", "words"),
    [(812, "812 B"), (3482, "3.4 KiB"), (12 * 1024**2, "12.0 MiB"), (5 * 1024**4, "5120.0 GiB")],
)
def test_a_size_is_said_in_its_unit(count: int, words: str) -> None:
    assert size(count) == words


def test_each_phase_of_a_job_is_told_once() -> None:
    out = io.StringIO()
    phases = ["waiting for quota", "waiting for quota", "tuning", "post processing"]
    with PlainProgress(out, elapsed=lambda: 0.0) as view:
        for phase in phases:
            view(Progressed("tone", "tone-1", ModelState.TRAINING, 0, None, 0, phase=phase))
    told = [
        told.strip() for told in out.getvalue().splitlines() if told.strip().startswith("tone:")
    ]
    assert [words.removeprefix("tone: ") for words in told[:3]] == [
        "waiting for quota",
        "tuning",
        "post processing",
    ]


def test_status_says_what_a_job_is_at_and_what_a_version_lacks() -> None:
    waiting = live(state=ModelState.QUEUED, phase="waiting for quota")
    assert "waiting for quota" in status_text([Named("tone", (waiting,), is_declared=True)])
    less = live(promoted=1, remark="trained on 22 of 24 examples")
    assert "trained on 22 of 24" in status_text([Named("tone", (less,), is_declared=True)])


def test_show_says_what_was_set() -> None:
    used = UsedHyperparameters(learning_rate_multiplier=0.5, adapter_size=4, beta=0.1)
    text = show_text(Named("tone", (live(promoted=1, used=used),), is_declared=True))
    assert "times the default rate" in text
    assert "adapter size" in text
