"""Send one trace and a few metrics per run to OpenTelemetry, configured by the standard variables.

Requires the extra `otel`. A run is a span; each change is a child span, and each request that
changes something is a child of its change. An outer span is passed in TRACEPARENT (W3C Trace
Context), which several CI systems set.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final
from urllib.parse import unquote

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
from tunedmodels.address import Address
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
from tunedmodels.listeners.listener import OnWarning, RunInfo
from tunedmodels.scrubber import Scrubber
from tunedmodels.text import printable

_TIMEOUT_S: Final = 5  # an unavailable collector must not delay a CI job for long
_ERROR_CODES: Final = (Exit.ERROR, Exit.REFUSED, Exit.GATE)
_SCOPE: Final = "tunedmodels"
_LOGGER: Final = logging.getLogger("opentelemetry")

_VersionKey = tuple[str, str]  # name and version id
_ChangeProgress = Progressed | Evaluating | Judged | Tried | Chosen


class OpenTelemetry:
    """Sends spans and metrics by OTLP over HTTP to the endpoint of the standard variables."""

    def __init__(
        self,
        run: RunInfo,
        environ: Mapping[str, str],
        *,
        on_warning: OnWarning,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._errors = _LastError()
        self._scrubber = Scrubber(_secrets(environ))
        # From the beginning: otherwise every failed attempt during the run is printed.
        _LOGGER.addHandler(self._errors)
        _LOGGER.propagate = False
        resource = Resource.create({} if _has_service_name(environ) else {SERVICE_NAME: _SCOPE})
        self._tracer_provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        timeout = None if environ.get("OTEL_EXPORTER_OTLP_TIMEOUT") else _TIMEOUT_S
        if environ.get("OTEL_TRACES_EXPORTER", "otlp") != "none":
            exporter = OTLPSpanExporter(timeout=timeout)
            self._tracer_provider.add_span_processor(BatchSpanProcessor(exporter))
        readers = []
        if environ.get("OTEL_METRICS_EXPORTER", "otlp") != "none":
            readers.append(PeriodicExportingMetricReader(OTLPMetricExporter(timeout=timeout)))
        self._meter_provider = MeterProvider(readers, resource=resource, shutdown_on_exit=False)
        meter = self._meter_provider.get_meter(_SCOPE, __version__)
        self._changes = meter.create_counter(
            "tunedmodels.changes", unit="{change}", description="Changes by action and ending"
        )
        self._retries = meter.create_counter(
            "tunedmodels.retries", unit="{request}", description="Requests that were repeated"
        )
        self._durations = meter.create_histogram(
            "tunedmodels.change.duration",
            unit="s",
            description="Time from the start of a change to its end",
        )
        self._elapsed = elapsed
        self._on_warning = on_warning
        self._tracer = self._tracer_provider.get_tracer(_SCOPE, __version__)
        parent = {"traceparent": environ.get("TRACEPARENT", "")}
        self._run_span = self._tracer.start_span(
            f"tunedmodels {run.verb}",
            context=TraceContextTextMapPropagator().extract(parent),
            attributes={
                "tunedmodels.project": run.project,
                "tunedmodels.environment": run.environment,
                "tunedmodels.plan.digest": run.digest,
            },
        )
        self._change_spans: dict[_VersionKey, tuple[Span, float, str]] = {}
        self._request_spans: dict[tuple[_VersionKey, str], Span] = {}

    def __call__(self, event: Event) -> None:
        """Start or end the span of an event, or add the event to an open span."""
        match event:
            case Started():
                action = str(event.action)
                span = self._child_span(self._run_span, action, event.name, event.model_id)
                self._change_spans[event.name, event.model_id] = (span, self._elapsed(), action)
            case Sending():
                key = (event.name, event.model_id)
                self._request_spans[key, event.call] = self._child_span(
                    self._change_span(event), f"send {event.call}", *key
                )
            case Sent():
                request = ((event.name, event.model_id), event.call)
                if request in self._request_spans:
                    self._request_spans.pop(request).end()
            case Retried():
                self._retries.add(1)
                self._run_span.add_event("retried", {"call": event.call, "attempt": event.attempt})
            case Interrupted():
                self._run_span.add_event("interrupted")
            case Progressed() | Evaluating() | Judged() | Tried() | Chosen():
                self._record_progress(event)
            case Uploaded():
                self._run_span.add_event("uploaded", {"sent": event.sent, "total": event.total})
            case _:
                self._end_change(event)

    def _change_span(self, event: Sending | _ChangeProgress) -> Span:
        """Return the open span of the change that an event belongs to, or that of the run."""
        key = (event.name, event.model_id)
        return self._change_spans[key][0] if key in self._change_spans else self._run_span

    def _record_progress(self, event: _ChangeProgress) -> None:
        span = self._change_span(event)
        match event:
            case Progressed():
                span.set_attribute("tunedmodels.step", event.step)
            case Evaluating():
                span.set_attribute("tunedmodels.evaluated", event.done)
            case Judged():
                attributes = {"decision": str(event.decision), "score": event.score}
                span.add_event("judged", attributes)
            case Tried():
                span.add_event("tried", {"score": event.score})
            case Chosen():
                span.add_event("chosen", {"score": event.score})

    async def finish(self, code: int) -> None:
        """End all open spans and send the rest, for 5 s if the collector does not answer."""
        for span, _, _ in self._change_spans.values():
            span.end()
        for span in self._request_spans.values():
            span.end()
        self._run_span.set_attribute("process.exit.code", code)
        if code in _ERROR_CODES:
            self._run_span.set_status(Status(StatusCode.ERROR))
        self._run_span.end()
        await asyncio.to_thread(self._flush)

    def _flush(self) -> None:
        try:
            with ThreadPoolExecutor(2) as executor:
                tasks = [
                    executor.submit(self._tracer_provider.shutdown),
                    executor.submit(self._meter_provider.shutdown),
                ]
        finally:
            _LOGGER.removeHandler(self._errors)
        failed = [type(error).__name__ for task in tasks if (error := task.exception())]
        message = self._errors.message or ", ".join(failed)
        if message:
            message = printable(self._scrubber.scrub(message))
            self._on_warning(f"OpenTelemetry could not send everything: {message}")

    def _child_span(self, parent: Span, title: str, name: str, model_id: str) -> Span:
        return self._tracer.start_span(
            title,
            context=trace.set_span_in_context(parent),
            attributes={"tunedmodels.name": name, "tunedmodels.model.id": model_id},
        )

    def _end_change(self, event: Ending) -> None:
        ending = type(event).__name__.lower()
        key = (event.name, event.model_id)
        entry = self._change_spans.pop(key) if key in self._change_spans else None
        self._changes.add(1, {"action": entry[2] if entry else "none", "ending": ending})
        if entry is None:
            return
        span, started_s, action = entry
        span.set_attribute("tunedmodels.ending", ending)
        if isinstance(event, Failed):
            span.set_status(Status(StatusCode.ERROR))
        span.end()
        self._durations.record(self._elapsed() - started_s, {"action": action, "ending": ending})


class _LastError(logging.Handler):
    """Keeps the message of the last logged error, which is the final result."""

    message = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Store the message of an error."""
        if record.levelno >= logging.ERROR:
            self.message = record.getMessage()


def _secrets(environ: Mapping[str, str]) -> set[str]:
    """Return the passwords in addresses of collectors, and the values of the headers."""
    secrets: set[str] = set()
    for name, value in environ.items():
        if name.startswith("OTEL_EXPORTER_OTLP_") and name.endswith("ENDPOINT"):
            with suppress(ValueError):
                secrets |= Address.parse(value).secrets
        elif name.startswith("OTEL_EXPORTER_OTLP_") and name.endswith("HEADERS"):
            values = (pair.partition("=")[2].strip() for pair in value.split(","))
            secrets |= {form for value in values for form in (value, unquote(value))}
    return secrets


def _has_service_name(environ: Mapping[str, str]) -> bool:
    attributes = environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return bool(environ.get("OTEL_SERVICE_NAME")) or f"{SERVICE_NAME}=" in attributes
