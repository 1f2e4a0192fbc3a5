"""The published schema accepts valid manifests, and rejects what an editor should mark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.support.paths import ROOT
from tunedmodels.schema.json_schema import manifest_schema

MANIFESTS = sorted((ROOT / "manifests").glob("*.yaml"))
BOTH_RATES = {"learningRate": 1, "learningRateMultiplier": 1}
SPEC = {"baseModel": "models/x", "dataset": {"path": "d.jsonl"}}


def check(document: object) -> None:
    schema = manifest_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(document)


def model(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "tunedmodels.dev/v1",
        "kind": "TunedModel",
        "metadata": {"name": "tone"},
        "spec": {**SPEC, **spec},
    }


def project(**spec: Any) -> dict[str, Any]:
    return {**model(), "kind": "Project", "spec": spec}


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.stem)
def test_every_example_manifest_is_valid(file: Path) -> None:
    for document in yaml.safe_load_all(file.read_text()):
        check(document)


def test_fields_that_defaults_can_supply_are_not_required() -> None:
    check(project(defaults={"dataset": {"preamble": "x"}, "hyperparameters": {"epochCount": 3}}))
    document = model()
    del document["spec"]["baseModel"]
    check(document)


# fmt: off
INVALID = [
    pytest.param(model(epochs=3),                                    id="unknown field"),
    pytest.param(model(base_model="models/x"),                       id="snake case"),
    pytest.param(model(tunedModel="other"),                          id="two bases"),
    pytest.param(model(topK="3"),                                    id="text for a number"),
    pytest.param(model(hyperparameters={"epochCount": 0}),           id="too small"),
    pytest.param(model(hyperparameters=BOTH_RATES),                  id="two rates"),
    pytest.param(model(lifecycle={"onRemoval": "keep"}),             id="unknown word"),
    pytest.param(model() | {"kind": "Model"},                        id="unknown kind"),
    pytest.param(model() | {"metadata": {"name": "a" * 32}},         id="long name"),
    pytest.param(model() | {"apiVersion": "tunedmodels.dev/v2"},     id="another version"),
    pytest.param(project(defaults={"epochCount": 3}),                id="unknown default"),
    pytest.param(project(providers={"a": {"type": "azure"}}),        id="unknown provider type"),
    pytest.param([model()],                                          id="a list"),
]
# fmt: on


@pytest.mark.parametrize("document", INVALID)
def test_an_invalid_document_is_rejected(document: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        check(document)


def test_the_fields_of_a_model_are_in_order_and_without_titles() -> None:
    schema = manifest_schema()
    assert schema["$id"] == "https://tunedmodels.dev/schema/v1.json"
    spec = schema["$defs"]["TunedModelSpec"]["properties"]
    assert list(spec)[:4] == ["baseModel", "tunedModel", "provider", "dataset"]
    assert not any("title" in field for field in spec.values())
