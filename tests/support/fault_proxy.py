"""A reverse proxy that answers one request of a run falsely, before or after its effect."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.fakes.false_answers import LOGIN_PAGE

FAULTS = (
    "reset", "truncated", "garbage", "html", "empty", "null", "no-content", "429", "503", "hang",
)  # fmt: skip
_BODIES = {
    "garbage": b"\xff\x00{{",
    "html": LOGIN_PAGE.encode(),
    "empty": b"",
    "null": b"null",
    "429": b'{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Slowly."}}',
    "503": b'{"error": {"code": 503, "status": "UNAVAILABLE", "message": "Overloaded."}}',
}
_HOP_HEADERS = {"connection", "transfer-encoding", "content-length", "keep-alive", "host"}


@dataclass
class FaultProxy:
    """The fault of the next run, and the requests that it has sent."""

    upstream: str
    url: str = ""
    fault: str = ""
    number: int = -1
    """Which request of the run, from 0."""
    has_effect: bool = False
    requests: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def plan(self, fault: str = "", number: int = -1, *, has_effect: bool = False) -> None:
        """Plan the fault of the next run; none by default."""
        with self._lock:
            self.fault, self.number, self.has_effect = fault, number, has_effect
            self.requests.clear()

    @property
    def was_hit(self) -> bool:
        """Whether the run sent the request with the fault."""
        return len(self.requests) > self.number >= 0

    def next_fault(self, line: str) -> str:
        """Count a request; return its fault."""
        with self._lock:
            self.requests.append(line)
            return self.fault if len(self.requests) - 1 == self.number else ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultProxy

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        fault = self.proxy.next_fault(f"{self.command} {self.path}")
        if fault and not self.proxy.has_effect:
            self._answer_falsely(fault, b"{}" * 20)
            return
        status, headers, answer = self._forward(body)
        if fault:
            self._answer_falsely(fault, answer)
            return
        self._answer(status, answer, headers)

    do_GET = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815  # names of the library

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.proxy.upstream, timeout=30)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP_HEADERS}
        connection.request(self.command, self.path, body, headers)
        response = connection.getresponse()
        answer = response.read()
        sent = {k: v for k, v in response.getheaders() if k.lower() not in _HOP_HEADERS}
        connection.close()
        return response.status, sent, answer

    def _answer_falsely(self, fault: str, answer: bytes) -> None:
        self.close_connection = True
        match fault:
            case "reset":
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.connection.close()
            case "truncated":
                self.send_response(200)
                self.send_header("content-length", str(len(answer) + 1))
                self.end_headers()
                self.wfile.write(answer[: len(answer) // 2])
            case "hang":
                self.proxy.stopped.wait(6)
            case "no-content":
                self.send_response(204)
                self.end_headers()
            case _:
                self._answer(int(fault) if fault.isdecimal() else 200, _BODIES[fault], {})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Ignore clients that have closed their connection."""


@contextmanager
def run_fault_proxy(upstream: str) -> Iterator[FaultProxy]:
    """Run a proxy in front of `host:port`."""
    proxy = FaultProxy(upstream)
    handler = type("Handler", (_Handler,), {"proxy": proxy})
    with _Server(("127.0.0.1", 0), handler) as server:
        proxy.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.stopped.set()
            server.shutdown()
