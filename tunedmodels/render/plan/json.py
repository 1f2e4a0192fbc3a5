"""Render a plan as JSON, for programs and for `plan --out`, and read it for `apply FILE`."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Final

from pydantic import ValidationError
from pydantic.json_schema import GenerateJsonSchema

from tunedmodels.errors import RefusedError
from tunedmodels.plan.plan import FORMAT_VERSION, Action, Plan
from tunedmodels.render.options import DEFAULT_OPTIONS, RenderOptions

_DERIVED: Final = ("digest", "summary")  # calculated from the other keys
_CURE: Final = "Make a new plan: tunedmodels plan --out plan.json"

# Class -> name in the published schema, where they differ. Other programs generate types from
# these names, so a renamed class keeps its published name.
_PUBLISHED_NAMES: Final = {
    "Baseline": "Rival",
    "DesiredVersion": "Wanted",
    "LiveVersion": "Version",
    "PendingRetirement": "Leaving",
    "PlannedSweep": "Sweep",
}


class _PublishedPlanNames(GenerateJsonSchema):
    """The generator of pydantic, with the published names as keys of `$defs`."""

    def normalize_name(self, name: str) -> str:
        """Return the key of a class in `$defs`."""
        return _PUBLISHED_NAMES.get(name) or super().normalize_name(name)


def plan_document(plan: Plan) -> dict[str, Any]:
    """Return the plan as `{formatVersion, digest, project, changes, summary, ...}`.

    `summary` counts the changes by action, and the names without a change as `keep`.
    """
    counts = Counter(change.action for change in plan.changes)
    content = plan.model_dump(mode="json", by_alias=True)
    summary = {action.value: counts[action] for action in Action} | {"keep": plan.unchanged}
    return {
        "formatVersion": content.pop("formatVersion"),
        "digest": plan.digest,
        **content,
        "summary": summary,
    }


def plan_json(plan: Plan, _options: RenderOptions = DEFAULT_OPTIONS) -> str:
    """Return the document as text with a line end; equal plans give equal bytes.

    The text is ASCII, so that no locale changes it and no character steers a terminal.
    """
    return json.dumps(plan_document(plan), indent=2) + "\n"


def plan_schema() -> dict[str, Any]:
    """Return the JSON Schema of the document."""
    schema = Plan.model_json_schema(
        by_alias=True, mode="serialization", schema_generator=_PublishedPlanNames
    )
    for name, definition in schema["$defs"].items():
        if "title" in definition:
            definition["title"] = name
    counts = [action.value for action in Action] + ["keep"]
    count = {"type": "integer", "minimum": 0}
    schema["properties"] |= {
        "digest": {
            "type": "string",
            "pattern": "^sha256:[0-9a-f]{64}$",
            "description": "Of the part that decides the outcome; for `apply --digest`.",
        },
        "summary": {
            "type": "object",
            "additionalProperties": False,
            "required": counts,
            "properties": dict.fromkeys(counts, count),
        },
    }
    optional = {field.alias for field in Plan.model_fields.values() if field.exclude_if}
    schema["required"] = sorted(schema["properties"].keys() - optional)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "The plan that `tunedmodels plan --format json` prints and `--out` saves",
    }


def read_plan(text: str) -> Plan:
    """Return a saved plan.

    Raises RefusedError if the text is not a plan, has another format, or was edited.
    """
    document = _parse(text)
    if not isinstance(document, dict) or "changes" not in document or "digest" not in document:
        raise RefusedError("this file is not a plan.", cure=_CURE)
    version = document.get("formatVersion")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise RefusedError(
            f"this plan has format {version}; this tunedmodels reads up to {FORMAT_VERSION}.",
            cure="Apply it with the release that made it, or make a new plan with this release.",
        )
    if isinstance(version, int) and version < FORMAT_VERSION:
        raise RefusedError(
            f"this plan has format {version}, of a release before lineages and environments; its"
            " digest does not say which versions it changes.",
            cure=_CURE,
        )
    content = {key: value for key, value in document.items() if key not in _DERIVED}
    try:
        plan = Plan.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(map(str, first["loc"]))
        raise RefusedError(
            f"this plan is damaged or was edited: {path}: {first['msg']}.", cure=_CURE
        ) from None
    if any(plan_document(plan)[key] != document.get(key) for key in _DERIVED):
        raise RefusedError(
            f"this plan was edited: the digest of its content is {plan.digest}, not"
            f" {document['digest']}.",
            cure=_CURE,
        )
    return plan


def _parse(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RefusedError(
            f"this file is not a plan: not valid JSON ({error}).", cure=_CURE
        ) from None
