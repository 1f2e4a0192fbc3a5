"""Prometheus metrics at `/metrics`: completed requests, and the store at the time of the request.

Every metric is named `tunedmodels_...`. No label contains a model, a user or a path. Each service
has its own registry, so that two services in one process do not share metrics.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from tunedmodels import __version__
from tunedmodels.errors import StoreError
from tunedmodels.service.access_log import RequestRecord
from tunedmodels.service.errors import ApiStatus
from tunedmodels.service.store.models import ModelStore

_METHODS = {"GET", "POST", "PATCH", "DELETE", "HEAD"}
# Most responses take milliseconds; a create of 4 MB and a long generated text take seconds.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
# A started job counts as running until it ends, also while another worker takes it over.
_COUNT_JOBS = f"""
SELECT CASE
    WHEN state = 'ACTIVE' THEN 'succeeded'
    WHEN state = 'FAILED' AND error_code = {ApiStatus.CANCELLED.code} THEN 'cancelled'
    WHEN state = 'FAILED' THEN 'failed'
    WHEN start_time = '' THEN 'queued'
    ELSE 'running'
END AS kind, count(*), sum(completed_steps) FROM models GROUP BY kind
"""  # noqa: S608  # a constant
_JOB_STATES = ("queued", "running", "succeeded", "failed", "cancelled")


class Metrics:
    """The metrics of one service."""

    def __init__(self, store: ModelStore) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_StoreCollector(store))
        self._requests = Counter(
            "tunedmodels_http_requests",
            "Requests by route, method and status; code 0 means no response.",
            ("route", "method", "code"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "tunedmodels_http_request_duration_seconds",
            "Time from a request to the end of its response.",
            ("route", "method"),
            buckets=_BUCKETS,
            registry=self._registry,
        )

    def record(self, record: RequestRecord) -> None:
        """Count a request. The number of label values is bounded by the routes and methods."""
        route = record.route or "none"
        method = record.method if record.method in _METHODS else "other"
        self._requests.labels(route, method, str(record.status)).inc()
        self._seconds.labels(route, method).observe(record.duration_s)

    def respond(self, _request: Request) -> Response:
        """Respond with every metric."""
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)


@dataclass(frozen=True, slots=True)
class StoreStats:
    """Numbers about a store. They contain no names and no texts."""

    jobs: Mapping[str, int]  #: number of jobs by state
    steps: int  #: completed steps of all models
    sizes: Mapping[str, int]  #: bytes on disk by part of the store


def collect_stats(store: ModelStore) -> StoreStats:
    """Count the jobs and measure the files. Raises StoreError if the store cannot be read."""
    with store.database.read_transaction() as connection:
        rows = connection.execute(_COUNT_JOBS).fetchall()
    counts = {state: count for state, count, _ in rows}
    sizes = {
        "database": _total_size(list(store.folder.glob("embedded.db*"))),
        "models": _total_size(store.files.list_all()),
    }
    return StoreStats(
        jobs={state: counts.get(state, 0) for state in _JOB_STATES},
        steps=sum(steps for _, _, steps in rows),
        sizes=sizes,
    )


class _StoreCollector(Collector):
    """Reads the store at each request for metrics."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; those of the store only if it can be read."""
        yield InfoMetricFamily(
            "tunedmodels_build",
            "Versions of tunedmodels and Python.",
            {"version": __version__, "python": platform.python_version()},
        )
        description = "1 if the store can be read, otherwise 0."
        try:
            stats = collect_stats(self._store)
        except StoreError:
            yield GaugeMetricFamily("tunedmodels_store_up", description, 0)
            return
        yield GaugeMetricFamily("tunedmodels_store_up", description, 1)
        jobs = GaugeMetricFamily(
            "tunedmodels_jobs", "Jobs of the models in the store, by state.", labels=("state",)
        )
        for state, count in stats.jobs.items():
            jobs.add_metric((state,), count)
        yield jobs
        description = "Jobs that wait for a worker."
        yield GaugeMetricFamily("tunedmodels_queue_length", description, stats.jobs["queued"])
        description = "Completed steps of the models in the store; decreases after a delete."
        yield GaugeMetricFamily("tunedmodels_trained_steps", description, stats.steps)
        sizes = GaugeMetricFamily(
            "tunedmodels_store_bytes", "Size of the store on disk.", labels=("part",)
        )
        for part, size in stats.sizes.items():
            sizes.add_metric((part,), size)
        yield sizes


def _total_size(files: list[Path]) -> int:
    total = 0
    for file in files:
        try:
            total += file.stat().st_size
        except FileNotFoundError:
            continue  # removed after it was listed
    return total
