"""`tunedmodels models`: list the base models that can be tuned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunedmodels.cli.options import format_option, open_project
from tunedmodels.cli.terminal import write_utf8
from tunedmodels.errors import ProblemsFoundError, Severity

if TYPE_CHECKING:
    from tunedmodels.schema.base_models import BaseModelInfo


@click.command("models")
@click.option(
    "--provider",
    type=click.Choice(["embedded", "gemini", "vertex"]),
    help="Only the base models of this type of provider.",
)
@click.option("--location", metavar="NAME", help="Only base models that can be tuned there.")
@click.option(
    "--all", "show_all", is_flag=True, help="Also base models that have retired or cannot be tuned."
)
@format_option("text", "json")
@click.pass_obj
def command(
    folder: Path | None,
    *,
    provider: str | None,
    location: str | None,
    show_all: bool,
    output_format: str,
) -> None:
    """List the base models that can be tuned.

    Shows where each can be tuned, its limits, its price, its retirement and the source of these
    facts, including those in spec.baseModels of the project. Works offline.
    """
    from datetime import UTC, datetime

    from tunedmodels.render.base_models import base_models_json, base_models_text
    from tunedmodels.schema.base_models import BaseModelCatalog

    catalog = BaseModelCatalog(_project_rows(folder))
    today = datetime.now(UTC).date()
    infos = [
        info
        for info in catalog.infos()
        if provider in (None, info.provider)
        and (show_all or (info.tunable and not info.retires_within(0, today)))
        and (location is None or info.tune_in is None or location in info.tune_in)
    ]
    if output_format == "json":
        write_utf8(base_models_json(infos, catalog))
    else:
        write_utf8(base_models_text(infos, catalog))


def _project_rows(folder: Path | None) -> tuple[BaseModelInfo, ...]:
    """Return the rows of the project; none outside of a project, unless the user named one."""
    try:
        return open_project(folder, needs_environment=False).manifest.spec.base_models
    except ProblemsFoundError as error:
        errors = [p for p in error.problems if p.severity is Severity.ERROR]
        if folder is None and all(problem.code == "no-project" for problem in errors):
            return ()
        raise
