"""`tunedmodels serve`: the embedded service as a server, for any client of the Gemini API."""

from __future__ import annotations

from pathlib import Path

import click

from tunedmodels.cli.options import Wait, open_project


@click.command("serve")
@click.option(
    "--host",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    help="Loopback only, unless there are --keys.",
)
@click.option(
    "--port",
    metavar="N",
    type=click.IntRange(0, 65535),
    default=8787,
    show_default=True,
    help="0 takes any.",
)
@click.option(
    "--store",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the state; else .tunedmodels beside the Project file.",
)
@click.option(
    "--max-concurrent-jobs",
    "--jobs",
    "jobs",
    metavar="N",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="Jobs that train at once; the others wait. --jobs is short for it.",
)
@click.option(
    "--keys",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of API keys and whose they are; without it, only this machine is served.",
)
@click.option(
    "--access-log",
    metavar="FILE|-",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Write a line of JSON per request; - is standard output.",
)
@click.option(
    "--retention",
    metavar="DURATION",
    type=Wait(),
    help="Remove what failed or was cancelled so long ago (30d), never a ready model.",
)
@click.option(
    "--chaos",
    metavar="SETTINGS",
    help="Fail on purpose, to test callers: rate=0.1,kinds=429,503,reset,slow,seed=7.",
)
@click.pass_obj
def command(
    folder: Path | None,
    *,
    host: str,
    port: int,
    store: Path | None,
    jobs: int,
    keys: Path | None,
    access_log: Path | None,
    retention: float | None,
    chaos: str | None,
) -> None:
    """Run the embedded service as a server.

    It speaks the tunedModels surface of the Gemini API and goes on with unfinished jobs. A `gemini`
    provider with `endpoint: http://127.0.0.1:8787` talks to it, as do Google's own clients. In a
    browser, its address shows the library: models, progress, curves, a form to tune, a playground.

    With --keys, a YAML file that only its owner may read (chmod 600) says who may come:

    \b
        keys:
          - key: a-long-random-text       # or sha256: the SHA-256 of it
            user: ana@example.com
            project: 123456789012
            groups: [team@example.com]    # may be left out

    Models are then shared by the permissions of the API. It is plain HTTP: put a proxy with TLS
    in front of it where others can listen.

    GET /healthz says whether all is well, GET /metrics gives numbers to Prometheus; neither needs
    a key or names anything. Ctrl-C and SIGTERM stop it: requests under way are answered, and jobs
    write their checkpoints.
    """  # noqa: D301  # click's mark, before a block that it must not fill
    from tunedmodels.service.chaos import read_chaos
    from tunedmodels.service.server import serve

    serve(
        store or open_project(folder).state,
        host=host,
        port=port,
        jobs=jobs,
        keys=keys,
        access_log=access_log,
        retention_s=retention,
        chaos=read_chaos(chaos) if chaos is not None else None,
    )
