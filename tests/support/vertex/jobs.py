"""Tuning jobs: their course in time, their quota, and what they make when they end."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.support.vertex.buckets import Buckets
from tests.support.vertex.errors import Refused, too_many
from tests.support.vertex.identity import AGENT, NUMBER, Identity
from tests.support.vertex.names import Name, matcher
from tests.support.vertex.registry import Model, Registry
from tests.support.vertex.tuning_data import BadData, Read, read

_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,64}")
_SMALL = ("ONE", "TWO", "FOUR", "EIGHT")
_MULTI_REGION = {"us-central1": "us", "europe-west4": "eu"}
_EPOCHS = 3
_BATCH = 8


@dataclass(frozen=True)
class Base:
    """A base model: its adapter sizes, and whether it is served from `us` and `eu` alone."""

    adapters: tuple[str, ...] = (*_SMALL, "SIXTEEN")
    is_multi_region: bool = False


BASES = {
    "gemini-2.5-pro": Base(_SMALL),
    "gemini-2.5-flash": Base(),
    "gemini-2.5-flash-lite": Base(),
    "gemini-3.1-flash-lite": Base(is_multi_region=True),
    "gemini-3.5-flash": Base(is_multi_region=True),
    "gemini-3.5-flash-lite": Base(is_multi_region=True),
}


@dataclass(frozen=True)
class Course:
    """How many seconds each part of a job takes."""

    capacity_s: float = 60
    dataset_s: float = 60
    training_s: float = 600
    export_s: float = 60
    cancel_s: float = 30


@dataclass(frozen=True)
class Fate:
    """What becomes of a job: `error` is a google.rpc code and words, `ends` its last state."""

    ends: str = "JOB_STATE_SUCCEEDED"
    error: tuple[int, str] | None = None
    dropped: dict[int, str] = field(default_factory=dict)
    never_ends: bool = False


@dataclass
class Job:
    """A job: what was sent, and the moments of its life that have come."""

    number: str
    location: str
    sent: dict[str, Any]
    fate: Fate
    created: datetime
    unseen: int
    slot: datetime | None = None
    cancelled: datetime | None = None
    ended: datetime | None = None
    state: str = ""
    error: tuple[int, str] | None = None
    data: Read | None = None
    made: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        return f"projects/{NUMBER}/locations/{self.location}/tuningJobs/{self.number}"

    @property
    def spec(self) -> dict[str, Any]:
        found = self.sent.get("supervisedTuningSpec") or self.sent["preferenceOptimizationSpec"]
        return dict(found)

    @property
    def is_preference(self) -> bool:
        return "preferenceOptimizationSpec" in self.sent

    @property
    def epochs(self) -> int:
        return int(self.spec.get("hyperParameters", {}).get("epochCount", _EPOCHS))

    @property
    def kept(self) -> int:
        return (self.data.examples if self.data else 0) - len(self.fate.dropped)

    @property
    def steps(self) -> int:
        return -(-self.kept * self.epochs // _BATCH)


class Jobs:
    """All tuning jobs of the project; at most `quota` of them run at once, everywhere."""

    def __init__(
        self,
        now: Callable[[], datetime],
        buckets: Buckets,
        registry: Registry,
        identity: Identity,
    ) -> None:
        self.now = now
        self.buckets = buckets
        self.registry = registry
        self.identity = identity
        self.course = Course()
        self.quota = 1
        self.refuses_beyond_quota = False
        self.lists_until_shown = 0
        self.fates: list[Fate] = []
        self.jobs: list[Job] = []
        self._numbers = itertools.count(7210488213894174720, 131_101)
        self._freed: datetime | None = None

    def create(self, location: str, body: dict[str, Any]) -> Job:
        """Start a job: every time anew, whatever ran before."""
        self._check(location, body)
        is_full = sum(job.ended is None for job in self.jobs) >= self.quota
        if is_full and self.refuses_beyond_quota:
            raise too_many()
        fate = self.fates.pop(0) if self.fates else Fate()
        number = str(next(self._numbers))
        job = Job(number, location, body, fate, self.now(), self.lists_until_shown)
        self.jobs.append(job)
        self.tick()
        return job

    def get(self, location: str, number: str) -> Job:
        """A job by its number; jobs are there for ever."""
        for job in self.jobs:
            if (job.location, job.number) == (location, number):
                return job
        raise Refused(404, f"The TuningJob {number} does not exist.")

    def page(self, location: str, query: dict[str, str], limit: int) -> tuple[list[Job], str]:
        """Jobs of a location, the newest first, and the token of the next page."""
        matches = matcher(query.get("filter", ""), ())
        before = query.get("pageToken", "")
        if not before:
            for job in self.jobs:
                job.unseen -= 1
        size = min(int(query.get("pageSize") or limit), limit)
        found = [
            job
            for job in reversed(self.jobs)
            if job.location == location and job.unseen < 0 and matches(job.sent)
        ]
        left = [job for job in found if not before or int(job.number) < int(before)]
        return left[:size], left[size - 1].number if len(left) > size else ""

    def cancel(self, job: Job) -> None:
        """Ask a job to end; one that has ended stays as it is."""
        if job.ended is None and job.cancelled is None:
            job.cancelled = self.now()
        self.tick()

    def tick(self) -> None:
        """Let every job come as far as the time allows, in the order in which things happen."""
        while True:
            self._give_slots()
            due = [(end, job) for job in self.jobs if (end := self._end(job)) <= self.now()]
            if not due:
                return
            end, job = min(due, key=lambda one: one[0])
            self._finish(job, end)
            self._freed = end

    def _give_slots(self) -> None:
        busy = sum(job.slot is not None and job.ended is None for job in self.jobs)
        waiting = [job for job in self.jobs if job.slot is None and job.ended is None]
        for job in waiting[: max(0, self.quota - busy)]:
            job.slot = max(job.created, self._freed or job.created)

    def _end(self, job: Job) -> datetime:
        """When a job that goes on will end, as far as is known."""
        never = datetime.max.replace(tzinfo=self.now().tzinfo)
        if job.ended is not None:
            return never
        if job.cancelled is not None:
            return job.cancelled + timedelta(seconds=self.course.cancel_s)
        if job.slot is None or (job.fate.never_ends and not self._bad_data(job)):
            return never
        course = self.course
        seconds = course.capacity_s + course.dataset_s
        if not self._bad_data(job):
            seconds += course.training_s + course.export_s
        return job.slot + timedelta(seconds=seconds)

    def _bad_data(self, job: Job) -> tuple[int, str] | None:
        """What is wrong with a job's datasets, which are read once, when it has its slot."""
        if job.data is not None or job.error is not None:
            return job.error
        for key in ("validationDatasetUri", "trainingDatasetUri"):
            uri = str(job.spec.get(key, ""))
            if not uri:
                continue
            bucket, _, name = uri.removeprefix("gs://").partition("/")
            stored = self.buckets.objects.get((bucket, name))
            reader = job.sent.get("serviceAccount", AGENT)
            if stored is None or not self.identity.may_read(reader, bucket):
                words = f"{reader} does not have storage.objects.get access to {uri}."
                job.error = (7, words) if stored else (5, f"The dataset {uri} does not exist.")
                return job.error
            try:
                job.data = read(stored.data, is_preference=job.is_preference)
            except (BadData, UnicodeDecodeError) as bad:
                job.data, job.error = None, (3, str(bad))
                return job.error
        return None

    def _finish(self, job: Job, end: datetime) -> None:
        job.ended = end
        if job.cancelled is not None:
            job.state, job.error = "JOB_STATE_CANCELLED", (1, "The job was cancelled.")
        elif job.error is not None or job.fate.error is not None:
            job.state, job.error = "JOB_STATE_FAILED", job.error or job.fate.error
        else:
            job.state = job.fate.ends
            if job.state in ("JOB_STATE_SUCCEEDED", "JOB_STATE_PARTIALLY_SUCCEEDED"):
                job.made = self._make(job)

    def _make(self, job: Job) -> dict[str, Any]:
        """The model with its endpoints, as `TuningJob.tunedModel` names them."""
        parent, base = self._parent(job.sent)
        display = job.sent.get("tunedModelDisplayName")
        if parent is not None and display not in (None, "", parent.version("")["displayName"]):
            parent = None
        labels = {
            **job.sent.get("labels", {}),
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
        if "description" in job.sent:
            document["description"] = job.sent["description"]
        learned = dict(job.data.learned) if job.data else {}
        model, version = self.registry.add_version(parent, job.location, document, learned)
        where = _MULTI_REGION[job.location] if BASES[base].is_multi_region else job.location
        checkpoints = []
        if not job.spec.get("exportLastCheckpointOnly"):
            for epoch in range(1, job.epochs + 1):
                endpoint = self.registry.deploy(model, version, where, str(epoch), labels)
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
            else self.registry.deploy(model, version, where, "", labels).name
        )
        made: dict[str, Any] = {"model": f"{model.name}@{version}", "endpoint": last}
        return made | ({"checkpoints": checkpoints} if checkpoints else {})

    def _parent(self, sent: dict[str, Any]) -> tuple[Model | None, str]:
        """The model that a job continues, if it does, and the base model in any case."""
        if "baseModel" in sent:
            return None, str(sent["baseModel"]).rpartition("/")[2]
        name = sent["preTunedModel"]["tunedModelName"]
        model = self.registry.model(name)
        version = model.version(Name.parse(name, "models").version)
        source = version["baseModelSource"]["genieSource"]["baseModelUri"]
        return model, str(source).rpartition("/")[2]

    def _check(self, location: str, sent: dict[str, Any]) -> None:
        """Refuse what the service refuses at once."""
        specs = [key for key in sent if key.endswith("Spec") and key != "encryptionSpec"]
        if len(specs) != 1 or ("baseModel" in sent) == ("preTunedModel" in sent):
            raise Refused(400, "Exactly one tuning spec and one source model must be set.")
        spec = sent[specs[0]]
        for key in ("trainingDatasetUri", "validationDatasetUri"):
            uri = spec.get(key, "" if key.startswith("training") else "gs://")
            if not uri.startswith("gs://"):
                raise Refused(400, f"Invalid value for {key}: {uri!r}.")
        _, base = self._parent(sent)
        if base not in BASES:
            raise Refused(400, f"Base model {base} is not supported.")
        if BASES[base].is_multi_region and location not in _MULTI_REGION:
            raise Refused(400, f"Base model {base} is not supported in {location}.")
        size = spec.get("hyperParameters", {}).get("adapterSize", "ADAPTER_SIZE_FOUR")
        if size.removeprefix("ADAPTER_SIZE_") not in BASES[base].adapters:
            raise Refused(400, "The adapter size is not supported for this base model.")
        if len(sent.get("tunedModelDisplayName", "")) > 128:
            raise Refused(400, "The display name is longer than 128 characters.")
        for key, value in sent.get("labels", {}).items():
            if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
                raise Refused(400, f"Invalid label: {key!r}: {value!r}.")
