"""Failures on purpose: the same for the same seed, refused when they make no sense, survivable."""

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
from tests.support.serve_process import job, serving
from tunedmodels.errors import TunedModelsError
from tunedmodels.service.chaos import Chaos, Chaotic, Kind, read_chaos
from tunedmodels.service.embedded import EmbeddedService


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[EmbeddedService]:
    with service(tmp_path / "store") as one:
        yield one


def chaotic(of: EmbeddedService, chaos: Chaos) -> httpx.AsyncClient:
    app = of.application(around=[Middleware(Chaotic, chaos, chaos.draws())])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


def always(*kinds: Kind) -> Chaos:
    return Chaos(rate=1, kinds=kinds, seed=1, delay_s=0)


def test_every_setting_is_read_and_told_again() -> None:
    chaos = read_chaos("rate=0.1,kinds=429,503,reset,slow,seed=7")
    assert chaos == Chaos(0.1, (Kind("429"), Kind("503"), Kind.RESET, Kind.SLOW), 7, 1.0)
    assert read_chaos(" delay=0.5, kinds=lost, 500 ,rate=1,seed=0") == Chaos(
        1, (Kind.LOST, Kind.INTERNAL), 0, 0.5
    )
    alone = read_chaos("rate=0.25")
    assert alone.kinds == chaos.kinds
    assert read_chaos(str(alone)) == alone, "a seed that was drawn can be had again"


@pytest.mark.parametrize(
    ("text", "words"),
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
        ("rate=1,rate=1", "rate is there twice"),
        ("rate=1,speed=1", "there is no setting 'speed'; known are rate, kinds, seed, delay"),
        ("rate=1,delay=-1", "delay: must be a number between 0 and 600 (got '-1')"),
    ],
)
def test_what_makes_no_sense_is_refused_with_an_example(text: str, words: str) -> None:
    with pytest.raises(TunedModelsError) as no:
        read_chaos(text)
    assert words in no.value.message
    assert "rate=0.1,kinds=429,503,reset,slow,seed=7" in no.value.cure


@given(text=st.text(max_size=30) | st.text("rateskindslow=,.0123459 -", max_size=30))
def test_whatever_is_written_is_read_or_refused_in_words(text: str) -> None:
    with suppress(TunedModelsError):
        chaos = read_chaos(text)
        assert read_chaos(str(chaos)) == chaos


def test_the_same_seed_fails_the_same_requests_in_the_same_way() -> None:
    def first(rate: float, seed: int) -> list[Kind | None]:
        return list(islice(Chaos(rate, seed=seed).draws(), 1000))

    assert first(0.3, 7) == first(0.3, 7) != first(0.3, 8)
    some, most = first(0.1, 7), first(0.9, 7)
    assert 60 < sum(kind is not None for kind in some) < 140
    assert all(other == kind for kind, other in zip(some, most, strict=True) if kind), "no other"
    assert set(Counter(most)) == {None, *Chaos(1).kinds}


async def test_each_status_is_sent_as_google_sends_it(opened: EmbeddedService) -> None:
    for kind, status in (
        (Kind.RATE_LIMITED, "RESOURCE_EXHAUSTED"),
        (Kind.INTERNAL, "INTERNAL"),
        (Kind.UNAVAILABLE, "UNAVAILABLE"),
    ):
        async with chaotic(opened, always(kind)) as api:
            answer = await api.post(f"{PATH}?tunedModelId=a", json=job())
        error = answer.json()["error"]
        assert (answer.status_code, error["status"]) == (int(kind), status)
        assert "on purpose" in error["message"]
        if kind is Kind.RATE_LIMITED:
            assert answer.headers["retry-after"] == "0"
            (detail,) = error["details"]
            assert detail == {
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": "0s",
            }
    async with chaotic(opened, Chaos(0, seed=1)) as api:
        assert (await api.get(PATH)).json() == {}, "nothing was done"


async def test_a_dropped_request_was_done_or_not_as_its_kind_says(opened: EmbeddedService) -> None:
    for kind, there in ((Kind.RESET, 404), (Kind.LOST, 200)):
        body = job() | {"baseModel": "models/counting-001"}
        async with chaotic(opened, always(kind)) as api:
            with pytest.raises(ConnectionResetError):
                await api.post(f"{PATH}?tunedModelId=a", json=body)
        async with chaotic(opened, Chaos(0, seed=1)) as api:
            assert (await api.get(f"{PATH}/a")).status_code == there


async def test_a_slow_request_is_answered_after_all(opened: EmbeddedService) -> None:
    async with chaotic(opened, always(Kind.SLOW)) as api:
        assert (await api.get(PATH)).json() == {}


def test_a_connection_is_really_dropped_and_what_watches_the_service_is_spared(
    tmp_path: Path,
) -> None:
    log = tmp_path / "access.log"
    options = ["--chaos", "rate=1,kinds=reset,lost,seed=3", "--access-log", str(log)]
    with serving(tmp_path / "store", *options) as server:
        assert server.said.startswith("CHAOS: 100% of the requests to the API fail on purpose.")
        assert "--chaos rate=1.0,kinds=reset,lost,seed=3,delay=1.0\n" in server.said
        for _ in range(4):
            with pytest.raises(httpx.TransportError):
                server.api.get(PATH)
        assert server.api.get("/healthz").status_code == 200
        found = server.api.get("/metrics").text
        assert server.stop() == "", "dropping on purpose is no fault to be reported"
    counted = 'tunedmodels_http_requests_total{code="0",method="GET",route="/v1beta/tunedModels"}'
    assert f"{counted} 4.0" in found
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {line["chaos"] for line in lines[:4]} == {"reset", "lost"}
    assert all(line["status"] == 0 for line in lines[:4])
