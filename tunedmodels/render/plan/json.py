"""Render a plan as JSON, for programs and for `plan --out`, and read it for `apply FILE`."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic.json_schema import GenerateJsonSchema

from tunedmodels.errors import RefusedError
from tunedmodels.files import read_text
from tunedmodels.plan.plan import FORMAT_VERSION, Action, Plan
from tunedmodels.render.options import DEFAULT_OPTIONS, RenderOptions
from tunedmodels.text import printable

_DERIVED: Final = ("digest", "summary")  # calculated from the other keys
_CHECKSUM: Final = "checksum"  # of all other keys; the digest covers only what decides the outcome
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
    """Return the document with its checksum as text; equal plans give equal bytes.

    The text is ASCII, so that no locale changes it and no character steers a terminal.
    """
    document = plan_document(plan)
    return json.dumps(document | {_CHECKSUM: _checksum(document)}, indent=2) + "\n"


def _checksum(document: dict[str, Any]) -> str:
    content = {key: value for key, value in document.items() if key != _CHECKSUM}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


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
        _CHECKSUM: {
            "type": "string",
            "pattern": "^sha256:[0-9a-f]{64}$",
            "description": "Of the whole document; `apply` and `comment` refuse an edited one.",
        },
        "summary": {
            "type": "object",
            "additionalProperties": False,
            "required": counts,
            "properties": dict.fromkeys(counts, count),
        },
    }
    optional = {field.alias for field in Plan.model_fields.values() if field.exclude_if}
    optional |= {_CHECKSUM}  # documents inside a policy document have none
    schema["required"] = sorted(schema["properties"].keys() - optional)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "The plan that `tunedmodels plan --format json` prints and `--out` saves",
    }


def read_plan_file(file: Path) -> Plan:
    """Return a saved plan. Raises RefusedError, as `read_plan` does, with the name of the file."""
    missing_cure = f"To create it:\n    tunedmodels plan --out {file}"
    try:
        return read_plan(read_text(file, "plan file", cure=_CURE, missing_cure=missing_cure))
    except RefusedError as refusal:
        raise RefusedError(f"{file}: {refusal.message}", cure=refusal.cure) from None


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
    _require_checksum(document)
    content = {key: value for key, value in document.items() if key not in (*_DERIVED, _CHECKSUM)}
    try:
        plan = Plan.model_validate(content)
        derived = plan_document(plan)
        if plan.moment and datetime.fromisoformat(plan.moment).tzinfo is None:
            raise RefusedError("this plan was edited: its moment has no time zone.", cure=_CURE)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(map(str, first["loc"]))
        reason = f"{path}: {first['msg']}"
        raise RefusedError(f"this plan is damaged or was edited: {reason}.", cure=_CURE) from None
    except ValueError as error:  # a character or a time that no plan contains
        reason = printable(str(error))
        raise RefusedError(f"this plan is damaged or was edited: {reason}.", cure=_CURE) from None
    if any(derived[key] != document.get(key) for key in _DERIVED):
        raise RefusedError(
            f"this plan was edited: the digest of its content is {plan.digest}, not"
            f" {document['digest']}.",
            cure=_CURE,
        )
    return plan


def _require_checksum(document: dict[str, Any]) -> None:
    """Raise RefusedError unless the document is as it was saved, in every field that is shown."""
    if _CHECKSUM not in document:
        raise RefusedError(
            "this plan has no checksum, so that an edit of it cannot be noticed: it was edited, or "
            "saved by tunedmodels 0.1.",
            cure=_CURE,
        )
    if document[_CHECKSUM] != _checksum(document):
        raise RefusedError(
            "this plan was edited: its content does not match its checksum.", cure=_CURE
        )


def _parse(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RefusedError(
            f"this file is not a plan: not valid JSON ({error}).", cure=_CURE
        ) from None
