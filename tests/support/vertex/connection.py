"""Sending a response: complete, truncated, or as a reset of the connection."""

from __future__ import annotations

import socket
import struct
from typing import Any

import httpx
from starlette.types import Receive, Send

from tests.support.vertex.wire import Response


async def send_complete(response: Response, send: Send) -> None:
    """Send a response."""
    await send(_start(response))
    await send({"type": "http.response.body", "body": response.body})


async def send_truncated(response: Response, receive: Receive, send: Send) -> None:
    """Announce the complete body, send half of it, and close the connection."""
    if _transport(send) is None:
        raise httpx.RemoteProtocolError("peer closed connection without sending complete body")
    await send(_start(response))
    half = response.body[: len(response.body) // 2]
    await send({"type": "http.response.body", "body": half, "more_body": True})
    _transport(send).close()
    await _wait_for_disconnect(receive)


async def reset_connection(receive: Receive, send: Send) -> None:
    """Reset the connection, as a network failure does."""
    transport = _transport(send)
    if transport is None:
        raise httpx.ReadError("Connection reset by peer")
    # With a linger time of zero, the system sends RST instead of FIN.
    linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()
    await _wait_for_disconnect(receive)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _transport(send: Send) -> Any:
    """The connection under uvicorn's `send`; None in process."""
    return getattr(getattr(send, "__self__", None), "transport", None)


def _start(response: Response) -> dict[str, Any]:
    headers = response.headers
    if response.status not in (204, 304):
        headers = headers | {"content-length": str(len(response.body))}
    raw = [(key.encode(), value.encode()) for key, value in headers.items()]
    return {"type": "http.response.start", "status": response.status, "headers": raw}
