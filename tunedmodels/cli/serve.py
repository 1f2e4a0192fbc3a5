"""`tunedmodels serve`: the embedded service as a server, for any client of the Gemini API."""

from __future__ import annotations

from pathlib import Path

import click

from tunedmodels.cli.options import open_project


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8787, show_default=True, help="0 takes any."
)
@click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the state; else .tunedmodels beside the Project file.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="Jobs that run at once.",
)
@click.pass_obj
def command(folder: Path | None, *, host: str, port: int, store: Path | None, jobs: int) -> None:
    """Run the embedded service as a server.

    It speaks the tunedModels surface of the Gemini API and goes on with unfinished jobs. A `gemini`
    provider with `endpoint: http://127.0.0.1:8787` talks to it, as does Google's own client.
    """
    from tunedmodels.service.server import serve

    serve(store or open_project(folder).state, host=host, port=port, jobs=jobs)
