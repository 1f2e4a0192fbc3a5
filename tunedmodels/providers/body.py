"""Reading the body of a response, up to a limit."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx

from tunedmodels.errors import ProviderError

MAX_BODY_BYTES = 256 * 1024 * 1024  # 1,000 models with complete loss curves take about 30 MiB


async def read_body(response: httpx.Response) -> bytes:
    """Return the body. Raises ProviderError when it exceeds the limit."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise _too_large()
        chunks.append(chunk)
    return b"".join(chunks)


async def read_lines(response: httpx.Response) -> AsyncIterator[str]:
    """Yield the lines of a body, which end with LF or CRLF.

    The line iterator of httpx also splits at U+2028 and others, which JSON texts may contain.
    """
    rest = b""
    size = 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise _too_large()
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r").decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")


def _too_large() -> ProviderError:
    limit = MAX_BODY_BYTES // 2**20
    return ProviderError(f"The response is larger than {limit} MiB; reading it was stopped.")
