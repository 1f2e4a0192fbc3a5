"""The JSON Schema of a manifest, for editors and other programs."""

from __future__ import annotations

from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from tunedmodels.schema.project import ProjectManifest
from tunedmodels.schema.tuned_model import TunedModelManifest

SCHEMA_ID: Final = "https://tunedmodels.dev/schema/v1.json"

# Class -> name in the published schema, where they differ. Other programs generate types from
# these names, so a renamed class keeps its published name.
PUBLISHED_NAMES: Final = {
    "BaseModelInfo": "BaseModelRow",
    "BaseModelRetirement": "Retirement",
    "SweepSpec": "Sweep",
    "ProjectMetadata": "Metadata",
    "SweepValues": "SweptHyperparameters",
    "TrainingDataset": "Dataset",
    "ValidationFile": "Training",
}


class _PublishedNames(GenerateJsonSchema):
    """The generator of pydantic, with the published names as keys of `$defs`."""

    def normalize_name(self, name: str) -> str:
        """Return the key of a class in `$defs`."""
        return PUBLISHED_NAMES.get(name) or super().normalize_name(name)


def manifest_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12) of one YAML document, a Project or a TunedModel.

    It requires no field below the spec of a TunedModel, because the defaults of the Project can
    supply each of them; `tunedmodels validate` reports what is missing after the merge.
    """
    kinds: tuple[type[ProjectManifest | TunedModelManifest], ...]
    kinds = (ProjectManifest, TunedModelManifest)
    refs, parts = models_json_schema(
        [(kind, "validation") for kind in kinds], by_alias=True, schema_generator=_PublishedNames
    )
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
    for name, definition in definitions.items():
        definition["title"] = name
        for field in definition.get("properties", {}).values():
            field.pop("title", None)  # pydantic's "Epochcount" adds nothing to epochCount
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "A manifest of tunedmodels",
        "oneOf": [refs[kind, "validation"] for kind in kinds],
        "$defs": definitions,
    }
