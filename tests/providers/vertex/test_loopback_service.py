"""The loopback service is strict, checks credentials, and has the planned faults."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.vertex.client import PARENT, REGION, REGION_HOST, LoopbackClient, job_body
from tests.support.vertex.cloud import LoopbackCloud
from tests.support.vertex.errors import INVALID_CREDENTIALS, ServiceError, quota_exceeded
from tests.support.vertex.faults import Fault
from tests.support.vertex.service import loopback

JOBS = f"v1/{PARENT}/tuningJobs"
CREATE = "tuningJobs.create"


def take_violations(cloud: LoopbackCloud) -> list[str]:
    """Return and clear the violations."""
    violations = list(cloud.violations)
    cloud.violations.clear()
    return violations


# fmt: off
INVALID_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"tuned_model_display_name": "x"},          "tuned_model_display_name: no such field"),
    ({"tuningMode": "x"},                        "tuningMode: no such field"),
    ({"state": "JOB_STATE_RUNNING"},             "state: output only"),
    ({"labels": {"a": 1}},                       "labels.a: 1 is not a valid string"),
    ({"labels": ["a"]},                          "labels: ['a'] is not a valid object"),
    ({"description": None},                      "description: null"),
    ({"encryptionSpec": {"key": "x"}},           "encryptionSpec.key: no such field"),
    ({"preTunedModel": {"baseModel": "x"}},      "preTunedModel.baseModel: output only"),
]
INVALID_HYPERPARAMETERS: list[tuple[dict[str, Any], str]] = [
    ({"epochCount": "two"},                      "'two' is not a valid int64"),
    ({"epochCount": 2.5},                        "2.5 is not a valid string"),
    ({"learningRateMultiplier": "1"},            "'1' is not a valid number"),
    ({"adapterSize": "ADAPTER_SIZE_TEN"},        "'ADAPTER_SIZE_TEN' is not one of"),
    ({"batchSize": "4"},                         "batchSize: no such field"),
    ({"beta": 0.1},                              "beta: no such field"),
]
INVALID_QUERIES: list[tuple[str, str]] = [
    ("requestId=x",                              "'requestId' does not exist"),
    ("alt=xml",                                  "'xml' is not one of json"),
    ("prettyPrint=no",                           "'no' is neither true nor false"),
    ("key=a&key=b",                              "'key' is given twice"),
]
# fmt: on


@pytest.mark.parametrize(
    ("fields", "message"), INVALID_FIELDS, ids=[message for _, message in INVALID_FIELDS]
)
async def test_an_undocumented_field_is_a_violation(
    client: LoopbackClient, cloud: LoopbackCloud, fields: dict[str, Any], message: str
) -> None:
    await client.send("POST", JOBS, job_body(**fields))
    assert any(message in violation for violation in take_violations(cloud))


@pytest.mark.parametrize(
    ("fields", "message"),
    INVALID_HYPERPARAMETERS,
    ids=[message for _, message in INVALID_HYPERPARAMETERS],
)
async def test_an_invalid_value_is_a_violation(
    client: LoopbackClient, cloud: LoopbackCloud, fields: dict[str, Any], message: str
) -> None:
    spec = {"trainingDatasetUri": "gs://data/train.jsonl", "hyperParameters": fields}
    await client.send("POST", JOBS, job_body(supervisedTuningSpec=spec))
    assert any(message in violation for violation in take_violations(cloud))


@pytest.mark.parametrize(("query", "message"), INVALID_QUERIES)
async def test_an_undocumented_parameter_is_a_violation(
    client: LoopbackClient, cloud: LoopbackCloud, query: str, message: str
) -> None:
    await client.send("GET", f"{JOBS}?{query}")
    assert any(message in violation for violation in take_violations(cloud))


async def test_an_unknown_field_is_rejected_as_by_google(
    client: LoopbackClient, cloud: LoopbackCloud
) -> None:
    error = await client.expect_error("POST", JOBS, job_body(batchSize=4))
    assert error["message"].startswith('Invalid JSON payload received. Unknown name "batchSize"')
    assert cloud.jobs.jobs == []
    assert take_violations(cloud)


async def test_responses_of_the_loopback_service_are_checked(
    client: LoopbackClient, cloud: LoopbackCloud
) -> None:
    path = await client.create_job()
    cloud.jobs.jobs[0].body["epochs"] = 2
    await client.call("GET", path)
    assert (
        "tuningJobs.get, in the response of the loopback service: epochs: no such field"
        in take_violations(cloud)[0]
    )


async def test_alternative_forms_of_official_clients_are_accepted(
    client: LoopbackClient, cloud: LoopbackCloud
) -> None:
    result = await client.train(tunedModelDisplayName="tone")
    spec = {"trainingDatasetUri": "gs://data/train.jsonl", "hyperParameters": {"epochCount": 2}}
    parent = {"tuned_model_name": result["model"], "checkpoint_id": "1"}
    body = {"preTunedModel": parent, "supervisedTuningSpec": spec}
    answer = await client.call("POST", JOBS, body)
    assert answer["preTunedModel"] == {"tunedModelName": result["model"], "checkpointId": "1"}
    assert answer["supervisedTuningSpec"]["hyperParameters"] == {"epochCount": "2"}


async def test_a_token_expires_and_another_one_works(
    client: LoopbackClient, cloud: LoopbackCloud
) -> None:
    client.token = cloud.identity.issue(lifetime_s=3600)
    await client.create_job()
    cloud.advance(3600)
    answer = await client.send("GET", JOBS)
    assert (answer.status_code, answer.json()["error"]["message"]) == (401, INVALID_CREDENTIALS)
    client.token = cloud.identity.issue()
    await client.call("GET", JOBS)
    cloud.identity.revoke(client.token)
    assert (await client.send("GET", JOBS)).status_code == 401


async def test_a_missing_scope_is_named(client: LoopbackClient, cloud: LoopbackCloud) -> None:
    scope = "https://www.googleapis.com/auth/cloud-platform.read-only"
    client.token = cloud.identity.issue(scopes=[scope])
    answer = await client.send("POST", JOBS, job_body())
    (info,) = answer.json()["error"]["details"]
    assert info["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
    assert info["metadata"] == {
        "service": "aiplatform.googleapis.com",
        "method": "aiplatform.projects.locations.tuningJobs.create",
    }
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


async def test_a_missing_permission_is_named(client: LoopbackClient, cloud: LoopbackCloud) -> None:
    cloud.identity.denied.add("aiplatform.tuningJobs.create")
    error = await client.expect_error("POST", JOBS, job_body())
    assert error["message"] == (
        "Permission 'aiplatform.tuningJobs.create' denied on resource "
        f"'//aiplatform.googleapis.com/{PARENT}/tuningJobs' (or it may not exist)."
    )
    await client.call("GET", JOBS)


async def test_the_permissions_of_the_caller_and_the_service_agent_can_be_read(
    client: LoopbackClient, cloud: LoopbackCloud
) -> None:
    host = "cloudresourcemanager.googleapis.com"
    project = await client.call("GET", "v3/projects/proj-1", host=host)
    policy = await client.call("POST", "v3/projects/proj-1:getIamPolicy", {}, host=host)
    agent = (
        f"serviceAccount:service-{project['name'][9:]}@gcp-sa-vertex-tune.iam.gserviceaccount.com"
    )
    grant = {"role": "roles/aiplatform.tuningServiceAgent", "members": [agent]}
    assert grant in policy["bindings"]
    cloud.identity.denied |= {"aiplatform.tuningJobs.create", "resourcemanager.projects.get"}
    body = {"permissions": ["aiplatform.tuningJobs.create", "aiplatform.tuningJobs.get"]}
    path = "v3/projects/proj-1:testIamPermissions"
    assert (await client.call("POST", path, body, host=host))["permissions"] == body["permissions"][
        1:
    ]
    assert (await client.expect_error("GET", "v3/projects/proj-1", host=host))["code"] == 403
    bucket = await client.call("GET", "storage/v1/b/data/iam", host="storage.googleapis.com")
    assert "bindings" not in bucket


async def test_another_project_is_not_visible(client: LoopbackClient) -> None:
    path = f"v1/projects/other/locations/{REGION}/tuningJobs"
    assert (await client.expect_error("GET", path))["status"] == "PERMISSION_DENIED"


@pytest.fixture(params=["in process", "over a socket"])
async def any_client(request: pytest.FixtureRequest, cloud: LoopbackCloud) -> Any:
    """A client in this process, or over a real connection."""
    if request.param == "in process":
        async with LoopbackClient(cloud) as client:
            yield client
    else:
        with loopback(cloud) as url:
            async with LoopbackClient(cloud, url=url) as client:
                yield client


# fmt: off
LOST = [  #                                                     started jobs
    pytest.param(Fault.LOST_BEFORE, httpx.TransportError,   0,  id="lost before"),
    pytest.param(Fault.LOST_AFTER,  httpx.TransportError,   1,  id="lost after"),
    pytest.param(Fault.TRUNCATED,         httpx.RemoteProtocolError, 1, id="cut"),
]
# fmt: on


@pytest.mark.parametrize(("fault", "error", "started"), LOST)
async def test_a_response_is_lost_before_or_after_the_job_starts(
    any_client: LoopbackClient,
    cloud: LoopbackCloud,
    fault: Fault,
    error: type[Exception],
    started: int,
) -> None:
    cloud.faults.add(fault, CREATE)
    with pytest.raises(error):
        await any_client.create_job()
    assert len(cloud.jobs.jobs) == started
    await any_client.create_job()
    assert len(cloud.jobs.jobs) == started + 1
    assert cloud.faults.unused == []


@pytest.mark.parametrize(("fault", "started"), [(Fault.REJECTED, 0), (Fault.FAILED_AFTER, 1)])
async def test_an_error_is_returned_instead_of_the_job_or_after_it(
    any_client: LoopbackClient, cloud: LoopbackCloud, fault: Fault, started: int
) -> None:
    cloud.faults.add(fault, CREATE)
    assert (await any_client.expect_error("POST", JOBS, job_body()))["status"] == "UNAVAILABLE"
    assert len(cloud.jobs.jobs) == started


async def test_faults_apply_to_the_planned_requests(
    client: LoopbackClient, cloud: LoopbackCloud
) -> None:
    cloud.faults.reject(quota_exceeded("7s"), "tuningJobs.list", skip=1, times=2)
    codes = [(await client.send("GET", JOBS)).status_code for _ in range(4)]
    assert codes == [200, 429, 429, 200]
    cloud.faults.reject(ServiceError(409, "Aborted."))
    assert (await client.upload_object("x", b"1")).status_code == 409
    assert cloud.called_methods == ["tuningJobs.list"] * 4 + ["objects.insert"]
    assert [request.status for request in cloud.requests] == [200, 429, 429, 200, 409]


async def test_a_job_starts_although_the_client_times_out(
    cloud: LoopbackCloud,
) -> None:
    cloud.faults.add(Fault.SLOW, CREATE, delay_s=0.2)
    with loopback(cloud) as url:
        async with LoopbackClient(cloud, url=url) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.send("POST", JOBS, job_body(), timeout=0.05)
    assert len(cloud.jobs.jobs) == 1


async def test_callbacks_run_before_and_after_a_request(
    client: LoopbackClient, cloud: LoopbackCloud
) -> None:
    events: list[str] = []
    cloud.faults.on_request = lambda name: events.append(f"{name} with {len(cloud.jobs.jobs)}")
    cloud.faults.on_response = lambda name: events.append(f"{name} with {len(cloud.jobs.jobs)}")
    await client.create_job()
    assert events == [f"{CREATE} with 0", f"{CREATE} with 1"]
    assert cloud.requests[0].host == REGION_HOST
    assert cloud.requests[0].body == job_body()
