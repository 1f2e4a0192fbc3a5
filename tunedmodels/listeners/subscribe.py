"""Open the listeners of a run that an option or the environment requests."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TextIO

from tunedmodels.errors import Exit
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

    listeners: list[Listener] = field(default_factory=list)
    #: The exit code that the listeners receive at the end.
    exit_code: int = Exit.DONE

    def __call__(self, event: Event) -> None:
        """Pass an event to every listener."""
        for listener in self.listeners:
            listener(event)


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
    group = ListenerGroup(list(_listeners(run, events, on_warning, environ)))
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
                for listener in group.listeners:
                    await listener.finish(group.exit_code)


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


def _listeners(
    run: RunInfo, events: TextIO | None, on_warning: OnWarning, environ: Mapping[str, str]
) -> list[Listener]:
    listeners: list[Listener] = []
    # Each listener is imported only when it is requested, for a short start-up time.
    if events is not None:
        from tunedmodels.listeners.jsonl import JsonLines

        listeners.append(
            JsonLines(events, run, now=lambda: datetime.now(UTC), on_warning=on_warning)
        )
    if address := environ.get(WEBHOOK_VARIABLE, "").strip():
        from tunedmodels.listeners.webhook import Webhook

        listeners.append(Webhook(address, run, on_warning=on_warning))
    collectors = [name for name in _COLLECTOR_VARIABLES if environ.get(name)]
    if collectors and environ.get("OTEL_SDK_DISABLED", "").lower() != "true":
        if find_spec("opentelemetry") and find_spec("opentelemetry.sdk"):
            from tunedmodels.listeners.opentelemetry import OpenTelemetry

            listeners.append(OpenTelemetry(run, environ, on_warning=on_warning))
        else:
            on_warning(
                f"{collectors[0]} is set, but OpenTelemetry is not installed: "
                "pip install 'tunedmodels[otel]'"
            )
    return listeners
