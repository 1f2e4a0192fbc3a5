"""The loss curve of a job, from the object that the job names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.vertex.cloud import LoopbackCloud
from tests.support.vertex.jobs import JobOutcome
from tests.support.vertex.tuning import desired, loopback_provider, train_model
from tunedmodels.observed import LossPoint
from tunedmodels.providers.vertex.metrics import parse_curve

URI = "gs://data/metrics/job.jsonl"
TONE = desired()


def lines(*records: Any) -> bytes:
    return "\n".join(map(json.dumps, records)).encode()


def record(step: int, loss: Any, **fields: Any) -> dict[str, Any]:
    return {"step": step, "/train_total_loss": loss, **fields}


def test_a_curve_has_the_steps_and_the_epochs_of_its_records() -> None:
    body = lines(record(1, 2.5), {"step": 1, "/eval_total_loss": 9}, record(2, 2.0), record(3, 1.5))
    assert parse_curve(body, epochs=2, total_steps=4) == (
        LossPoint(1, 0, 2.5),
        LossPoint(2, 0, 2.0),
        LossPoint(3, 1, 1.5),
    )
    assert parse_curve(lines(record(7, 1.0, epoch=3)), epochs=None, total_steps=None) == (
        LossPoint(7, 3, 1.0),
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"[1, 2]",
        lines({"loss": 1.0}),
        lines(record(1, "high")),
        lines(record(0, 1.0)),
        lines(record(2, 1.0), record(1, 1.0)),
        lines(record(1, 1.0), record(1, 2.0)),
        lines(record(1, 1.0)) + b"\n{",
        b'{"step": 1, "/train_total_loss": 1e999}',
    ],
)
def test_an_object_of_another_form_has_no_curve(body: bytes) -> None:
    assert parse_curve(body, epochs=1, total_steps=1) == ()


async def test_a_model_has_the_curve_of_its_job(cloud: LoopbackCloud) -> None:
    cloud.jobs.outcomes.append(JobOutcome(metrics_uri=URI))
    async with loopback_provider(cloud) as vertex:
        await train_model(cloud, vertex, TONE)
        (model,) = await vertex.observe()
        assert model.curve == ()  # the object does not exist yet
        cloud.buckets.put("data", "metrics/job.jsonl", lines(record(1, 2.0), record(2, 1.0)))
        (model,) = await vertex.observe()
        assert [point.mean_loss for point in model.curve] == [2.0, 1.0]
        cloud.requests.clear()
        again = await vertex.get(model.model_id)
        assert again
        assert again.curve == model.curve
        assert [r for r in cloud.requests if r.query.get("alt") == "media"] == []


@pytest.mark.parametrize("uri", ["gs://", "gs://data", "https://x/y", "gs://missing/x"])
async def test_a_job_without_a_readable_object_has_no_curve(cloud: LoopbackCloud, uri: str) -> None:
    cloud.jobs.outcomes.append(JobOutcome(metrics_uri=uri))
    async with loopback_provider(cloud) as vertex:
        model = await train_model(cloud, vertex, TONE)
        assert model.curve == ()
