"""`tunedmodels evaluate`: how good the versions of a model are, and whether tuning pays."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from tunedmodels.cli.options import open_project, overlays
from tunedmodels.cli.terminal import is_live, style, write_utf8
from tunedmodels.errors import Exit

FORMS = ["text", "json", "markdown", "html"]


@click.command("evaluate")
@click.argument("name")
@click.option("--version", metavar="ID", help="The version to compare with the serving one.")
@click.option(
    "--few-shot",
    metavar="N",
    type=click.IntRange(0, 100),
    help="Training examples in the prompt of the base model; else as the manifest says.",
)
@click.option(
    "--examples",
    type=click.Choice(["none", "few", "all"]),
    default="none",
    help="Which of the examples that are answered differently to show.",
)
@click.option("--format", "form", type=click.Choice(FORMS), default="text")
@click.option("--no-cache", is_flag=True, help="Ask every question again.")
@overlays
@click.pass_obj
def command(
    folder: Path | None,
    *,
    name: str,
    version: str | None,
    few_shot: int | None,
    examples: str,
    form: str,
    no_cache: bool,
    environment: str,
    sets: tuple[str, ...],
) -> int:
    """Score the versions of a model, and its base beside them.

    All are asked the held-out examples of spec.evaluation: the newest version that never served,
    the one that serves, and the base model, with training examples in its prompt and without. Exit
    code 5 says that the gate does not let the version through.
    """
    from tunedmodels.operations.evaluate import Manner, evaluate
    from tunedmodels.render.evaluation import ALL, EVALUATIONS, FEW, NONE

    project = open_project(folder, environment, sets)
    manner = Manner(version=version, few_shot=few_shot, remembers=not no_cache)
    with _progress() as tell:
        report = asyncio.run(evaluate(project, name, manner, on_progress=tell))
    most = {"none": NONE, "few": FEW, "all": ALL}[examples]
    shown = EVALUATIONS[form](report, most, style())
    if form == "text":
        click.echo(shown, nl=False)
    else:
        write_utf8(shown)
    return Exit.GATE if report.verdict and not report.verdict.promotes else Exit.DONE


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None] | None]:
    """Tell a person who waits how far it is, on a line of standard error that goes away."""
    if not is_live(err=True):
        yield None
        return

    def tell(whom: str, done: int, total: int) -> None:
        sys.stderr.write(f"\r\x1b[2Kasking {whom}: {done} of {total}")
        sys.stderr.flush()

    try:
        yield tell
    finally:
        sys.stderr.write("\r\x1b[2K")
