"""Concurrent coroutines: their results in order, and one plain error instead of a group."""

from __future__ import annotations

import asyncio

import pytest

from tunedmodels.aio import gather, in_background


async def _return(value: int, delay_s: float = 0) -> int:
    await asyncio.sleep(delay_s)
    return value


async def _fail(message: str) -> int:
    raise ValueError(message)


async def _wait_forever(cancelled: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        cancelled.append("cancelled")


def test_gather_returns_the_results_in_the_order_of_the_coroutines() -> None:
    """The slowest coroutine comes first here."""
    assert asyncio.run(gather([_return(1, 0.01), _return(2), _return(3)])) == [1, 2, 3]


def test_gather_raises_the_first_error_by_itself_and_cancels_the_others() -> None:
    """A nested gather does not add a group around the error either."""
    cancelled: list[str] = []

    async def fail_inside() -> None:
        await gather([_fail("first")])

    async def run() -> None:
        await gather([_wait_forever(cancelled), fail_inside()])

    with pytest.raises(ValueError, match=r"^first$"):
        asyncio.run(run())
    assert cancelled == ["cancelled"]


def test_background_coroutines_are_cancelled_at_the_end_of_the_block() -> None:
    """The block itself decides when they end."""
    cancelled: list[str] = []

    async def run() -> int:
        async with in_background([_wait_forever(cancelled)]):
            return await _return(1)

    assert asyncio.run(run()) == 1
    assert cancelled == ["cancelled"]


@pytest.mark.parametrize("failing", ["block", "background"])
def test_an_error_of_the_block_or_of_a_background_coroutine_is_raised_by_itself(
    failing: str,
) -> None:
    """The other coroutines are cancelled, and so is the block."""
    cancelled: list[str] = []

    async def fail_later() -> None:
        await asyncio.sleep(0)
        await _fail("background")

    async def run() -> None:
        coroutines = [
            _wait_forever(cancelled),
            *([fail_later()] if failing == "background" else []),
        ]
        async with in_background(coroutines):
            await asyncio.sleep(0)
            if failing == "block":
                await _fail("block")
            await _wait_forever(cancelled)

    with pytest.raises(ValueError, match=f"^{failing}$"):
        asyncio.run(run())
    assert cancelled == ["cancelled"] * (1 if failing == "block" else 2)
