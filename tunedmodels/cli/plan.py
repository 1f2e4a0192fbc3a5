"""`tunedmodels plan`: show what apply would do, and save it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tunedmodels.cli.options import (
    Digest,
    allowance_options,
    cache_option,
    can_use_cache,
    open_project,
    overlay_options,
    warn_deprecated,
)
from tunedmodels.cli.terminal import style, write_text, write_utf8
from tunedmodels.errors import Exit, ProblemsFoundError, RefusedError
from tunedmodels.files import write_output
from tunedmodels.text import plural

if TYPE_CHECKING:
    from tunedmodels.operations.plan import PlanResult
    from tunedmodels.plan.plan import Plan
    from tunedmodels.project import Project

EXAMPLES = {"none": 0, "few": 3, "all": 2**31}  # of each kind
_DOCUMENTS = ("markdown", "html")  # formats that can also show problems
FORMATS = ["text", "json", *_DOCUMENTS, "policy"]


@click.command("plan")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@overlay_options
@cache_option
@allowance_options
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Save the plan to FILE, for `tunedmodels apply FILE`.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(FORMATS),
    help="Output format: markdown is a pull request comment, html is one self-contained file,"
    " policy contains policy, labels and plan for conftest or OPA. Default: text.",
)
@click.option("--policy-format", type=click.Choice(["json"]), hidden=True)
@click.option(
    "--examples",
    type=click.Choice(list(EXAMPLES)),
    default="few",
    show_default=True,
    help="Number of added, removed and changed examples to show; only for datasets in git.",
)
@click.option(
    "--count-tokens",
    is_flag=True,
    help="Request the token counts of new training data from the service instead of estimating"
    " them.",
)
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit with code 2 if the plan has changes to apply."
)
@click.option(
    "--check",
    "digest",
    type=Digest(),
    help="Exit with code 0 if the plan has this digest, and else with 4; for merge queues.",
)
@click.option(
    "--drift-only",
    is_flag=True,
    help="Show only changes made outside of tunedmodels; --detailed-exitcode then considers only"
    " these.",
)
@click.option(
    "--all",
    "all_projects",
    is_flag=True,
    help="Plan every project at or below the directory, each on its own.",
)
@click.pass_obj
def command(
    folder: Path | None,
    /,
    *,
    all_projects: bool,
    output_format: str | None,
    policy_format: str | None,
    **options: Any,  # noqa: ANN401  # the fields of _Request
) -> int:
    """Show the changes that apply would make, with reasons and costs.

    With NAMEs, only these models and those that they continue from are judged. Errors in others do
    not count, and nothing else is removed.

    Changes nothing. Exit codes: 0 done, 1 a change requires the user, 2 changes to apply (only with
    --detailed-exitcode), 4 the plan is refused.

    A change made outside of tunedmodels since the last apply is drift, and is named in the reason:
    an edited value, an erased stamp, or another version that was promoted manually.
    """
    request = _Request(output_format=_choose_format(output_format, policy_format), **options)
    if request.drift_only and (request.out or request.digest or request.output_format == "policy"):
        raise click.UsageError(
            "--drift-only cannot be combined with --out, --check or --format policy."
        )
    if not all_projects:
        return _plan_project(folder, request)
    if request.names or request.out or request.digest:
        raise click.UsageError("--all cannot be combined with NAME, --out or --check.")
    if request.output_format not in ("text", "markdown"):
        raise click.UsageError("--all supports --format text and markdown.")
    from tunedmodels.cli.all_projects import each_project

    return each_project(folder, lambda directory: _plan_project(directory, request))


@dataclass(frozen=True, slots=True)
class _Request:
    """The options of one plan."""

    names: tuple[str, ...]
    environment: str
    sets: tuple[str, ...]
    allow_delete: int
    allow_empty: bool
    out: Path | None
    output_format: str
    examples: str
    no_cache: bool
    count_tokens: bool
    detailed_exitcode: bool
    digest: str | None
    drift_only: bool


def _plan_project(folder: Path | None, request: _Request) -> int:
    """Plan one project, write the plan in the requested format, and return the exit code."""
    output_format = request.output_format
    try:
        project = open_project(
            folder, request.environment, request.sets, request.names, no_cache=request.no_cache
        )
        result = _plan(project, request)
    except ProblemsFoundError as error:
        if output_format not in _DOCUMENTS:
            raise
        write_utf8(_problems_document(error, output_format, request.environment, folder))
        return Exit.ERROR
    plan = _drift_only(result.plan) if request.drift_only else result.plan
    if request.out:
        _save(plan, request.out)
    if output_format == "policy":
        write_utf8(_policy_document(project, plan))
    elif output_format == "text":
        text = _render(project, result, plan, output_format, EXAMPLES[request.examples])
        text = _drift_text(result.plan, text) if request.drift_only else text
        write_text(result.summary + text + _saved_text(plan, request.out))
    else:
        write_utf8(_render(project, result, plan, output_format, EXAMPLES[request.examples]))
    if request.digest and not plan.refusals:
        return _check_digest(plan, request.digest)
    return _exit_code(plan, is_detailed=request.detailed_exitcode, is_drift=request.drift_only)


def _choose_format(output_format: str | None, policy_format: str | None) -> str:
    """Return the format, which the deprecated `--policy-format json` also sets."""
    if policy_format is None:
        return output_format or "text"
    if output_format:
        raise click.UsageError("--format and --policy-format are mutually exclusive.")
    warn_deprecated("plan --policy-format json", "plan --format policy")
    return "policy"


def _plan(project: Project, request: _Request) -> PlanResult:
    from tunedmodels.operations.plan import plan
    from tunedmodels.plan.planner import Allowances

    return asyncio.run(
        plan(
            project,
            Allowances(delete=request.allow_delete, empty=request.allow_empty),
            use_cache=can_use_cache(no_cache=request.no_cache),
            with_inputs=bool(request.out) or request.output_format in ("json", "policy"),
            count_tokens=request.count_tokens,
        )
    )


def _save(plan: Plan, file: Path) -> None:
    from tunedmodels.render.plan.json import plan_json

    write_output(file, plan_json(plan).encode())


def _render(
    project: Project, result: PlanResult, plan: Plan, output_format: str, max_examples: int
) -> str:
    from tunedmodels.render.options import RenderOptions
    from tunedmodels.render.plan import PLAN_RENDERERS

    options = RenderOptions(
        dataset_diffs=result.examples,
        max_examples=max_examples,
        # Only for documents: to determine the commit, git reads every file.
        head=project.commit() if output_format in _DOCUMENTS else "",
        style=style(),
    )
    return PLAN_RENDERERS[output_format](plan, options)


def _policy_document(project: Project, plan: Plan) -> str:
    from tunedmodels.render.plan.policy_json import policy_json

    return policy_json(plan, project.manifest, project.declared)


def _saved_text(plan: Plan, out: Path | None) -> str:
    if not out:
        return ""
    return f"\nSaved {out}   digest {plan.digest[:15]}\nTo apply it:  tunedmodels apply {out}\n"


def _exit_code(plan: Plan, *, is_detailed: bool, is_drift: bool) -> int:
    if plan.refusals:
        return Exit.REFUSED
    if plan.blocked and not is_drift:
        return Exit.ERROR
    has_changes = plan.changes if is_drift else plan.pending
    return Exit.PENDING if has_changes and is_detailed else Exit.DONE


def _problems_document(
    error: ProblemsFoundError, output_format: str, environment: str, folder: Path | None
) -> str:
    """Return the problems in the format of the plan that could not be made."""
    from tunedmodels.project.identity import read_identity

    project, directory = read_identity(folder)
    if output_format == "html":
        from tunedmodels.render.plan.html import problems_html

        return problems_html(error.problems, environment=environment, project=project)
    from tunedmodels.render.problems import problems_markdown

    return problems_markdown(
        error.problems, environment=environment, project=project, folder=directory
    )


def _check_digest(plan: Plan, digest: str) -> int:
    from tunedmodels.operations.approve import matches

    if matches(plan, digest):
        return Exit.DONE
    raise RefusedError(
        f"This is not the approved plan: its digest is {plan.digest}, not {digest}.",
        cure="Have this plan approved, or restore the inputs of the approved one.",
    )


def _drift_only(plan: Plan) -> Plan:
    """Return the plan with only its drift; refusals concern the changes of the manifests."""
    return plan.model_copy(update={"changes": plan.drifted, "refusals": ()})


def _drift_text(plan: Plan, text: str) -> str:
    """Return the rendered drift, if any, and count the other changes of the whole plan."""
    others = len(plan.changes) - len(plan.drifted)
    lines = [text.rstrip("\n") if plan.drifted else "No change was made outside of tunedmodels."]
    if others:
        changes = plural(others, "change")
        lines.append(f"The manifests require {others} other {changes}: tunedmodels plan")
    return "".join(f"{line}\n" for line in lines)
