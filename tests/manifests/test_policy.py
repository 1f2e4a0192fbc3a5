"""The rules of a Project: each is broken once, and says where, what and how to mend it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tests.support.builders import desired, live, planned
from tunedmodels.errors import Problem, ProblemsFoundError, RefusedError
from tunedmodels.manifests.load import load
from tunedmodels.operations.apply import require_open
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
BROKEN = {
    "provider": ("{allowedProviders: [gemini]}", "",
                 ("provider-not-allowed", 4, "'embedded'", "gemini")),
    "provider of the model": ("{allowedProviders: [gemini]}", "  provider: embedded\n",
                              ("provider-not-allowed", 7, "'embedded'", "gemini")),
    "name": ('{namePattern: "[a-z]+-[a-z]+"}', "", ("name-not-allowed", 3, "tone", "[a-z]+-[a-z]")),
    "description": ("{requireDescription: true}", "  description: ' '\n",
                    ("missing-description", 7, "requireDescription", "sentence")),
    "labels": ("{requiredLabels: [team, cost-center]}", "",
               ("missing-label", 3, "requiredLabels", "labels: {team: some-word}")),
}
KEPT = {
    "provider": "{allowedProviders: [gemini, embedded]}",
    "name": '{namePattern: "[a-z]+"}',
    "nothing asked": "{}",
}
WRONG = {
    "no pattern": ('{namePattern: "("}', "is no regular expression"),
    "no date": ("{blackouts: [{from: 2026-13-01, to: 2027-01-01}]}", "is no date"),
    "a date and a time": ("{blackouts: [{from: 2026-12-01T10:00, to: 2027-01-01}]}", "is no date"),
    "the wrong way round": ("{blackouts: [{from: 2027-01-01, to: 2026-12-24}]}", "before it"),
    "no label": ("{requiredLabels: [Team]}", "is no label"),
    "our own label": ("{requiredLabels: [tunedmodels-name]}", "of our own"),
    "no end": ("{blackouts: [{from: 2027-01-01}]}", "is missing"),
}
# fmt: on


@pytest.mark.parametrize(("policy", "more", "expected"), BROKEN.values(), ids=BROKEN)
def test_a_rule_that_needs_only_the_manifests_is_a_problem_of_theirs(
    tmp_path: Path, policy: str, more: str, expected: tuple[str, int, str, str]
) -> None:
    (problem,) = problems(tmp_path, policy, more)
    code, line, words, cure = expected
    assert (problem.code, problem.line) == (code, line)
    assert words.strip("'") in problem.message
    assert "spec.policy." in problem.message
    assert cure in problem.cure


@pytest.mark.parametrize("policy", KEPT.values(), ids=KEPT)
def test_a_rule_that_is_kept_says_nothing(tmp_path: Path, policy: str) -> None:
    assert problems(tmp_path, policy) == []


@pytest.mark.parametrize(("policy", "words"), WRONG.values(), ids=WRONG)
def test_a_rule_that_is_none_says_so_in_our_words(tmp_path: Path, policy: str, words: str) -> None:
    (problem,) = problems(tmp_path, policy)
    assert words in problem.message
    assert problem.line == 5


@pytest.mark.parametrize("pattern", ["tone", "to*", "*"])
@pytest.mark.parametrize("destroying", [False, True])
def test_a_name_that_the_policy_protects_is_never_deleted(
    pattern: str, *, destroying: bool
) -> None:
    policy = Policy(protected_names=("other", pattern), max_delete_percent=100)
    wants = [desired("new")] + ([desired()] if destroying else [])
    plan = planned(wants, [live(promoted=1)], policy=policy, destroying=destroying)
    (refusal,) = plan.refusals
    assert (refusal.code, "delete" in [c.action for c in plan.changes]) == ("protected", False)
    assert "protectedNames" in refusal.message
    free = Policy(protected_names=("tone-*",), max_delete_percent=100)
    assert planned(wants, [live(promoted=1)], policy=free, destroying=destroying).refusals == ()


def test_a_protected_name_is_still_replaced_and_its_former_versions_retire() -> None:
    policy = Policy(protected_names=("tone",))
    there = [live(desired(data=data), promoted=minute) for minute, data in enumerate("abc")]
    plan = planned([desired()], there, policy=policy)
    assert plan.refusals == ()
    assert len(plan.changes[0].retires) == 2


BLACKOUT = Blackout(first=date(2026, 12, 20), last=date(2027, 1, 5), reason="the year ends")
CLOSED = Policy(blackouts=(BLACKOUT,))


def test_a_plan_names_the_days_without_applies_whatever_the_day_is() -> None:
    plan = planned([desired()], policy=CLOSED)
    words = "No applies from 2026-12-20 to 2027-01-05 (UTC): the year ends"
    assert (plan.warnings, plan.refusals) == ((words,), ())
    assert planned([desired()], [live(promoted=1)], policy=CLOSED).warnings == ()
    assert plan.digest == planned([desired()]).digest


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
def test_nothing_is_applied_on_these_days_the_last_one_among_them(
    tmp_path: Path, day: date, *, is_closed: bool
) -> None:
    assert bool(safety.blacked_out(CLOSED, day)) is is_closed
    opened = Project.open(
        project(tmp_path, "{blackouts: [{from: 2026-12-20, to: 2027-01-05, reason: holidays}]}")
    )
    if not is_closed:
        require_open(opened, day)
        return
    with pytest.raises(RefusedError, match=r"holidays\. Nothing was changed") as refused:
        require_open(opened, day)
    assert "spec.policy.blackouts" in refused.value.cure
