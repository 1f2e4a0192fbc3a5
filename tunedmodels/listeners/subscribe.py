"""Open the listeners of a run that an option or the environment requests."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TextIO

from tunedmodels.errors import Exit, TunedModelsError
from tunedmodels.events import Event, PlannedChange
from tunedmodels.listeners.listener import Listener, OnWarning, RunInfo
from tunedmodels.plan.plan import Change, Plan

WEBHOOK_VARIABLE = "TUNEDMODELS_WEBHOOK"
_COLLECTOR_VARIABLES = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)


@dataclass(slots=True)
class ListenerGroup:
    """All listeners of one run."""

    on_warning: OnWarning
    listeners: list[Listener] = field(default_factory=list)
    #: The exit code that the listeners receive at the end.
    exit_code: int = Exit.DONE

    def __call__(self, event: Event) -> None:
        """Pass an event to every listener; one that fails receives no further events."""
        for listener in tuple(self.listeners):
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001  # no failure of a listener changes the run
                self.listeners.remove(listener)
                self._warn(type(listener).__name__, error)

    def open(self, name: str, make: Callable[[], Listener]) -> None:
        """Add a listener; if it cannot be opened, the run continues without it."""
        try:
            self.listeners.append(make())
        except Exception as error:  # noqa: BLE001  # see above
            self._warn(name, error)

    async def finish(self) -> None:
        """Pass the exit code to every listener."""
        for listener in self.listeners:
            try:
                await listener.finish(self.exit_code)
            except Exception as error:  # noqa: BLE001  # see above
                self._warn(type(listener).__name__, error)

    def _warn(self, name: str, error: Exception) -> None:
        # Only our own messages are known to contain no secret.
        reason = type(error).__name__
        if isinstance(error, TunedModelsError):
            reason = error.message
        self.on_warning(f"{name} does not receive the events of this run: {reason}")


@asynccontextmanager
async def open_listeners(
    run: RunInfo,
    *,
    events: TextIO | None,
    on_warning: OnWarning,
    environ: Mapping[str, str] = os.environ,
) -> AsyncIterator[ListenerGroup]:
    """Open the listeners of a run, and pass them its exit code at the end of the block.

    `events` receives the events as JSON lines. TUNEDMODELS_WEBHOOK has the address of a webhook,
    and the variables of OpenTelemetry that of a collector.
    """
    group = ListenerGroup(on_warning)
    _open_requested(group, run, events, environ)
    try:
        yield group
    except KeyboardInterrupt:
        group.exit_code = Exit.INTERRUPTED
        raise
    except BaseException:
        group.exit_code = Exit.ERROR
        raise
    finally:
        # After a second Ctrl-C the user does not want to wait.
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0 if group.exit_code == Exit.INTERRUPTED else None):
                await group.finish()


def plan_run_info(verb: str, plan: Plan, environ: Mapping[str, str] = os.environ) -> RunInfo:
    """Return the description of a run that executes a plan."""
    planned = tuple(map(_planned_change, plan.pending))
    url = ci_run_url(environ)
    return RunInfo(
        verb, plan.project, plan.environment, plan.digest, url, planned, folder=plan.folder
    )


def _planned_change(change: Change) -> PlannedChange:
    candidates = change.sweep.candidates if change.sweep else ()
    ids = tuple(candidate.model_id for candidate in candidates)
    return PlannedChange(change.name, change.key[2], change.action, ids)


def ci_run_url(environ: Mapping[str, str]) -> str:
    """Return the page of this run in GitHub Actions or GitLab CI; empty outside both."""
    if job_url := environ.get("CI_JOB_URL"):
        return job_url
    parts = [environ.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")]
    return "{}/{}/actions/runs/{}".format(*parts) if all(parts) else ""


def _open_requested(
    group: ListenerGroup, run: RunInfo, events: TextIO | None, environ: Mapping[str, str]
) -> None:
    # Each listener is imported only when it is requested, for a short start-up time.
    on_warning = group.on_warning
    if events is not None:
        from tunedmodels.listeners.jsonl import JsonLines

        group.open(
            "The events file",
            lambda: JsonLines(events, run, now=lambda: datetime.now(UTC), on_warning=on_warning),
        )
    if address := environ.get(WEBHOOK_VARIABLE, "").strip():
        group.open("The webhook", lambda: _webhook(address, run, on_warning))
    collectors = [name for name in _COLLECTOR_VARIABLES if environ.get(name)]
    if collectors and environ.get("OTEL_SDK_DISABLED", "").lower() != "true":
        if find_spec("opentelemetry") and find_spec("opentelemetry.sdk"):
            group.open("OpenTelemetry", lambda: _open_telemetry(run, environ, on_warning))
        else:
            on_warning(
                f"{collectors[0]} is set, but OpenTelemetry is not installed: "
                "pip install 'tunedmodels[otel]'"
            )


def _webhook(address: str, run: RunInfo, on_warning: OnWarning) -> Listener:
    from tunedmodels.listeners.webhook import Webhook

    return Webhook(address, run, on_warning=on_warning)


def _open_telemetry(run: RunInfo, environ: Mapping[str, str], on_warning: OnWarning) -> Listener:
    from tunedmodels.listeners.opentelemetry import OpenTelemetry

    return OpenTelemetry(run, environ, on_warning=on_warning)
