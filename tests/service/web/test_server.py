"""The library in a `serve` process: with and without keys, shutdown, imports, random input."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from tests.support.embedded_service import PATH, service
from tests.support.web_client import form, rows, web_library
from tunedmodels.service.embedded import EmbeddedService

KEYS = """
keys:
  - key: a-long-random-secret
    user: ana@example.com
    project: 1
"""
ROWS = [{"text_input": f"in {n}", "output": f"out {n % 7}"} for n in range(500)]
LONG_JOB = {
    "base_model": "models/embedded-text-001",
    "tuning_task": {
        "hyperparameters": {"epoch_count": 1000},
        "training_data": {"examples": {"examples": ROWS}},
    },
}
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start servers, which are killed after the test."""
    processes = []

    def start_server(*options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tunedmodels", "serve", "--port", "0"]
        command += ["--store", str(tmp_path / "store"), *options]
        processes.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        return processes[-1]

    yield start_server
    for process in processes:
        with process:
            process.kill()


def address(server: subprocess.Popen[str]) -> str:
    """Return the URL that the server prints."""
    assert server.stderr is not None
    (url,) = (word for word in server.stderr.readline().split() if word.startswith("http"))
    return url


def test_serve_shows_the_library_and_stops_during_an_event_stream(start: Start) -> None:
    server = start()
    with httpx.Client(base_url=address(server), timeout=30) as http:
        assert "No models yet" in http.get("/").text
        http.post(f"{PATH}?tunedModelId=a", json=LONG_JOB)
        with http.stream("GET", "/events?id=a") as events:
            lines = events.iter_lines()
            assert next(line for line in lines if line.startswith("event")) == "event: progress"
            server.send_signal(signal.SIGTERM)
            assert "event: end" not in list(lines), "the job has not ended"
    _, errors = server.communicate(timeout=20)
    assert (server.returncode, errors) == (0, "")


def test_with_keys_a_page_requires_one_and_the_output_never_contains_it(
    start: Start, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text(KEYS)
    keys.chmod(0o600)
    server = start("--keys", str(keys))
    with httpx.Client(base_url=address(server), timeout=30, follow_redirects=True) as http:
        page = http.get("/").text
        token = page.partition('name="form_token" value="')[2].partition('"')[0]
        for key, heading in (("a-long-random-wrong", "Sign in"), ("a-long-random-secret", "Lib")):
            page = http.post("/sign-in", data={"form_token": token, "key": key}).text
            assert f"<h1>{heading}" in page
            assert key not in page
    server.send_signal(signal.SIGTERM)
    _, errors = server.communicate(timeout=20)
    assert (server.returncode, errors) == (0, "")


def test_the_service_inside_a_command_does_not_import_the_library(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from tunedmodels.service.embedded import EmbeddedService\n"
        "EmbeddedService(pathlib.Path('store')).app\n"
        "sys.exit(any(name.startswith(('tunedmodels.service.web', 'jinja2'))"
        " for name in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)
    assert done.returncode == 0


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedService]:
    with service(tmp_path_factory.mktemp("fuzz") / "store") as embedded:
        yield embedded


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
GETS = st.sampled_from(["/", "/tune", "/sign-in", "/events", "/models/x", "/static/x"])
POSTS = st.sampled_from(["/tune", "/models/x/ask", "/models/x/permissions", "/sign-in"])
FIELDS = st.dictionaries(
    st.sampled_from([*form(), "filter", "page", "state", "notice", "like", "epochs", "after",
                     "format", "input_field", "output_field", "question", "key", "id"]),
    TEXTS,
)  # fmt: skip


@settings(max_examples=60)
@given(get=GETS, post=POSTS, fields=FIELDS, upload=st.binary(max_size=200), host=TEXTS)
def test_random_input_never_causes_an_internal_error(
    opened: EmbeddedService,
    *,
    get: str,
    post: str,
    fields: dict[str, str],
    upload: bytes,
    host: str,
) -> None:
    # The client raises the exceptions of the service.
    http = TestClient(web_library(opened).app, base_url="http://localhost")
    page = http.get(get, params=fields, headers={b"host": f"localhost:{host}".encode()})
    assert page.status_code < 500
    token = http.get("/tune").text.partition('name="form_token" value="')[2].partition('"')[0]
    data = {"data": rows(), **fields, "form_token": token}
    assert http.post(post, data=data, files={"file": ("a", upload)}).status_code < 500
