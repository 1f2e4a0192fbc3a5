"""`tunedmodels plan`: what apply would do, for people, for programs and for a file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunedmodels.cli.options import (
    Digest,
    allowances,
    cache,
    open_project,
    overlays,
    trusts_cache,
)
from tunedmodels.cli.terminal import style, write_utf8
from tunedmodels.errors import Exit, ProblemsFoundError, RefusedError
from tunedmodels.files import write_whole

if TYPE_CHECKING:
    from tunedmodels.operations.plan import Planned
    from tunedmodels.plan.plan import Plan
    from tunedmodels.plan.planner import Allowances
    from tunedmodels.project import Project

FORMS = ["text", "json", "markdown", "html"]
EXAMPLES = {"none": 0, "few": 3, "all": 2**31}  # of each kind


@click.command("plan")
@overlays
@cache
@allowances
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also save the plan, for `apply FILE`.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMS),
    help="markdown is the comment of a pull request, html one file that needs nothing else.",
)
@click.option(
    "--policy-format",
    type=click.Choice(["json"]),
    help="In place of --format: policy, models with their labels, and the plan, for conftest, OPA.",
)
@click.option(
    "--examples",
    type=click.Choice(list(EXAMPLES)),
    default="few",
    show_default=True,
    help="How many added, removed and changed examples to show, of datasets that git tracks.",
)
@click.option(
    "--count-tokens",
    is_flag=True,
    help="Have the service count the tokens of what would be trained, instead of an estimate.",
)
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there is work to do.")
@click.option(
    "--check",
    "digest",
    type=Digest(),
    help="Exit with 0 if the plan has this digest, else with 4; for merge queues.",
)
@click.option(
    "--drift-only",
    is_flag=True,
    help="Show only what was changed outside; --detailed-exitcode then gives 2 for that alone.",
)
@click.pass_obj
def command(
    folder: Path | None,
    *,
    environment: str,
    sets: tuple[str, ...],
    allow_delete: int,
    out: Path | None,
    form: str | None,
    policy_format: str | None,
    examples: str,
    no_cache: bool,
    allow_empty: bool,
    count_tokens: bool,
    detailed_exitcode: bool,
    digest: str | None,
    drift_only: bool,
) -> int:
    """Say what apply would do, why, and what it costs.

    Changes nothing. Exit code 0, also when there is work to do; with --detailed-exitcode 2 then.
    4 when the plan is refused, 1 when something needs a person first.

    What was changed outside since the last apply says so in its reason: a value edited by hand, a
    stamp erased, another version promoted by hand. That a model was deleted is known only where
    the journal of its promotion lies (.tunedmodels/journal).
    """
    if drift_only and (out or digest or policy_format):
        raise click.UsageError("--drift-only is a part: no --out, --check or --policy-format then.")
    form = _form(form, policy_format)

    from tunedmodels.plan.planner import Allowances
    from tunedmodels.render.plan import RENDERERS, Reading

    allowed = Allowances(delete=allow_delete, empty=allow_empty)
    use_cache, saves = trusts_cache(no_cache=no_cache), bool(out) or form == "json"
    try:
        project = open_project(folder, environment, sets)
        planned = _plan(project, allowed, use_cache=use_cache, saves=saves, counts=count_tokens)
    except ProblemsFoundError as found:
        if form in FORMS[:2]:
            raise
        write_utf8(_problems(found, form, environment))
        return Exit.ERROR
    plan = _drifted(planned.plan) if drift_only else planned.plan
    if out:
        write_whole(out, RENDERERS["json"](plan, Reading()).encode())
    head = project.commit() if form in FORMS[2:] else ""  # git looks at every file for it
    reading = Reading(planned.examples, EXAMPLES[examples], head, style=style())
    if policy_format:
        write_utf8(_for_rules(project, plan))
    elif form == "text":
        shown = RENDERERS[form](plan, reading)
        shown = planned.read + (_beside(planned.plan, shown) if drift_only else shown)
        click.echo(shown + _saved(plan, out), nl=False)
    else:
        write_utf8(RENDERERS[form](plan, reading))
    if digest and not plan.refusals:
        return _checked(plan, digest)
    return _code(plan, is_detailed=detailed_exitcode, is_drift=drift_only)


def _plan(
    project: Project, allowed: Allowances, *, use_cache: bool, saves: bool, counts: bool
) -> Planned:
    from tunedmodels.operations import plan as planning

    return asyncio.run(
        planning.plan(project, allowed, use_cache=use_cache, with_inputs=saves, count_tokens=counts)
    )


def _form(form: str | None, policy_format: str | None) -> str:
    """Return the form of the plan itself, whatever stands around it."""
    if form and policy_format:
        raise click.UsageError("--format and --policy-format exclude each other.")
    return policy_format or form or "text"


def _for_rules(project: Project, plan: Plan) -> str:
    from tunedmodels.render.plan.json import policy_json

    return policy_json(plan, project.manifest, project.declared)


def _saved(plan: Plan, out: Path | None) -> str:
    if not out:
        return ""
    return f"\nSaved {out}   digest {plan.digest[:15]}\nTo run it:  tunedmodels apply {out}\n"


def _code(plan: Plan, *, is_detailed: bool, is_drift: bool) -> int:
    if plan.refusals:
        return Exit.REFUSED
    if plan.blocked and not is_drift:
        return Exit.ERROR
    has_work = plan.changes if is_drift else plan.pending
    return Exit.PENDING if has_work and is_detailed else Exit.DONE


def _problems(found: ProblemsFoundError, form: str, environment: str) -> str:
    """Return what is wrong in the form of the plan that there is not."""
    if form == "html":
        from tunedmodels.render.plan.html import problems_page

        return problems_page(found.problems, environment=environment)
    from tunedmodels.render.problems import problems_markdown

    return problems_markdown(found.problems, environment=environment)


def _checked(plan: Plan, digest: str) -> int:
    from tunedmodels.operations.approve import matches

    if matches(plan, digest):
        return Exit.DONE
    raise RefusedError(
        f"This is not the plan that was approved: its digest is {plan.digest}, and not {digest}.",
        cure="Have this one approved, or bring back what the other one rested on.",
    )


def _drifted(whole: Plan) -> Plan:
    """Return what was changed outside; the policy is about what the manifests ask for."""
    return whole.model_copy(update={"changes": whole.drifted, "refusals": ()})


def _beside(whole: Plan, shown: str) -> str:
    """Return what was changed outside, if anything, and count what the manifests ask for."""
    others = len(whole.changes) - len(whole.drifted)
    wait = "change waits" if others == 1 else "changes wait"
    lines = [shown.rstrip("\n") if whole.drifted else "Nothing was changed outside."]
    lines += [f"{others} other {wait} that the manifests ask for: tunedmodels plan"] * bool(others)
    return "".join(f"{line}\n" for line in lines)
