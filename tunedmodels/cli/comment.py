"""`tunedmodels comment`: show a plan, and later its result, in the pull request."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from tunedmodels.cli.options import warn_deprecated
from tunedmodels.errors import Exit, TunedModelsError

if TYPE_CHECKING:
    from tunedmodels.events import RunLog
    from tunedmodels.forges.registry import DetectedForge
    from tunedmodels.plan.plan import Plan

Command = TypeVar("Command", bound=Callable[..., Any])

_FILE = click.Path(path_type=Path, dir_okay=False)
_FORGE = click.Choice(["github", "gitlab"])
_COMMAND_LINE = click.core.ParameterSource.COMMANDLINE


@dataclass(frozen=True, slots=True)
class _Target:
    """The forge and the pull request that the options name."""

    forge: str | None
    repository: str
    number: int | None

    def detect(self) -> DetectedForge:
        """Return the forge of the options, or of the CI run. Raises TunedModelsError."""
        from tunedmodels.forges.registry import detect_forge

        return detect_forge(
            os.environ, name=self.forge or "", repository=self.repository, number=self.number
        )

    def detect_or_none(self) -> DetectedForge | None:
        """Return the forge, or None outside of CI, where a comment can only be printed."""
        try:
            return self.detect()
        except TunedModelsError:
            return None


def _forge_options(command: Command) -> Command:
    """Add `--forge`, `--repo` and `--pr`, and pass them to the command as `target`."""

    @wraps(command)
    def command_with_target(
        *arguments: Any,  # noqa: ANN401  # the other options of any command
        forge: str | None,
        repository: str,
        number: int | None,
        **options: Any,  # noqa: ANN401  # the other options of any command
    ) -> Any:  # noqa: ANN401  # the result of any command
        return command(*arguments, target=_Target(forge, repository, number), **options)

    wrapped = cast("Command", command_with_target)
    wrapped = click.option(
        "--pr", "number", metavar="N", type=click.IntRange(min=1), help="Pull request number."
    )(wrapped)
    wrapped = click.option(
        "--repo",
        "repository",
        metavar="NAME",
        default="",
        help="Repository: OWNER/NAME on GitHub, path or id of the project on GitLab.",
    )(wrapped)
    return click.option(
        "--forge",
        type=_FORGE,
        help="Forge. Default: that of the CI run.",
    )(wrapped)


def _scope_options(command: Command) -> Command:
    """Add the options that name the environment whose comment is meant."""
    command = click.option(
        "--plan",
        "plan_file",
        type=_FILE,
        help="Saved plan that names the environment and the project, instead of --env.",
    )(command)
    return click.option("--env", "environment", metavar="NAME", help="Environment of the comment.")(
        command
    )


@click.group("comment", invoke_without_command=True)
@click.option("--plan", "plan_file", type=_FILE, hidden=True)
@click.option("--events", "events_file", type=_FILE, hidden=True)
@click.option("--running", is_flag=True, hidden=True)
@click.option("--env", "environment", hidden=True)
@click.option("--stale", "reason", hidden=True)
@click.option("--read-digest", is_flag=True, hidden=True)
@click.option("--dry-run", is_flag=True, hidden=True)
@click.option("--summary", is_flag=True, hidden=True)
@click.option("--forge", type=_FORGE, hidden=True)
@click.option("--repo", "repository", default="", hidden=True)
@click.option("--pr", "number", type=click.IntRange(min=1), hidden=True)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    forge: str | None,
    repository: str,
    number: int | None,
    **options: Any,  # noqa: ANN401  # the options of the deprecated spelling
) -> int | None:
    """Show a plan and its result in the pull request.

    There is one comment per environment on GitHub or GitLab; it is created once and then edited.
    Repository, pull request and token (GITHUB_TOKEN or GH_TOKEN; GITLAB_TOKEN) come from the
    variables of the CI run.
    """
    has_options = any(ctx.get_parameter_source(name) is _COMMAND_LINE for name in ctx.params)
    if ctx.invoked_subcommand is None:
        if not has_options:
            raise click.exceptions.NoArgsIsHelpError(ctx)
        return _run_deprecated(ctx.obj, target=_Target(forge, repository, number), **options)
    if has_options:
        raise click.UsageError("Options come after the subcommand: comment plan FILE --dry-run.")
    return None


@command.command("plan")
@click.argument("plan_file", metavar="FILE", type=_FILE)
@click.option("--dry-run", is_flag=True, help="Print the comment without sending it.")
@click.option(
    "--summary", is_flag=True, help="Print the whole plan for a job summary without sending it."
)
@_forge_options
def plan_command(
    *,
    plan_file: Path,
    dry_run: bool,
    summary: bool,
    target: _Target,
) -> int:
    """Show a plan.

    FILE is a plan that `tunedmodels plan --out` saved.
    """
    if dry_run and summary:
        raise click.UsageError("--dry-run and --summary are mutually exclusive.")
    click.echo(_show_plan(target, _read_plan(plan_file), is_sent=not dry_run, is_summary=summary))
    return Exit.DONE


@command.command("result")
@click.argument("events_file", metavar="FILE", type=_FILE)
@click.option(
    "--running", is_flag=True, help="The apply is in progress unless FILE contains its last line."
)
@click.option("--dry-run", is_flag=True, help="Print the comment without sending it.")
@_forge_options
def result_command(
    *,
    events_file: Path,
    running: bool,
    dry_run: bool,
    target: _Target,
) -> int:
    """Show the result of an apply.

    FILE contains the events that `tunedmodels apply --events` wrote. The comment then shows whether
    the plan was applied, interrupted or rejected by a gate, and the remaining changes. Only an
    existing comment is edited.
    """
    run_log = _read_run_log(events_file)
    click.echo(_show_result(target, run_log, is_running=running, is_sent=not dry_run))
    return Exit.DONE


@command.command("stale")
@click.argument("reason")
@_scope_options
@_forge_options
@click.pass_obj
def stale_command(
    folder: Path | None,
    *,
    reason: str,
    environment: str | None,
    plan_file: Path | None,
    target: _Target,
) -> int:
    """Mark the comment as stale.

    REASON is one sentence.
    """
    click.echo(_mark_stale(target, _scope(folder, environment, plan_file), reason))
    return Exit.DONE


@command.command("digest")
@_scope_options
@_forge_options
@click.pass_obj
def digest_command(
    folder: Path | None,
    *,
    environment: str | None,
    plan_file: Path | None,
    target: _Target,
) -> int:
    """Print the digest of the approved plan.

    It is the digest that the comment showed when the pull request was merged, for
    `tunedmodels apply --digest`. Exit code 4 if the comment is missing or stale.
    """
    click.echo(_read_digest(target, _scope(folder, environment, plan_file)))
    return Exit.DONE


def _run_deprecated(  # the old spelling had all options in one command
    folder: Path | None,
    *,
    plan_file: Path | None,
    events_file: Path | None,
    running: bool,
    environment: str | None,
    reason: str | None,
    read_digest: bool,
    dry_run: bool,
    summary: bool,
    target: _Target,
) -> int:
    """Run the spelling of version 0.1, which selects the subcommand by options."""
    if sum(map(bool, (reason, read_digest, dry_run, summary))) > 1:
        raise click.UsageError(
            "--stale, --read-digest, --dry-run and --summary are mutually exclusive."
        )
    if events_file and (plan_file or environment is not None or reason or read_digest):
        raise click.UsageError("--events cannot be combined with another subject of the comment.")
    if running and not events_file:
        raise click.UsageError("--running requires --events.")
    is_sent = not (dry_run or summary)
    if events_file:
        warn_deprecated("comment --events FILE", "comment result FILE")
        run_log = _read_run_log(events_file)
        text = _show_result(target, run_log, is_running=running, is_sent=is_sent)
    elif reason:
        warn_deprecated("comment --stale REASON", "comment stale REASON")
        text = _mark_stale(target, _scope(folder, environment, plan_file), reason)
    elif read_digest:
        warn_deprecated("comment --read-digest", "comment digest")
        text = _read_digest(target, _scope(folder, environment, plan_file))
    elif plan_file:
        warn_deprecated("comment --plan FILE", "comment plan FILE")
        _, plan = _scope(folder, environment, plan_file), _read_plan(plan_file)
        text = _show_plan(target, plan, is_sent=is_sent, is_summary=summary)
    else:
        raise click.UsageError("Name a subcommand: plan, result, stale or digest.")
    click.echo(text)
    return Exit.DONE


def _read_plan(file: Path) -> Plan:
    from tunedmodels.render.plan.json import read_plan_file

    return read_plan_file(file)


def _read_run_log(file: Path) -> RunLog:
    from tunedmodels.files import read_text
    from tunedmodels.listeners.jsonl import EVENTS_CURE, read_run_log

    try:
        return read_run_log(read_text(file, "events file", cure=EVENTS_CURE))
    except TunedModelsError as error:
        message = error.message if str(file) in error.message else f"{file}: {error.message}"
        raise TunedModelsError(message, cure=error.cure) from None


_Scope = tuple[str, str, str]


def _scope(folder: Path | None, environment: str | None, plan_file: Path | None) -> _Scope:
    """Return environment, project and directory: those of the plan, or of `--env` and `-C`.

    A project with errors has a name as well. Without a Project file, name and directory are empty,
    and match the comment of any project.
    """
    if plan_file:
        plan = _read_plan(plan_file)
        if environment not in (None, plan.environment):
            raise click.UsageError(f"{plan_file} is of another environment: leave out --env.")
        return plan.environment, plan.project, plan.folder
    from tunedmodels.project.identity import read_identity

    return environment or "", *read_identity(folder)


def _show_plan(target: _Target, plan: Plan, *, is_sent: bool, is_summary: bool) -> str:
    from tunedmodels.operations import comment

    if is_sent and not is_summary:
        return asyncio.run(comment.write_plan(target.detect(), plan))
    detected = target.detect_or_none()
    text = comment.summary_text if is_summary else comment.plan_comment_text
    return text(plan, detected.run if detected else None).rstrip()


def _show_result(target: _Target, run_log: RunLog, *, is_running: bool, is_sent: bool) -> str:
    from tunedmodels.operations import comment

    if is_sent:
        return asyncio.run(comment.write_result(target.detect(), run_log, is_running=is_running))
    detected = target.detect_or_none()
    run = detected.run if detected else None
    return comment.result_comment_text(run_log, run, is_running=is_running).rstrip()


def _mark_stale(target: _Target, scope: _Scope, reason: str) -> str:
    from tunedmodels.operations.comment import mark_stale

    return asyncio.run(mark_stale(target.detect(), *scope, reason))


def _read_digest(target: _Target, scope: _Scope) -> str:
    from tunedmodels.operations.comment import read_digest

    return asyncio.run(read_digest(target.detect(), *scope))
