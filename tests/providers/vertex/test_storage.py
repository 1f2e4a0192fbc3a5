"""Data and locks in Cloud Storage: written once, gone on with where it broke, held by one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from tests.support.vertex.cloud import Cloud
from tests.support.vertex.errors import Refused
from tests.support.vertex.faults import Fault, Planned
from tests.support.vertex.service import Service
from tests.support.vertex.tuning import EXAMPLES
from tunedmodels.datasets.examples import Example
from tunedmodels.errors import NotFoundError, ProviderError, RefusedError, UnavailableError
from tunedmodels.providers import http, retry
from tunedmodels.providers.identity import Credentials
from tunedmodels.providers.storage import transfer
from tunedmodels.providers.storage.bucket import Bucket
from tunedmodels.providers.storage.lock import Lease
from tunedmodels.providers.vertex import training_data
from tunedmodels.wire.storage import CHUNK

LIFE_S = 0.3
LOST = Planned(Fault.LOST_BEFORE, "", 0, 1, Refused(503, ""), 0.0)
LOCK = "tunedmodels/locks/here"
MANY = [Example(f"text {number}", "x" * 1000) for number in range(1500)]  # six parts of 256 KiB


@pytest.fixture
async def bucket(cloud: Cloud) -> AsyncIterator[Bucket]:
    opened = Bucket(
        "data",
        "tunedmodels",
        Credentials(access_token=cloud.identity.issue()),
        transport=http.in_process(Service(cloud)),
    )
    yield opened
    await opened.aclose()


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "UPLOAD_PART", CHUNK)
    monkeypatch.setattr(training_data, "UPLOAD_PART", CHUNK)
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.001)


async def put(
    bucket: Bucket, examples: list[Example], seen: list[int] | None = None, preamble: str = ""
) -> str:
    def tell(_uri: str, sent: int, _total: int) -> None:
        if seen is not None:
            seen.append(sent)

    return await training_data.put(
        bucket, examples, preamble=preamble, as_system=True, on_upload=tell
    )


def stored(cloud: Cloud, uri: str) -> bytes:
    return cloud.buckets.objects["data", uri.removeprefix("gs://data/")].data


async def test_a_dataset_goes_to_an_object_of_its_digest(cloud: Cloud, bucket: Bucket) -> None:
    uri = await put(bucket, EXAMPLES, preamble="Be kind.")
    rows = [json.loads(line) for line in stored(cloud, uri).splitlines()]
    assert rows[0] == {
        "contents": [
            {"role": "user", "parts": [{"text": "text 0"}]},
            {"role": "model", "parts": [{"text": "answer 0"}]},
        ],
        "systemInstruction": {"role": "system", "parts": [{"text": "Be kind."}]},
    }
    assert uri.startswith("gs://data/tunedmodels/datasets/")


async def test_nothing_is_uploaded_twice(cloud: Cloud, bucket: Bucket) -> None:
    first = await put(bucket, EXAMPLES)
    assert await put(bucket, EXAMPLES) == first
    assert cloud.count("objects.insert") == 1


async def test_two_who_upload_the_same_at_once_do_no_harm(cloud: Cloud, bucket: Bucket) -> None:
    uris = await asyncio.gather(*(put(bucket, EXAMPLES) for _ in range(3)))
    assert len(set(uris)) == 1
    assert cloud.buckets.written.count(uris[0]) == 1


async def test_what_somebody_wrote_over_is_not_trained_on(cloud: Cloud, bucket: Bucket) -> None:
    uri = await put(bucket, EXAMPLES)
    cloud.buckets.put("data", uri.removeprefix("gs://data/"), b"other")
    with pytest.raises(ProviderError, match="does not hold what its name says"):
        await put(bucket, EXAMPLES)


async def test_a_large_dataset_goes_in_parts_and_says_how_far_it_is(
    cloud: Cloud, bucket: Bucket
) -> None:
    seen: list[int] = []
    uri = await put(bucket, MANY, seen)
    assert len(seen) == 7
    assert seen == sorted(seen)
    assert len(stored(cloud, uri)) == seen[-1]


@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.LOST_AFTER, Fault.REFUSED_AFTER])
@pytest.mark.parametrize("skip", range(8))
async def test_an_upload_goes_on_where_it_broke(
    cloud: Cloud, bucket: Bucket, fault: Fault, skip: int
) -> None:
    cloud.faults.plan(fault, "objects.insert", skip=skip)
    uri = await put(bucket, MANY)
    assert len(stored(cloud, uri).splitlines()) == len(MANY)
    assert cloud.buckets.written.count(uri) == 1


async def test_an_upload_that_never_gets_further_is_given_up(
    cloud: Cloud, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "MOST_RESUMES", 2)
    lost = [
        False,
        False,
        True,
        False,
        True,
        False,
        True,
    ]  # each part, and not the question after it
    cloud.faults.take = lambda name: (  # type: ignore[method-assign]  # every other request
        LOST if name == "objects.insert" and lost and lost.pop(0) else None
    )
    with pytest.raises(UnavailableError, match="does not get further"):
        await put(bucket, MANY)
    assert len(stored(cloud, await put(bucket, MANY)).splitlines()) == len(MANY)


async def test_a_bucket_that_is_not_there_is_told_from_an_object(
    cloud: Cloud, bucket: Bucket
) -> None:
    assert await bucket.look("nothing") is None
    del cloud.buckets.locations["data"]
    with pytest.raises(NotFoundError, match="There is no bucket data") as missing:
        await bucket.look("nothing")
    assert "gcloud storage buckets create gs://data" in missing.value.cure


# The lock -----------------------------------------------------------------------------------------


def lease(bucket: Bucket, told: list[str] | None = None) -> Lease:
    def tell(call: str, _attempt: int, _wait_s: float, words: str) -> None:
        if told is not None:
            told.append(f"{call}: {words}")

    return Lease(bucket, LOCK, life_s=LIFE_S, on_retry=tell)


def is_locked(cloud: Cloud) -> bool:
    return ("data", LOCK) in cloud.buckets.objects


async def test_a_lock_is_held_and_let_go(cloud: Cloud, bucket: Bucket) -> None:
    ours = lease(bucket)
    async with ours.hold():
        await ours.assure()
        holder = await ours.holder()
        assert holder
        assert "process" in holder.owner
        assert is_locked(cloud)
    assert not is_locked(cloud)
    with pytest.raises(RefusedError):
        await ours.assure()


async def test_of_two_one_holds_it_and_the_other_is_refused(cloud: Cloud, bucket: Bucket) -> None:
    told: list[str] = []
    async with lease(bucket).hold():
        with pytest.raises(RefusedError, match="who is at work") as refused:
            async with lease(bucket, told).hold():
                raise AssertionError("both hold it")
    assert "tunedmodels lock break" in refused.value.cure
    assert told[0].startswith(f"lock: gs://data/{LOCK} is held by")


async def test_of_many_at_once_one_holds_it(cloud: Cloud, bucket: Bucket) -> None:
    inside = 0

    async def work() -> int:
        nonlocal inside
        try:
            async with lease(bucket).hold():
                inside += 1
                assert inside == 1
                await asyncio.sleep(LIFE_S * 2)
                inside -= 1
                return 1
        except RefusedError:
            return 0

    assert sum(await asyncio.gather(*(work() for _ in range(5)))) == 1


async def test_whoever_comes_while_it_is_let_go_gets_it(cloud: Cloud, bucket: Bucket) -> None:
    async def briefly() -> None:
        async with lease(bucket).hold():
            await asyncio.sleep(LIFE_S / 12)

    async def after() -> None:
        await asyncio.sleep(LIFE_S / 24)
        async with lease(bucket).hold():
            assert is_locked(cloud)

    await asyncio.gather(briefly(), after())


async def test_the_lock_of_a_process_that_died_opens_by_itself(
    cloud: Cloud, bucket: Bucket
) -> None:
    about = {"owner": "dead", "lifeS": f"{LIFE_S}"}
    cloud.buckets.put("data", LOCK, b"", **about)
    ours = lease(bucket)
    async with ours.hold():
        await ours.assure()


async def test_a_lock_that_was_broken_is_noticed_before_anything_is_sent(
    cloud: Cloud, bucket: Bucket
) -> None:
    ours, theirs = lease(bucket), lease(bucket)
    async with ours.hold():
        assert await theirs.open()
        with pytest.raises(RefusedError, match="not held any more"):
            await ours.assure()
        async with theirs.hold():
            with pytest.raises(RefusedError, match="not held any more"):
                await ours.assure()
            await theirs.assure()
    assert await theirs.open() is None


@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.REFUSED_AFTER, Fault.CUT])
async def test_a_lost_answer_is_settled_by_a_look(
    cloud: Cloud, bucket: Bucket, fault: Fault
) -> None:
    cloud.faults.plan(fault, "objects.insert", times=5)
    ours = lease(bucket)
    async with ours.hold():
        await ours.assure()
    assert not is_locked(cloud)


async def test_a_renewal_that_fails_is_tried_again(cloud: Cloud, bucket: Bucket) -> None:
    ours = lease(bucket)
    async with ours.hold():
        cloud.faults.refuse(Refused(403, "Not now."), "objects.insert")
        await asyncio.sleep(LIFE_S)
        await ours.assure()
        assert cloud.count("objects.insert") > 2
