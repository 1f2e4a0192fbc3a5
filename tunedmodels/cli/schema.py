"""`tunedmodels schema`: JSON Schemas for editors and other programs."""

from __future__ import annotations

import json
from importlib import import_module

import click

# The function that makes each schema. It is imported only when its schema is requested.
_SCHEMAS = {
    "manifest": "tunedmodels.schema.json_schema:manifest_schema",
    "plan": "tunedmodels.render.plan.json:plan_schema",
    "policy": "tunedmodels.render.plan.policy_json:policy_schema",
    "status": "tunedmodels.render.status_json:status_schema",
    "show": "tunedmodels.render.status_json:show_schema",
    "provenance": "tunedmodels.render.provenance_json:provenance_schema",
    "verify": "tunedmodels.render.provenance_json:verification_schema",
    "outputs": "tunedmodels.render.outputs:outputs_schema",
    "validate": "tunedmodels.render.problems_json:problems_schema",
    "evaluation": "tunedmodels.render.evaluation_json:evaluation_schema",
    "doctor": "tunedmodels.render.doctor:doctor_schema",
    "models": "tunedmodels.render.base_models:base_models_schema",
    "events": "tunedmodels.listeners.jsonl:events_schema",
}


@click.command("schema")
@click.argument("name", metavar="[NAME]", type=click.Choice(list(_SCHEMAS)), default="manifest")
def command(name: str) -> None:
    """Print a JSON Schema.

    NAME is manifest (for editors), plan, status, show, outputs, validate, evaluation, doctor,
    models or verify (for the JSON output of that command), provenance (for show --card json),
    policy (for plan --format policy) or events (for a line of --events). Default: manifest.
    """
    module, _, function = _SCHEMAS[name].partition(":")
    schema = getattr(import_module(module), function)()
    click.echo(json.dumps(schema, indent=2, ensure_ascii=False))
