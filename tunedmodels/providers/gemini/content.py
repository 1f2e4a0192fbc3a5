"""Counting tokens as the service does it: its own `countTokens`, asked in batches.

Source: countTokens of the Gemini API, v1beta, and of Vertex AI, v1; both take `contents` and answer
with `totalTokens`. How much one request takes is not documented, so batches are small.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
from typing import Final

import msgspec

from tunedmodels.errors import ProviderError
from tunedmodels.providers.gemini import convert
from tunedmodels.wire import gemini as wire

BATCH_CHARS: Final = 200_000
BATCH_TEXTS: Final = 200

Ask = Callable[[bytes], Awaitable[bytes]]


async def count(texts: Iterable[str], ask: Ask) -> int:
    """Return how many tokens the texts have together; `ask` sends one request.

    Raises ProviderError when an answer says no number.
    """
    total = 0
    for batch in batches(texts):
        turns = [wire.Content([wire.Part(text)], role="user") for text in batch]
        answer = await ask(wire.encode(wire.CountTokensRequest(turns)))
        try:
            counted = wire.decode(answer, wire.CountTokensResponse).total_tokens
        except (msgspec.DecodeError, UnicodeDecodeError):
            counted = None
        if counted is None:
            raise ProviderError(
                "The service did not say how many tokens it counts.",
                cure="Leave out --count-tokens: the plan then estimates them.",
            )
        total += counted
    return total


def batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Yield the texts in groups that fit one request; an empty one has no tokens."""
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


# FOLDED
# Reading the answer to a question as it comes: server-sent events, the same at both services.
DATA: Final = "data:"  # before every message


async def pieces(
    lines: AsyncGenerator[str, None], resource: str, endpoint_cure: str
) -> AsyncGenerator[str, None]:
    """Yield an answer piece by piece.

    Raises ProviderError when there is none, with the service's reason.
    """
    is_empty = True
    end = "none"
    async with aclosing(lines):
        async for line in lines:
            if not line.startswith(DATA):
                continue
            try:
                message = wire.decode(line.removeprefix(DATA).encode(), wire.GenerateResponse)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise ProviderError(
                    f"The answer is not one of the Gemini API: {error}.", cure=endpoint_cure
                ) from error
            piece, reason = convert.answer(message)
            end = reason or end
            if piece:
                is_empty = False
                yield piece
    if is_empty:
        raise ProviderError(f"{resource} gave an empty answer (finishReason: {end}).")
