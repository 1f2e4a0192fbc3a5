"""`tunedmodels schema`: the shapes that editors and other programs rest on."""

from __future__ import annotations

import json

import click


@click.command("schema")
@click.argument(
    "name",
    type=click.Choice(["manifest", "plan", "status", "outputs", "validate", "doctor"]),
    default="manifest",
)
def command(name: str) -> None:
    """Print a JSON Schema.

    Of a manifest (for editors), or of what the other commands here named print as JSON.
    """
    click.echo(json.dumps(_schema(name), indent=2, ensure_ascii=False))


def _schema(name: str) -> object:
    if name == "manifest":
        from tunedmodels.manifests.schema import manifest_schema

        return manifest_schema()
    if name == "plan":
        from tunedmodels.render.document import plan_schema

        return plan_schema()
    if name == "validate":
        from tunedmodels.render.problems import PROBLEMS_SCHEMA

        return PROBLEMS_SCHEMA
    if name == "doctor":
        from tunedmodels.render.doctor import DOCTOR_SCHEMA

        return DOCTOR_SCHEMA
    if name == "outputs":
        from tunedmodels.render.outputs import OUTPUTS_SCHEMA

        return OUTPUTS_SCHEMA
    from tunedmodels.render.status import STATUS_SCHEMA

    return STATUS_SCHEMA
