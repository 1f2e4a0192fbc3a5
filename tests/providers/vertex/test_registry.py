"""Deleting a tuned model on loopback takes the steps that it takes at Google."""

from __future__ import annotations

from typing import Any

from tests.support.vertex.client import PARENT, Asker
from tests.support.vertex.cloud import Cloud


async def operated(asker: Asker, verb: str, path: str, body: Any = None) -> Any:
    """The operation of a request, when it is done."""
    started = await asker.ask(verb, path, body)
    assert "done" not in started
    asker.cloud.advance(10)
    return await asker.ask("GET", f"v1/{started['name']}")


async def undeployed(asker: Asker, endpoint: str) -> Any:
    deployed = (await asker.ask("GET", f"v1/{endpoint}"))["deployedModels"][0]
    body = {"deployedModelId": deployed["id"], "trafficSplit": {}}
    return await operated(asker, "POST", f"v1/{endpoint}:undeployModel", body)


async def test_a_model_goes_only_after_its_endpoints(asker: Asker) -> None:
    made = await asker.tuned()
    model = f"v1/{made['model'].partition('@')[0]}"
    where = {point["endpoint"] for point in made["checkpoints"]}
    error = await asker.refused("DELETE", model)
    assert error["status"] == "FAILED_PRECONDITION"
    assert all(endpoint in error["message"] for endpoint in where)
    for endpoint in where:
        assert (await asker.refused("DELETE", f"v1/{endpoint}"))["status"] == "FAILED_PRECONDITION"
        assert (await undeployed(asker, endpoint))["done"]
        assert "deployedModels" not in await asker.ask("GET", f"v1/{endpoint}")
        gone = await operated(asker, "DELETE", f"v1/{endpoint}")
        assert gone["response"] == {"@type": "type.googleapis.com/google.protobuf.Empty"}
        assert (await asker.refused("GET", f"v1/{endpoint}"))["code"] == 404
    assert (await operated(asker, "DELETE", model))["done"]
    assert (await asker.refused("GET", model))["code"] == 404
    assert len((await asker.ask("GET", f"v1/{PARENT}/tuningJobs"))["tuningJobs"]) == 1


async def test_an_undeploy_that_goes_on_keeps_the_endpoint(asker: Asker) -> None:
    made = await asker.tuned()
    deployed = (await asker.ask("GET", f"v1/{made['endpoint']}"))["deployedModels"][0]
    body = {"deployedModelId": deployed["id"]}
    await asker.ask("POST", f"v1/{made['endpoint']}:undeployModel", body)
    assert (await asker.refused("DELETE", f"v1/{made['endpoint']}"))["code"] == 400
    missing = await asker.refused(
        "POST", f"v1/{made['endpoint']}:undeployModel", {"deployedModelId": "1"}
    )
    assert missing["code"] == 404


async def test_what_is_deleted_twice_ends_in_an_error_of_the_operation(asker: Asker) -> None:
    made = await asker.tuned()
    await undeployed(asker, made["endpoint"])
    first, second = [await asker.ask("DELETE", f"v1/{made['endpoint']}") for _ in range(2)]
    asker.cloud.advance(10)
    assert "error" not in await asker.ask("GET", f"v1/{first['name']}")
    assert "error" in await asker.ask("GET", f"v1/{second['name']}")


async def test_a_model_is_asked_at_its_endpoint_and_nowhere_else(asker: Asker) -> None:
    made = await asker.tuned()
    body = {"contents": [{"parts": [{"text": "q1"}]}]}
    await undeployed(asker, made["endpoint"])
    error = await asker.refused("POST", f"v1/{made['endpoint']}:generateContent", body)
    assert error["status"] == "FAILED_PRECONDITION"


async def test_versions_have_aliases_and_go_one_by_one(asker: Asker, cloud: Cloud) -> None:
    first = await asker.tuned(tunedModelDisplayName="tone")
    model = first["model"].partition("@")[0]
    parent = {"tunedModelName": first["model"]}
    spec = {"trainingDatasetUri": "gs://data/train.jsonl"}
    body = {"preTunedModel": parent, "supervisedTuningSpec": spec}
    await asker.ask("POST", f"v1/{PARENT}/tuningJobs", body)
    cloud.advance(3600)
    versions = (await asker.ask("GET", f"v1/{model}:listVersions"))["models"]
    assert [(one["versionId"], one["versionAliases"]) for one in versions] == [
        ("2", ["default"]),
        ("1", []),
    ]
    merged = await asker.ask(
        "POST", f"v1/{model}@1:mergeVersionAliases", {"versionAliases": ["prod"]}
    )
    assert merged["versionAliases"] == ["prod"]
    assert (await asker.ask("GET", f"v1/{model}@prod"))["versionId"] == "1"
    assert (await asker.ask("GET", f"v1/{model}"))["versionId"] == "2"
    assert (await asker.refused("DELETE", f"v1/{model}@1:deleteVersion"))["code"] == 400
    for point in first["checkpoints"]:
        await undeployed(asker, point["endpoint"])
    assert (await operated(asker, "DELETE", f"v1/{model}@1:deleteVersion"))["done"]
    assert len((await asker.ask("GET", f"v1/{model}:listVersions"))["models"]) == 1


async def test_labels_are_patched_by_mask_and_found_by_filter(asker: Asker, cloud: Cloud) -> None:
    made = await asker.tuned(labels={"a": "b"})
    path = f"v1/{made['model'].partition('@')[0]}"
    models = f"v1/{PARENT}/models"
    body = {"labels": {"c": "d"}, "description": "Not in the mask."}
    changed = await asker.ask("PATCH", path, body, params={"updateMask": "labels"})
    assert (changed["labels"], changed.get("description")) == ({"c": "d"}, None)
    assert await asker.ask("GET", models, params={"filter": "labels.a:*"}) == {}
    assert (await asker.ask("GET", models, params={"filter": 'labels.c="d"'}))["models"]
    await asker.ask("PATCH", path, body)
    assert cloud.violations == ["models.patch: no updateMask, which is required"]
    cloud.violations.clear()
