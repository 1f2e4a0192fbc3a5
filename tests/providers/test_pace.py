"""The common pace of requests after quota errors, and the number of requests in flight."""

from __future__ import annotations

import asyncio

import httpx
import pytest
import stamina

from tests.support.fakes.script import ScriptedTransport, error_response, ok_response
from tunedmodels.providers.connection import MAX_CONNECTIONS
from tunedmodels.providers.http import CONNECTIONS_PER_CLIENT, Http
from tunedmodels.providers.identity import Credentials
from tunedmodels.providers.pace import MAX_INTERVAL_S, MIN_INTERVAL_S, Pace

ENDPOINT = "http://127.0.0.1:1"


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def http_over(transport: httpx.AsyncBaseTransport) -> Http:
    return Http(ENDPOINT, Credentials(), transport=transport)


def test_without_quota_errors_no_request_waits() -> None:
    pace = Pace(now=Clock())
    assert [pace.reserve() for _ in range(3)] == [0.0, 0.0, 0.0]


def test_a_quota_error_stops_all_requests_and_spaces_the_later_ones() -> None:
    clock = Clock()
    pace = Pace(now=clock)
    pace.slow_down(10.0)
    delays = [pace.reserve() for _ in range(3)]
    assert delays == pytest.approx([10.0, 10.0 + MIN_INTERVAL_S, 10.0 + 2 * MIN_INTERVAL_S])


def test_quota_errors_of_one_burst_count_once_and_later_ones_slow_down_more() -> None:
    clock = Clock()
    pace = Pace(now=clock)
    for _ in range(20):
        pace.slow_down(1.0)
    assert pace.interval_s == MIN_INTERVAL_S
    clock.time += 1.0
    pace.slow_down(1.0)
    assert pace.interval_s == 2 * MIN_INTERVAL_S
    for _ in range(20):
        clock.time += 1.0
        pace.slow_down(1.0)
    assert pace.interval_s == MAX_INTERVAL_S


def test_successes_restore_the_full_speed() -> None:
    pace = Pace(now=Clock())
    pace.slow_down(0.0)
    for _ in range(40):
        pace.speed_up()
    assert pace.interval_s == 0.0


async def test_a_quota_error_of_one_request_slows_down_its_client() -> None:
    limited = error_response(429, "Slowly.", status="RESOURCE_EXHAUSTED")
    http = http_over(ScriptedTransport(limited, ok_response()))
    with stamina.set_testing(True, attempts=2):
        await http.request_body("GET", "x", is_idempotent=True)
    # The success after it has begun to restore the speed.
    assert http._pace.interval_s == pytest.approx(0.9 * MIN_INTERVAL_S)
    assert http._pace.reserve() > 0


class _Counting(httpx.AsyncBaseTransport):
    def __init__(self) -> None:
        self.in_flight = 0
        self.most = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        for _ in range(200):
            await asyncio.sleep(0)
        self.in_flight -= 1
        return httpx.Response(200)


async def test_fifty_requests_are_in_flight() -> None:
    transport = _Counting()
    http = http_over(transport)
    calls = (http.request_body("GET", "x", is_idempotent=True) for _ in range(80))
    await asyncio.gather(*calls)
    assert transport.most == MAX_CONNECTIONS


async def test_busy_clients_are_joined_by_others_that_are_used_again() -> None:
    http = Http(ENDPOINT, Credentials())
    try:
        for _ in range(2):
            borrowed = [http._borrowed_client() for _ in range(MAX_CONNECTIONS)]
            used = [context.__enter__() for context in borrowed]
            counts = {id(client): used.count(client) for client in used}
            assert list(counts.values()) == [CONNECTIONS_PER_CLIENT] * 5
            for context in borrowed:
                context.__exit__(None, None, None)
        assert len(http._clients) == 5
    finally:
        await http.aclose()
