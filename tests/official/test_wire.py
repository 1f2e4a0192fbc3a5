"""Requests of Google's documentation and clients, byte by byte over real HTTP."""

from __future__ import annotations

import httpx
import pytest

from tests.official.conftest import BASE, PAIRS, document

AS_INT = {"$alt": "json;enum-encoding=int"}
# The form of the curl commands of the documentation: snake_case, spaces, and trailing commas.
DOCUMENTED = """
      {
        "display_name": "number generator model",
        "base_model": "%s",
        "tuning_task": {
          "hyperparameters": {
            "batch_size": 2,
            "learning_rate": 0.001,
            "epoch_count":5,
          },
          "training_data": {
            "examples": {
              "examples": [
                {
                    "text_input": "1",
                    "output": "2",
                },{
                    "text_input": "seven",
                    "output": "eight",
                }
              ]
            }
          }
        }
      }"""


def test_the_documented_create_works_and_its_operation_has_both_prefixes(
    http: httpx.Client,
) -> None:
    created = http.post(
        "/v1beta/tunedModels",
        params={"key": "fake"},
        headers={"Content-Type": "application/json"},
        content=DOCUMENTED % BASE,
    )
    operation = created.json()
    assert set(operation) == {"name", "metadata"}
    assert operation["metadata"]["totalSteps"] == 5
    assert operation["metadata"]["tunedModel"].startswith("tunedModels/number-generator-model-")
    for version in ("v1", "v1beta"):
        polled = http.get(f"/{version}/{operation['name']}", params={"key": "fake"}).json()
        kind = "type.googleapis.com/google.ai.generativelanguage.v1beta.CreateTunedModelMetadata"
        assert polled["metadata"]["@type"] == kind
        assert http.post(f"/{version}/{operation['name']}:cancel").json() == {}


def test_enums_are_names_even_when_numbers_are_requested(http: httpx.Client, busy: str) -> None:
    # Older clients request numbers and accept names; newer clients fail with numbers.
    listed = http.get("/v1beta/tunedModels", params={**AS_INT, "pageSize": 1000}).json()
    states = {model["state"] for model in listed["tunedModels"]}
    assert states <= {"CREATING", "ACTIVE", "FAILED"}
    (owner,) = http.get(f"/v1beta/{busy}/permissions", params=AS_INT).json()["permissions"]
    assert (owner["granteeType"], owner["role"]) == ("USER", "OWNER")


def test_enums_may_be_numbers_in_bodies(http: httpx.Client, busy: str) -> None:
    path = f"/v1beta/{busy}/permissions"
    created = http.post(path, params=AS_INT, json={"granteeType": 3, "role": "3"})
    assert (created.json()["granteeType"], created.json()["role"]) == ("EVERYONE", "READER")
    model = {"state": 1, "description": "new"}
    assert http.patch(f"/v1beta/{busy}", params=AS_INT, json=model).status_code == 200


@pytest.mark.parametrize("key", ["prettyPrint", "fields", "alt", "$.xgafv", "callback", "unknown"])
def test_common_query_parameters_of_google_apis_are_ignored(http: httpx.Client, key: str) -> None:
    assert http.get("/v1beta/models", params={key: "json"}).status_code == 200


def test_default_values_are_not_sent(http: httpx.Client, tone: str) -> None:
    http.delete("/v1beta/tunedModels/late")
    http.post("/v1beta/tunedModels?tunedModelId=late", json=document(epochCount=900, batchSize=1))
    (operation,) = http.get("/v1/tunedModels/late/operations").json()["operations"]
    assert "done" not in operation
    http.delete("/v1beta/tunedModels/late")
    model = http.get(f"/v1beta/{tone}").json()
    first = model["tuningTask"]["snapshots"][0]
    assert "epoch" not in first or first["epoch"] > 0
    assert {"topK", "trainingData", "readerProjectNumbers"}.isdisjoint(model)
    assert set(model["tuningTask"]) == {"startTime", "completeTime", "snapshots", "hyperparameters"}
    assert set(model["tuningTask"]["hyperparameters"]) == {
        "epochCount",
        "batchSize",
        "learningRate",
    }
    assert len(model["tuningTask"]["snapshots"]) == len(PAIRS) * 3 // 2


def test_a_deleted_model_answers_with_an_empty_message(http: httpx.Client, busy: str) -> None:
    assert http.request("DELETE", f"/v1/{busy}", content=b"").text == "{}"
