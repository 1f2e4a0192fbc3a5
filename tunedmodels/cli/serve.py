"""`tunedmodels serve`: run the embedded service as a server for clients of the Gemini API."""

from __future__ import annotations

from pathlib import Path

import click

from tunedmodels.cli.options import Duration, open_project


@click.command("serve")
@click.option(
    "--host",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    help="Address to bind; an address other than loopback requires --keys.",
)
@click.option(
    "--port",
    metavar="N",
    type=click.IntRange(0, 65535),
    default=8787,
    show_default=True,
    help="Port to bind; 0 selects any free port.",
)
@click.option(
    "--store",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of the state. Default: .tunedmodels next to the Project file.",
)
@click.option(
    "--max-concurrent-jobs",
    "--jobs",
    "jobs",
    metavar="N",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="Maximum number of jobs that train at the same time; --jobs is an alias.",
)
@click.option(
    "--keys",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of API keys and their users. Default: no keys, and only this machine is served.",
)
@click.option(
    "--access-log",
    metavar="FILE|-",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Write one JSON line per request to FILE, or to standard output with -.",
)
@click.option(
    "--retention",
    metavar="DURATION",
    type=Duration(),
    help="Age at which failed and cancelled models are removed, for example 30d; ready models"
    " are kept. Default: no removal.",
)
@click.option(
    "--chaos",
    metavar="SETTINGS",
    help="Inject failures to test clients, for example rate=0.1,kinds=429,503,reset,slow,seed=7.",
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

    Implements the tunedModels methods of the Gemini API and resumes unfinished jobs. A `gemini`
    provider with `endpoint: http://127.0.0.1:8787` uses it, and so can Google's own clients. In a
    browser, its address shows the library: models, progress, curves, a form to tune models and a
    playground.

    --keys names a YAML file that only its owner may read (chmod 600):

    \b
        keys:
          - key: a-long-random-text       # or sha256: the SHA-256 of it
            user: ana@example.com
            project: 123456789012
            groups: [team@example.com]    # optional

    Models are then shared by the permissions of the API. The server speaks plain HTTP: put a proxy
    with TLS in front of it on any network that is not trusted.

    GET /healthz reports the health, GET /metrics returns metrics for Prometheus; neither requires a
    key or contains names. Ctrl-C and SIGTERM stop the server: requests in progress are answered and
    jobs write their checkpoints.
    """  # noqa: D301  # click's mark before a block that is not to be wrapped
    from tunedmodels.service.chaos import parse_chaos
    from tunedmodels.service.server import serve

    serve(
        store or open_project(folder, needs_environment=False).state_dir,
        host=host,
        port=port,
        jobs=jobs,
        keys=keys,
        access_log=access_log,
        retention_s=retention,
        chaos=parse_chaos(chaos) if chaos is not None else None,
    )
