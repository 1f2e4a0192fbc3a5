"""Many at once: a thousand models, writers beside readers, and two servers on one store."""

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
from tests.support.serve_process import job, models, serving
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.records import NewModel

_MANY = 1000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def opened(folder: Path) -> Iterator[EmbeddedService]:
    with service(folder) as one:
        yield one


def model(model_id: str) -> NewModel:
    """A model as a create stores it."""
    return NewModel(
        id=model_id, operation="o", base_model=BASE, source="", source_seq=None, display_name="",
        description="", temperature=0.0, top_p=1.0, top_k=None, readers="[]", epoch_count=1,
        batch_size=1, learning_rate=0.1, total_steps=1, create_time="2026-01-01T00:00:00Z",
        update_time="2026-01-01T00:00:00Z",
    )  # fmt: skip


async def test_of_a_thousand_models_every_page_walk_shows_each_once_while_others_come_and_go(
    opened: EmbeddedService,
) -> None:
    for number in range(_MANY):
        opened.store.add(model(f"stays-{number}"), b"", owner="owner@localhost")
    is_over = threading.Event()

    def come_and_go(name: str) -> int:
        rounds = 0
        while not is_over.is_set():
            added = opened.store.add(model(f"{name}-{rounds}"), b"", owner="owner@localhost")
            assert added
            stays = opened.store.get(f"stays-{rounds % _MANY}")
            assert stays
            opened.store.edit(stays, {"display_name": f"{name} {rounds}"})
            opened.store.remove(added)
            rounds += 1
        return rounds

    with ThreadPoolExecutor(2) as writers:
        rounds = [writers.submit(come_and_go, name) for name in ("here", "there")]
        try:
            async with client(opened) as api:
                for size in (7, 93, 999):
                    seen = await walked(api, size)
                    assert max(seen.values()) == 1, "no duplicates"
                    stays = [name for name in seen if name.startswith("tunedModels/stays-")]
                    assert stays == [f"tunedModels/stays-{number}" for number in range(_MANY)]
                whole = await get(api, f"{PATH}?pageSize=1001")
                assert len(whole["tunedModels"]) == _MANY, "a page has at most a thousand"
        finally:
            is_over.set()
        assert all(each.result() > 0 for each in rounds)


async def walked(api: httpx.AsyncClient, size: int) -> Counter[str]:
    """How often each model is on the pages of one walk, in their order."""
    seen: Counter[str] = Counter()
    token = ""
    while True:
        page = await get(api, f"{PATH}?pageSize={size}&pageToken={token}")
        seen.update(one["name"] for one in page.get("tunedModels", ()))
        token = page.get("nextPageToken", "")
        if not token:
            return seen


def test_two_servers_on_one_store_are_one_service(folder: Path) -> None:
    with serving(folder, "--jobs", "1") as one, serving(folder, "--jobs", "1") as other:
        ids = [f"m{number}" for number in range(4)]

        def post(ask: tuple[httpx.Client, str]) -> int:
            api, model_id = ask
            return api.post(f"{PATH}?tunedModelId={model_id}", json=job()).status_code

        asks = [(server.api, model_id) for model_id in ids for server in (one, other, one, other)]
        with ThreadPoolExecutor(8) as pool:
            statuses = Counter(pool.map(post, asks))
        assert statuses == {200: 4, 409: 12}, "of each id exactly one was created"
        assert set(models(one.api)) == set(models(other.api)) == set(ids)
        other.stop()
        assert one.api.delete(f"{PATH}/m0").status_code == 200
        assert set(models(one.api)) == {"m1", "m2", "m3"}
        one.stop()
