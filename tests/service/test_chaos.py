"""Tests of injected failures: repeatable with a seed, and rejected if the settings are invalid."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.middleware import Middleware

from tests.support.embedded_service import PATH, service
from tests.support.serve_process import create_body, run_server
from tunedmodels.errors import TunedModelsError
from tunedmodels.service.chaos import Chaos, ChaosKind, ChaosMiddleware, parse_chaos
from tunedmodels.service.embedded import EmbeddedService


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[EmbeddedService]:
    with service(tmp_path / "store") as instance:
        yield instance


def client_of(embedded: EmbeddedService, chaos: Chaos) -> httpx.AsyncClient:
    app = embedded.make_app(middleware=[Middleware(ChaosMiddleware, chaos, chaos.draw_kinds())])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


def always(*kinds: ChaosKind) -> Chaos:
    return Chaos(rate=1, kinds=kinds, seed=1, delay_s=0)


def test_settings_round_trip_through_text() -> None:
    chaos = parse_chaos("rate=0.1,kinds=429,503,reset,slow,seed=7")
    assert chaos == Chaos(
        0.1, (ChaosKind("429"), ChaosKind("503"), ChaosKind.RESET, ChaosKind.SLOW), 7, 1.0
    )
    assert parse_chaos(" delay=0.5, kinds=lost, 500 ,rate=1,seed=0") == Chaos(
        1, (ChaosKind.LOST, ChaosKind.INTERNAL), 0, 0.5
    )
    with_defaults = parse_chaos("rate=0.25")
    assert with_defaults.kinds == chaos.kinds
    assert parse_chaos(str(with_defaults)) == with_defaults, "the text contains the random seed"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "belongs to no setting"),
        ("0.1", "'0.1' belongs to no setting"),
        ("rate=2", "rate: must be a number between 0 and 1 (got '2')"),
        ("rate=nan", "rate: must be a number between 0 and 1 (got 'nan')"),
        ("rate=0.1,0.2", "rate: must be a number between 0 and 1 (got '0.1,0.2')"),
        ("kinds=429", "rate is missing"),
        ("rate=1,kinds=418", "kinds: must be some of 429, 500, 503, reset, lost, slow (got '418')"),
        ("rate=1,kinds=", "kinds: must be some of"),
        ("rate=1,seed=x", "seed: must be a whole number "),
        ("rate=1,rate=1", "rate is set twice"),
        ("rate=1,speed=1", "unknown setting 'speed'; known are rate, kinds, seed, delay"),
        ("rate=1,delay=-1", "delay: must be a number between 0 and 600 (got '-1')"),
    ],
)
def test_invalid_settings_are_rejected_with_an_example(text: str, message: str) -> None:
    with pytest.raises(TunedModelsError) as error_info:
        parse_chaos(text)
    assert message in error_info.value.message
    assert "rate=0.1,kinds=429,503,reset,slow,seed=7" in error_info.value.cure


@given(text=st.text(max_size=30) | st.text("rateskindslow=,.0123459 -", max_size=30))
def test_any_text_is_parsed_or_rejected_with_a_message(text: str) -> None:
    with suppress(TunedModelsError):
        chaos = parse_chaos(text)
        assert parse_chaos(str(chaos)) == chaos


def test_the_same_seed_gives_the_same_failures() -> None:
    def first_kinds(rate: float, seed: int) -> list[ChaosKind | None]:
        return list(islice(Chaos(rate, seed=seed).draw_kinds(), 1000))

    assert first_kinds(0.3, 7) == first_kinds(0.3, 7) != first_kinds(0.3, 8)
    few, many = first_kinds(0.1, 7), first_kinds(0.9, 7)
    assert 60 < sum(kind is not None for kind in few) < 140
    assert all(other == kind for kind, other in zip(few, many, strict=True) if kind), (
        "the same kinds"
    )
    assert set(Counter(many)) == {None, *Chaos(1).kinds}


async def test_error_kinds_have_the_format_of_google(embedded: EmbeddedService) -> None:
    for kind, status in (
        (ChaosKind.RATE_LIMITED, "RESOURCE_EXHAUSTED"),
        (ChaosKind.INTERNAL, "INTERNAL"),
        (ChaosKind.UNAVAILABLE, "UNAVAILABLE"),
    ):
        async with client_of(embedded, always(kind)) as api:
            response = await api.post(f"{PATH}?tunedModelId=a", json=create_body())
        error = response.json()["error"]
        assert (response.status_code, error["status"]) == (int(kind), status)
        assert "on purpose" in error["message"]
        if kind is ChaosKind.RATE_LIMITED:
            assert response.headers["retry-after"] == "0"
            (detail,) = error["details"]
            assert detail == {
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": "0s",
            }
    async with client_of(embedded, Chaos(0, seed=1)) as api:
        assert (await api.get(PATH)).json() == {}, "the request was not executed"


async def test_reset_requests_are_not_executed_and_lost_requests_are(
    embedded: EmbeddedService,
) -> None:
    for kind, status in ((ChaosKind.RESET, 404), (ChaosKind.LOST, 200)):
        body = create_body() | {"baseModel": "models/counting-001"}
        async with client_of(embedded, always(kind)) as api:
            with pytest.raises(ConnectionResetError):
                await api.post(f"{PATH}?tunedModelId=a", json=body)
        async with client_of(embedded, Chaos(0, seed=1)) as api:
            assert (await api.get(f"{PATH}/a")).status_code == status


async def test_a_slow_request_gets_a_response(embedded: EmbeddedService) -> None:
    async with client_of(embedded, always(ChaosKind.SLOW)) as api:
        assert (await api.get(PATH)).json() == {}


def test_connections_are_dropped_but_health_and_metrics_always_respond(
    tmp_path: Path,
) -> None:
    log = tmp_path / "access.log"
    options = ["--chaos", "rate=1,kinds=reset,lost,seed=3", "--access-log", str(log)]
    with run_server(tmp_path / "store", *options) as server:
        assert server.output.startswith("CHAOS: 100% of the requests to the API fail on purpose.")
        assert "--chaos rate=1.0,kinds=reset,lost,seed=3,delay=1.0\n" in server.output
        for _ in range(4):
            with pytest.raises(httpx.TransportError):
                server.api.get(PATH)
        assert server.api.get("/healthz").status_code == 200
        metrics = server.api.get("/metrics").text
        assert server.stop() == "", "an injected failure is not reported as an error"
    counter = 'tunedmodels_http_requests_total{code="0",method="GET",route="/v1beta/tunedModels"}'
    assert f"{counter} 4.0" in metrics
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {line["chaos"] for line in lines[:4]} == {"reset", "lost"}
    assert all(line["status"] == 0 for line in lines[:4])
