"""The loopback service is strict, knows who asks, and breaks down as a test wants it to."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.vertex.client import AT_REGION, PARENT, REGION, Asker, job
from tests.support.vertex.cloud import Cloud
from tests.support.vertex.errors import LOGIN, Refused, too_many
from tests.support.vertex.faults import Fault
from tests.support.vertex.service import loopback

JOBS = f"v1/{PARENT}/tuningJobs"
CREATE = "tuningJobs.create"


def blamed(cloud: Cloud) -> list[str]:
    """What was said against the requests, which is then forgiven."""
    words = list(cloud.violations)
    cloud.violations.clear()
    return words


# fmt: off
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"tuned_model_display_name": "x"},          "tuned_model_display_name: no such field"),
    ({"tuningMode": "x"},                        "tuningMode: no such field"),
    ({"state": "JOB_STATE_RUNNING"},             "state: output only"),
    ({"labels": {"a": 1}},                       "labels.a: 1 is no string"),
    ({"labels": ["a"]},                          "labels: ['a'] is no object"),
    ({"description": None},                      "description: null"),
    ({"encryptionSpec": {"key": "x"}},           "encryptionSpec.key: no such field"),
    ({"preTunedModel": {"baseModel": "x"}},      "preTunedModel.baseModel: output only"),
]
SPEC: list[tuple[dict[str, Any], str]] = [
    ({"epochCount": "two"},                      "'two' is no int64"),
    ({"epochCount": 2.5},                        "2.5 is no string"),
    ({"learningRateMultiplier": "1"},            "'1' is no number"),
    ({"adapterSize": "ADAPTER_SIZE_TEN"},        "'ADAPTER_SIZE_TEN' is none of"),
    ({"batchSize": "4"},                         "batchSize: no such field"),
    ({"beta": 0.1},                              "beta: no such field"),
]
QUERY: list[tuple[str, str]] = [
    ("requestId=x",                              "'requestId' does not exist"),
    ("alt=xml",                                  "'xml' is none of json"),
    ("prettyPrint=no",                           "'no' is neither true nor false"),
    ("key=a&key=b",                              "'key' is given twice"),
]
# fmt: on


@pytest.mark.parametrize(("fields", "words"), WRONG, ids=[words for _, words in WRONG])
async def test_a_field_that_google_does_not_know_is_blamed(
    asker: Asker, cloud: Cloud, fields: dict[str, Any], words: str
) -> None:
    await asker.send("POST", JOBS, job(**fields))
    assert any(words in one for one in blamed(cloud))


@pytest.mark.parametrize(("fields", "words"), SPEC, ids=[words for _, words in SPEC])
async def test_a_value_that_google_does_not_read_is_blamed(
    asker: Asker, cloud: Cloud, fields: dict[str, Any], words: str
) -> None:
    spec = {"trainingDatasetUri": "gs://data/train.jsonl", "hyperParameters": fields}
    await asker.send("POST", JOBS, job(supervisedTuningSpec=spec))
    assert any(words in one for one in blamed(cloud))


@pytest.mark.parametrize(("query", "words"), QUERY)
async def test_a_parameter_that_google_does_not_know_is_blamed(
    asker: Asker, cloud: Cloud, query: str, words: str
) -> None:
    await asker.send("GET", f"{JOBS}?{query}")
    assert any(words in one for one in blamed(cloud))


async def test_an_unknown_field_is_also_refused_as_google_does(asker: Asker, cloud: Cloud) -> None:
    error = await asker.refused("POST", JOBS, job(batchSize=4))
    assert error["message"].startswith('Invalid JSON payload received. Unknown name "batchSize"')
    assert cloud.jobs.jobs == []
    assert blamed(cloud)


async def test_an_answer_of_the_fake_is_judged_as_well(asker: Asker, cloud: Cloud) -> None:
    path = await asker.create()
    cloud.jobs.jobs[0].sent["epochs"] = 2
    await asker.ask("GET", path)
    assert "tuningJobs.get, in this fake's answer: epochs: no such field" in blamed(cloud)[0]


async def test_what_official_clients_write_otherwise_is_read(asker: Asker, cloud: Cloud) -> None:
    made = await asker.tuned(tunedModelDisplayName="tone")
    spec = {"trainingDatasetUri": "gs://data/train.jsonl", "hyperParameters": {"epochCount": 2}}
    parent = {"tuned_model_name": made["model"], "checkpoint_id": "1"}
    body = {"preTunedModel": parent, "supervisedTuningSpec": spec}
    answer = await asker.ask("POST", JOBS, body)
    assert answer["preTunedModel"] == {"tunedModelName": made["model"], "checkpointId": "1"}
    assert answer["supervisedTuningSpec"]["hyperParameters"] == {"epochCount": "2"}


async def test_a_token_ends_and_another_one_goes_on(asker: Asker, cloud: Cloud) -> None:
    asker.token = cloud.identity.issue(lifetime_s=3600)
    await asker.create()
    cloud.advance(3600)
    answer = await asker.send("GET", JOBS)
    assert (answer.status_code, answer.json()["error"]["message"]) == (401, LOGIN)
    asker.token = cloud.identity.issue()
    await asker.ask("GET", JOBS)
    cloud.identity.revoke(asker.token)
    assert (await asker.send("GET", JOBS)).status_code == 401


async def test_a_scope_that_is_missing_is_named(asker: Asker, cloud: Cloud) -> None:
    scope = "https://www.googleapis.com/auth/cloud-platform.read-only"
    asker.token = cloud.identity.issue(scopes=[scope])
    answer = await asker.send("POST", JOBS, job())
    (info,) = answer.json()["error"]["details"]
    assert info["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
    assert info["metadata"] == {
        "service": "aiplatform.googleapis.com",
        "method": "aiplatform.projects.locations.tuningJobs.create",
    }
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


async def test_a_permission_that_is_missing_is_named(asker: Asker, cloud: Cloud) -> None:
    cloud.identity.denied.add("aiplatform.tuningJobs.create")
    error = await asker.refused("POST", JOBS, job())
    assert error["message"] == (
        "Permission 'aiplatform.tuningJobs.create' denied on resource "
        f"'//aiplatform.googleapis.com/{PARENT}/tuningJobs' (or it may not exist)."
    )
    await asker.ask("GET", JOBS)


async def test_one_may_ask_what_one_and_the_service_agent_may_do(
    asker: Asker, cloud: Cloud
) -> None:
    host = "cloudresourcemanager.googleapis.com"
    project = await asker.ask("GET", "v3/projects/proj-1", host=host)
    policy = await asker.ask("POST", "v3/projects/proj-1:getIamPolicy", {}, host=host)
    agent = (
        f"serviceAccount:service-{project['name'][9:]}@gcp-sa-aiplatform.iam.gserviceaccount.com"
    )
    assert policy["bindings"] == [
        {"role": "roles/aiplatform.serviceAgent", "members": [agent]},
    ]
    cloud.identity.denied |= {"aiplatform.tuningJobs.create", "resourcemanager.projects.get"}
    body = {"permissions": ["aiplatform.tuningJobs.create", "aiplatform.tuningJobs.get"]}
    path = "v3/projects/proj-1:testIamPermissions"
    assert (await asker.ask("POST", path, body, host=host))["permissions"] == body["permissions"][
        1:
    ]
    assert (await asker.refused("GET", "v3/projects/proj-1", host=host))["code"] == 403
    bucket = await asker.ask("GET", "storage/v1/b/data/iam", host="storage.googleapis.com")
    assert "bindings" not in bucket


async def test_another_project_is_not_to_be_seen(asker: Asker) -> None:
    path = f"v1/projects/other/locations/{REGION}/tuningJobs"
    assert (await asker.refused("GET", path))["status"] == "PERMISSION_DENIED"


@pytest.fixture(params=["in process", "over a socket"])
async def far(request: pytest.FixtureRequest, cloud: Cloud) -> Any:
    """Someone who asks in this process, or through a real connection."""
    if request.param == "in process":
        async with Asker(cloud) as asker:
            yield asker
    else:
        with loopback(cloud) as url:
            async with Asker(cloud, url=url) as asker:
                yield asker


# fmt: off
LOST = [  #                                                     jobs that were started
    pytest.param(Fault.LOST_BEFORE, httpx.TransportError,   0,  id="lost before"),
    pytest.param(Fault.LOST_AFTER,  httpx.TransportError,   1,  id="lost after"),
    pytest.param(Fault.CUT,         httpx.RemoteProtocolError, 1, id="cut"),
]
# fmt: on


@pytest.mark.parametrize(("fault", "error", "started"), LOST)
async def test_an_answer_is_lost_before_or_after_the_job_began(
    far: Asker, cloud: Cloud, fault: Fault, error: type[Exception], started: int
) -> None:
    cloud.faults.plan(fault, CREATE)
    with pytest.raises(error):
        await far.create()
    assert len(cloud.jobs.jobs) == started
    await far.create()
    assert len(cloud.jobs.jobs) == started + 1
    assert cloud.faults.left == []


@pytest.mark.parametrize(("fault", "started"), [(Fault.REFUSED, 0), (Fault.REFUSED_AFTER, 1)])
async def test_a_refusal_comes_instead_of_the_job_or_after_it(
    far: Asker, cloud: Cloud, fault: Fault, started: int
) -> None:
    cloud.faults.plan(fault, CREATE)
    assert (await far.refused("POST", JOBS, job()))["status"] == "UNAVAILABLE"
    assert len(cloud.jobs.jobs) == started


async def test_faults_wait_for_their_request_and_end(asker: Asker, cloud: Cloud) -> None:
    cloud.faults.refuse(too_many("7s"), "tuningJobs.list", skip=1, times=2)
    codes = [(await asker.send("GET", JOBS)).status_code for _ in range(4)]
    assert codes == [200, 429, 429, 200]
    cloud.faults.refuse(Refused(409, "Aborted."))
    assert (await asker.upload("x", b"1")).status_code == 409
    assert cloud.names == ["tuningJobs.list"] * 4 + ["objects.insert"]
    assert [seen.status for seen in cloud.seen] == [200, 429, 429, 200, 409]


async def test_a_slow_answer_is_given_up_by_the_client_while_the_job_begins(
    cloud: Cloud,
) -> None:
    cloud.faults.plan(Fault.SLOW, CREATE, seconds=0.2)
    with loopback(cloud) as url:
        async with Asker(cloud, url=url) as asker:
            with pytest.raises(httpx.ReadTimeout):
                await asker.send("POST", JOBS, job(), timeout=0.05)
    assert len(cloud.jobs.jobs) == 1


async def test_someone_watches_the_requests_pass(asker: Asker, cloud: Cloud) -> None:
    passed: list[str] = []
    cloud.faults.before = lambda name: passed.append(f"{name} with {len(cloud.jobs.jobs)}")
    cloud.faults.after = lambda name: passed.append(f"{name} with {len(cloud.jobs.jobs)}")
    await asker.create()
    assert passed == [f"{CREATE} with 0", f"{CREATE} with 1"]
    assert cloud.seen[0].host == AT_REGION
    assert cloud.seen[0].body == job()
