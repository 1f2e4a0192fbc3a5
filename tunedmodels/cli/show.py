"""`tunedmodels show`: one model, with its loss curve as text or as a picture."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunedmodels.cli.options import open_project
from tunedmodels.cli.terminal import style
from tunedmodels.errors import TunedModelsError
from tunedmodels.files import write_whole

if TYPE_CHECKING:
    from tunedmodels.observed import Named
    from tunedmodels.project import Project


@click.command("show")
@click.argument("name")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
@click.option(
    "--png",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also draw the loss curve into a file.",
)
@click.option(
    "--card",
    type=click.Choice(["markdown", "json"]),
    help="Print the lineage of one version instead: where it comes from, and how it was judged.",
)
@click.option("--version", metavar="ID", help="A ready version, for --card; else what serves.")
@click.pass_obj
def command(
    folder: Path | None,
    *,
    name: str,
    form: str,
    png: Path | None,
    card: str | None,
    version: str | None,
) -> None:
    """Show one model: versions, settings and loss curve."""
    from tunedmodels.operations.models import all_names, pick
    from tunedmodels.render.status import show_document, show_text

    if version and not card:
        raise click.UsageError("--version is for --card; show lists every version.")
    project = open_project(folder)
    model = pick(asyncio.run(all_names(project)), name)
    if png:
        _draw(model, png)
    if card:
        text = _card(project, model, version, card)
    else:
        text = show_document(model) if form == "json" else show_text(model, style())
    click.echo(text, nl=False)
    if png:
        click.echo(f"wrote {png}", err=True)


def _card(project: Project, model: Named, version: str | None, form: str) -> str:
    from tunedmodels.operations.models import ready
    from tunedmodels.operations.verify import lineage
    from tunedmodels.render.lineage import card_json, card_markdown

    found = lineage(project, model, ready(model, version))
    return card_json(found) if form == "json" else card_markdown(found)


def _draw(model: Named, png: Path) -> None:
    from tunedmodels.evaluation.curves import read_curve
    from tunedmodels.render.chart import curve_png
    from tunedmodels.render.status import drawn

    version = drawn(model)
    if version is None:
        raise TunedModelsError(
            f"{model.name} has no loss curve yet", cure="It has one after its first training step."
        )
    reading = read_curve(version.curve, epoch_count=version.used.epoch_count)
    write_whole(png, curve_png(version.curve, title=version.model_id, reading=reading))
