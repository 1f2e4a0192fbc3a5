"""Tuning jobs: their states over time, their quota, and their results."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.support.vertex.buckets import Buckets
from tests.support.vertex.errors import ServiceError, quota_exceeded
from tests.support.vertex.identity import (
    OPEN_SERVICE_AGENT,
    PROJECT_NUMBER,
    SERVICE_AGENT,
    IdentityService,
)
from tests.support.vertex.names import ResourceName, parse_filter
from tests.support.vertex.registry import Model, ModelRegistry
from tests.support.vertex.tuning_data import (
    InvalidDatasetError,
    ParsedDataset,
    parse_dataset,
    parse_messages,
)

_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,64}")
_SMALL = ("ONE", "TWO", "FOUR", "EIGHT")
_MULTI_REGION = {"us-central1": "us", "europe-west4": "eu"}
_EPOCHS = 3
_BATCH = 8


@dataclass(frozen=True)
class BaseModelRules:
    """A base model: its adapter sizes, and whether it is served only from `us` and `eu`."""

    adapters: tuple[str, ...] = (*_SMALL, "SIXTEEN")
    has_customer_keys: bool = False
    is_multi_region: bool = False
    is_open: bool = False


BASE_MODELS = {
    "gemini-3.1-flash-lite": BaseModelRules(is_multi_region=True),
    "gemini-3.5-flash": BaseModelRules(is_multi_region=True),
    "gemini-3.5-flash-lite": BaseModelRules(is_multi_region=True),
    # A model that serves where it was tuned, and has customer-managed keys, as Gemini 2.5 had.
    "google/gemma3@gemma-3-1b-it": BaseModelRules(is_open=True),
    "qwen/qwen3@qwen3-32b": BaseModelRules(is_open=True),
    "regional-model": BaseModelRules(_SMALL, has_customer_keys=True),
}


# Base models for which temperature, topP and topK are deprecated.
NO_SAMPLING = ("gemini-3.5-flash", "gemini-3.5-flash-lite")


@dataclass(frozen=True)
class JobDurations:
    """The seconds that each part of a job takes."""

    capacity_s: float = 60
    dataset_s: float = 60
    training_s: float = 600
    export_s: float = 60
    cancel_s: float = 30


@dataclass(frozen=True)
class JobOutcome:
    """The planned outcome of a job."""

    state: str = "JOB_STATE_SUCCEEDED"
    """The last state."""
    error: tuple[int, str] | None = None
    """A google.rpc code and a message."""
    dropped: dict[int, str] = field(default_factory=dict)
    """The reasons for dropped examples, by index."""
    is_endless: bool = False
    metrics_uri: str = ""
    """Where the metrics of the job are, if the service reports it."""


@dataclass
class Job:
    """A job: the body of its create, and the times of its changes so far."""

    number: str
    location: str
    body: dict[str, Any]
    outcome: JobOutcome
    created: datetime
    list_lag: int
    """The number of lists that do not contain the job yet."""
    slot_time: datetime | None = None
    """When it got a slot of the quota."""
    cancelled: datetime | None = None
    ended: datetime | None = None
    state: str = ""
    error: tuple[int, str] | None = None
    data: ParsedDataset | None = None
    result: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        return f"projects/{PROJECT_NUMBER}/locations/{self.location}/tuningJobs/{self.number}"

    @property
    def spec(self) -> dict[str, Any]:
        spec = self.body.get("supervisedTuningSpec") or self.body["preferenceOptimizationSpec"]
        return dict(spec)

    @property
    def is_preference(self) -> bool:
        return "preferenceOptimizationSpec" in self.body

    @property
    def is_open(self) -> bool:
        return "@" in self.body.get("baseModel", "")

    @property
    def epochs(self) -> int:
        return int(self.spec.get("hyperParameters", {}).get("epochCount", _EPOCHS))

    @property
    def kept(self) -> int:
        return (self.data.examples if self.data else 0) - len(self.outcome.dropped)

    @property
    def steps(self) -> int:
        return -(-self.kept * self.epochs // _BATCH)


class TuningJobs:
    """All tuning jobs of the project; at most `quota` of them run at the same time."""

    def __init__(
        self,
        now: Callable[[], datetime],
        buckets: Buckets,
        registry: ModelRegistry,
        identity: IdentityService,
    ) -> None:
        self.now = now
        self.buckets = buckets
        self.registry = registry
        self.identity = identity
        self.durations = JobDurations()
        self.quota = 1
        self.rejects_beyond_quota = False
        self.list_lag = 0
        self.outcomes: list[JobOutcome] = []
        self.jobs: list[Job] = []
        self._numbers = itertools.count(7210488213894174720, 131_101)
        self._last_end: datetime | None = None

    def create(self, location: str, body: dict[str, Any]) -> Job:
        """Start a job; a repeated create starts another one."""
        self._validate(location, body)
        is_full = sum(job.ended is None for job in self.jobs) >= self.quota
        if is_full and self.rejects_beyond_quota:
            raise quota_exceeded()
        outcome = self.outcomes.pop(0) if self.outcomes else JobOutcome()
        number = str(next(self._numbers))
        job = Job(number, location, body, outcome, self.now(), self.list_lag)
        self.jobs.append(job)
        self.tick()
        return job

    def get(self, location: str, number: str) -> Job:
        """A job by its number; jobs are never deleted."""
        for job in self.jobs:
            if (job.location, job.number) == (location, number):
                return job
        raise ServiceError(404, f"The TuningJob {number} does not exist.")

    def page(self, location: str, query: dict[str, str], limit: int) -> tuple[list[Job], str]:
        """Jobs of a location, newest first, and the token of the next page."""
        matches = parse_filter(query.get("filter", ""), ())
        before = query.get("pageToken", "")
        if not before:
            for job in self.jobs:
                job.list_lag -= 1
        size = min(int(query.get("pageSize") or limit), limit)
        listed = [
            job
            for job in reversed(self.jobs)
            if job.location == location and job.list_lag < 0 and matches(job.body)
        ]
        rest = [job for job in listed if not before or int(job.number) < int(before)]
        return rest[:size], rest[size - 1].number if len(rest) > size else ""

    def cancel(self, job: Job) -> None:
        """Cancel a job, unless it has ended."""
        if job.ended is None and job.cancelled is None:
            job.cancelled = self.now()
        self.tick()

    def tick(self) -> None:
        """Update all jobs to the current time, in the order of events."""
        while True:
            self._assign_slots()
            due = [(end, job) for job in self.jobs if (end := self._end_time(job)) <= self.now()]
            if not due:
                return
            end, job = min(due, key=lambda entry: entry[0])
            self._finish(job, end)
            self._last_end = end

    def _assign_slots(self) -> None:
        used = sum(job.slot_time is not None and job.ended is None for job in self.jobs)
        waiting = [job for job in self.jobs if job.slot_time is None and job.ended is None]
        for job in waiting[: max(0, self.quota - used)]:
            job.slot_time = max(job.created, self._last_end or job.created)

    def _end_time(self, job: Job) -> datetime:
        """The time at which a job ends; the maximum if it has ended or never ends."""
        never = datetime.max.replace(tzinfo=self.now().tzinfo)
        if job.ended is not None:
            return never
        if job.cancelled is not None:
            return job.cancelled + timedelta(seconds=self.durations.cancel_s)
        if job.slot_time is None or (job.outcome.is_endless and not self._data_error(job)):
            return never
        course = self.durations
        seconds = course.capacity_s + course.dataset_s
        if not self._data_error(job):
            seconds += course.training_s + course.export_s
        return job.slot_time + timedelta(seconds=seconds)

    def _data_error(self, job: Job) -> tuple[int, str] | None:
        """The error in the datasets of a job, which are read once, after it got its slot."""
        if job.data is not None or job.error is not None:
            return job.error
        for key in ("validationDatasetUri", "trainingDatasetUri"):
            uri = str(job.spec.get(key, ""))
            if not uri:
                continue
            bucket, _, name = uri.removeprefix("gs://").partition("/")
            stored = self.buckets.objects.get((bucket, name))
            agent = OPEN_SERVICE_AGENT if job.is_open else SERVICE_AGENT
            reader = job.body.get("serviceAccount", agent)
            if stored is None or not self.identity.can_read(reader, bucket):
                message = f"{reader} does not have storage.objects.get access to {uri}."
                job.error = (7, message) if stored else (5, f"The dataset {uri} does not exist.")
                return job.error
            try:
                parse = parse_messages if job.is_open else parse_dataset
                job.data = parse(stored.data, is_preference=job.is_preference)
            except (InvalidDatasetError, UnicodeDecodeError) as error:
                job.data, job.error = None, (3, str(error))
                return job.error
        return None

    def _finish(self, job: Job, end: datetime) -> None:
        job.ended = end
        if job.cancelled is not None:
            job.state, job.error = "JOB_STATE_CANCELLED", (1, "The job was cancelled.")
        elif job.error is not None or job.outcome.error is not None:
            job.state, job.error = "JOB_STATE_FAILED", job.error or job.outcome.error
        else:
            job.state = job.outcome.state
            has_result = job.state in ("JOB_STATE_SUCCEEDED", "JOB_STATE_PARTIALLY_SUCCEEDED")
            if has_result and job.is_open:
                self._write_weights(job)
            elif has_result:
                job.result = self._create_result(job)

    def _write_weights(self, job: Job) -> None:
        """Write the result of an open model to the bucket, where it does not serve."""
        bucket, _, path = str(job.body["outputUri"]).removeprefix("gs://").partition("/")
        final = f"{path.rstrip('/')}/postprocess/node-0/checkpoints/final"
        for name in ("config.json", "model-00001-of-00001.safetensors"):
            self.buckets.put(bucket, f"{final}/{name}", b"weights")

    def _create_result(self, job: Job) -> dict[str, Any]:
        """Create the model with its endpoints; returns the `TuningJob.tunedModel`."""
        parent, base = self._parent(job.body)
        display = job.body.get("tunedModelDisplayName")
        if parent is not None and display not in (None, "", parent.version("")["displayName"]):
            parent = None
        labels = {
            **job.body.get("labels", {}),
            "google-vertex-llm-tuning-base-model-id": re.sub(r"[^a-z0-9_-]", "-", base),
            "tune-type": "dpo" if job.is_preference else "sft",
        }
        document = {
            "displayName": display
            or (parent.version("")["displayName"] if parent else f"tuned-{job.number}"),
            "labels": labels,
            "baseModelSource": {
                "genieSource": {"baseModelUri": f"publishers/google/models/{base}"}
            },
        }
        if "description" in job.body:
            document["description"] = job.body["description"]
        learned = dict(job.data.learned) if job.data else {}
        location = (
            _MULTI_REGION[job.location] if BASE_MODELS[base].is_multi_region else job.location
        )
        # The model is where it serves, so that its name contains another location than the job's.
        model, version = self.registry.add_version(parent, location, document, learned)
        checkpoints = []
        if not job.spec.get("exportLastCheckpointOnly"):
            for epoch in range(1, job.epochs + 1):
                endpoint = self.registry.deploy(model, version, location, str(epoch), labels)
                checkpoints.append(
                    {
                        "checkpointId": str(epoch),
                        "epoch": str(epoch),
                        "step": str(job.steps * epoch // job.epochs),
                        "endpoint": endpoint.name,
                    }
                )
        last = (
            checkpoints[-1]["endpoint"]
            if checkpoints
            else self.registry.deploy(model, version, location, "", labels).name
        )
        result: dict[str, Any] = {"model": f"{model.name}@{version}", "endpoint": last}
        return result | ({"checkpoints": checkpoints} if checkpoints else {})

    def _parent(self, body: dict[str, Any]) -> tuple[Model | None, str]:
        """The model from which a job continues, if any, and its base model."""
        if "baseModel" in body:
            base = str(body["baseModel"])
            return None, base if "@" in base else base.rpartition("/")[2]
        name = body["preTunedModel"]["tunedModelName"]
        model = self.registry.model(name)
        version = model.version(ResourceName.parse(name, "models").version)
        source = version["baseModelSource"]["genieSource"]["baseModelUri"]
        return model, str(source).rpartition("/")[2]

    def _validate(self, location: str, body: dict[str, Any]) -> None:
        """Raise the errors that the service returns immediately."""
        specs = [key for key in body if key.endswith("Spec") and key != "encryptionSpec"]
        if len(specs) != 1 or ("baseModel" in body) == ("preTunedModel" in body):
            raise ServiceError(400, "Exactly one tuning spec and one source model must be set.")
        spec = body[specs[0]]
        for key in ("trainingDatasetUri", "validationDatasetUri"):
            uri = spec.get(key, "" if key.startswith("training") else "gs://")
            if not uri.startswith("gs://"):
                raise ServiceError(400, f"Invalid value for {key}: {uri!r}.")
        self._validate_base(location, body, spec)
        if len(body.get("tunedModelDisplayName", "")) > 128:
            raise ServiceError(400, "The display name is longer than 128 characters.")
        for key, value in body.get("labels", {}).items():
            if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
                raise ServiceError(400, f"Invalid label: {key!r}: {value!r}.")

    def _validate_base(self, location: str, body: dict[str, Any], spec: dict[str, Any]) -> None:
        """Raise the errors that depend on the base model."""
        _, base = self._parent(body)
        if base not in BASE_MODELS:
            raise ServiceError(400, f"Base model {base} is not supported.")
        if BASE_MODELS[base].is_multi_region and location not in _MULTI_REGION:
            raise ServiceError(400, f"Base model {base} is not supported in {location}.")
        if BASE_MODELS[base].is_open:
            self._validate_open_model(body, spec)
            return
        if location == "global":
            raise ServiceError(400, "Tuning is not supported there.", status="FAILED_PRECONDITION")
        if "encryptionSpec" in body and not BASE_MODELS[base].has_customer_keys:
            raise ServiceError(400, f"CMEK is not supported for {base}.")
        size = spec.get("hyperParameters", {}).get("adapterSize", "ADAPTER_SIZE_FOUR")
        if size.removeprefix("ADAPTER_SIZE_") not in BASE_MODELS[base].adapters:
            raise ServiceError(400, "The adapter size is not supported for this base model.")

    def _validate_open_model(self, body: dict[str, Any], spec: dict[str, Any]) -> None:
        """Raise the errors of a job that tunes an open model."""
        if not body.get("outputUri", "").startswith("gs://"):
            raise ServiceError(400, "output_uri is required for open source models.")
        if spec.get("tuningMode") not in ("TUNING_MODE_FULL", "TUNING_MODE_PEFT_ADAPTER"):
            raise ServiceError(400, "tuning_mode is required for open source models.")
        if "learningRateMultiplier" in spec.get("hyperParameters", {}):
            raise ServiceError(400, "learning_rate_multiplier is only available for 1P models.")
