"""Tests of slow, oversized and malformed requests over real sockets."""

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
from tunedmodels.service.api.limits import MAX_BODY_BYTES
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.server import build_app, uvicorn_config

_TIMEOUT_S = 20.0


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[EmbeddedService]:
    with service(tmp_path / "store") as instance:
        yield instance


@pytest.fixture
def address(embedded: EmbeddedService) -> Iterator[tuple[str, int]]:
    """The address of a service with the configuration of `serve`."""
    running = uvicorn.Server(uvicorn_config(build_app(embedded, is_public=False).app))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            running.should_exit = True
            thread.join()


@contextmanager
def connected(address: tuple[str, int]) -> Iterator[socket.socket]:
    with socket.create_connection(address, timeout=_TIMEOUT_S) as connection:
        yield connection


def receive_all(connection: socket.socket) -> bytes:
    """Return all data that arrives until the server closes the connection."""
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


def request_list(connection: socket.socket) -> None:
    """Request the list of models, which is empty, and read the whole response."""
    connection.sendall(head("GET"))
    response = b""
    while not response.endswith(b"{}"):
        part = connection.recv(65_536)
        assert part, response
        response += part


def error_of(response: bytes) -> dict[str, object]:
    error: dict[str, object] = json.loads(response.partition(b"\r\n\r\n")[2])["error"]
    return error


@pytest.fixture
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set short timeouts."""
    monkeypatch.setattr(timeouts, "HEAD_TIMEOUT_S", 0.3)
    monkeypatch.setattr(limits, "BODY_TIMEOUT_S", 0.3)


@pytest.mark.parametrize(
    "partial_head", [b"", b"G", b"GET /v1beta/models HTTP/1.1\r\nHost: localhost\r\nX: "]
)
def test_an_incomplete_head_closes_the_connection(
    short_timeouts: None, address: tuple[str, int], partial_head: bytes
) -> None:
    with connected(address) as connection:
        connection.sendall(partial_head)
        assert receive_all(connection) == b""


def test_a_head_sent_byte_by_byte_has_the_same_timeout(
    short_timeouts: None, address: tuple[str, int]
) -> None:
    sent = 0
    with connected(address) as connection:
        try:
            while sent < 200:
                connection.sendall(b"x")
                sent += 1
                time.sleep(0.02)
        except OSError:
            pass
    assert sent < 200, "closed before the head was complete"


def test_the_second_head_on_a_connection_has_the_timeout_too(
    short_timeouts: None, address: tuple[str, int]
) -> None:
    with connected(address) as connection:
        request_list(connection)
        connection.sendall(b"GET ")
        assert receive_all(connection) == b""


@pytest.fixture
def short_keep_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_KEEP_ALIVE_S", 0.2)


def test_an_idle_connection_is_closed(short_keep_alive: None, address: tuple[str, int]) -> None:
    with connected(address) as connection:
        request_list(connection)
        assert receive_all(connection) == b""


def test_a_used_connection_stays_open(
    monkeypatch: pytest.MonkeyPatch, address: tuple[str, int]
) -> None:
    monkeypatch.setattr(timeouts, "HEAD_TIMEOUT_S", 1.0)
    end = time.monotonic() + 1.5
    with connected(address) as connection:
        while time.monotonic() < end:
            request_list(connection)


@pytest.mark.parametrize("fields", [("Content-Length: 1000",), ("Transfer-Encoding: chunked",)])
def test_a_missing_body_times_out_with_an_error_in_googles_format(
    short_timeouts: None, address: tuple[str, int], fields: tuple[str, ...]
) -> None:
    with connected(address) as connection:
        connection.sendall(head("POST", *fields))
        response = receive_all(connection)
    assert response.startswith(b"HTTP/1.1 504 ")
    assert error_of(response) == {
        "code": 504,
        "message": "The body of the request did not arrive within 0.3 seconds.",
        "status": "DEADLINE_EXCEEDED",
    }


def test_an_endless_chunked_body_is_rejected_while_it_arrives(
    short_timeouts: None, address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BODY_TIMEOUT_S", 60.0)
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    sent = 0
    with connected(address) as connection:
        connection.sendall(head("POST", "Transfer-Encoding: chunked"))
        responses: list[bytes] = []
        reader = threading.Thread(target=lambda: responses.append(receive_all(connection)))
        reader.start()
        try:
            while sent < 100_000:  # 6 GB: ends because the server closes the connection
                connection.sendall(chunk)
                sent += 1
        except OSError:
            pass
        reader.join()
    assert MAX_BODY_BYTES < sent * 0x10000 < 100_000 * 0x10000
    assert error_of(responses[0])["message"] == (
        f"Request payload size exceeds the limit: {MAX_BODY_BYTES} bytes."
    )


def test_a_chunked_body_is_accepted(address: tuple[str, int]) -> None:
    def pieces() -> Iterator[bytes]:
        content = json.dumps(body()).encode()
        for start in range(0, len(content), 100):
            yield content[start : start + 100]

    response = httpx.post("http://{}:{}".format(*address) + PATH, content=pieces())
    assert response.status_code == 200


def test_an_endless_head_is_rejected_before_it_is_large(address: tuple[str, int]) -> None:
    sent = 0
    with connected(address) as connection:
        try:
            connection.sendall(b"GET / HTTP/1.1\r\n")
            while sent < 100_000_000:
                connection.sendall(b"X: " + b"y" * 1000 + b"\r\n")
                sent += 1005
        except OSError:
            pass
        response = receive_all(connection)
    assert sent < 100_000_000
    assert not response or response.startswith(b"HTTP/1.1 400")


def test_a_client_that_disconnects_in_a_body_changes_nothing(address: tuple[str, int]) -> None:
    content = json.dumps(body()).encode()
    with connected(address) as connection:
        connection.sendall(head("POST", f"Content-Length: {len(content)}") + content[:-1])
    url = "http://{}:{}".format(*address)
    # The requests after the incomplete one are processed.
    for _ in range(3):
        assert httpx.get(url + PATH).json() == {}
    assert re.search(r'requests_total{code="\d+",method="GET"', httpx.get(url + "/metrics").text)


def test_a_hundred_silent_connections_do_not_block_others(address: tuple[str, int]) -> None:
    silent = [socket.create_connection(address) for _ in range(100)]
    try:
        for connection in silent[::2]:
            connection.sendall(head("POST", "Content-Length: 1000"))
        assert httpx.get("http://{}:{}".format(*address) + "/healthz").status_code == 200
    finally:
        for connection in silent:
            connection.close()
