"""Options that several commands share, and the way they open the project."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar, cast

import click

from tunedmodels.cli.terminal import in_ci, is_live, style

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
        """Take the text as it is; anything that can be no digest is a usage error."""
        text = str(value)
        if not re.fullmatch(r"(sha256:)?[0-9a-f]{8,64}", text):
            words = f"{text[:80]!r} is no digest; 8 or more of its hex digits are needed"
            self.fail(words, param, ctx)
        return text


class Wait(click.ParamType[float]):
    """A duration such as 90m, in seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read the text; anything that is no duration is a usage error."""
        from tunedmodels.schema.fields import seconds

        try:
            return seconds(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def overlays(command: Command) -> Command:
    """Add `--env` and `--set`, which change what the manifests say."""
    command = click.option(
        "--set",
        "sets",
        metavar="NAME.PATH=VALUE",
        multiple=True,
        help="Change one value, such as tone.hyperparameters.epochCount=3.",
    )(command)
    return click.option(
        "--env", "environment", metavar="NAME", default="", help="Merge overlays/NAME.yaml."
    )(command)


def cache(command: Command) -> Command:
    """Add `--no-cache`; CI reads every dataset whatever a cache says."""
    return click.option(
        "--no-cache",
        is_flag=True,
        help="Read every dataset, also those that look unchanged. CI always does.",
    )(command)


def allowances(command: Command) -> Command:
    """Add the flags that a refused plan names."""
    command = click.option(
        "--allow-empty", is_flag=True, help="Plan although no TunedModel is declared."
    )(command)
    return click.option(
        "--allow-delete",
        metavar="N",
        type=click.IntRange(min=0),
        default=0,
        help="Delete up to N ready versions, whatever the policy's percentage.",
    )(command)


@dataclass(frozen=True, slots=True)
class Events:
    """Where events go as JSON lines; where they take standard output, words move to the other."""

    file: TextIO | None = None
    take_stdout: bool = False


class EventsFile(click.ParamType[Events]):
    """A file to append to, opened at once, or - for standard output."""

    name = "FILE"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Events:
        """Open it; that this cannot be done is a usage error."""
        if isinstance(value, Events):
            return value
        opened = click.File("a", encoding="utf-8", lazy=False).convert(str(value), param, ctx)
        return Events(cast("TextIO", opened), take_stdout=value == "-")


def events(command: Command) -> Command:
    """Add `--events`, which hands every event on to another program."""
    return click.option(
        "--events",
        type=EventsFile(),
        default=Events(),
        help="Append every event to FILE as JSON lines; - is standard output, and words move away.",
    )(command)


def yes(command: Command) -> Command:
    """Add `--yes`, which answers the question before it is asked."""
    return click.option("--yes", "-y", is_flag=True, help="Do not ask.")(command)


def open_project(folder: Path | None, environment: str = "", sets: tuple[str, ...] = ()) -> Project:
    """Open the project of `-C`, or the one that lies here. Raises ProblemsFoundError."""
    from tunedmodels.project import Project

    return Project.open(folder, environment=environment, sets=sets)


def trusts_cache(*, no_cache: bool) -> bool:
    """Whether an unchanged dataset may cost a stat instead of a read."""
    return not (no_cache or in_ci())


def read_stdin(argument: str | None) -> str:
    """Return the argument, or standard input for `-` and for nothing when it is piped."""
    is_open = sys.stdin is not None  # not so after `<&-`
    if is_open and (argument == "-" or (argument is None and not sys.stdin.isatty())):
        # Replaced, not refused: one odd byte must not keep a log from being asked about.
        argument = sys.stdin.buffer.read().decode(errors="replace").rstrip("\n")
    if not argument or argument.isspace():
        raise click.UsageError("What should the model be asked? Give a text, or pipe one in.")
    return argument


# FOLDED
# What commands that follow jobs share: a view for a person, beside those who listen elsewhere.
def complain(words: str) -> None:
    """Say what a listener could not do."""
    click.echo(style(err=True)("Warning: ", "warning") + words, err=True)


@contextmanager
def watched(events: Events, hearers: Callable[[Event], None]) -> Iterator[Callable[[Event], None]]:
    """Show events to a person while this block runs, and hand each one on."""
    from tunedmodels.render.progress_live import progress

    err = events.take_stdout
    out = sys.stderr if err else sys.stdout
    with progress(live=is_live(err=err), style=style(err=err), out=out) as view:

        def emit(event: Event) -> None:
            view(event)
            hearers(event)

        yield emit
