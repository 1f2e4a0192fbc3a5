"""Connections that are too slow, too large or too odd, over real sockets."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn

from tests.support.embedded_service import PATH, body, service
from tunedmodels.service import server, timeouts
from tunedmodels.service.api import limits
from tunedmodels.service.api.limits import MOST_BODY
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.server import assembled, configuration

_PATIENCE_S = 20.0


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[EmbeddedService]:
    with service(tmp_path / "store") as one:
        yield one


@pytest.fixture
def place(opened: EmbeddedService) -> Iterator[tuple[str, int]]:
    """Where a service listens, as `serve` has it listen."""
    running = uvicorn.Server(configuration(assembled(opened, is_open=False).app))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            running.should_exit = True
            thread.join()


@contextmanager
def connected(place: tuple[str, int]) -> Iterator[socket.socket]:
    with socket.create_connection(place, timeout=_PATIENCE_S) as connection:
        yield connection


def heard(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    parts = []
    try:
        while part := connection.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def head(method: str = "POST", *fields: str) -> bytes:
    lines = [f"{method} {PATH} HTTP/1.1", "Host: localhost", *fields, "", ""]
    return "\r\n".join(lines).encode()


def asked(connection: socket.socket) -> None:
    """Ask for the list of models, of which there are none, and read the whole answer."""
    connection.sendall(head("GET"))
    answer = b""
    while not answer.endswith(b"{}"):
        part = connection.recv(65_536)
        assert part, answer
        answer += part


def document(answer: bytes) -> dict[str, object]:
    found: dict[str, object] = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    return found


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a test can wait for."""
    monkeypatch.setattr(timeouts, "HEAD_S", 0.3)
    monkeypatch.setattr(limits, "BODY_S", 0.3)


@pytest.mark.parametrize(
    "begun", [b"", b"G", b"GET /v1beta/models HTTP/1.1\r\nHost: localhost\r\nX: "]
)
def test_a_head_that_never_comes_whole_ends_the_connection(
    hasty: None, place: tuple[str, int], begun: bytes
) -> None:
    with connected(place) as connection:
        connection.sendall(begun)
        assert heard(connection) == b""


def test_a_head_that_comes_byte_by_byte_is_given_no_more_time(
    hasty: None, place: tuple[str, int]
) -> None:
    dripped = 0
    with connected(place) as connection:
        try:
            while dripped < 200:
                connection.sendall(b"x")
                dripped += 1
                time.sleep(0.02)
        except OSError:
            pass
    assert dripped < 200, "closed while it dripped"


def test_a_second_head_on_a_connection_has_its_time_too(
    hasty: None, place: tuple[str, int]
) -> None:
    with connected(place) as connection:
        asked(connection)
        connection.sendall(b"GET ")
        assert heard(connection) == b""


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_REST_S", 0.2)


def test_a_connection_that_rests_too_long_is_closed(restless: None, place: tuple[str, int]) -> None:
    with connected(place) as connection:
        asked(connection)
        assert heard(connection) == b""


def test_a_connection_that_is_used_is_left_open(
    monkeypatch: pytest.MonkeyPatch, place: tuple[str, int]
) -> None:
    monkeypatch.setattr(timeouts, "HEAD_S", 1.0)
    end = time.monotonic() + 1.5
    with connected(place) as connection:
        while time.monotonic() < end:
            asked(connection)


@pytest.mark.parametrize("fields", [("Content-Length: 1000",), ("Transfer-Encoding: chunked",)])
def test_a_body_that_never_comes_is_answered_in_googles_words(
    hasty: None, place: tuple[str, int], fields: tuple[str, ...]
) -> None:
    with connected(place) as connection:
        connection.sendall(head("POST", *fields))
        answer = heard(connection)
    assert answer.startswith(b"HTTP/1.1 504 ")
    assert document(answer) == {
        "code": 504,
        "message": "The body of the request did not arrive within 0.3 seconds.",
        "status": "DEADLINE_EXCEEDED",
    }


def test_a_chunked_body_without_an_end_is_refused_while_it_comes_in(
    hasty: None, place: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BODY_S", 60.0)
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    sent = 0
    with connected(place) as connection:
        connection.sendall(head("POST", "Transfer-Encoding: chunked"))
        answers: list[bytes] = []
        reader = threading.Thread(target=lambda: answers.append(heard(connection)))
        reader.start()
        try:
            while sent < 100_000:  # 6 GB: it ends because the connection does
                connection.sendall(chunk)
                sent += 1
        except OSError:
            pass
        reader.join()
    assert MOST_BODY < sent * 0x10000 < 100_000 * 0x10000
    assert document(answers[0])["message"] == (
        f"Request payload size exceeds the limit: {MOST_BODY} bytes."
    )


def test_a_chunked_body_is_as_good_as_one_of_a_known_length(place: tuple[str, int]) -> None:
    def pieces() -> Iterator[bytes]:
        content = json.dumps(body()).encode()
        for start in range(0, len(content), 100):
            yield content[start : start + 100]

    answer = httpx.post("http://{}:{}".format(*place) + PATH, content=pieces())
    assert answer.status_code == 200


def test_a_head_without_an_end_is_refused_before_it_is_large(place: tuple[str, int]) -> None:
    sent = 0
    with connected(place) as connection:
        try:
            connection.sendall(b"GET / HTTP/1.1\r\n")
            while sent < 100_000_000:
                connection.sendall(b"X: " + b"y" * 1000 + b"\r\n")
                sent += 1005
        except OSError:
            pass
        answer = heard(connection)
    assert sent < 100_000_000
    assert not answer or answer.startswith(b"HTTP/1.1 400")


def test_whoever_goes_away_in_the_middle_of_a_body_changes_nothing(place: tuple[str, int]) -> None:
    content = json.dumps(body()).encode()
    with connected(place) as connection:
        connection.sendall(head("POST", f"Content-Length: {len(content)}") + content[:-1])
    url = "http://{}:{}".format(*place)
    # The next request is answered after the one that was given up.
    for _ in range(3):
        assert httpx.get(url + PATH).json() == {}
    assert re.search(r'requests_total{code="\d+",method="GET"', httpx.get(url + "/metrics").text)


def test_a_hundred_connections_that_say_nothing_hold_nobody_up(place: tuple[str, int]) -> None:
    silent = [socket.create_connection(place) for _ in range(100)]
    try:
        for connection in silent[::2]:
            connection.sendall(head("POST", "Content-Length: 1000"))
        assert httpx.get("http://{}:{}".format(*place) + "/healthz").status_code == 200
    finally:
        for connection in silent:
            connection.close()
