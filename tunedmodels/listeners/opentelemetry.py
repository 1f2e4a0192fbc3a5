"""OpenTelemetry: one trace and a few metrics per run, by the standard variables.

Needs the extra `otel`. A run is a span; below it every change is one, and below that every request
that changes something. A parent from outside comes in as TRACEPARENT (W3C Trace Context), which
several CI systems set.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tunedmodels import __version__
from tunedmodels.errors import Exit
from tunedmodels.events import (
    Chosen,
    Ending,
    Evaluating,
    Event,
    Failed,
    Interrupted,
    Judged,
    Progressed,
    Retried,
    Sending,
    Sent,
    Started,
    Tried,
    Uploaded,
)
from tunedmodels.listeners.listener import About, Complain

_PATIENCE_S: Final = 5  # a collector that is not there must not hold a CI job for long
_BAD: Final = (Exit.ERROR, Exit.REFUSED, Exit.GATE)
_SCOPE: Final = "tunedmodels"

Key = tuple[str, str]  # a name, and the version it is about


class Traces:
    """Sends spans and metrics by OTLP over HTTP to where the standard variables say."""

    def __init__(
        self,
        about: About,
        environ: Mapping[str, str],
        *,
        complain: Complain,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        resource = Resource.create({} if _is_named(environ) else {SERVICE_NAME: _SCOPE})
        self._spans = TracerProvider(resource=resource, shutdown_on_exit=False)
        timeout = None if environ.get("OTEL_EXPORTER_OTLP_TIMEOUT") else _PATIENCE_S
        if environ.get("OTEL_TRACES_EXPORTER", "otlp") != "none":
            exporter = OTLPSpanExporter(timeout=timeout)
            self._spans.add_span_processor(BatchSpanProcessor(exporter))
        readers = []
        if environ.get("OTEL_METRICS_EXPORTER", "otlp") != "none":
            readers.append(PeriodicExportingMetricReader(OTLPMetricExporter(timeout=timeout)))
        self._metrics = MeterProvider(readers, resource=resource, shutdown_on_exit=False)
        meter = self._metrics.get_meter(_SCOPE, __version__)
        self._changes = meter.create_counter(
            "tunedmodels.changes", unit="{change}", description="Changes by action and ending"
        )
        self._retries = meter.create_counter(
            "tunedmodels.retries", unit="{request}", description="Requests that were asked again"
        )
        self._durations = meter.create_histogram(
            "tunedmodels.change.duration",
            unit="s",
            description="From the start of a change to its end",
        )
        self._elapsed = elapsed
        self._complain = complain
        self._tracer = self._spans.get_tracer(_SCOPE, __version__)
        parent = {"traceparent": environ.get("TRACEPARENT", "")}
        self._run = self._tracer.start_span(
            f"tunedmodels {about.verb}",
            context=TraceContextTextMapPropagator().extract(parent),
            attributes={
                "tunedmodels.project": about.project,
                "tunedmodels.environment": about.environment,
                "tunedmodels.plan.digest": about.digest,
            },
        )
        self._open: dict[Key, tuple[Span, float, str]] = {}
        self._sending: dict[tuple[Key, str], Span] = {}

    def __call__(self, event: Event) -> None:
        """Open or close the span of an event, or note it in the one that is open."""
        match event:
            case Started():
                span = self._below(self._run, str(event.action), event.name, event.model_id)
                self._open[event.name, event.model_id] = (span, self._elapsed(), str(event.action))
            case Sending():
                key = (event.name, event.model_id)
                self._sending[key, event.call] = self._below(
                    self._change(event), f"send {event.call}", *key
                )
            case Sent():
                sending = ((event.name, event.model_id), event.call)
                if sending in self._sending:
                    self._sending.pop(sending).end()
            case Retried():
                self._retries.add(1)
                self._run.add_event("retried", {"call": event.call, "attempt": event.attempt})
            case Interrupted():
                self._run.add_event("interrupted")
            case Progressed() | Evaluating() | Judged() | Tried() | Chosen():
                self._note(event)
            case Uploaded():
                self._run.add_event("uploaded", {"sent": event.sent, "total": event.total})
            case _:
                self._end(event)

    def _change(self, event: Sending | Progressed | Evaluating | Judged | Tried | Chosen) -> Span:
        """Return the span of the change that an event belongs to."""
        key = (event.name, event.model_id)
        return self._open[key][0] if key in self._open else self._run

    def _note(self, event: Progressed | Evaluating | Judged | Tried | Chosen) -> None:
        change = self._change(event)
        match event:
            case Progressed():
                change.set_attribute("tunedmodels.step", event.step)
            case Evaluating():
                change.set_attribute("tunedmodels.evaluated", event.done)
            case Judged():
                judged = {"decision": str(event.decision), "score": event.score}
                change.add_event("judged", judged)
            case Tried():
                change.add_event("tried", {"score": event.score})
            case Chosen():
                change.add_event("chosen", {"score": event.score})

    async def finish(self, code: int) -> None:
        """End what is open, and send the rest; a collector that is not there gets 5 s."""
        for span, _, _ in self._open.values():
            span.end()
        for span in self._sending.values():
            span.end()
        self._run.set_attribute("process.exit.code", code)
        if code in _BAD:
            self._run.set_status(Status(StatusCode.ERROR))
        self._run.end()
        await asyncio.to_thread(self._send)

    def _send(self) -> None:
        words = _LastWords()
        logger = logging.getLogger("opentelemetry")
        logger.addHandler(words)
        logger.propagate = False  # it would print every attempt
        try:
            with ThreadPoolExecutor(2) as both:
                both.submit(self._spans.shutdown)
                both.submit(self._metrics.shutdown)
        finally:
            logger.removeHandler(words)
        if words.said:
            self._complain(f"OpenTelemetry could not send everything: {words.said}")

    def _below(self, above: Span, title: str, name: str, model_id: str) -> Span:
        return self._tracer.start_span(
            title,
            context=trace.set_span_in_context(above),
            attributes={"tunedmodels.name": name, "tunedmodels.model.id": model_id},
        )

    def _end(self, event: Ending) -> None:
        ending = type(event).__name__.lower()
        key = (event.name, event.model_id)
        found = self._open.pop(key) if key in self._open else None
        self._changes.add(1, {"action": found[2] if found else "none", "ending": ending})
        if found is None:
            return
        span, began, action = found
        span.set_attribute("tunedmodels.ending", ending)
        if isinstance(event, Failed):
            span.set_status(Status(StatusCode.ERROR))
        span.end()
        self._durations.record(self._elapsed() - began, {"action": action, "ending": ending})


class _LastWords(logging.Handler):
    """Keeps the last error, which says how it ended."""

    said = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Remember an error."""
        if record.levelno >= logging.ERROR:
            self.said = record.getMessage()


def _is_named(environ: Mapping[str, str]) -> bool:
    given = environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return bool(environ.get("OTEL_SERVICE_NAME")) or f"{SERVICE_NAME}=" in given
