"""`tunedmodels show`: one model, with its loss curve as text or as a picture."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tunedmodels.cli.files import write_whole
from tunedmodels.cli.options import open_project
from tunedmodels.cli.terminal import style
from tunedmodels.errors import TunedModelsError


@click.command("show")
@click.argument("name")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
@click.option(
    "--png",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also draw the loss curve into a file.",
)
@click.pass_obj
def command(folder: Path | None, *, name: str, form: str, png: Path | None) -> None:
    """Show one model: versions, settings and loss curve."""
    from tunedmodels.project.models import all_names, pick
    from tunedmodels.render.status import drawn, show_document, show_text

    model = pick(asyncio.run(all_names(open_project(folder))), name)
    if png:
        version = drawn(model)
        if version is None:
            raise TunedModelsError(
                f"{name} has no loss curve yet", cure="It has one after its first training step."
            )
        from tunedmodels.evaluation.curves import read_curve
        from tunedmodels.render.chart import curve_png

        reading = read_curve(version.curve, epoch_count=version.used.epoch_count)
        write_whole(png, curve_png(version.curve, title=version.model_id, reading=reading))
    text = show_document(model) if form == "json" else show_text(model, style())
    click.echo(text, nl=False)
    if png:
        click.echo(f"wrote {png}", err=True)
