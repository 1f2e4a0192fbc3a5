"""Reading the answer to a question as it comes: server-sent events, the same at both services."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import msgspec

from tunedmodels.errors import ProviderError
from tunedmodels.providers.gemini import convert
from tunedmodels.wire import gemini as wire

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
