"""The loopback model registry requires the same steps to delete a model as Google's."""

from __future__ import annotations

from typing import Any

from tests.support.vertex.client import PARENT, LoopbackClient
from tests.support.vertex.cloud import LoopbackCloud


async def run_operation(client: LoopbackClient, verb: str, path: str, body: Any = None) -> Any:
    """Send a request and return its operation when it is done."""
    started = await client.call(verb, path, body)
    assert "done" not in started
    client.cloud.advance(10)
    return await client.call("GET", f"v1/{started['name']}")


async def undeploy(client: LoopbackClient, endpoint: str) -> Any:
    deployed = (await client.call("GET", f"v1/{endpoint}"))["deployedModels"][0]
    body = {"deployedModelId": deployed["id"], "trafficSplit": {}}
    return await run_operation(client, "POST", f"v1/{endpoint}:undeployModel", body)


async def test_a_model_can_be_deleted_only_after_its_endpoints(client: LoopbackClient) -> None:
    result = await client.train()
    model = f"v1/{result['model'].partition('@')[0]}"
    endpoints = {point["endpoint"] for point in result["checkpoints"]}
    error = await client.expect_error("DELETE", model)
    assert error["status"] == "FAILED_PRECONDITION"
    assert all(endpoint in error["message"] for endpoint in endpoints)
    for endpoint in endpoints:
        assert (await client.expect_error("DELETE", f"v1/{endpoint}"))[
            "status"
        ] == "FAILED_PRECONDITION"
        assert (await undeploy(client, endpoint))["done"]
        assert "deployedModels" not in await client.call("GET", f"v1/{endpoint}")
        gone = await run_operation(client, "DELETE", f"v1/{endpoint}")
        assert gone["response"] == {"@type": "type.googleapis.com/google.protobuf.Empty"}
        assert (await client.expect_error("GET", f"v1/{endpoint}"))["code"] == 404
    assert (await run_operation(client, "DELETE", model))["done"]
    assert (await client.expect_error("GET", model))["code"] == 404
    assert len((await client.call("GET", f"v1/{PARENT}/tuningJobs"))["tuningJobs"]) == 1


async def test_an_endpoint_remains_while_an_undeployment_runs(client: LoopbackClient) -> None:
    result = await client.train()
    deployed = (await client.call("GET", f"v1/{result['endpoint']}"))["deployedModels"][0]
    body = {"deployedModelId": deployed["id"]}
    await client.call("POST", f"v1/{result['endpoint']}:undeployModel", body)
    assert (await client.expect_error("DELETE", f"v1/{result['endpoint']}"))["code"] == 400
    missing = await client.expect_error(
        "POST", f"v1/{result['endpoint']}:undeployModel", {"deployedModelId": "1"}
    )
    assert missing["code"] == 404


async def test_a_second_deletion_ends_with_an_error_of_the_operation(
    client: LoopbackClient,
) -> None:
    result = await client.train()
    await undeploy(client, result["endpoint"])
    first, second = [await client.call("DELETE", f"v1/{result['endpoint']}") for _ in range(2)]
    client.cloud.advance(10)
    assert "error" not in await client.call("GET", f"v1/{first['name']}")
    assert "error" in await client.call("GET", f"v1/{second['name']}")


async def test_an_undeployed_model_cannot_be_called(client: LoopbackClient) -> None:
    result = await client.train()
    body = {"contents": [{"parts": [{"text": "q1"}]}]}
    await undeploy(client, result["endpoint"])
    error = await client.expect_error("POST", f"v1/{result['endpoint']}:generateContent", body)
    assert error["status"] == "FAILED_PRECONDITION"


async def test_versions_have_aliases_and_are_deleted_one_by_one(
    client: LoopbackClient, cloud: LoopbackCloud
) -> None:
    first = await client.train(tunedModelDisplayName="tone")
    model = first["model"].partition("@")[0]
    parent = {"tunedModelName": first["model"]}
    spec = {"trainingDatasetUri": "gs://data/train.jsonl"}
    body = {"preTunedModel": parent, "supervisedTuningSpec": spec}
    await client.call("POST", f"v1/{PARENT}/tuningJobs", body)
    cloud.advance(3600)
    versions = (await client.call("GET", f"v1/{model}:listVersions"))["models"]
    assert [(version["versionId"], version["versionAliases"]) for version in versions] == [
        ("2", ["default"]),
        ("1", []),
    ]
    merged = await client.call(
        "POST", f"v1/{model}@1:mergeVersionAliases", {"versionAliases": ["prod"]}
    )
    assert merged["versionAliases"] == ["prod"]
    assert (await client.call("GET", f"v1/{model}@prod"))["versionId"] == "1"
    assert (await client.call("GET", f"v1/{model}"))["versionId"] == "2"
    assert (await client.expect_error("DELETE", f"v1/{model}@1:deleteVersion"))["code"] == 400
    for point in first["checkpoints"]:
        await undeploy(client, point["endpoint"])
    assert (await run_operation(client, "DELETE", f"v1/{model}@1:deleteVersion"))["done"]
    assert len((await client.call("GET", f"v1/{model}:listVersions"))["models"]) == 1


async def test_labels_are_patched_by_mask_and_found_by_filter(
    client: LoopbackClient, cloud: LoopbackCloud
) -> None:
    result = await client.train(labels={"a": "b"})
    path = f"v1/{result['model'].partition('@')[0]}"
    models = f"v1/{PARENT}/models"
    body = {"labels": {"c": "d"}, "description": "Not in the mask."}
    changed = await client.call("PATCH", path, body, params={"updateMask": "labels"})
    assert (changed["labels"], changed.get("description")) == ({"c": "d"}, None)
    assert await client.call("GET", models, params={"filter": "labels.a:*"}) == {}
    assert (await client.call("GET", models, params={"filter": 'labels.c="d"'}))["models"]
    await client.call("PATCH", path, body)
    assert cloud.violations == ["models.patch: no updateMask, which is required"]
    cloud.violations.clear()
