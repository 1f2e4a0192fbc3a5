"""Tests of `serve --retention`: which models it removes, and which it keeps."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.embedded_service import (
    PATH,
    body,
    client,
    create,
    get,
    service,
    train_all,
    wait_until,
)
from tunedmodels import stamp
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.store.retention import Retention, remove_expired

DAY = timedelta(days=1)
STAMP = stamp.Stamp(
    project="demo", name="tone", fingerprint="ab" * 32, dataset="cd" * 32, examples=4
)


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[EmbeddedService]:
    with service(tmp_path / "store") as instance:
        yield instance


def tomorrow(*, delay: timedelta = timedelta()) -> datetime:
    return datetime.now(UTC) + DAY + delay


async def fill_store(embedded: EmbeddedService) -> None:
    """Create a model in every state, some with a file."""
    async with client(embedded) as api:
        await create(api, "ready")
        await create(api, "failed", body("refuse"))
        await create(
            api, "stamped", body("refuse", description=stamp.format_description("why", STAMP))
        )
        cancelled = await create(api, "cancelled")
        await api.post(f"/v1/{cancelled['name']}:cancel")
        train_all(embedded.store.folder)
        await create(api, "waiting")


async def list_ids(embedded: EmbeddedService) -> set[str]:
    async with client(embedded) as api:
        listed = await get(api, PATH)
    return {model["name"].removeprefix("tunedModels/") for model in listed.get("tunedModels", ())}


async def test_only_old_failed_and_cancelled_models_are_removed(
    embedded: EmbeddedService,
) -> None:
    await fill_store(embedded)
    orphan = embedded.store.files.adapter_path("gone", 77)
    orphan.touch()
    assert remove_expired(embedded.store, DAY) == []
    all_ids = {"ready", "failed", "stamped", "cancelled", "waiting"}
    assert await list_ids(embedded) == all_ids
    assert not orphan.exists(), "a file without a model is removed at any age"
    later = tomorrow(delay=timedelta(seconds=2))
    assert remove_expired(embedded.store, DAY, now=lambda: later) == ["failed", "cancelled"]
    assert await list_ids(embedded) == {"ready", "stamped", "waiting"}
    # The others are kept at any age.
    much_later = later + 10_000 * DAY
    assert remove_expired(embedded.store, timedelta(seconds=1), now=lambda: much_later) == []
    train_all(embedded.store.folder)
    async with client(embedded) as api:
        assert (await get(api, f"{PATH}/waiting"))["state"] == "ACTIVE"
        prompt = {"contents": [{"parts": [{"text": "x"}]}]}
        response = await api.post(f"{PATH}/ready:generateContent", json=prompt)
    assert response.status_code == 200


async def test_an_operation_is_removed_with_its_model_and_the_id_is_free(
    embedded: EmbeddedService,
) -> None:
    async with client(embedded) as api:
        operation = await create(api, "a", body("refuse"))
        train_all(embedded.store.folder)
        assert (await get(api, f"/v1/{operation['name']}"))["error"]
        remove_expired(embedded.store, DAY, now=lambda: tomorrow(delay=timedelta(seconds=2)))
        assert (await api.get(f"/v1/{operation['name']}")).status_code == 404
        await create(api, "a")


async def test_a_recently_changed_model_is_not_removed(embedded: EmbeddedService) -> None:
    async with client(embedded) as api:
        await create(api, "a", body("refuse"))
        train_all(embedded.store.folder)
        with embedded.store.database.write_transaction() as connection:
            connection.execute("UPDATE models SET update_time = '2020-01-01T00:00:00.000000Z'")
        await api.patch(f"{PATH}/a", json={"displayName": "in use"})
    assert remove_expired(embedded.store, DAY) == []


async def test_the_thread_runs_at_the_start_and_prints_the_removed_models(
    embedded: EmbeddedService, capsys: pytest.CaptureFixture[str]
) -> None:
    await fill_store(embedded)
    with embedded.store.database.write_transaction() as connection:
        connection.execute("UPDATE models SET update_time = '2020-01-01T00:00:00.000000Z'")

    async def are_removed() -> bool:
        return await list_ids(embedded) == {"ready", "stamped", "waiting"}

    with Retention(embedded.store, DAY.total_seconds()):
        await wait_until(are_removed)
    assert capsys.readouterr().err == "Removed expired models: failed, cancelled.\n"


async def test_an_unreadable_store_is_reported_and_retried(
    embedded: EmbeddedService, capsys: pytest.CaptureFixture[str]
) -> None:
    embedded.store.folder.mkdir()
    (embedded.store.folder / "embedded.db").write_bytes(b"precious" * 1000)

    async def is_reported() -> bool:
        return capsys.readouterr().err.count("Cannot remove expired models: ") > 0

    with Retention(embedded.store, 0.01):
        await wait_until(is_reported)
        await wait_until(is_reported)


async def test_a_missing_store_is_not_created(embedded: EmbeddedService) -> None:
    assert remove_expired(embedded.store, DAY) == []
    assert not embedded.store.folder.exists()
