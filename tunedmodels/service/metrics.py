"""Prometheus text at `/metrics`: requests as they end, and the store as it is when it is asked.

Every number has a name of ours, `tunedmodels_...`; no label ever holds a model, a user or a path.
Each service has a registry of its own, so that two of them in one process do not mix.
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
from tunedmodels.service.access_log import Exchange
from tunedmodels.service.errors import Status
from tunedmodels.service.store.models import Store

_METHODS = {"GET", "POST", "PATCH", "DELETE", "HEAD"}
# Most answers take milliseconds; a create of 4 MB and a long answer take seconds.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class Metrics:
    """The numbers of one service."""

    def __init__(self, store: Store) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_StoreCollector(store))
        self._requests = Counter(
            "tunedmodels_http_requests",
            "Requests by route, method and status; code 0 is one without an answer.",
            ("route", "method", "code"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "tunedmodels_http_request_duration_seconds",
            "From a request to the end of its answer.",
            ("route", "method"),
            buckets=_BUCKETS,
            registry=self._registry,
        )

    def count(self, exchange: Exchange) -> None:
        """Count a request. Whatever is asked for, there are no more labels than routes."""
        route = exchange.route or "none"
        method = exchange.method if exchange.method in _METHODS else "other"
        self._requests.labels(route, method, str(exchange.status)).inc()
        self._seconds.labels(route, method).observe(exchange.took_s)

    def answer(self, _request: Request) -> Response:
        """Answer with every number there is."""
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)


class _StoreCollector(Collector):
    """What is in the store, read when it is asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """Yield a number for everything that can be read; without a store, the rest still is."""
        yield InfoMetricFamily(
            "tunedmodels_build",
            "What runs.",
            {"version": __version__, "python": platform.python_version()},
        )
        readable = "1 while the store can be read."
        try:
            census = take_census(self._store)
        except StoreError:
            yield GaugeMetricFamily("tunedmodels_store_up", readable, 0)
            return
        yield GaugeMetricFamily("tunedmodels_store_up", readable, 1)
        jobs = GaugeMetricFamily(
            "tunedmodels_jobs", "Jobs of the models in the store, by state.", labels=("state",)
        )
        for state, count in census.jobs.items():
            jobs.add_metric((state,), count)
        yield jobs
        words = "Jobs that wait for a worker to begin them."
        yield GaugeMetricFamily("tunedmodels_queue_length", words, census.jobs["queued"])
        words = "Steps that the models in the store were trained for; less after a delete."
        yield GaugeMetricFamily("tunedmodels_trained_steps", words, census.steps)
        sizes = GaugeMetricFamily(
            "tunedmodels_store_bytes", "Size of the store on disk.", labels=("part",)
        )
        for part, size in census.sizes.items():
            sizes.add_metric((part,), size)
        yield sizes


# FOLDED
# What a store holds, in numbers: no name, no word of anybody's.
# A job that was begun counts as running until it ends, also while its worker changes.
_JOBS = f"""
SELECT CASE
    WHEN state = 'ACTIVE' THEN 'succeeded'
    WHEN state = 'FAILED' AND error_code = {Status.CANCELLED.code} THEN 'cancelled'
    WHEN state = 'FAILED' THEN 'failed'
    WHEN start_time = '' THEN 'queued'
    ELSE 'running'
END AS kind, count(*), sum(completed_steps) FROM models GROUP BY kind
"""  # noqa: S608  # a constant
_KINDS = ("queued", "running", "succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Census:
    """Jobs by what became of them, the steps of all of them, and bytes on disk by what they are."""

    jobs: Mapping[str, int]
    steps: int
    sizes: Mapping[str, int]


def take_census(store: Store) -> Census:
    """Count. Raises StoreError when the store cannot be read."""
    with store.database.reading() as connection:
        rows = connection.execute(_JOBS).fetchall()
    counted = {kind: count for kind, count, _ in rows}
    sizes = {
        "database": _size(list(store.folder.glob("embedded.db*"))),
        "models": _size(store.files.listed()),
    }
    return Census(
        jobs={kind: counted.get(kind, 0) for kind in _KINDS},
        steps=sum(steps for _, _, steps in rows),
        sizes=sizes,
    )


def _size(files: list[Path]) -> int:
    total = 0
    for file in files:
        try:
            total += file.stat().st_size
        except FileNotFoundError:
            continue  # it went while we looked
    return total
