"""`tunedmodels show`: show one model, with its loss curve as text or as an SVG file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunedmodels.cli.options import environment_option, format_option, open_project
from tunedmodels.cli.terminal import style
from tunedmodels.errors import TunedModelsError
from tunedmodels.files import write_output

if TYPE_CHECKING:
    from tunedmodels.observed import ModelVersions
    from tunedmodels.project import Project


@click.command("show")
@click.argument("name")
@format_option("text", "json")
@click.option(
    "--svg",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the loss curve to FILE as an SVG drawing.",
)
@click.option(
    "--card",
    type=click.Choice(["markdown", "json"]),
    help="Print the provenance of one version instead: its origin and its evaluations.",
)
@click.option(
    "--version",
    metavar="ID",
    help="Ready version for --card, by its id or its last 8 digits. Default: the serving version.",
)
@environment_option
@click.pass_obj
def command(
    folder: Path | None,
    *,
    environment: str,
    name: str,
    output_format: str,
    svg: Path | None,
    card: str | None,
    version: str | None,
) -> None:
    """Show the versions, settings and loss curve of a model."""
    from tunedmodels.operations.models import read_model
    from tunedmodels.render.layout import fit
    from tunedmodels.render.status import show_text
    from tunedmodels.render.status_json import show_json

    if version and not card:
        raise click.UsageError("--version requires --card; without it, all versions are shown.")
    project = open_project(folder, environment)
    model = asyncio.run(read_model(project, name))
    if svg:
        _write_svg(model, svg)
    if card:
        text = _card(project, model, version, card)
    elif output_format == "json":
        text = show_json(model)
    else:
        text = fit(show_text(model, style()))
    click.echo(text, nl=False)
    if svg:
        click.echo(f"Wrote {svg}", err=True)


def _card(project: Project, model: ModelVersions, version: str | None, card_format: str) -> str:
    from tunedmodels.operations.models import ready_version
    from tunedmodels.operations.verify import read_provenance
    from tunedmodels.render.provenance import provenance_markdown
    from tunedmodels.render.provenance_json import provenance_json

    card = read_provenance(project, model, ready_version(model, version))
    return provenance_json(card) if card_format == "json" else provenance_markdown(card)


def _write_svg(model: ModelVersions, path: Path) -> None:
    from tunedmodels.evaluation.curves import read_curve
    from tunedmodels.render.chart import curve_svg
    from tunedmodels.render.status import version_with_curve

    version = version_with_curve(model)
    if version is None:
        raise TunedModelsError(
            f"{model.name} has no loss curve yet", cure="Wait for its first training step."
        )
    reading = read_curve(version.curve, epoch_count=version.used.epoch_count)
    write_output(path, curve_svg(version.curve, reading, title=version.model_id).encode())
