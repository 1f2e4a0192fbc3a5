"""A plan as JSON: for programs, for `plan --out`, and back again for `apply FILE`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from pydantic import ValidationError

from tunedmodels.errors import RefusedError
from tunedmodels.manifests.declaration import Declared
from tunedmodels.plan.plan import FORMAT_VERSION, Action, Plan
from tunedmodels.schema.project import Policy, ProjectManifest

_DERIVED = ("digest", "summary")  # for readers; they follow from the rest
_CURE = "Make a new one: tunedmodels plan --out plan.json"


def plan_document(plan: Plan) -> dict[str, Any]:
    """Return the plan as `{formatVersion, digest, project, changes, summary, ...}`.

    `summary` counts the changes by action, and the names that need none as `keep`.
    """
    counts = Counter(change.action for change in plan.changes)
    whole = plan.model_dump(mode="json", by_alias=True)
    summary = {action.value: counts[action] for action in Action} | {"keep": plan.unchanged}
    return {
        "formatVersion": whole.pop("formatVersion"),
        "digest": plan.digest,
        **whole,
        "summary": summary,
    }


def plan_json(plan: Plan) -> str:
    """Return the document as text with a line end; equal plans give equal bytes.

    ASCII alone, so that no locale changes it and no character in it steers a terminal.
    """
    return json.dumps(plan_document(plan), indent=2) + "\n"


def plan_schema() -> dict[str, Any]:
    """Return the JSON Schema of the document."""
    schema = Plan.model_json_schema(by_alias=True, mode="serialization")
    counts = [action.value for action in Action] + ["keep"]
    count = {"type": "integer", "minimum": 0}
    schema["properties"] |= {
        "digest": {
            "type": "string",
            "pattern": "^sha256:[0-9a-f]{64}$",
            "description": "Over what decides the outcome; `apply --digest` takes it.",
        },
        "summary": {
            "type": "object",
            "additionalProperties": False,
            "required": counts,
            "properties": dict.fromkeys(counts, count),
        },
    }
    left_out = {field.alias for field in Plan.model_fields.values() if field.exclude_if}
    schema["required"] = sorted(schema["properties"].keys() - left_out)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "The plan that `tunedmodels plan --format json` prints and `--out` saves",
    }


def read_plan(text: str) -> Plan:
    """Read a saved plan.

    Raises RefusedError when it is no plan, is of a newer format, or was edited by hand.
    """
    document = _parsed(text)
    if not isinstance(document, dict) or "changes" not in document or "digest" not in document:
        raise RefusedError("this file is not a plan.", cure=_CURE)
    version = document.get("formatVersion")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise RefusedError(
            f"this plan has format {version}; this tunedmodels reads up to {FORMAT_VERSION}.",
            cure="Apply it with the tunedmodels that made it, or plan again with this one.",
        )
    content = {key: value for key, value in document.items() if key not in _DERIVED}
    try:
        plan = Plan.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise RefusedError(
            f"this plan is damaged or was edited by hand: {where}: {first['msg']}.", cure=_CURE
        ) from None
    if any(plan_document(plan)[key] != document.get(key) for key in _DERIVED):
        raise RefusedError(
            f"this plan was edited by hand: its content has the digest {plan.digest}, and it says"
            f" {document['digest']}.",
            cure=_CURE,
        )
    return plan


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RefusedError(
            f"this file is not a plan: it is no JSON ({error}).", cure=_CURE
        ) from None


# FOLDED
# What rules outside this program are told: the policy, the models as declared, and their plan.
#
# For conftest and OPA, whose rules may ask what no plan says: who owns a model, and what is
# declared of those that need no change.
POLICY_FORMAT_VERSION: Final = 1


def policy_json(plan: Plan, project: ProjectManifest, declared: Iterable[Declared]) -> str:
    """Return `{formatVersion, policy, models, plan}` as text; equal input gives equal bytes.

    `policy` is that of the Project with its defaults; `models` go by name.
    """
    models = [_model(each, project.spec.provider) for each in declared]
    document = {
        "formatVersion": POLICY_FORMAT_VERSION,
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
                "formatVersion": {"const": POLICY_FORMAT_VERSION},
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
