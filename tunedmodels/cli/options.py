"""Options, prompts and output that several commands share."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar, cast

import click

from tunedmodels.cli.terminal import can_prompt, in_ci, is_live, style
from tunedmodels.errors import TunedModelsError

if TYPE_CHECKING:
    from tunedmodels.events import Event
    from tunedmodels.project import Project


Command = TypeVar("Command", bound=Callable[..., Any])


class Digest(click.ParamType[str]):
    """The digest of a plan, or at least its first 8 hex digits."""

    name = "sha256:..."

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return the text unchanged; text that cannot be a digest is a usage error."""
        text = str(value)
        if not re.fullmatch(r"(sha256:)?[0-9a-f]{8,64}", text):
            message = f"{text[:80]!r} is not a digest; 8 or more of its hex digits are required"
            self.fail(message, param, ctx)
        return text


class Duration(click.ParamType[float]):
    """A duration such as 90m, in seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the seconds; text that is not a duration is a usage error."""
        from tunedmodels.schema.fields import parse_duration

        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def overlay_options(command: Command) -> Command:
    """Add `--env` and `--set`, which override values of the manifests."""
    command = click.option(
        "--set",
        "sets",
        metavar="NAME.PATH=VALUE",
        multiple=True,
        help="Override one value, for example tone.hyperparameters.epochCount=3; repeatable.",
    )(command)
    return environment_option(command)


def environment_option(command: Command) -> Command:
    """Add `--env`, which selects an environment with its overlay and its live models."""
    return click.option(
        "--env",
        "environment",
        metavar="NAME",
        default="",
        help="Environment: its own live models, and overlays/NAME.yaml.",
    )(command)


def cache_option(command: Command) -> Command:
    """Add `--no-cache`; CI uses a cache only with a key."""
    return click.option(
        "--no-cache",
        is_flag=True,
        help="Read every file, even if it looks unchanged; on in CI without a cache key.",
    )(command)


def allowance_options(command: Command) -> Command:
    """Add the options that a refused plan names in its cure."""
    command = click.option(
        "--allow-empty", is_flag=True, help="Allow a project without any TunedModel."
    )(command)
    return click.option(
        "--allow-delete",
        metavar="N",
        type=click.IntRange(min=0),
        default=0,
        help="Allow up to N deletions of ready versions, regardless of the policy's percentage.",
    )(command)


@dataclass(frozen=True, slots=True)
class EventsOutput:
    """The destination of `--events`."""

    file: TextIO | None = None
    is_stdout: bool = False
    """Whether events take standard output; messages then go to standard error."""


class EventsFile(click.ParamType[EventsOutput]):
    """A file to append to, opened at once, or - for standard output."""

    name = "FILE"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> EventsOutput:
        """Open the file; a file that cannot be opened is a usage error."""
        if isinstance(value, EventsOutput):
            return value
        opened = click.File("a", encoding="utf-8", lazy=False).convert(str(value), param, ctx)
        return EventsOutput(cast("TextIO", opened), is_stdout=value == "-")


def events_option(command: Command) -> Command:
    """Add `--events`, which writes every event for another program."""
    return click.option(
        "--events",
        type=EventsFile(),
        default=EventsOutput(),
        help="Append events to FILE as JSON lines. With -, write them to standard output and"
        " messages to standard error.",
    )(command)


def yes_option(command: Command) -> Command:
    """Add `--yes`, which confirms without a prompt."""
    return click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")(command)


def format_option(*formats: str, details: str = "") -> Callable[[Command], Command]:
    """Return a decorator that adds `--format`; the first format is the default."""
    return click.option(
        "--format",
        "output_format",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help=f"Output format: {details}." if details else "Output format.",
    )


def version_option(command: Command) -> Command:
    """Add `--version`, which names a ready version."""
    return click.option(
        "--version",
        metavar="ID",
        help="Ready version, by its id or its last 8 digits. Default: the serving version.",
    )(command)


def confirm(
    question: str, *, yes: bool, err: bool = False, cure: str = "Pass --yes to confirm."
) -> bool:
    """Return whether the user confirms; `yes` confirms without a prompt.

    `err` prompts on standard error. Raises TunedModelsError when the terminal is not interactive.
    """
    if yes:
        return True
    if not can_prompt():
        message = "Cannot ask for confirmation: this is not an interactive terminal"
        raise TunedModelsError(f"{message}. Nothing was changed", cure=cure)
    if click.confirm(question, err=err):
        return True
    click.echo("Nothing was changed.", err=err)
    return False


def open_project(
    folder: Path | None,
    environment: str = "",
    sets: tuple[str, ...] = (),
    selection: tuple[str, ...] = (),
    *,
    no_cache: bool = False,
    needs_environment: bool = True,
    accepts_undeclared: bool = False,
) -> Project:
    """Open the project at or above the directory of `-C`, by default the current directory.

    See `Project.open`.
    """
    from tunedmodels.project import Project

    return Project.open(
        folder,
        environment=environment,
        sets=sets,
        selection=selection,
        use_cache=can_use_cache(no_cache=no_cache),
        needs_environment=needs_environment,
        accepts_undeclared=accepts_undeclared,
    )


def can_use_cache(*, no_cache: bool) -> bool:
    """Return whether a file that looks unchanged may be skipped instead of read.

    In CI this requires a key, since a pull request could contain a cache. Raises TunedModelsError
    for a key that is too short.
    """
    if no_cache or not in_ci():
        return not no_cache
    from tunedmodels.cache_file import cache_key

    return bool(cache_key(os.environ))


def read_prompt(argument: str | None) -> str:
    """Return the argument; for `-`, or without one, return piped standard input."""
    is_open = sys.stdin is not None  # it is None after `<&-`
    if is_open and (argument == "-" or (argument is None and not sys.stdin.isatty())):
        # Invalid bytes are replaced, so that a log with a few of them can still be sent.
        argument = sys.stdin.buffer.read().decode(errors="replace").rstrip("\n")
    if not argument or argument.isspace():
        raise click.UsageError("The prompt is missing. Give it as TEXT or on standard input.")
    return argument


def warn(message: str) -> None:
    """Print a warning to standard error."""
    click.echo(style(err=True)("Warning: ", "warning") + message, err=True)


def warn_deprecated(old: str, new: str) -> None:
    """Print a warning that `old` is deprecated in favor of `new`."""
    warn(f"`{old}` is deprecated; use `{new}`.")


@contextmanager
def show_progress(
    events: EventsOutput, listeners: Callable[[Event], None]
) -> Iterator[Callable[[Event], None]]:
    """Yield a function that shows an event on the terminal and passes it to the listeners."""
    from tunedmodels.render.progress import open_progress

    err = events.is_stdout
    out = sys.stderr if err else sys.stdout
    with open_progress(live=is_live(err=err), style=style(err=err), out=out) as view:

        def emit(event: Event) -> None:
            view(event)
            listeners(event)

        yield emit
