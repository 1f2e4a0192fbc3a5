"""The policy of a Project: every rule is violated once, and reports location, message and cure."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tests.support.builders import desired, live, plan_for
from tunedmodels.errors import Problem, ProblemsFoundError, RefusedError
from tunedmodels.manifests.load import load
from tunedmodels.operations.apply import require_no_blackout
from tunedmodels.plan import safety
from tunedmodels.project import Project
from tunedmodels.schema.project import Blackout, Policy

MODEL = """
apiVersion: tunedmodels.dev/v1
kind: TunedModel
metadata: {name: tone}
spec:
  baseModel: models/embedded-label-001
  dataset: {path: tone.jsonl}
"""


def project(folder: Path, policy: str, more: str = "") -> Path:
    (folder / "tunedmodels.yaml").write_text(
        "apiVersion: tunedmodels.dev/v1\nkind: Project\nmetadata: {name: demo}\n"
        f"spec:\n  policy: {policy}\n"
    )
    (folder / "tone.yaml").write_text(MODEL.lstrip() + more)
    return folder


def problems(folder: Path, policy: str, more: str = "") -> list[Problem]:
    try:
        return list(load(project(folder, policy, more)).problems)
    except ProblemsFoundError as found:
        return list(found.problems)


# fmt: off
VIOLATED = {
    "provider": ("{allowedProviders: [gemini]}", "",
                 ("provider-not-allowed", 4, "'embedded'", "gemini")),
    "provider of the model": ("{allowedProviders: [gemini]}", "  provider: embedded\n",
                              ("provider-not-allowed", 7, "'embedded'", "gemini")),
    "name": ('{namePattern: "[a-z]+-[a-z]+"}', "", ("name-not-allowed", 3, "tone", "[a-z]+-[a-z]")),
    "description": ("{requireDescription: true}", "  description: ' '\n",
                    ("missing-description", 7, "requireDescription", "sentence")),
    "labels": ("{requiredLabels: [team, cost-center]}", "",
               ("missing-label", 3, "requiredLabels", "labels: {team: some-value}")),
}
RESPECTED = {
    "provider": "{allowedProviders: [gemini, embedded]}",
    "name": '{namePattern: "[a-z]+"}',
    "no rule": "{}",
}
INVALID = {
    "not a pattern": ('{namePattern: "("}', "is not a valid regular expression"),
    "not a date": ("{blackouts: [{from: 2026-13-01, to: 2027-01-01}]}", "is not a valid date"),
    "a date and a time": ("{blackouts: [{from: 2026-12-01T10:00, to: 2027-01-01}]}",
                          "is not a valid date"),
    "the end before the start": ("{blackouts: [{from: 2027-01-01, to: 2026-12-24}]}",
                                 "ends before it starts"),
    "not a label": ("{requiredLabels: [Team]}", "is not a valid label"),
    "reserved label": ("{requiredLabels: [tunedmodels-name]}", "is reserved"),
    "no end": ("{blackouts: [{from: 2027-01-01}]}", "is missing"),
}
# fmt: on


@pytest.mark.parametrize(("policy", "more", "expected"), VIOLATED.values(), ids=VIOLATED)
def test_a_violation_in_the_manifests_is_a_problem(
    tmp_path: Path, policy: str, more: str, expected: tuple[str, int, str, str]
) -> None:
    (problem,) = problems(tmp_path, policy, more)
    code, line, message, cure = expected
    assert (problem.code, problem.line) == (code, line)
    assert message.strip("'") in problem.message
    assert "spec.policy." in problem.message
    assert cure in problem.cure


@pytest.mark.parametrize("policy", RESPECTED.values(), ids=RESPECTED)
def test_a_respected_rule_reports_nothing(tmp_path: Path, policy: str) -> None:
    assert problems(tmp_path, policy) == []


@pytest.mark.parametrize(("policy", "message"), INVALID.values(), ids=INVALID)
def test_an_invalid_rule_is_a_problem(tmp_path: Path, policy: str, message: str) -> None:
    (problem,) = problems(tmp_path, policy)
    assert message in problem.message
    assert problem.line == 5


@pytest.mark.parametrize("pattern", ["tone", "to*", "*"])
@pytest.mark.parametrize("destroying", [False, True])
def test_a_protected_name_is_never_deleted(pattern: str, *, destroying: bool) -> None:
    policy = Policy(protected_names=("other", pattern), max_delete_percent=100)
    models = [desired("new")] + ([desired()] if destroying else [])
    plan = plan_for(models, [live(promoted=1)], policy=policy, destroying=destroying)
    (refusal,) = plan.refusals
    assert (refusal.code, "delete" in [c.action for c in plan.changes]) == ("protected", False)
    assert "protectedNames" in refusal.message
    other = Policy(protected_names=("tone-*",), max_delete_percent=100)
    plan = plan_for(models, [live(promoted=1)], policy=other, destroying=destroying)
    assert plan.refusals == ()


def test_a_protected_name_is_still_replaced_and_its_former_versions_retire() -> None:
    policy = Policy(protected_names=("tone",))
    versions = [live(desired(data=data), promoted=minute) for minute, data in enumerate("abc")]
    plan = plan_for([desired()], versions, policy=policy)
    assert plan.refusals == ()
    assert len(plan.changes[0].retires) == 2


BLACKOUT = Blackout(first=date(2026, 12, 20), last=date(2027, 1, 5), reason="the year ends")
CLOSED = Policy(blackouts=(BLACKOUT,))


def test_a_plan_lists_every_blackout_on_any_day() -> None:
    plan = plan_for([desired()], policy=CLOSED)
    warning = "No applies from 2026-12-20 to 2027-01-05 (UTC): the year ends"
    assert (plan.warnings, plan.refusals) == ((warning,), ())
    assert plan_for([desired()], [live(promoted=1)], policy=CLOSED).warnings == ()
    assert plan.digest == plan_for([desired()]).digest


@pytest.mark.parametrize(
    ("day", "is_closed"),
    [
        (date(2026, 12, 19), False),
        (date(2026, 12, 20), True),
        (date(2026, 12, 31), True),
        (date(2027, 1, 5), True),
        (date(2027, 1, 6), False),
    ],
)
def test_no_plan_is_applied_during_a_blackout_including_its_last_day(
    tmp_path: Path, day: date, *, is_closed: bool
) -> None:
    assert bool(safety.active_blackout(CLOSED, day)) is is_closed
    opened = Project.open(
        project(tmp_path, "{blackouts: [{from: 2026-12-20, to: 2027-01-05, reason: holidays}]}")
    )
    if not is_closed:
        require_no_blackout(opened, day)
        return
    with pytest.raises(RefusedError, match=r"holidays\. Nothing was changed") as refused:
        require_no_blackout(opened, day)
    assert "spec.policy.blackouts" in refused.value.cure
