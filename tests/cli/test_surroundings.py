"""Addresses and variables that are wrong, listeners that fail, and secrets that nothing prints."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from tests.support.project_dir import PROJECT, ProjectDir, project_dir
from tunedmodels.address import Address, hide_userinfo
from tunedmodels.scrubber import Scrubber

__all__ = ["project_dir"]

CANARY = "AIzaCanary0123456789-abcdefghijklmnopqrs"
PASSWORD = "hunter2-Canary/9"  # noqa: S105  # of no account
ENCODED = "hunter2-Canary%2F9"
FORMS = (CANARY, PASSWORD, ENCODED, b64encode(f"user:{PASSWORD}".encode()).decode())


def use_endpoint(project: ProjectDir, endpoint: str) -> None:
    spec = f"spec: {{provider: g, providers: {{g: {{type: gemini, endpoint: '{endpoint}'}}}}}}\n"
    metadata = PROJECT.replace("{name: demo}", "{name: demo, lineage: 3f9c1e7a2b04}")
    project.write("manifests/tunedmodels.yaml", metadata + spec)


ENDPOINTS = [
    "http://127.0.0.1:99999",
    "https://[::1",
    "https://",
    "https://a b",
    "ftp://host",
    f"https://user:{PASSWORD}@host",
    f"https://user:{PASSWORD}@host:99999",
    f"user:{PASSWORD}@host",
    f"https://host?key={CANARY}",
]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("command", ["validate", "plan", "doctor"])
def test_an_invalid_endpoint_is_an_error_with_its_line_and_without_its_password(
    project_dir: ProjectDir, endpoint: str, command: str
) -> None:
    use_endpoint(project_dir, endpoint)
    ended = project_dir.run(command)
    output = ended.out + ended.err
    assert ended.code == 1
    assert "tunedmodels.yaml:4" in output
    assert "endpoint" in output
    assert not [form for form in FORMS if form in output]


VARIABLES = [
    ("HTTPS_PROXY", "foo://proxy:3128"),
    ("HTTPS_PROXY", "http://proxy:99999"),
    ("https_proxy", f"ftp://user:{ENCODED}@proxy"),
    ("HTTP_PROXY", "http://[::1"),
    ("ALL_PROXY", "socks5://127.0.0.1:9"),
    ("NO_PROXY", "[::1"),
    ("SSL_CERT_FILE", "/nowhere.pem"),
    ("SSL_CERT_FILE", "/dev/null"),
    ("SSL_CERT_DIR", "/nowhere"),
]


@pytest.mark.parametrize(("name", "value"), VARIABLES)
@pytest.mark.parametrize("command", ["plan", "status", "doctor"])
def test_a_wrong_variable_is_named(
    project_dir: ProjectDir, monkeypatch: pytest.MonkeyPatch, name: str, value: str, command: str
) -> None:
    # The machine may have the extra `socks`.
    monkeypatch.setattr("tunedmodels.providers.connection.find_spec", lambda name: None)
    use_endpoint(project_dir, "https://models.example")
    # Some machines set SSL_CERT_FILE, which precedes SSL_CERT_DIR.
    environ = {"GEMINI_API_KEY": CANARY, "SSL_CERT_FILE": "", name: value}
    ended = project_dir.run(command, env=environ)
    output = ended.out + ended.err
    assert ended.code == 1, output
    assert f"{name}: " in output
    assert "Check the disk" not in output
    assert not [form for form in FORMS if form in output]
    if value.startswith("socks"):
        assert "tunedmodels[socks]" in output


@pytest.mark.parametrize("name", ["GITHUB_API_URL", "CI_API_V4_URL"])
@pytest.mark.parametrize("value", ["https://[::1", "http://host:99999", f"user:{PASSWORD}@host"])
def test_a_wrong_address_of_a_forge_is_named(
    project_dir: ProjectDir, name: str, value: str
) -> None:
    assert project_dir.run("plan", "--out", "plan.json").code == 0
    forge = "github" if name == "GITHUB_API_URL" else "gitlab"
    env = {name: value, "GITHUB_TOKEN": CANARY, "GITLAB_TOKEN": CANARY}
    arguments = ("comment", "plan", "plan.json", "--forge", forge, "--repo", "a/b", "--pr", "1")
    ended = project_dir.run(*arguments, env=env)
    assert ended.code == 1
    assert f"{name}: " in ended.err
    assert f"unset {name}" in ended.err
    assert not [form for form in FORMS if form in ended.out + ended.err]


WEBHOOKS = [
    CANARY,
    f"file:///{CANARY}",
    f"http://host:99999/{CANARY}",
    f"https://[::1/{CANARY}",
    f"https://user:{ENCODED}@127.0.0.1:9/services/{CANARY}",
    f"http://hooks.example/{CANARY}",
]
LISTENERS = [
    *({"TUNEDMODELS_WEBHOOK": webhook} for webhook in WEBHOOKS),
    {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://user:{ENCODED}@127.0.0.1:9",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_METRICS_EXPORTER": "none",
    },
    {"OTEL_EXPORTER_OTLP_ENDPOINT": "nowhere", "OTEL_EXPORTER_OTLP_TIMEOUT": "soon"},
]


@pytest.mark.parametrize("environ", LISTENERS, ids=range(len(LISTENERS)))
def test_a_listener_that_fails_is_one_warning(
    project_dir: ProjectDir, environ: dict[str, str]
) -> None:
    ended = project_dir.run("apply", "--yes", "--events", "events.jsonl", env=environ)
    assert ended.code == 0, ended.err
    assert ended.err.count("Warning: ") == 1, ended.err
    assert '"event": "ended", "code": 0' in project_dir.read("events.jsonl")
    output = ended.out + ended.err + project_dir.read("events.jsonl")
    assert not [form for form in FORMS if form in output]


@pytest.fixture
def echo() -> Iterator[str]:
    """A server that rejects every request, and repeats its credentials in every way."""

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            sent = [value for name, value in self.headers.items() if name != "host"]
            key = self.headers.get("x-goog-api-key", "")
            texts = [
                *sent,
                b64encode(key.encode()).decode(),
                b64encode(b"ab" + key.encode()).decode(),
            ]
            text = " ".join(texts) + "\x1b[31m\u2028"
            body = {
                "error": {
                    "code": 403,
                    "status": "PERMISSION_DENIED",
                    "message": text,
                    "details": [
                        {
                            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                            "reason": "SERVICE_DISABLED",
                            "metadata": {
                                "service": key,
                                "consumer": f"projects/{key}\x1b[0m;rm -r",
                            },
                        }
                    ],
                }
            }
            raw = json.dumps(body).encode()
            self.send_response(403)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = _handle  # noqa: N815  # names of the library

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("command", ["plan", "apply --yes", "status", "doctor", "generate tone hi"])
@pytest.mark.parametrize("userinfo", ["", f"user:{ENCODED}@"])
def test_no_secret_is_printed_or_written(
    project_dir: ProjectDir, echo: str, command: str, userinfo: str
) -> None:
    use_endpoint(project_dir, f"http://{userinfo}{echo}")
    written = project_dir.files()
    ended = project_dir.run(*command.split(), env={"GEMINI_API_KEY": CANARY})
    output = ended.out + ended.err
    assert ended.code == 1, output
    for path in project_dir.files() - written:
        output += (project_dir.folder / path).read_bytes().decode(errors="replace")
    assert not [form for form in FORMS if form in output], output
    for offset in (b"", b"a", b"ab"):
        middle = b64encode(offset + CANARY.encode()).decode()[4:-4]
        assert middle not in output
    assert "\x1b" not in output
    assert "rm -r" not in output
    if userinfo:
        assert (
            "tunedmodels.yaml" in project_dir.run("validate").out + project_dir.run("validate").err
        )


def test_an_address_prints_itself_without_secrets() -> None:
    address = Address.parse(f"https://user:{ENCODED}@host:8443/prefix/?key={CANARY}")
    assert str(address) == "https://host:8443/prefix"
    assert not [form for form in (*FORMS, "user") if form in f"{address!r} {address}"]
    assert {PASSWORD, ENCODED} <= address.secrets
    assert hide_userinfo(f"x://u:{PASSWORD}@h?k={CANARY}") == "x://[secret]@h"


@pytest.mark.parametrize("prefix", ["", "a", "ab", "user:"])
def test_a_secret_is_removed_in_every_form(prefix: str) -> None:
    scrubber = Scrubber([CANARY, PASSWORD])
    encoded = b64encode(f"{prefix}{CANARY}:x".encode()).decode()
    text = f"<{CANARY}> <{PASSWORD}> <{ENCODED}> <{encoded}>"
    scrubbed = scrubber.scrub(text)
    assert not [form for form in FORMS if form in scrubbed]
    assert b64encode(CANARY.encode()).decode()[8:24] not in scrubbed
    assert len(scrubbed) < len(text)
    assert scrubber.scrub("nothing secret") == "nothing secret"
