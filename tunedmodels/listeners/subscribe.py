"""Who listens to a run besides the terminal: by an option, or by the environment."""

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
from tunedmodels.events import Due, Event
from tunedmodels.listeners.listener import About, Complain, Listener
from tunedmodels.plan.plan import Change, Plan

WEBHOOK = "TUNEDMODELS_WEBHOOK"
_COLLECTORS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)


@dataclass(slots=True)
class Audience:
    """All listeners of one run. `code` is what they hear at the end."""

    listeners: list[Listener] = field(default_factory=list)
    code: int = Exit.DONE

    def __call__(self, event: Event) -> None:
        """Pass an event on to everybody."""
        for listener in self.listeners:
            listener(event)


@asynccontextmanager
async def audience(
    about: About,
    *,
    events: TextIO | None,
    complain: Complain,
    environ: Mapping[str, str] = os.environ,
) -> AsyncIterator[Audience]:
    """Gather the listeners of a run, and tell them its `code` when the block is left.

    `events` takes the events as JSON lines. A webhook listens where TUNEDMODELS_WEBHOOK holds its
    address, a collector where one of OpenTelemetry's variables does.
    """
    gathered = Audience(list(_listeners(about, events, complain, environ)))
    try:
        yield gathered
    except KeyboardInterrupt:
        gathered.code = Exit.INTERRUPTED
        raise
    except BaseException:
        gathered.code = Exit.ERROR
        raise
    finally:
        # Whoever pressed Ctrl-C twice wants to leave now.
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0 if gathered.code == Exit.INTERRUPTED else None):
                for listener in gathered.listeners:
                    await listener.finish(gathered.code)


def about_plan(verb: str, plan: Plan, environ: Mapping[str, str] = os.environ) -> About:
    """Say which run of a plan is listened to."""
    due = tuple(map(_due, plan.pending))
    return About(verb, plan.project, plan.environment, plan.digest, link(environ), due)


def _due(change: Change) -> Due:
    tried = change.sweep.candidates if change.sweep else ()
    ids = tuple(candidate.model_id for candidate in tried)
    return Due(change.name, change.key[2], change.action, ids)


def link(environ: Mapping[str, str]) -> str:
    """Return the page of this run in GitHub Actions or GitLab CI, or nothing."""
    if job := environ.get("CI_JOB_URL"):
        return job
    parts = [environ.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")]
    return "{}/{}/actions/runs/{}".format(*parts) if all(parts) else ""


def _listeners(
    about: About, events: TextIO | None, complain: Complain, environ: Mapping[str, str]
) -> list[Listener]:
    found: list[Listener] = []
    if events is not None:
        from tunedmodels.listeners.jsonl import EventLines  # only where somebody asked for it

        found.append(EventLines(events, about, now=lambda: datetime.now(UTC), complain=complain))
    if address := environ.get(WEBHOOK, "").strip():
        from tunedmodels.listeners.webhook import Webhook

        found.append(Webhook(address, about, complain=complain))
    wanted = [name for name in _COLLECTORS if environ.get(name)]
    if wanted and environ.get("OTEL_SDK_DISABLED", "").lower() != "true":
        if find_spec("opentelemetry") and find_spec("opentelemetry.sdk"):
            from tunedmodels.listeners.opentelemetry import Traces

            found.append(Traces(about, environ, complain=complain))
        else:
            complain(
                f"{wanted[0]} is set, but OpenTelemetry is missing: pip install 'tunedmodels[otel]'"
            )
    return found
