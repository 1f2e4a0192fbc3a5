"""The entry point: find and run the command, print errors, and return the exit code.

A command is imported only when it runs, so that `--help` is fast. The table of commands therefore
repeats their one-line help; a test compares both.
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
    "init": "Create a small working project.",
    "validate": "Check manifests and datasets offline.",
    "data": "Describe files of examples.",
    "plan": "Show the changes that apply would make, with reasons and costs.",
    "comment": "Show a plan and its result in the pull request.",
    "apply": "Change the live models to match the manifests.",
    "destroy": "Delete all models of this project.",
    "status": "List all models with their versions and progress.",
    "watch": "Follow running jobs until they end.",
    "show": "Show the versions, settings and loss curve of a model.",
    "outputs": "Print the resources that applications call, by name.",
    "generate": "Send a prompt to a model.",
    "evaluate": "Score the versions of a model and its base model.",
    "cancel": "Stop the running jobs of a model.",
    "promote": "Make a ready version the serving version.",
    "verify": "Verify from git what a live version was trained on.",
    "adopt": "Adopt a live model that has no stamp.",
    "lock": "Show or break the locks of running applies.",
    "models": "List the base models that can be tuned.",
    "doctor": "Check credentials, access and this machine.",
    "schema": "Print a JSON Schema.",
    "serve": "Run the embedded service as a server.",
    "completion": "Print the shell completion script.",
}


class LazyGroup(click.Group):
    """A group that imports a command only when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order in which a user needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import and return one command; an unknown name is a usage error with a suggestion."""
        if name not in COMMANDS:
            from tunedmodels.text import suggest

            ctx.fail(f"Unknown command {name!r}. {suggest(name, COMMANDS)}".rstrip())
        command = import_module(f"tunedmodels.cli.{name}").command
        assert isinstance(command, click.Command)  # noqa: S101 - for the type checker
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the table of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-C",
    "folder",
    metavar="DIR",
    envvar="TUNEDMODELS_DIR",
    type=click.Path(path_type=Path),
    help="Directory of the Project file, or one below it. Default: ./manifests if it contains one,"
    " else the current directory.",
)
@click.version_option(__version__, prog_name="tunedmodels", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, folder: Path | None) -> None:
    """Declare tuned LLMs in YAML; plan in the pull request, apply after the merge."""
    ctx.obj = folder


def main() -> NoReturn:
    """Run the command line and exit with its code: 0 to 5, or 130 when interrupted.

    SIGTERM, which CI sends to a cancelled job, is handled like Ctrl-C.
    """
    # Without this, pydantic searches the metadata of every installed package for plugins.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # Most objects live until the end and few form cycles. With the default threshold of 700 new
    # objects, garbage collection takes an eighth of the time of a large plan.
    gc.set_threshold(50_000)
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        code = run(sys.argv[1:])
        # The command is done: a signal during the exit of Python must not change its code.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
    except KeyboardInterrupt:  # just before or after the command
        click.echo("Interrupted.", err=True)
        code = Exit.INTERRUPTED
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; an error of the user never shows a traceback.

    When the reader of a pipe closes it (`| head`), click exits silently with code 1.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # Write a character that the locale cannot encode as an escape, instead of failing.
            stream.reconfigure(errors="backslashreplace")
    try:
        code = cli.main(arguments, prog_name="tunedmodels", standalone_mode=False)
    except (click.ClickException, TunedModelsError, OSError) as error:
        return print_error(error)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return Exit.INTERRUPTED
    return code if isinstance(code, int) else Exit.DONE


def print_error(error: click.ClickException | TunedModelsError | OSError) -> int:
    """Print an error with its cure, and return the exit code."""
    match error:
        case click.exceptions.NoArgsIsHelpError():
            click.echo(error.format_message(), err=True)
        case click.ClickException():
            usage = isinstance(error, click.UsageError) and error.ctx
            _print_message(
                error.format_message().replace("\n\t", " "),
                f"For help: {usage.command_path} --help" if usage else "",
            )
        case ProblemsFoundError():
            from tunedmodels.render.problems import count_phrase, problems_text

            click.echo(problems_text(error.problems, style(err=True)), err=True, nl=False)
            click.echo(
                f"{count_phrase(error.problems).capitalize()}. Nothing was changed.", err=True
            )
        case TunedModelsError():
            _print_message(error.message, error.cure)
        case OSError():
            path = f"{error.filename}: " if error.filename else ""
            _print_message(f"{path}{error.strerror or error}", disk_cure(error))
    return Exit.REFUSED if isinstance(error, RefusedError) else Exit.ERROR


def _print_message(message: str, cure: str) -> None:
    click.echo(style(err=True)("Error: ", "failed") + message, err=True)
    for line in cure.splitlines():
        click.echo(f"    {line}", err=True)
