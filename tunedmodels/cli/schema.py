"""`tunedmodels schema`: the shapes that editors and other programs rest on."""

from __future__ import annotations

import json
from importlib import import_module

import click

# Where each one is made: a function, or the schema itself. Imported only when it is asked for.
_SCHEMAS = {
    "manifest": "tunedmodels.schema.json_schema:manifest_schema",
    "plan": "tunedmodels.render.plan.json:plan_schema",
    "policy": "tunedmodels.render.plan.json:policy_schema",
    "status": "tunedmodels.render.status:STATUS_SCHEMA",
    "outputs": "tunedmodels.render.outputs:OUTPUTS_SCHEMA",
    "validate": "tunedmodels.render.problems:PROBLEMS_SCHEMA",
    "evaluation": "tunedmodels.render.evaluation_json:EVALUATION_SCHEMA",
    "doctor": "tunedmodels.render.doctor:DOCTOR_SCHEMA",
    "events": "tunedmodels.listeners.jsonl:events_schema",
}


@click.command("schema")
@click.argument("name", metavar="[NAME]", type=click.Choice(list(_SCHEMAS)), default="manifest")
def command(name: str) -> None:
    """Print a JSON Schema.

    NAME is manifest (the default, for editors); plan, status, outputs, validate, doctor or
    evaluation, for what is printed as JSON; policy, for plan --policy-format; or events, for a line
    of --events.
    """
    module, _, attribute = _SCHEMAS[name].partition(":")
    schema = getattr(import_module(module), attribute)
    click.echo(json.dumps(schema() if callable(schema) else schema, indent=2, ensure_ascii=False))
