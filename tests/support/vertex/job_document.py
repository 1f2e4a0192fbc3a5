"""A tuning job as the API shows it at a moment: state, times, statistics and what it made."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tests.support.vertex.clock import text
from tests.support.vertex.identity import NUMBER
from tests.support.vertex.jobs import Course, Job


def shown(job: Job, course: Course, now: datetime, version: str) -> dict[str, Any]:
    """The resource; `v1beta1` alone knows the detailed state."""
    state, detail = _state(job, course, now)
    document: dict[str, Any] = {
        "name": job.name,
        **job.sent,
        "state": state,
        "createTime": text(job.created),
        "updateTime": text(job.ended or now),
    }
    running = _moment(job, course.capacity_s)
    if running is not None and running <= (job.ended or now):
        number = f"tuning-experiment-{job.created:%Y%m%d%H%M%S}{job.number[-2:]}"
        context = f"metadataStores/default/contexts/{number}"
        document["startTime"] = text(running)
        document["experiment"] = f"projects/{NUMBER}/locations/{job.location}/{context}"
    if job.ended is not None:
        document["endTime"] = text(job.ended)
    if job.ended is not None and job.error is not None:
        document["error"] = {"code": job.error[0], "message": job.error[1]}
    counted = _moment(job, course.capacity_s + course.dataset_s)
    if job.data is not None and counted is not None and counted <= (job.ended or now):
        document["tuningDataStats"] = _stats(job)
    if job.made is not None:
        document["tunedModel"] = job.made
    if version == "v1beta1" and detail:
        document["tuningJobState"] = f"TUNING_JOB_STATE_{detail}"
    return document


def _moment(job: Job, seconds: float) -> datetime | None:
    return None if job.slot is None else job.slot + timedelta(seconds=seconds)


def _state(job: Job, course: Course, now: datetime) -> tuple[str, str]:
    if job.ended is not None:
        return job.state, ""
    if job.cancelled is not None:
        return "JOB_STATE_CANCELLING", ""
    if job.slot is None:
        # Documented is only the detailed state; beside which of the others it stands is not.
        return "JOB_STATE_QUEUED", "WAITING_FOR_QUOTA"
    elapsed = (now - job.slot).total_seconds()
    if elapsed < course.capacity_s:
        return "JOB_STATE_PENDING", "WAITING_FOR_CAPACITY"
    return "JOB_STATE_RUNNING", _part(elapsed - course.capacity_s, course)


def _part(elapsed: float, course: Course) -> str:
    if elapsed < course.dataset_s:
        return "PROCESSING_DATASET"
    return "TUNING" if elapsed < course.dataset_s + course.training_s else "POST_PROCESSING"


def _stats(job: Job) -> dict[str, Any]:
    data, dropped = job.data, sorted(job.fate.dropped)
    assert data is not None
    counts: dict[str, Any] = {
        "tuningDatasetExampleCount": str(data.examples),
        "totalBillableTokenCount": str(data.tokens),
        "tuningStepCount": str(job.steps),
    }
    reasons = [job.fate.dropped[index] for index in dropped]
    indices = [str(index) for index in dropped]
    if job.is_preference:
        if dropped:
            counts |= {"droppedExampleIndices": indices, "droppedExampleReasons": reasons}
        return {"preferenceOptimizationDataStats": counts}
    counts["totalTuningCharacterCount"] = str(data.characters)
    if dropped:
        counts |= {
            "totalTruncatedExampleCount": str(len(dropped)),
            "truncatedExampleIndices": indices,
            "droppedExampleReasons": reasons,
        }
    return {"supervisedTuningDataStats": counts}
