"""Uploads of data to Cloud Storage, and the lock in a bucket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from tests.support.vertex.cloud import PROJECT, LoopbackCloud
from tests.support.vertex.errors import ServiceError
from tests.support.vertex.faults import Fault, PlannedFault
from tests.support.vertex.service import LoopbackApp
from tests.support.vertex.tuning import EXAMPLES
from tunedmodels.datasets.examples import Example
from tunedmodels.errors import NotFoundError, ProviderError, RefusedError, UnavailableError
from tunedmodels.providers import http, retry
from tunedmodels.providers.identity import Credentials
from tunedmodels.providers.storage import transfer
from tunedmodels.providers.storage.bucket import Bucket
from tunedmodels.providers.storage.lock import BucketLock
from tunedmodels.providers.vertex import training_data
from tunedmodels.wire.storage import CHUNK

TTL_S = 0.3
LOST = PlannedFault(Fault.LOST_BEFORE, "", 0, 1, ServiceError(503, ""), 0.0)
LOCK = "tunedmodels/locks/here"
MANY = [Example(f"text {number}", "x" * 1000) for number in range(1500)]  # six parts of 256 KiB


@pytest.fixture
async def bucket(cloud: LoopbackCloud) -> AsyncIterator[Bucket]:
    opened = Bucket(
        "data",
        "tunedmodels",
        Credentials(access_token=cloud.identity.issue()),
        transport=http.asgi_transport(LoopbackApp(cloud)),
    )
    yield opened
    await opened.aclose()


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "UPLOAD_PART_BYTES", CHUNK)
    monkeypatch.setattr(training_data, "UPLOAD_PART_BYTES", CHUNK)
    monkeypatch.setattr(retry, "INITIAL_WAIT_S", 0.001)


async def upload(
    bucket: Bucket, examples: list[Example], progress: list[int] | None = None, preamble: str = ""
) -> str:
    def on_upload(_uri: str, sent: int, _total: int) -> None:
        if progress is not None:
            progress.append(sent)

    return await training_data.upload_examples(
        bucket, examples, preamble=preamble, as_system=True, on_upload=on_upload
    )


def stored(cloud: LoopbackCloud, uri: str) -> bytes:
    return cloud.buckets.objects["data", uri.removeprefix("gs://data/")].data


async def test_a_dataset_is_uploaded_to_an_object_with_its_digest(
    cloud: LoopbackCloud, bucket: Bucket
) -> None:
    uri = await upload(bucket, EXAMPLES, preamble="Be kind.")
    rows = [json.loads(line) for line in stored(cloud, uri).splitlines()]
    assert rows[0] == {
        "contents": [
            {"role": "user", "parts": [{"text": "text 0"}]},
            {"role": "model", "parts": [{"text": "answer 0"}]},
        ],
        "systemInstruction": {"role": "system", "parts": [{"text": "Be kind."}]},
    }
    assert uri.startswith("gs://data/tunedmodels/datasets/")


async def test_a_requester_pays_bucket_is_billed_to_the_project(cloud: LoopbackCloud) -> None:
    cloud.buckets.requester_pays.add("data")
    opened = Bucket(
        "data",
        "tunedmodels",
        Credentials(access_token=cloud.identity.issue()),
        project=PROJECT,
        transport=http.asgi_transport(LoopbackApp(cloud)),
    )
    async with aclosing(opened) as bucket:
        await upload(bucket, MANY)
        async with BucketLock(bucket, LOCK).hold():
            assert len(await bucket.list("tunedmodels/locks/")) == 1
        assert await bucket.list("tunedmodels/locks/") == []
    assert [request.status for request in cloud.requests].count(400) == 1
    billed = {request.query.get("userProject") for request in cloud.requests[1:]}
    assert billed == {PROJECT}


async def test_a_requester_pays_bucket_without_a_project_is_an_error(
    cloud: LoopbackCloud, bucket: Bucket
) -> None:
    cloud.buckets.requester_pays.add("data")
    with pytest.raises(ProviderError, match="requester pays"):
        await bucket.stat(LOCK)


async def test_all_pages_of_a_list_are_read(cloud: LoopbackCloud, bucket: Bucket) -> None:
    cloud.page_limit = 2
    for number in range(5):
        cloud.buckets.put("data", f"a/{number}", b"", job=str(number))
    assert [each.metadata["job"] for each in await bucket.list("a/")] == ["0", "1", "2", "3", "4"]
    assert len(await bucket.list("a/", limit=1)) == 1


async def test_the_same_data_is_uploaded_once(cloud: LoopbackCloud, bucket: Bucket) -> None:
    first = await upload(bucket, EXAMPLES)
    assert await upload(bucket, EXAMPLES) == first
    assert cloud.request_count("objects.insert") == 1


async def test_simultaneous_uploads_of_the_same_data_write_one_object(
    cloud: LoopbackCloud, bucket: Bucket
) -> None:
    uris = await asyncio.gather(*(upload(bucket, EXAMPLES) for _ in range(3)))
    assert len(set(uris)) == 1
    assert cloud.buckets.written.count(uris[0]) == 1


async def test_an_overwritten_dataset_is_not_used(cloud: LoopbackCloud, bucket: Bucket) -> None:
    uri = await upload(bucket, EXAMPLES)
    cloud.buckets.put("data", uri.removeprefix("gs://data/"), b"other")
    with pytest.raises(ProviderError, match="does not match its name"):
        await upload(bucket, EXAMPLES)


async def test_a_large_dataset_is_uploaded_in_parts_with_progress(
    cloud: LoopbackCloud, bucket: Bucket
) -> None:
    progress: list[int] = []
    uri = await upload(bucket, MANY, progress)
    assert len(progress) == 7
    assert progress == sorted(progress)
    assert len(stored(cloud, uri)) == progress[-1]


@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.LOST_AFTER, Fault.FAILED_AFTER])
@pytest.mark.parametrize("skip", range(8))
async def test_an_interrupted_upload_is_resumed(
    cloud: LoopbackCloud, bucket: Bucket, fault: Fault, skip: int
) -> None:
    cloud.faults.add(fault, "objects.insert", skip=skip)
    uri = await upload(bucket, MANY)
    assert len(stored(cloud, uri).splitlines()) == len(MANY)
    assert cloud.buckets.written.count(uri) == 1


async def test_an_upload_without_progress_is_given_up(
    cloud: LoopbackCloud, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "MAX_RESUMES", 2)
    is_lost = [
        False,
        False,
        True,
        False,
        True,
        False,
        True,
    ]  # each part, but not the request for its status
    cloud.faults.next_fault = lambda name: (  # type: ignore[method-assign]  # for the fault pattern
        LOST if name == "objects.insert" and is_lost and is_lost.pop(0) else None
    )
    with pytest.raises(UnavailableError, match="makes no progress"):
        await upload(bucket, MANY)
    assert len(stored(cloud, await upload(bucket, MANY)).splitlines()) == len(MANY)


async def test_a_missing_bucket_is_distinguished_from_a_missing_object(
    cloud: LoopbackCloud, bucket: Bucket
) -> None:
    assert await bucket.stat("nothing") is None
    del cloud.buckets.locations["data"]
    with pytest.raises(NotFoundError, match="The bucket data does not exist") as missing:
        await bucket.stat("nothing")
    assert "gcloud storage buckets create gs://data" in missing.value.cure


def open_lock(bucket: Bucket, messages: list[str] | None = None) -> BucketLock:
    def on_retry(call: str, _attempt: int, _wait_s: float, reason: str) -> None:
        if messages is not None:
            messages.append(f"{call}: {reason}")

    return BucketLock(bucket, LOCK, ttl_s=TTL_S, on_retry=on_retry)


def is_locked(cloud: LoopbackCloud) -> bool:
    return ("data", LOCK) in cloud.buckets.objects


async def test_a_lock_is_held_and_released(cloud: LoopbackCloud, bucket: Bucket) -> None:
    ours = open_lock(bucket)
    async with ours.hold():
        await ours.require_held()
        holder = await ours.holder()
        assert holder
        assert "process" in holder.owner
        assert is_locked(cloud)
    assert not is_locked(cloud)
    with pytest.raises(RefusedError):
        await ours.require_held()


async def test_a_second_process_is_refused(cloud: LoopbackCloud, bucket: Bucket) -> None:
    messages: list[str] = []
    async with open_lock(bucket).hold():
        with pytest.raises(RefusedError, match="is held by") as caught:
            async with open_lock(bucket, messages).hold():
                raise AssertionError("both processes hold the lock")
    assert "tunedmodels lock break" in caught.value.cure
    assert messages[0].startswith(f"lock: gs://data/{LOCK} is held by")


async def test_one_of_many_simultaneous_processes_holds_the_lock(
    cloud: LoopbackCloud, bucket: Bucket
) -> None:
    inside = 0

    async def work() -> int:
        nonlocal inside
        try:
            async with open_lock(bucket).hold():
                inside += 1
                assert inside == 1
                await asyncio.sleep(TTL_S * 2)
                inside -= 1
                return 1
        except RefusedError:
            return 0

    assert sum(await asyncio.gather(*(work() for _ in range(5)))) == 1


async def test_a_process_that_waits_gets_a_released_lock(
    cloud: LoopbackCloud, bucket: Bucket
) -> None:
    async def first() -> None:
        async with open_lock(bucket).hold():
            await asyncio.sleep(TTL_S / 12)

    async def second() -> None:
        await asyncio.sleep(TTL_S / 24)
        async with open_lock(bucket).hold():
            assert is_locked(cloud)

    await asyncio.gather(first(), second())


async def test_the_lock_of_a_process_that_ended_expires(
    cloud: LoopbackCloud, bucket: Bucket
) -> None:
    metadata = {"owner": "dead", "lifeS": f"{TTL_S}"}
    cloud.buckets.put("data", LOCK, b"", **metadata)
    ours = open_lock(bucket)
    async with ours.hold():
        await ours.require_held()


async def test_a_broken_lock_is_noticed_before_a_request_is_sent(
    cloud: LoopbackCloud, bucket: Bucket
) -> None:
    ours, other = open_lock(bucket), open_lock(bucket)
    async with ours.hold():
        assert await other.break_lock()
        with pytest.raises(RefusedError, match="was lost"):
            await ours.require_held()
        async with other.hold():
            with pytest.raises(RefusedError, match="was lost"):
                await ours.require_held()
            await other.require_held()
    assert await other.break_lock() is None


@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.FAILED_AFTER, Fault.TRUNCATED])
async def test_a_lost_response_is_resolved_by_reading_the_lock(
    cloud: LoopbackCloud, bucket: Bucket, fault: Fault
) -> None:
    cloud.faults.add(fault, "objects.insert", times=5)
    ours = open_lock(bucket)
    async with ours.hold():
        await ours.require_held()
    assert not is_locked(cloud)


async def test_a_failed_renewal_is_repeated(cloud: LoopbackCloud, bucket: Bucket) -> None:
    ours = open_lock(bucket)
    async with ours.hold():
        cloud.faults.reject(ServiceError(403, "Not now."), "objects.insert")
        await asyncio.sleep(TTL_S)
        await ours.require_held()
        assert cloud.request_count("objects.insert") > 2
