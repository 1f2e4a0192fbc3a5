"""Create intents: jobs that a list does not contain yet are found."""

from __future__ import annotations

import pytest

from tests.support.vertex.cloud import LoopbackCloud
from tests.support.vertex.errors import ServiceError
from tests.support.vertex.faults import Fault
from tests.support.vertex.jobs import JobOutcome
from tests.support.vertex.tuning import HOUR_S, create_model, desired, loopback_provider
from tunedmodels.errors import InvalidArgumentError

TONE = desired()


def recorded_jobs(cloud: LoopbackCloud) -> list[str]:
    """The job in each create intent; "" while it is unknown."""
    return [
        stored.document["metadata"].get("job", "")
        for (_, name), stored in cloud.buckets.objects.items()
        if "/creates/" in name
    ]


async def test_another_process_finds_a_job_that_no_list_contains(cloud: LoopbackCloud) -> None:
    cloud.jobs.list_lag = 99
    async with loopback_provider(cloud) as first:
        created = await create_model(first, TONE)
        assert await first.get(TONE.model_id) == created
    assert recorded_jobs(cloud) == [cloud.jobs.jobs[0].number]
    async with loopback_provider(cloud) as second:
        assert (await create_model(second, TONE)).resource == created.resource
    assert len(cloud.jobs.jobs) == 1


async def test_a_rejected_create_leaves_no_intent(cloud: LoopbackCloud) -> None:
    cloud.faults.reject(ServiceError(400, "No."), "tuningJobs.create")
    async with loopback_provider(cloud) as provider:
        with pytest.raises(InvalidArgumentError):
            await create_model(provider, TONE)
    assert recorded_jobs(cloud) == []


async def test_a_job_of_an_intent_is_searched_and_given_up_after_a_while(
    cloud: LoopbackCloud,
) -> None:
    async with loopback_provider(cloud) as provider:
        cloud.faults.add(Fault.REJECTED, "objects.insert", skip=3, error=ServiceError(403, "No."))
        await create_model(provider, TONE)
    assert recorded_jobs(cloud) == [""]
    cloud.jobs.jobs[0].list_lag = 4
    async with loopback_provider(cloud) as provider:
        await create_model(provider, TONE)
    assert len(cloud.jobs.jobs) == 1
    cloud.jobs.jobs[0].list_lag = 99
    async with loopback_provider(cloud) as provider:
        await create_model(provider, TONE)
    assert len(cloud.jobs.jobs) == 2


async def test_a_failed_job_is_followed_by_another_one_despite_its_intent(
    cloud: LoopbackCloud,
) -> None:
    cloud.jobs.outcomes.append(JobOutcome("JOB_STATE_FAILED", (3, "no good")))
    async with loopback_provider(cloud) as provider:
        await create_model(provider, TONE)
        cloud.advance(HOUR_S)
        await create_model(provider, TONE)
    assert recorded_jobs(cloud) == [cloud.jobs.jobs[1].number]


@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.FAILED_AFTER])
async def test_an_intent_whose_response_was_lost_is_recognised(
    cloud: LoopbackCloud, fault: Fault
) -> None:
    cloud.faults.add(fault, "objects.insert", skip=2)
    async with loopback_provider(cloud) as provider:
        await create_model(provider, TONE)
    assert recorded_jobs(cloud) == [cloud.jobs.jobs[0].number]
