"""Tests of concurrency: a thousand models, readers and writers, and two servers on one store."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.counting_engine import BASE
from tests.support.embedded_service import PATH, client, get, service
from tests.support.serve_process import create_body, list_models, run_server
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.records import NewModel

_MODEL_COUNT = 1000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def embedded(folder: Path) -> Iterator[EmbeddedService]:
    with service(folder) as instance:
        yield instance


def model(model_id: str) -> NewModel:
    """Return a model as a create request stores it."""
    return NewModel(
        id=model_id, operation="o", base_model=BASE, source="", source_seq=None, display_name="",
        description="", temperature=0.0, top_p=1.0, top_k=None, readers="[]", epoch_count=1,
        batch_size=1, learning_rate=0.1, total_steps=1, create_time="2026-01-01T00:00:00Z",
        update_time="2026-01-01T00:00:00Z",
    )  # fmt: skip


async def test_pages_of_a_thousand_models_contain_each_once_during_changes(
    embedded: EmbeddedService,
) -> None:
    for number in range(_MODEL_COUNT):
        embedded.store.add(model(f"stays-{number}"), b"", owner="owner@localhost")
    is_done = threading.Event()

    def add_and_delete(name: str) -> int:
        rounds = 0
        while not is_done.is_set():
            added = embedded.store.add(model(f"{name}-{rounds}"), b"", owner="owner@localhost")
            assert added
            permanent = embedded.store.get(f"stays-{rounds % _MODEL_COUNT}")
            assert permanent
            embedded.store.update(permanent, {"display_name": f"{name} {rounds}"})
            embedded.store.delete(added)
            rounds += 1
        return rounds

    with ThreadPoolExecutor(2) as writers:
        rounds = [writers.submit(add_and_delete, name) for name in ("first", "second")]
        try:
            async with client(embedded) as api:
                for size in (7, 93, 999):
                    counts = await count_models(api, size)
                    assert max(counts.values()) == 1, "no duplicates"
                    stays = [name for name in counts if name.startswith("tunedModels/stays-")]
                    assert stays == [
                        f"tunedModels/stays-{number}" for number in range(_MODEL_COUNT)
                    ]
                page = await get(api, f"{PATH}?pageSize=1001")
                assert len(page["tunedModels"]) == _MODEL_COUNT, (
                    "a page has at most a thousand models"
                )
        finally:
            is_done.set()
        assert all(future.result() > 0 for future in rounds)


async def count_models(api: httpx.AsyncClient, size: int) -> Counter[str]:
    """Return how often each model occurs on the pages of the list, in their order."""
    counts: Counter[str] = Counter()
    token = ""
    while True:
        page = await get(api, f"{PATH}?pageSize={size}&pageToken={token}")
        counts.update(model["name"] for model in page.get("tunedModels", ()))
        token = page.get("nextPageToken", "")
        if not token:
            return counts


def test_two_servers_on_one_store_act_as_one_service(folder: Path) -> None:
    with run_server(folder, "--jobs", "1") as first, run_server(folder, "--jobs", "1") as second:
        ids = [f"m{number}" for number in range(4)]

        def post(request: tuple[httpx.Client, str]) -> int:
            api, model_id = request
            return api.post(f"{PATH}?tunedModelId={model_id}", json=create_body()).status_code

        requests = [
            (server.api, model_id) for model_id in ids for server in (first, second, first, second)
        ]
        with ThreadPoolExecutor(8) as pool:
            statuses = Counter(pool.map(post, requests))
        assert statuses == {200: 4, 409: 12}, "each id was created exactly once"
        assert set(list_models(first.api)) == set(list_models(second.api)) == set(ids)
        second.stop()
        assert first.api.delete(f"{PATH}/m0").status_code == 200
        assert set(list_models(first.api)) == {"m1", "m2", "m3"}
        first.stop()
