"""What rules outside this program are told: the policy, the models as declared, and their plan.

For conftest and OPA, whose rules may ask what no plan says: who owns a model, and what is declared
of those that need no change.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from tunedmodels.manifests.declared import Declared
from tunedmodels.plan.plan import Plan
from tunedmodels.render.plan.json import plan_document, plan_schema
from tunedmodels.schema.project import Policy, ProjectManifest

FORMAT_VERSION: Final = 1


def policy_json(plan: Plan, project: ProjectManifest, declared: Iterable[Declared]) -> str:
    """Return `{formatVersion, policy, models, plan}` as text; equal input gives equal bytes.

    `policy` is that of the Project with its defaults; `models` go by name.
    """
    models = [_model(each, project.spec.provider) for each in declared]
    document = {
        "formatVersion": FORMAT_VERSION,
        "policy": project.spec.policy.model_dump(mode="json", by_alias=True),
        "models": sorted(models, key=lambda model: model["name"]),
        "plan": plan_document(plan),
    }
    return json.dumps(document, indent=2) + "\n"


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema of the document."""
    plan = plan_schema()
    policy = Policy.model_json_schema(by_alias=True, mode="serialization")
    parts = {**policy.pop("$defs", {}), **plan.pop("$defs", {})}
    for key in ("$schema", "title"):
        plan.pop(key)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What `tunedmodels plan --policy-format json` prints",
        **_closed(
            {
                "formatVersion": {"const": FORMAT_VERSION},
                "policy": {**policy, "required": sorted(policy["properties"])},
                "models": {"type": "array", "items": _closed(_MODEL)},
                "plan": plan,
            }
        ),
        "$defs": parts,
    }


_TEXT: Final = {"type": "string"}
_TEXT_OR_NONE: Final = {"type": ["string", "null"]}
_MODEL: Final[dict[str, Any]] = {
    "name": _TEXT,
    "labels": {"type": "object", "additionalProperties": _TEXT},
    "provider": _TEXT,
    "baseModel": _TEXT_OR_NONE,
    "tunedModel": _TEXT_OR_NONE,
    "method": _TEXT,
    "dataset": {**_TEXT, "description": "The path, as the manifest says it."},
    "description": _TEXT,
    "hasGate": {"type": "boolean", "description": "Whether a version is judged before it serves."},
    "file": {**_TEXT, "description": "The manifest."},
}


def _model(declared: Declared, provider: str) -> dict[str, Any]:
    spec = declared.spec
    return {
        "name": declared.name,
        "labels": dict(sorted(declared.labels.items())),
        "provider": spec.provider or provider,
        "baseModel": spec.base_model,
        "tunedModel": spec.tuned_model,
        "method": spec.method,
        "dataset": spec.dataset.path,
        "description": spec.description,
        "hasGate": spec.evaluation is not None and spec.evaluation.is_gate,
        "file": declared.file,
    }


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
