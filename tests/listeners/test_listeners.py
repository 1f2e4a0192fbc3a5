"""Who follows a run elsewhere: a file of events, a webhook, a collector. Real HTTP on loopback."""

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
from tests.support.project_dir import Desk, desk
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
from tunedmodels.listeners.jsonl import EventLines, events_schema
from tunedmodels.listeners.listener import About
from tunedmodels.listeners.subscribe import about_plan, link
from tunedmodels.listeners.webhook import Webhook, message
from tunedmodels.observed import LossPoint, ModelState
from tunedmodels.plan.plan import Action
from tunedmodels.stamp import Decision

__all__ = ["desk"]

ABOUT = About("apply", "demo", "prod", "sha256:" + "0" * 64)
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
    Refused("swap", "swap-1", Action.DELETE, "it moved", ""),
    Skipped("late", "late-1", Action.CREATE, "interrupted"),
    StillRunning("slow", "slow-1", "it goes on"),
]


@dataclass
class Taken:
    """What a server was sent: (path, body)."""

    url: str
    requests: list[tuple[str, bytes]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Taken]:
    """A server on loopback that takes whatever comes."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the name is the library's
            body = self.rfile.read(int(self.headers["content-length"]))
            taken.requests.append((self.path, body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        taken = Taken(f"http://127.0.0.1:{http.server_port}")
        Thread(target=http.serve_forever, daemon=True).start()
        yield taken
        http.shutdown()


def lines_of(events: list[Event], code: int = 0) -> list[dict[str, Any]]:
    out = StringIO()
    writer = EventLines(
        out, ABOUT, now=lambda: datetime(2026, 11, 22, tzinfo=UTC), complain=pytest.fail
    )
    for event in events:
        writer(event)
    writer.end(code)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_every_event_is_a_line_that_its_schema_knows() -> None:
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
def test_a_run_says_first_what_is_due_and_of_a_sweep_all_candidates(name: str) -> None:
    plan = PLANS[name]()
    due = about_plan("apply", plan, {}).due
    assert [(each.name, each.action) for each in due] == [(c.name, c.action) for c in plan.pending]
    candidates = [each.candidates for each in due if each.candidates]
    assert [len(ids) for ids in candidates] == [
        len(change.sweep.candidates) for change in plan.pending if change.sweep
    ]


def test_no_line_and_no_message_has_the_words_of_a_service() -> None:
    assert QUOTED not in json.dumps(lines_of(ONE_OF_EACH))
    endings = [event for event in ONE_OF_EACH if isinstance(event, Ending)]
    assert QUOTED not in message(ABOUT, endings, Exit.ERROR)


def test_an_apply_tells_its_story_to_a_file(desk: Desk) -> None:
    ended = desk.run("apply", "--yes", "--events", "events.jsonl")
    assert ended.code == 0, ended.err
    assert "serves now" in ended.out
    told = [json.loads(line) for line in desk.read("events.jsonl").splitlines()]
    kinds = [line["event"] for line in told]
    assert kinds[:3] == ["began", "started", "sending"]
    assert kinds[-2:] == ["succeeded", "ended"]
    assert told[0]["digest"].startswith("sha256:")
    assert told[-1]["code"] == 0


def test_on_standard_output_there_is_nothing_but_events(desk: Desk) -> None:
    ended = desk.run("apply", "--yes", "--events", "-")
    kinds = [json.loads(line)["event"] for line in ended.out.splitlines()]
    assert (kinds[0], kinds[-1]) == ("began", "ended")
    assert "Plan: 1 to create." in ended.err


def test_the_page_about_following_names_every_event() -> None:
    page = (ROOT / "docs/following.md").read_text(encoding="utf-8")
    table = page.split("| event | when |")[1].split("\n\n")[0]
    kinds = {kind["properties"]["event"]["const"] for kind in events_schema()["oneOf"]}
    assert {kind for kind in kinds if f"`{kind}`" not in table} == set()


def test_a_full_disk_ends_the_events_and_not_the_apply(desk: Desk) -> None:
    ended = desk.run("apply", "--yes", "--events", "/dev/full")
    assert ended.code == 0
    assert ended.err.count("written no further: No space left on device") == 1
    assert desk.status()["serving"]


def test_a_file_that_cannot_be_opened_stops_everything_before_it_begins(desk: Desk) -> None:
    ended = desk.run("apply", "--yes", "--events", "nowhere/events.jsonl")
    assert ended.code == 1
    assert "nowhere/events.jsonl" in ended.err
    assert desk.status()["versions"] == []


def test_a_webhook_hears_how_it_ended_and_where(desk: Desk, server: Taken) -> None:
    env = {
        "TUNEDMODELS_WEBHOOK": f"{server.url}/services/T0/B0/top-secret?key=hidden",
        "CI_JOB_URL": "https://ci.example/jobs/7",
    }
    ended = desk.run("apply", "--yes", env=env)
    assert ended.code == 0
    ((path, body),) = server.requests
    assert path == "/services/T0/B0/top-secret?key=hidden"
    said = json.loads(body)
    assert list(said) == ["text"]
    version = desk.status()["serving"]
    assert said["text"] == (
        "*tunedmodels · demo*: apply finished (1 done).\n"
        f"• `tone` create done: `{version}`\n"
        "https://ci.example/jobs/7"
    )
    assert desk.run("apply", "--yes", env=env).code == 0
    assert len(server.requests) == 1, "nothing to do is nothing to tell"


def test_a_refused_plan_is_told_too(desk: Desk, server: Taken) -> None:
    assert desk.run("apply", "--yes").code == 0
    desk.model("other")
    desk.dataset("other")
    desk.remove("manifests/tone.yaml")
    ended = desk.run("apply", "--yes", env={"TUNEDMODELS_WEBHOOK": server.url})
    assert ended.code == 4
    ((_, body),) = server.requests
    assert "apply was refused" in json.loads(body)["text"]


def test_a_webhook_that_is_not_there_changes_nothing_and_its_address_stays_secret(
    desk: Desk,
) -> None:
    address = "http://127.0.0.1:9/services/top-secret?key=hidden"
    ended = desk.run("apply", "--yes", env={"TUNEDMODELS_WEBHOOK": address})
    assert ended.code == 0
    assert "The webhook at 127.0.0.1:9 was not told" in ended.err
    assert "top-secret" not in ended.out + ended.err
    assert "hidden" not in ended.out + ended.err


async def test_a_webhook_is_never_told_in_the_clear() -> None:
    complaints: list[str] = []
    await Webhook("http://hooks.example/secret", ABOUT, complain=complaints.append).finish(0)
    (words,) = complaints
    assert "in the clear" in words
    assert "secret" not in words


def test_a_message_is_short_and_nothing_in_it_acts() -> None:
    many: list[Ending] = [Succeeded(f"<m{n}>&", "id", Action.CREATE) for n in range(12)]
    said = message(About("apply", "<!channel>"), many, Exit.GATE)
    assert said.startswith("*tunedmodels · &lt;!channel&gt;*: apply ended, a gate refused")
    assert "`&lt;m0&gt;&amp;`" in said
    assert said.endswith("and 2 more")


def test_a_collector_gets_one_trace_with_its_changes_and_their_requests(
    desk: Desk, server: Taken
) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url, "TRACEPARENT": parent}
    assert desk.run("apply", "--yes", env=env).code == 0
    # On a busy machine what is there is sent every few seconds.
    sent = [body for path, body in server.requests if path == "/v1/traces"]
    traces = [
        of for body in sent for of in ExportTraceServiceRequest.FromString(body).resource_spans
    ]
    spans = {span.name: span for of in traces for each in of.scope_spans for span in each.spans}
    assert set(spans) == {"tunedmodels apply", "create", "send create", "send promote"}
    root, change, request = (spans[name] for name in ("tunedmodels apply", "create", "send create"))
    assert root.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert root.parent_span_id.hex() == "b7ad6b7169203331"
    assert change.parent_span_id == root.span_id
    assert request.parent_span_id == change.span_id
    assert not any(b"thank you" in body for body in sent)
    last = [body for path, body in server.requests if path == "/v1/metrics"][-1]
    metrics = ExportMetricsServiceRequest.FromString(last).resource_metrics
    names = {m.name for of in metrics for each in of.scope_metrics for m in each.metrics}
    assert names == {"tunedmodels.changes", "tunedmodels.change.duration"}


def test_a_collector_that_is_not_there_is_said_once(desk: Desk) -> None:
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_METRICS_EXPORTER": "none",
    }
    ended = desk.run("apply", "--yes", env=env)
    assert ended.code == 0
    assert ended.err.count("OpenTelemetry could not send everything") == 1


def test_without_the_variables_nothing_of_opentelemetry_runs(desk: Desk, server: Taken) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url, "OTEL_SDK_DISABLED": "true"}
    assert desk.run("apply", "--yes", env=env).code == 0
    assert server.requests == []


@pytest.mark.parametrize(
    ("environ", "page"),
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
def test_a_message_leads_to_the_run(environ: dict[str, str], page: str) -> None:
    assert link(environ) == page
