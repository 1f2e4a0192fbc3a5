"""The entry point: finds the command, prints errors in words, and returns the exit code.

Commands are imported when they are called, so that `--help` stays fast; that is why the table here
carries their one-line help, and a test holds both equal.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import NoReturn

import click

from tunedmodels import __version__
from tunedmodels.cli.terminal import style
from tunedmodels.errors import Exit, ProblemsFoundError, RefusedError, TunedModelsError
from tunedmodels.files import disk_cure

COMMANDS = {
    "init": "Write a small project that works.",
    "validate": "Check manifests and datasets, offline.",
    "plan": "Say what apply would do, why, and what it costs.",
    "comment": "Show a plan in its pull request.",
    "apply": "Make the live models be as declared.",
    "destroy": "Delete every model of this project.",
    "status": "List all models, their versions and their progress.",
    "watch": "Follow running jobs to their end.",
    "show": "Show one model: versions, settings and loss curve.",
    "outputs": "Print what an application must call, by name.",
    "generate": "Ask a model.",
    "evaluate": "Score the versions of a model, and its base beside them.",
    "cancel": "Stop the running job of a model.",
    "promote": "Make a ready version the one that serves.",
    "verify": "Prove from git what a live version was trained on.",
    "adopt": "Take over a live model without a stamp.",
    "lock": "Show or break the lock that an apply holds.",
    "doctor": "Check credentials, access and this machine.",
    "schema": "Print a JSON Schema.",
    "serve": "Run the embedded service as a server.",
    "completion": "Print the completion script of a shell.",
}


class Commands(click.Group):
    """A group that imports a command only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of the work, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one command; an unknown name gets a suggestion."""
        if name not in COMMANDS:
            from difflib import get_close_matches

            near = get_close_matches(name, COMMANDS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            ctx.fail(f"There is no command {name!r}.{hint}")
        command = import_module(f"tunedmodels.cli.{name}").command
        assert isinstance(command, click.Command)  # noqa: S101 - for the type checker
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the table without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-C",
    "folder",
    metavar="DIR",
    envvar="TUNEDMODELS_DIR",
    type=click.Path(path_type=Path),
    help="Folder of the Project file; else ./manifests if that holds one, else the current folder.",
)
@click.version_option(__version__, prog_name="tunedmodels", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, folder: Path | None) -> None:
    """Declare tuned LLMs in YAML; plan in the pull request, apply after the merge."""
    ctx.obj = folder


def main() -> NoReturn:
    """Run the command line and leave with its exit code: 0 to 5, or 130 when interrupted.

    SIGTERM, which CI sends to a job that somebody cancels, is heeded like Ctrl-C.
    """
    # Else pydantic looks for plugins in the metadata of every package that is installed.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # What is read lives to the end, and hardly any of it is a circle: looking for those after every
    # 700 new objects takes an eighth of a large plan.
    gc.set_threshold(50_000)
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        code = run(sys.argv[1:])
        # What was done is done and said: a signal while Python ends changes nothing of it.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
    except KeyboardInterrupt:  # a moment before or after the command
        click.echo("Interrupted.", err=True)
        code = Exit.INTERRUPTED
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; a person's mistake never gives a traceback.

    A reader that goes away (`| head`) ends the command without a word: click leaves with 1.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A letter that the locale does not know is shown as an escape, and stops nothing.
            stream.reconfigure(errors="backslashreplace")
    try:
        code = cli.main(arguments, prog_name="tunedmodels", standalone_mode=False)
    except (click.ClickException, TunedModelsError, OSError) as error:
        return _explain(error)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return Exit.INTERRUPTED
    return code if isinstance(code, int) else Exit.DONE


def _explain(error: click.ClickException | TunedModelsError | OSError) -> int:
    match error:
        case click.exceptions.NoArgsIsHelpError():
            click.echo(error.format_message(), err=True)
        case click.ClickException():
            usage = isinstance(error, click.UsageError) and error.ctx
            _say(
                error.format_message().replace("\n\t", " "),
                f"To see how: {usage.command_path} --help" if usage else "",
            )
        case ProblemsFoundError():
            from tunedmodels.render.problems import counted, problems_text

            click.echo(problems_text(error.problems, style(err=True)), err=True, nl=False)
            click.echo(f"{counted(error.problems).capitalize()}. Nothing was done.", err=True)
        case TunedModelsError():
            _say(error.message, error.cure)
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            _say(f"{where}{error.strerror or error}", disk_cure(error))
    return Exit.REFUSED if isinstance(error, RefusedError) else Exit.ERROR


def _say(message: str, cure: str) -> None:
    click.echo(style(err=True)("Error: ", "failed") + message, err=True)
    for line in cure.splitlines():
        click.echo(f"    {line}", err=True)
