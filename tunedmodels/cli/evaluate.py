"""`tunedmodels evaluate`: score the versions of a model and its base model."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from tunedmodels.cli.options import format_option, open_project, overlay_options
from tunedmodels.cli.terminal import is_live, style, write_utf8
from tunedmodels.errors import Exit


@click.command("evaluate")
@click.argument("name")
@click.option(
    "--version",
    metavar="ID",
    help="Version to compare with the serving one. Default: the newest that never served.",
)
@click.option(
    "--few-shot",
    metavar="N",
    type=click.IntRange(0, 100),
    help="Number of training examples in the prompt of the base model. Default: as declared.",
)
@click.option(
    "--examples",
    type=click.Choice(["none", "few", "all"]),
    default="none",
    show_default=True,
    help="Number of examples with different answers to show.",
)
@format_option("text", "json", "markdown", "html")
@click.option("--no-cache", is_flag=True, help="Send every example again.")
@overlay_options
@click.pass_obj
def command(
    folder: Path | None,
    *,
    name: str,
    version: str | None,
    few_shot: int | None,
    examples: str,
    output_format: str,
    no_cache: bool,
    environment: str,
    sets: tuple[str, ...],
) -> int:
    """Score the versions of a model and its base model.

    Sends the held-out examples of spec.evaluation to the newest version that never served, to the
    serving version, and to the base model with and without training examples in its prompt. Exit
    code 5 if the version does not pass its gate.
    """
    from tunedmodels.operations.evaluate import EvaluateOptions, evaluate
    from tunedmodels.render.evaluation import EVALUATION_RENDERERS
    from tunedmodels.render.options import ALL, FEW, NONE, RenderOptions

    project = open_project(folder, environment, sets)
    options = EvaluateOptions(version=version, few_shot=few_shot, use_cache=not no_cache)
    with _progress_line() as on_progress:
        report = asyncio.run(evaluate(project, name, options, on_progress=on_progress))
    max_examples = {"none": NONE, "few": FEW, "all": ALL}[examples]
    render_options = RenderOptions(max_examples=max_examples, style=style())
    text = EVALUATION_RENDERERS[output_format](report, render_options)
    if output_format == "text":
        click.echo(text, nl=False)
    else:
        write_utf8(text)
    return Exit.GATE if report.verdict and not report.verdict.can_serve else Exit.DONE


@contextmanager
def _progress_line() -> Iterator[Callable[[str, int, int], None] | None]:
    """Yield a function that shows the progress on a line of standard error, if it is a terminal.

    The line is erased at the end.
    """
    if not is_live(err=True):
        yield None
        return

    def show(model: str, answered: int, total: int) -> None:
        sys.stderr.write(f"\r\x1b[2Kevaluating {model}: {answered} of {total}")
        sys.stderr.flush()

    try:
        yield show
    finally:
        sys.stderr.write("\r\x1b[2K")
