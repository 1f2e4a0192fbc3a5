"""`tunedmodels plan`: show what apply would do, and save it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

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
from tunedmodels.cli.terminal import style, write_utf8
from tunedmodels.errors import Exit, ProblemsFoundError, RefusedError
from tunedmodels.files import write_output
from tunedmodels.text import plural

if TYPE_CHECKING:
    from tunedmodels.operations.plan import PlanResult
    from tunedmodels.plan.plan import Plan
    from tunedmodels.plan.planner import Allowances
    from tunedmodels.project import Project

EXAMPLES = {"none": 0, "few": 3, "all": 2**31}  # of each kind
_DOCUMENTS = ("markdown", "html")  # formats that can also show problems
FORMATS = ["text", "json", *_DOCUMENTS, "policy"]


@click.command("plan")
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
@click.pass_obj
def command(
    folder: Path | None,
    *,
    environment: str,
    sets: tuple[str, ...],
    allow_delete: int,
    out: Path | None,
    output_format: str | None,
    policy_format: str | None,
    examples: str,
    no_cache: bool,
    allow_empty: bool,
    count_tokens: bool,
    detailed_exitcode: bool,
    digest: str | None,
    drift_only: bool,
) -> int:
    """Show the changes that apply would make, with reasons and costs.

    Changes nothing. Exit codes: 0 done, 1 a change requires the user, 2 changes to apply (only with
    --detailed-exitcode), 4 the plan is refused.

    A change made outside of tunedmodels since the last apply is drift, and is named in the reason:
    an edited value, an erased stamp, or another version that was promoted manually.
    """
    output_format = _choose_format(output_format, policy_format)
    if drift_only and (out or digest or output_format == "policy"):
        raise click.UsageError(
            "--drift-only cannot be combined with --out, --check or --format policy."
        )

    from tunedmodels.plan.planner import Allowances

    allowed = Allowances(delete=allow_delete, empty=allow_empty)
    use_cache = can_use_cache(no_cache=no_cache)
    with_inputs = bool(out) or output_format in ("json", "policy")
    try:
        project = open_project(folder, environment, sets, no_cache=no_cache)
        result = _plan(
            project, allowed, use_cache=use_cache, with_inputs=with_inputs, count=count_tokens
        )
    except ProblemsFoundError as error:
        if output_format not in _DOCUMENTS:
            raise
        write_utf8(_problems_document(error, output_format, environment))
        return Exit.ERROR
    plan = _drift_only(result.plan) if drift_only else result.plan
    if out:
        _save(plan, out)
    if output_format == "policy":
        write_utf8(_policy_document(project, plan))
    elif output_format == "text":
        text = _render(project, result, plan, output_format, EXAMPLES[examples])
        text = _drift_text(result.plan, text) if drift_only else text
        click.echo(result.summary + text + _saved_text(plan, out), nl=False)
    else:
        write_utf8(_render(project, result, plan, output_format, EXAMPLES[examples]))
    if digest and not plan.refusals:
        return _check_digest(plan, digest)
    return _exit_code(plan, is_detailed=detailed_exitcode, is_drift=drift_only)


def _choose_format(output_format: str | None, policy_format: str | None) -> str:
    """Return the format, which the deprecated `--policy-format json` also sets."""
    if policy_format is None:
        return output_format or "text"
    if output_format:
        raise click.UsageError("--format and --policy-format are mutually exclusive.")
    warn_deprecated("plan --policy-format json", "plan --format policy")
    return "policy"


def _plan(
    project: Project, allowed: Allowances, *, use_cache: bool, with_inputs: bool, count: bool
) -> PlanResult:
    from tunedmodels.operations.plan import plan

    return asyncio.run(
        plan(project, allowed, use_cache=use_cache, with_inputs=with_inputs, count_tokens=count)
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


def _problems_document(error: ProblemsFoundError, output_format: str, environment: str) -> str:
    """Return the problems in the format of the plan that could not be made."""
    if output_format == "html":
        from tunedmodels.render.plan.html import problems_html

        return problems_html(error.problems, environment=environment)
    from tunedmodels.render.problems import problems_markdown

    return problems_markdown(error.problems, environment=environment)


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
