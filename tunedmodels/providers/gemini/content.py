"""Token counts and streamed answers, which the Gemini API and Vertex AI share.

Source: countTokens and streamGenerateContent of the Gemini API, v1beta, and of Vertex AI, v1.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
from typing import Final

import msgspec

from tunedmodels.errors import ProviderError
from tunedmodels.providers.gemini import convert
from tunedmodels.wire import gemini as wire

# The size limit of a countTokens request is not documented, so batches are small.
BATCH_CHARS: Final = 200_000
BATCH_TEXTS: Final = 200
SSE_PREFIX: Final = "data:"  # before each message in a stream of server-sent events

SendRequest = Callable[[bytes], Awaitable[bytes]]


async def count_tokens(texts: Iterable[str], send: SendRequest) -> int:
    """Return the total number of tokens of the texts; `send` sends one countTokens request.

    Raises ProviderError when a response contains no number.
    """
    total = 0
    for batch in batch_texts(texts):
        turns = [wire.Content([wire.Part(text)], role="user") for text in batch]
        response = await send(wire.encode(wire.CountTokensRequest(turns)))
        try:
            tokens = wire.decode(response, wire.CountTokensResponse).total_tokens
        except (msgspec.DecodeError, UnicodeDecodeError):
            tokens = None
        if tokens is None:
            raise ProviderError(
                "The service returned no token count.",
                cure="Leave out --count-tokens: the plan then contains estimates.",
            )
        total += tokens
    return total


def batch_texts(texts: Iterable[str]) -> Iterator[list[str]]:
    """Yield the texts in batches for one request each; empty texts have no tokens."""
    batch: list[str] = []
    chars = 0
    for text in filter(None, texts):
        if batch and (len(batch) == BATCH_TEXTS or chars + len(text) > BATCH_CHARS):
            yield batch
            batch, chars = [], 0
        batch.append(text)
        chars += len(text)
    if batch:
        yield batch


async def stream_answer(
    lines: AsyncGenerator[str, None], resource: str, endpoint_cure: str
) -> AsyncGenerator[str, None]:
    """Yield the parts of an answer from the lines of a stream of server-sent events.

    Raises ProviderError when the answer is empty, or ends without the reason why it ended: the rest
    of it was lost on the way.
    """
    is_empty = True
    finish_reason = ""
    async with aclosing(lines):
        async for line in lines:
            if not line.startswith(SSE_PREFIX):
                continue
            try:
                message = wire.decode(line.removeprefix(SSE_PREFIX).encode(), wire.GenerateResponse)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise ProviderError(
                    f"The response is not a message of the Gemini API: {error}.",
                    cure=endpoint_cure,
                ) from error
            part, reason = convert.answer_part(message)
            finish_reason = reason or finish_reason
            if part:
                is_empty = False
                yield part
    if is_empty:
        reason = finish_reason or "none"
        raise ProviderError(f"{resource} returned an empty answer (finishReason: {reason}).")
    if not finish_reason:
        raise ProviderError(
            f"The answer of {resource} is incomplete: the response ended early.",
            cure=f"Try again. {endpoint_cure}",
        )
