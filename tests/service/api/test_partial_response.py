"""Tests of `fields`, of the preference for short curves, of pages bounded in bytes, and of gzip."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.embedded_service import PATH, body, client, create, get, service, train_all
from tunedmodels.service.api.partial_response import (
    Selection,
    accepts_gzip,
    includes,
    max_snapshots,
    parse_fields,
    select,
)
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.errors import ApiError
from tunedmodels.service.store import models as store_models

SHORT = {"prefer": "max-snapshots=3"}


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[EmbeddedService]:
    with service(tmp_path) as instance:
        yield instance


async def trained(embedded: EmbeddedService, *names: str, steps: int = 6) -> None:
    request = body(examples=steps, hyperparameters={"epochCount": 1, "batchSize": 1})
    async with client(embedded) as api:
        for name in names:
            await create(api, name, {**request, "displayName": name})
    train_all(embedded.store.folder)


SELECTIONS: list[tuple[str, Selection]] = [
    ("", {}),
    ("a,b", {"a": {}, "b": {}}),
    ("a(b,c),d", {"a": {"b": {}, "c": {}}, "d": {}}),
    ("a/b/c, a.d", {"a": {"b": {"c": {}}, "d": {}}}),
    ("a(b/c,d(e)),f", {"a": {"b": {"c": {}}, "d": {"e": {}}}, "f": {}}),
    ("*/x", {"*": {"x": {}}}),
    ("a/b,a", {"a": {}}),
    ("a,a/b", {"a": {}}),
    ("tuned_models(tuning_task)", {"tunedModels": {"tuningTask": {}}}),
]


@pytest.mark.parametrize(("text", "selection"), SELECTIONS)
def test_fields_are_parsed(text: str, selection: Selection) -> None:
    assert parse_fields(text) == selection


INVALID = ["a(", "a)", ",", "a,,b", "a(b", "()", "a//b", "a b", "(a)", "a(b))", "a-b", "a/"]


@pytest.mark.parametrize("text", [*INVALID, "a(" * 50 + "a" + ")" * 50, "a" * 5000])
def test_invalid_fields_are_rejected(text: str) -> None:
    with pytest.raises(ApiError, match="Invalid fields"):
        parse_fields(text)


def test_a_selection_reaches_into_lists_and_ignores_unknown_fields() -> None:
    value = {"a": [{"b": 1, "c": 2}, {"c": 3}, 4], "d": {"b": 5, "c": 6}, "e": 7}
    assert select(value, parse_fields("a/b,e,x")) == {"a": [{"b": 1}, {}, 4], "e": 7}
    assert select(value, parse_fields("*/c")) == {
        "a": [{"c": 2}, {"c": 3}, 4],
        "d": {"c": 6},
        "e": 7,
    }


@pytest.mark.parametrize(
    ("text", "is_included"),
    [("", True), ("a", True), ("a/b", True), ("a(c),*", False), ("*", True), ("c", False)],
)
def test_whether_a_selection_includes_a_field(text: str, *, is_included: bool) -> None:
    assert includes(parse_fields(text), "a", "b") is is_included


@pytest.mark.parametrize(
    ("header", "limit"),
    [
        ("max-snapshots=3", 3),
        ("respond-async, Max-Snapshots=25", 25),
        ('max-snapshots="7"; x=1', 7),
        ("max-snapshots=many", None),
        ("x-max-snapshots=3", None),
        ("", None),
    ],
)
def test_a_preference_is_read(header: str, limit: int | None) -> None:
    assert max_snapshots({"prefer": header}) == limit


@pytest.mark.parametrize(
    ("header", "is_accepted"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("gzip;q=0", False), ("identity", False)],
)
def test_whether_gzip_is_accepted(header: str, *, is_accepted: bool) -> None:
    assert accepts_gzip({"accept-encoding": header}) is is_accepted


async def test_only_the_requested_fields_are_sent(embedded: EmbeddedService) -> None:
    await trained(embedded, "one", "two")
    async with client(embedded) as api:
        page = await get(api, f"{PATH}?pageSize=1&fields=tunedModels(name,state),nextPageToken")
        token = page.pop("nextPageToken")
        assert page == {"tunedModels": [{"name": "tunedModels/one", "state": "ACTIVE"}]}
        rest = await get(api, f"{PATH}?pageToken={token}&$fields=tunedModels/name")
        assert rest == {"tunedModels": [{"name": "tunedModels/two"}]}
        model = await get(api, f"{PATH}/one?fields=tuningTask(snapshots(step))")
        assert model == {"tuningTask": {"snapshots": [{"step": step} for step in range(1, 7)]}}
        operations = await get(api, f"{PATH}/one/operations?fields=operations(done)")
        assert operations == {"operations": [{"done": True}]}


async def test_curves_that_are_not_requested_are_not_read(
    embedded: EmbeddedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    await trained(embedded, "one")
    limits: list[int | None] = []
    real = store_models._select_curves

    def recorded(connection: Any, models: Any, limit: int | None) -> dict[int, str]:
        limits.append(limit)
        return real(connection, models, limit)

    monkeypatch.setattr(store_models, "_select_curves", recorded)
    async with client(embedded) as api:
        await get(api, f"{PATH}?fields=tunedModels(name,tuningTask/startTime)")
        await get(api, f"{PATH}/one?fields=name")
        await get(api, f"{PATH}/one/operations?fields=operations(name,done,error)")
        await get(api, f"{PATH}?fields=tunedModels/tuningTask")
    assert limits == [0, 0, 0, None]


async def test_invalid_fields_are_an_invalid_argument(embedded: EmbeddedService) -> None:
    async with client(embedded) as api:
        response = await api.get(f"{PATH}?fields=tunedModels(")
    assert response.status_code == 400
    assert "Invalid fields" in response.json()["error"]["message"]


async def test_a_long_curve_is_sent_as_its_last_snapshot_to_a_client_that_prefers_it(
    embedded: EmbeddedService,
) -> None:
    await trained(embedded, "long", steps=4)
    await trained(embedded, "short", steps=3)
    async with client(embedded) as api:
        models = (await api.get(PATH, headers=SHORT)).json()["tunedModels"]
        steps = {
            model["name"]: [point["step"] for point in model["tuningTask"]["snapshots"]]
            for model in models
        }
        assert steps == {"tunedModels/long": [4], "tunedModels/short": [1, 2, 3]}
        one = (await api.get(f"{PATH}/long", headers=SHORT)).json()
        assert one == models[0]
        whole = await get(api, f"{PATH}/long")
        assert whole["tuningTask"]["snapshots"][-1:] == one["tuningTask"]["snapshots"]
        assert len(whole["tuningTask"]["snapshots"]) == 4


async def test_long_curves_end_a_page_early_and_every_model_is_listed_once(
    embedded: EmbeddedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"model-{number}" for number in range(5)]
    await trained(embedded, *names)
    one = 1000 + 6 * 110
    monkeypatch.setattr(store_models, "_MAX_PAGE_LENGTH", 2 * one + 100)
    async with client(embedded) as api:
        pages: list[list[str]] = []
        token = ""
        while not pages or token:
            page = await get(api, f"{PATH}?pageSize=1000&pageToken={token}")
            pages.append([model["displayName"] for model in page["tunedModels"]])
            token = page.get("nextPageToken", "")
    assert pages == [names[:2], names[2:4], names[4:]]


async def test_a_model_that_exceeds_the_limit_of_a_page_is_a_page(
    embedded: EmbeddedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    await trained(embedded, "one", "two")
    monkeypatch.setattr(store_models, "_MAX_PAGE_LENGTH", 1)
    async with client(embedded) as api:
        first = await get(api, PATH)
        second = await get(api, f"{PATH}?pageToken={first['nextPageToken']}")
    assert [len(page["tunedModels"]) for page in (first, second)] == [1, 1]
    assert "nextPageToken" not in second


async def test_a_large_response_is_compressed_for_a_client_that_accepts_it(
    embedded: EmbeddedService,
) -> None:
    await trained(embedded, "one", steps=30)
    async with client(embedded) as api:
        async with api.stream("GET", PATH, headers={"accept-encoding": "gzip"}) as response:
            assert response.headers["content-encoding"] == "gzip"
            assert response.headers["vary"] == "accept-encoding"
            raw = b"".join([part async for part in response.aiter_raw()])
        plain = await api.get(PATH, headers={"accept-encoding": "identity"})
        small = await api.get(f"{PATH}?fields=x", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert json.loads(gzip.decompress(raw)) == plain.json()
    assert len(raw) < len(plain.content) / 2
    assert "content-encoding" not in small.headers
