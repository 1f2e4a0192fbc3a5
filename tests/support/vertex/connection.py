"""How an answer leaves: whole, in half, or not at all."""

from __future__ import annotations

import socket
import struct
from typing import Any

import httpx
from starlette.types import Receive, Send

from tests.support.vertex.wire import Answer


async def send_whole(answer: Answer, send: Send) -> None:
    """Send an answer."""
    await send(_start(answer))
    await send({"type": "http.response.body", "body": answer.body})


async def send_half(answer: Answer, receive: Receive, send: Send) -> None:
    """Promise the whole body, send half of it, and go."""
    if _transport(send) is None:
        raise httpx.RemoteProtocolError("peer closed connection without sending complete body")
    await send(_start(answer))
    half = answer.body[: len(answer.body) // 2]
    await send({"type": "http.response.body", "body": half, "more_body": True})
    _transport(send).close()
    await _gone(receive)


async def cut(receive: Receive, send: Send) -> None:
    """Reset the connection, as a network does."""
    transport = _transport(send)
    if transport is None:
        raise httpx.ReadError("Connection reset by peer")
    # Without lingering, the system says RST and not FIN.
    linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()
    await _gone(receive)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _transport(send: Send) -> Any:
    """The connection under uvicorn's `send`; None in process."""
    return getattr(getattr(send, "__self__", None), "transport", None)


def _start(answer: Answer) -> dict[str, Any]:
    headers = answer.headers
    if answer.status not in (204, 304):
        headers = headers | {"content-length": str(len(answer.body))}
    raw = [(key.encode(), value.encode()) for key, value in headers.items()]
    return {"type": "http.response.start", "status": answer.status, "headers": raw}
