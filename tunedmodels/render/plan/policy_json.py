"""The input for the policy rules of an organisation, such as those of conftest and OPA.

It has the policy, the declared models and their plan, because rules may need facts that a plan does
not have: who owns a model, and which models are declared but need no change.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from tunedmodels.manifests.declaration import DeclaredModel
from tunedmodels.plan.plan import Plan
from tunedmodels.render.document import Document
from tunedmodels.render.plan.json import plan_document, plan_schema
from tunedmodels.schema.project import Policy, ProjectManifest

_FORMAT_VERSION: Final = 1


class DeclaredModelDocument(Document):
    """A declared model."""

    name: str
    labels: dict[str, str]
    provider: str
    base_model: str | None
    tuned_model: str | None
    method: str
    dataset: Annotated[str, Meta(description="The path in the manifest.")]
    description: str
    has_gate: Annotated[bool, Meta(description="Whether a version is evaluated before it serves.")]
    file: Annotated[str, Meta(description="The manifest.")]


def policy_json(plan: Plan, project: ProjectManifest, declared: Iterable[DeclaredModel]) -> str:
    """Return `{formatVersion, policy, models, plan}` as text; equal input gives equal bytes.

    `policy` is that of the Project with its defaults; `models` are sorted by name.
    """
    models = [_model(model, project.spec.provider) for model in declared]
    document = {
        "formatVersion": _FORMAT_VERSION,
        "policy": project.spec.policy.model_dump(mode="json", by_alias=True),
        "models": msgspec.to_builtins(sorted(models, key=lambda model: model.name)),
        "plan": plan_document(plan),
    }
    return json.dumps(document, indent=2) + "\n"


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema of the document."""
    plan = plan_schema()
    policy = Policy.model_json_schema(by_alias=True, mode="serialization")
    (model,) = msgspec.json.schema(DeclaredModelDocument)["$defs"].values()
    parts = {**policy.pop("$defs", {}), **plan.pop("$defs", {})}
    for key in ("$schema", "title"):
        plan.pop(key)
    properties = {
        "formatVersion": {"const": _FORMAT_VERSION},
        "policy": {**policy, "required": sorted(policy["properties"])},
        "models": {"type": "array", "items": model},
        "plan": plan,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The output of `tunedmodels plan --format policy`",
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
        "$defs": parts,
    }


def _model(declared: DeclaredModel, default_provider: str) -> DeclaredModelDocument:
    spec = declared.spec
    return DeclaredModelDocument(
        name=declared.name,
        labels=dict(sorted(declared.labels.items())),
        provider=spec.provider or default_provider,
        base_model=spec.base_model,
        tuned_model=spec.tuned_model,
        method=spec.method,
        dataset=spec.dataset.declared_path,
        description=spec.description,
        has_gate=spec.evaluation is not None and spec.evaluation.is_gate,
        file=declared.file,
    )
