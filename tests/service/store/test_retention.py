"""What `--retention` removes, and above all what it does not."""

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
    until,
)
from tunedmodels import stamp
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.store.retention import Retention, remove_old

DAY = timedelta(days=1)
STAMP = stamp.Stamp(
    project="demo", name="tone", fingerprint="ab" * 32, dataset="cd" * 32, examples=4
)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[EmbeddedService]:
    with service(tmp_path / "store") as one:
        yield one


def tomorrow(*, late: timedelta = timedelta()) -> datetime:
    return datetime.now(UTC) + DAY + late


async def filled(opened: EmbeddedService) -> None:
    """A store with a model in every state, some with a file."""
    async with client(opened) as api:
        await create(api, "ready")
        await create(api, "failed", body("refuse"))
        await create(api, "ours", body("refuse", description=stamp.write("why", STAMP)))
        cancelled = await create(api, "cancelled")
        await api.post(f"/v1/{cancelled['name']}:cancel")
        train_all(opened.store.folder)
        await create(api, "waiting")


async def names(opened: EmbeddedService) -> set[str]:
    async with client(opened) as api:
        listed = await get(api, PATH)
    return {one["name"].removeprefix("tunedModels/") for one in listed.get("tunedModels", ())}


async def test_what_failed_or_was_cancelled_goes_when_it_is_old_and_nothing_else_ever(
    opened: EmbeddedService,
) -> None:
    await filled(opened)
    orphan = opened.store.files.adapter("gone", 77)
    orphan.touch()
    assert remove_old(opened.store, DAY) == []
    everything = {"ready", "failed", "ours", "cancelled", "waiting"}
    assert await names(opened) == everything
    assert not orphan.exists(), "a file without a model is of no use at any age"
    later = tomorrow(late=timedelta(seconds=2))
    assert remove_old(opened.store, DAY, now=lambda: later) == ["failed", "cancelled"]
    assert await names(opened) == {"ready", "ours", "waiting"}
    # However old the others are, and however short the time.
    much_later = later + 10_000 * DAY
    assert remove_old(opened.store, timedelta(seconds=1), now=lambda: much_later) == []
    train_all(opened.store.folder)
    async with client(opened) as api:
        assert (await get(api, f"{PATH}/waiting"))["state"] == "ACTIVE"
        question = {"contents": [{"parts": [{"text": "x"}]}]}
        answer = await api.post(f"{PATH}/ready:generateContent", json=question)
    assert answer.status_code == 200


async def test_an_operation_goes_with_its_model_and_its_id_is_free_again(
    opened: EmbeddedService,
) -> None:
    async with client(opened) as api:
        operation = await create(api, "a", body("refuse"))
        train_all(opened.store.folder)
        assert (await get(api, f"/v1/{operation['name']}"))["error"]
        remove_old(opened.store, DAY, now=lambda: tomorrow(late=timedelta(seconds=2)))
        assert (await api.get(f"/v1/{operation['name']}")).status_code == 404
        await create(api, "a")


async def test_a_model_that_somebody_changed_since_is_not_old(opened: EmbeddedService) -> None:
    async with client(opened) as api:
        await create(api, "a", body("refuse"))
        train_all(opened.store.folder)
        with opened.store.database.writing() as connection:
            connection.execute("UPDATE models SET update_time = '2020-01-01T00:00:00.000000Z'")
        await api.patch(f"{PATH}/a", json={"displayName": "to be looked at"})
    assert remove_old(opened.store, DAY) == []


async def test_the_thread_looks_at_the_start_and_says_what_it_removed(
    opened: EmbeddedService, capsys: pytest.CaptureFixture[str]
) -> None:
    await filled(opened)
    with opened.store.database.writing() as connection:
        connection.execute("UPDATE models SET update_time = '2020-01-01T00:00:00.000000Z'")

    async def are_gone() -> bool:
        return await names(opened) == {"ready", "ours", "waiting"}

    with Retention(opened.store, DAY.total_seconds()):
        await until(are_gone)
    assert capsys.readouterr().err == "Removed as too old: failed, cancelled.\n"


async def test_a_store_that_cannot_be_read_is_said_and_tried_again(
    opened: EmbeddedService, capsys: pytest.CaptureFixture[str]
) -> None:
    opened.store.folder.mkdir()
    (opened.store.folder / "embedded.db").write_bytes(b"precious" * 1000)

    async def is_said() -> bool:
        return capsys.readouterr().err.count("Nothing old could be removed: ") > 0

    with Retention(opened.store, 0.01):
        await until(is_said)
        await until(is_said)


async def test_an_absent_store_stays_absent(opened: EmbeddedService) -> None:
    assert remove_old(opened.store, DAY) == []
    assert not opened.store.folder.exists()
