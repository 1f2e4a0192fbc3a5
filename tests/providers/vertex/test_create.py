"""Notes on creates: what a list of jobs does not show yet is known all the same."""

from __future__ import annotations

import pytest

from tests.support.vertex.cloud import Cloud
from tests.support.vertex.errors import Refused
from tests.support.vertex.faults import Fault
from tests.support.vertex.jobs import Fate
from tests.support.vertex.tuning import HOUR, create, desired, opened
from tunedmodels.errors import InvalidArgumentError

TONE = desired()


def notes(cloud: Cloud) -> list[str]:
    """The job in each note; "" where nobody knows it."""
    return [
        stored.document["metadata"].get("job", "")
        for (_, name), stored in cloud.buckets.objects.items()
        if "/creates/" in name
    ]


async def test_another_process_finds_a_job_that_no_list_shows(cloud: Cloud) -> None:
    cloud.jobs.lists_until_shown = 99
    async with opened(cloud) as first:
        made = await create(first, TONE)
        assert await first.get(TONE.model_id) == made
    assert notes(cloud) == [cloud.jobs.jobs[0].number]
    async with opened(cloud) as second:
        assert (await create(second, TONE)).resource == made.resource
    assert len(cloud.jobs.jobs) == 1


async def test_a_create_that_was_refused_leaves_no_note(cloud: Cloud) -> None:
    cloud.faults.refuse(Refused(400, "No."), "tuningJobs.create")
    async with opened(cloud) as provider:
        with pytest.raises(InvalidArgumentError):
            await create(provider, TONE)
    assert notes(cloud) == []


async def test_a_note_without_a_job_is_waited_for_and_given_up_in_the_end(cloud: Cloud) -> None:
    async with opened(cloud) as provider:
        cloud.faults.plan(Fault.REFUSED, "objects.insert", skip=3, refusal=Refused(403, "No."))
        await create(provider, TONE)
    assert notes(cloud) == [""]
    cloud.jobs.jobs[0].unseen = 4
    async with opened(cloud) as provider:
        await create(provider, TONE)
    assert len(cloud.jobs.jobs) == 1
    cloud.jobs.jobs[0].unseen = 99
    async with opened(cloud) as provider:
        await create(provider, TONE)
    assert len(cloud.jobs.jobs) == 2


async def test_a_job_that_failed_is_followed_by_another_whatever_its_note_says(
    cloud: Cloud,
) -> None:
    cloud.jobs.fates.append(Fate("JOB_STATE_FAILED", (3, "no good")))
    async with opened(cloud) as provider:
        await create(provider, TONE)
        cloud.advance(HOUR)
        await create(provider, TONE)
    assert notes(cloud) == [cloud.jobs.jobs[1].number]


@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.REFUSED_AFTER])
async def test_a_note_whose_own_answer_was_lost_is_known_again(cloud: Cloud, fault: Fault) -> None:
    cloud.faults.plan(fault, "objects.insert", skip=2)
    async with opened(cloud) as provider:
        await create(provider, TONE)
    assert notes(cloud) == [cloud.jobs.jobs[0].number]
