"""The document of a tuning job at a time: state, times, statistics and result."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tests.support.vertex.clock import timestamp
from tests.support.vertex.identity import PROJECT_NUMBER
from tests.support.vertex.jobs import Job, JobDurations


def job_document(job: Job, durations: JobDurations, now: datetime, version: str) -> dict[str, Any]:
    """The resource; only `v1beta1` contains the detailed state."""
    state, detail = _state(job, durations, now)
    document: dict[str, Any] = {
        "name": job.name,
        **job.body,
        "state": state,
        "createTime": timestamp(job.created),
        "updateTime": timestamp(job.ended or now),
    }
    start_time = _time_after(job, durations.capacity_s)
    if start_time is not None and start_time <= (job.ended or now):
        number = f"tuning-experiment-{job.created:%Y%m%d%H%M%S}{job.number[-2:]}"
        context = f"metadataStores/default/contexts/{number}"
        document["startTime"] = timestamp(start_time)
        document["experiment"] = f"projects/{PROJECT_NUMBER}/locations/{job.location}/{context}"
    if job.outcome.metrics_uri:
        document["gcsMetricsUri"] = job.outcome.metrics_uri
    if job.ended is not None:
        document["endTime"] = timestamp(job.ended)
    if job.ended is not None and job.error is not None:
        document["error"] = {"code": job.error[0], "message": job.error[1]}
    stats_time = _time_after(job, durations.capacity_s + durations.dataset_s)
    if job.data is not None and stats_time is not None and stats_time <= (job.ended or now):
        document["tuningDataStats"] = _stats(job)
    if job.result is not None:
        document["tunedModel"] = job.result
    if version == "v1beta1" and detail:
        document["tuningJobState"] = f"TUNING_JOB_STATE_{detail}"
    return document


def _time_after(job: Job, seconds: float) -> datetime | None:
    return None if job.slot_time is None else job.slot_time + timedelta(seconds=seconds)


def _state(job: Job, durations: JobDurations, now: datetime) -> tuple[str, str]:
    if job.ended is not None:
        return job.state, ""
    if job.cancelled is not None:
        return "JOB_STATE_CANCELLING", ""
    if job.slot_time is None:
        # Only the detailed state is documented, not the state that accompanies it.
        return "JOB_STATE_QUEUED", "WAITING_FOR_QUOTA"
    elapsed = (now - job.slot_time).total_seconds()
    if elapsed < durations.capacity_s:
        return "JOB_STATE_PENDING", "WAITING_FOR_CAPACITY"
    return "JOB_STATE_RUNNING", _running_phase(elapsed - durations.capacity_s, durations)


def _running_phase(elapsed: float, durations: JobDurations) -> str:
    if elapsed < durations.dataset_s:
        return "PROCESSING_DATASET"
    return "TUNING" if elapsed < durations.dataset_s + durations.training_s else "POST_PROCESSING"


def _stats(job: Job) -> dict[str, Any]:
    data, dropped = job.data, sorted(job.outcome.dropped)
    assert data is not None
    counts: dict[str, Any] = {
        "tuningDatasetExampleCount": str(data.examples),
        "totalBillableTokenCount": str(data.tokens),
        "tuningStepCount": str(job.steps),
    }
    reasons = [job.outcome.dropped[index] for index in dropped]
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
