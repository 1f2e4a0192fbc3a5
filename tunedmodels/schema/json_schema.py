"""The JSON Schema of a manifest, for editors and for other programs."""

from __future__ import annotations

from typing import Any, Final

from pydantic.json_schema import models_json_schema

from tunedmodels.schema.project import ProjectManifest
from tunedmodels.schema.tuned_model import TunedModelManifest

SCHEMA_ID: Final = "https://tunedmodels.dev/schema/v1.json"


def manifest_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12) of one YAML document, a Project or a TunedModel.

    It demands no field below a TunedModel's spec, because each may come from the Project's
    defaults; what is missing after the merge is for `tunedmodels validate` to say.
    """
    kinds: tuple[type[ProjectManifest | TunedModelManifest], ...]
    kinds = (ProjectManifest, TunedModelManifest)
    refs, parts = models_json_schema([(kind, "validation") for kind in kinds], by_alias=True)
    definitions: dict[str, Any] = parts["$defs"]
    for name in ("TunedModelSpec", "Dataset"):
        definitions[name].pop("required", None)
    definitions["TunedModelSpec"]["not"] = {"required": ["baseModel", "tunedModel"]}
    for name in ("Hyperparameters", "SweptHyperparameters"):
        definitions[name]["not"] = {"required": ["learningRate", "learningRateMultiplier"]}
    for field in definitions["SweptHyperparameters"]["properties"].values():
        field["anyOf"][0]["uniqueItems"] = True
    defaults = definitions["ProjectSpec"]["properties"]["defaults"]
    definitions["ProjectSpec"]["properties"]["defaults"] = {
        "$ref": "#/$defs/TunedModelSpec",
        "description": defaults["description"],
    }
    for definition in definitions.values():
        for field in definition.get("properties", {}).values():
            field.pop("title", None)  # "Epochcount" tells nobody more than epochCount
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "A manifest of tunedmodels",
        "oneOf": [refs[kind, "validation"] for kind in kinds],
        "$defs": definitions,
    }
