"""Listeners of a run: a file of events, a webhook, a collector, with HTTP on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from threading import Thread
from typing import Any, get_args

import jsonschema
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.paths import ROOT
from tests.support.plans import PLANS
from tests.support.project_dir import ProjectDir, project_dir
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
    Refused,
    Rejected,
    Retried,
    Sending,
    Sent,
    Skipped,
    Started,
    StillRunning,
    Succeeded,
    Tried,
    Uploaded,
)
from tunedmodels.listeners.jsonl import JsonLines, events_schema
from tunedmodels.listeners.listener import RunInfo
from tunedmodels.listeners.subscribe import ci_run_url, plan_run_info
from tunedmodels.listeners.webhook import Webhook, webhook_message
from tunedmodels.observed import LossPoint, ModelState
from tunedmodels.plan.plan import Action
from tunedmodels.stamp import Decision

__all__ = ["project_dir"]

RUN = RunInfo("apply", "demo", "prod", "sha256:" + "0" * 64)
QUOTED = "an example of the dataset"
ONE_OF_EACH: list[Event] = [
    Started("tone", "tone-1", Action.REPLACE),
    Sending("tone", "tone-1", "create"),
    Retried("POST tunedModels", 1, 0.5, QUOTED),
    Sent("tone", "tone-1", "create"),
    Progressed("tone", "tone-1", ModelState.TRAINING, 1, 4, 0, (LossPoint(1, 0, 0.7),)),
    Progressed("tone", "tone-1", ModelState.QUEUED, 0, None, 0),
    Uploaded("gs://bucket/datasets", 256, 1024),
    Evaluating("tone", "tone-1", 3, 10),
    Judged("tone", "tone-1", Decision.PASSED, "exactMatch:0.9", "0.9 of at least 0.8"),
    Tried("tone", "tone-2", "", QUOTED),
    Chosen("tone", "tone-1", "0.900", "the best of 2 candidates"),
    Interrupted(),
    Rejected("worse", "worse-1", Action.CREATE, "its gate", "Edit the data."),
    Succeeded("tone", "tone-1", Action.REPLACE),
    Failed("triage", "triage-1", Action.CREATE, QUOTED, "Try again."),
    Refused("swap", "swap-1", Action.DELETE, "it has changed", ""),
    Skipped("late", "late-1", Action.CREATE, "interrupted"),
    StillRunning("slow", "slow-1", "continues at the service"),
]


@dataclass
class Received:
    """The requests that a server received, as (path, body)."""

    url: str
    requests: list[tuple[str, bytes]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Received]:
    """A server on loopback that accepts every request."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the name is that of the library
            body = self.rfile.read(int(self.headers["content-length"]))
            received.requests.append((self.path, body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        received = Received(f"http://127.0.0.1:{http.server_port}")
        Thread(target=http.serve_forever, daemon=True).start()
        yield received
        http.shutdown()


def lines_of(events: list[Event], code: int = 0) -> list[dict[str, Any]]:
    out = StringIO()
    writer = JsonLines(
        out, RUN, now=lambda: datetime(2026, 11, 22, tzinfo=UTC), on_warning=pytest.fail
    )
    for event in events:
        writer(event)
    writer.end(code)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_every_event_is_a_line_that_matches_the_schema() -> None:
    assert {type(event) for event in ONE_OF_EACH} == set(get_args(Event))
    validator = jsonschema.Draft202012Validator(events_schema())
    lines = lines_of(ONE_OF_EACH, code=130)
    for line in lines:
        validator.validate(line)
    assert [line["event"] for line in lines[:4]] == ["began", "started", "sending", "retried"]
    assert lines[5]["lastLoss"] == 0.7
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(lines[1] | {"surprise": 1})


@pytest.mark.parametrize("name", PLANS)
def test_the_first_line_has_the_planned_changes_and_the_candidates_of_sweeps(name: str) -> None:
    plan = PLANS[name]()
    planned = plan_run_info("apply", plan, {}).planned
    assert [(change.name, change.action) for change in planned] == [
        (c.name, c.action) for c in plan.pending
    ]
    candidates = [change.candidates for change in planned if change.candidates]
    assert [len(ids) for ids in candidates] == [
        len(change.sweep.candidates) for change in plan.pending if change.sweep
    ]


def test_no_line_and_no_webhook_message_quotes_the_service() -> None:
    assert QUOTED not in json.dumps(lines_of(ONE_OF_EACH))
    endings = [event for event in ONE_OF_EACH if isinstance(event, Ending)]
    assert QUOTED not in webhook_message(RUN, endings, Exit.ERROR)


def test_an_apply_writes_its_events_to_a_file(project_dir: ProjectDir) -> None:
    ended = project_dir.run("apply", "--yes", "--events", "events.jsonl")
    assert ended.code == 0, ended.err
    assert "serves now" in ended.out
    lines = [json.loads(line) for line in project_dir.read("events.jsonl").splitlines()]
    kinds = [line["event"] for line in lines]
    assert kinds[:3] == ["began", "started", "sending"]
    assert kinds[-2:] == ["succeeded", "ended"]
    assert lines[0]["digest"].startswith("sha256:")
    assert lines[-1]["code"] == 0


def test_standard_output_contains_only_events(project_dir: ProjectDir) -> None:
    ended = project_dir.run("apply", "--yes", "--events", "-")
    kinds = [json.loads(line)["event"] for line in ended.out.splitlines()]
    assert (kinds[0], kinds[-1]) == ("began", "ended")
    assert "Plan: 1 to create." in ended.err


def test_the_documentation_names_every_event() -> None:
    page = (ROOT / "docs/following.md").read_text(encoding="utf-8")
    table = page.split("| event | when |")[1].split("\n\n")[0]
    kinds = {kind["properties"]["event"]["const"] for kind in events_schema()["oneOf"]}
    assert {kind for kind in kinds if f"`{kind}`" not in table} == set()


def test_a_full_disk_ends_the_events_and_not_the_apply(project_dir: ProjectDir) -> None:
    ended = project_dir.run("apply", "--yes", "--events", "/dev/full")
    assert ended.code == 0
    assert ended.err.count("No further events are written: No space left on device") == 1
    assert project_dir.status()["serving"]


def test_a_file_that_cannot_be_opened_stops_the_apply_before_it_starts(
    project_dir: ProjectDir,
) -> None:
    ended = project_dir.run("apply", "--yes", "--events", "nowhere/events.jsonl")
    assert ended.code == 1
    assert "nowhere/events.jsonl" in ended.err
    assert project_dir.status()["versions"] == []


def test_a_webhook_receives_the_result_and_the_page_of_the_run(
    project_dir: ProjectDir, server: Received
) -> None:
    env = {
        "TUNEDMODELS_WEBHOOK": f"{server.url}/services/T0/B0/top-secret?key=hidden",
        "CI_JOB_URL": "https://ci.example/jobs/7",
    }
    ended = project_dir.run("apply", "--yes", env=env)
    assert ended.code == 0
    ((path, body),) = server.requests
    assert path == "/services/T0/B0/top-secret?key=hidden"
    document = json.loads(body)
    assert list(document) == ["text"]
    version = project_dir.status()["serving"]
    assert document["text"] == (
        "*tunedmodels · demo*: apply finished (1 done).\n"
        f"• `tone` create done: `{version}`\n"
        "https://ci.example/jobs/7"
    )
    assert project_dir.run("apply", "--yes", env=env).code == 0
    assert len(server.requests) == 1, "no message without changes"


def test_a_webhook_receives_the_refusal_of_a_plan(
    project_dir: ProjectDir, server: Received
) -> None:
    assert project_dir.run("apply", "--yes").code == 0
    project_dir.model("other")
    project_dir.dataset("other")
    project_dir.remove("manifests/tone.yaml")
    ended = project_dir.run("apply", "--yes", env={"TUNEDMODELS_WEBHOOK": server.url})
    assert ended.code == 4
    ((_, body),) = server.requests
    assert "apply was refused" in json.loads(body)["text"]


def test_an_unavailable_webhook_is_a_warning_and_its_address_is_secret(
    project_dir: ProjectDir,
) -> None:
    address = "http://127.0.0.1:9/services/top-secret?key=hidden"
    ended = project_dir.run("apply", "--yes", env={"TUNEDMODELS_WEBHOOK": address})
    assert ended.code == 0
    assert "The message to the webhook at 127.0.0.1:9 could not be sent" in ended.err
    assert "top-secret" not in ended.out + ended.err
    assert "hidden" not in ended.out + ended.err


async def test_a_webhook_message_is_never_sent_unencrypted() -> None:
    warnings: list[str] = []
    await Webhook("http://hooks.example/secret", RUN, on_warning=warnings.append).finish(0)
    (warning,) = warnings
    assert "unencrypted" in warning
    assert "secret" not in warning


def test_a_webhook_message_is_short_and_escaped() -> None:
    many: list[Ending] = [Succeeded(f"<m{n}>&", "id", Action.CREATE) for n in range(12)]
    text = webhook_message(RunInfo("apply", "<!channel>"), many, Exit.GATE)
    assert text.startswith("*tunedmodels · &lt;!channel&gt;*: apply ended, a gate refused")
    assert "`&lt;m0&gt;&amp;`" in text
    assert text.endswith("and 2 more")


def test_a_collector_receives_one_trace_with_changes_and_requests(
    project_dir: ProjectDir, server: Received
) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url, "TRACEPARENT": parent}
    assert project_dir.run("apply", "--yes", env=env).code == 0
    # On a busy machine spans are also sent every few seconds.
    bodies = [body for path, body in server.requests if path == "/v1/traces"]
    traces = [
        trace
        for body in bodies
        for trace in ExportTraceServiceRequest.FromString(body).resource_spans
    ]
    spans = {
        span.name: span for trace in traces for scope in trace.scope_spans for span in scope.spans
    }
    assert set(spans) == {"tunedmodels apply", "create", "send create", "send promote"}
    root, change, request = (spans[name] for name in ("tunedmodels apply", "create", "send create"))
    assert root.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert root.parent_span_id.hex() == "b7ad6b7169203331"
    assert change.parent_span_id == root.span_id
    assert request.parent_span_id == change.span_id
    assert not any(b"thank you" in body for body in bodies)
    last = [body for path, body in server.requests if path == "/v1/metrics"][-1]
    metrics = ExportMetricsServiceRequest.FromString(last).resource_metrics
    names = {m.name for metric in metrics for scope in metric.scope_metrics for m in scope.metrics}
    assert names == {"tunedmodels.changes", "tunedmodels.change.duration"}


def test_an_unavailable_collector_is_one_warning(project_dir: ProjectDir) -> None:
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_METRICS_EXPORTER": "none",
    }
    ended = project_dir.run("apply", "--yes", env=env)
    assert ended.code == 0
    assert ended.err.count("OpenTelemetry could not send everything") == 1


def test_a_disabled_sdk_sends_nothing(project_dir: ProjectDir, server: Received) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url, "OTEL_SDK_DISABLED": "true"}
    assert project_dir.run("apply", "--yes", env=env).code == 0
    assert server.requests == []


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, ""),
        ({"CI_JOB_URL": "https://ci.example/1"}, "https://ci.example/1"),
        ({"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "a/b"}, ""),
        (
            {
                "GITHUB_SERVER_URL": "https://github.com",
                "GITHUB_REPOSITORY": "a/b",
                "GITHUB_RUN_ID": "9",
            },
            "https://github.com/a/b/actions/runs/9",
        ),
    ],
)
def test_a_message_contains_the_page_of_the_run(environ: dict[str, str], url: str) -> None:
    assert ci_run_url(environ) == url
