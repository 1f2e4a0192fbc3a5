"""When a plan as a whole is refused, and that the flag it names really allows it."""

from __future__ import annotations

import pytest

from tests.support.builders import BASE, desired, live, planned
from tunedmodels.observed import ModelState
from tunedmodels.plan import safety
from tunedmodels.plan.plan import Action, Change, Cost, Plan
from tunedmodels.plan.planner import Allowances
from tunedmodels.schema.project import Policy
from tunedmodels.schema.tuned_model import Lifecycle

CAREFUL = Policy()  # 30 %
PROTECTED = Lifecycle(protect=True)


def codes(plan: Plan) -> list[str]:
    return [refusal.code for refusal in plan.refusals]


def test_no_manifests_are_refused_until_that_is_allowed() -> None:
    plan = planned([], [])
    assert codes(plan) == ["no-manifests"]
    assert "--allow-empty" in plan.refusals[0].cure
    assert codes(planned([], [], allowances=Allowances(empty=True))) == []
    assert codes(planned([desired()], [])) == []


@pytest.mark.parametrize(("gone", "of", "refused"), [(3, 10, False), (4, 10, True), (1, 1, True)])
def test_deleting_a_larger_share_than_the_policy_allows_is_refused(
    gone: int, of: int, *, refused: bool
) -> None:
    names = [f"m{index}" for index in range(of)]
    there = [live(desired(name), promoted=1) for name in names]
    wants = [desired(name) for name in names[gone:]] or [desired("new")]
    plan = planned(wants, there, policy=CAREFUL)
    assert (codes(plan) == ["too-many-deletes"]) is refused
    if refused:
        (refusal,) = plan.refusals
        assert f"{gone} of {of}" in refusal.message
        assert f"--allow-delete {gone}" in refusal.cure
        assert codes(planned(wants, there, policy=CAREFUL, allowances=Allowances(gone))) == []
        assert codes(planned(wants, there, policy=CAREFUL, allowances=Allowances(gone - 1)))


def test_only_ready_versions_of_names_without_a_manifest_count() -> None:
    jobs = [live(desired(f"m{index}"), state=ModelState.TRAINING) for index in range(9)]
    formers = [live(desired(data=str(minute)), promoted=minute) for minute in range(5)]
    want = desired(lifecycle=Lifecycle(keep=0))
    plan = planned([want], [*jobs, *formers, live(want, promoted=9)], policy=CAREFUL)
    assert len(plan.changes) == 9 + 5
    assert plan.refusals == ()


def test_destroying_needs_no_other_allowance() -> None:
    plan = planned([desired()], [live(promoted=1)], policy=CAREFUL, destroying=True)
    assert (codes(plan), len(plan.changes)) == ([], 1)
    assert codes(planned([], [live(promoted=1)], policy=CAREFUL, destroying=True)) == []


def test_a_protected_name_is_refused_and_the_cure_works() -> None:
    want = desired(lifecycle=PROTECTED)
    there = [live(want, promoted=1)]
    plan = planned([desired("other")], there)
    assert (codes(plan), plan.refusals[0].message.split()[0]) == (["protected"], "tone")
    assert [change.name for change in plan.changes] == ["other"]
    # The cure: declare it unprotected, which is an update, and remove it after that.
    assert "protect: false}" in plan.refusals[0].cure
    (update,) = planned([desired()], there).changes
    assert update.action is Action.UPDATE
    assert codes(planned([desired("other")], [live(desired(), promoted=1)])) == []


def test_a_former_version_that_protects_must_go_first() -> None:
    former = live(desired(data="old", lifecycle=PROTECTED), promoted=1)
    there = [former, live(desired(), promoted=2)]
    (refusal,) = planned([desired("other")], there).refusals
    assert "keep: 0" in refusal.cure
    (delete,) = planned([desired(lifecycle=Lifecycle(keep=0))], there).changes
    assert delete.action is Action.DELETE


@pytest.mark.parametrize("stamped", [True, False])
def test_destroying_heeds_protection_in_the_stamp_and_in_the_manifest(*, stamped: bool) -> None:
    free, bound = desired(), desired(lifecycle=PROTECTED)
    want, was = (free, bound) if stamped else (bound, free)
    assert codes(planned([want], [live(was, promoted=1)], destroying=True)) == ["protected"]


def test_a_base_outside_the_policy_is_refused_only_where_it_would_be_tuned() -> None:
    policy = Policy(allowed_base_models=("models/other", "another"))
    plan = planned([desired()], [], policy=policy)
    assert codes(plan) == ["base-not-allowed"]
    assert "models/other" in plan.refusals[0].cure
    assert codes(planned([desired()], [live(promoted=1)], policy=policy)) == []
    short = Policy(allowed_base_models=(BASE.removeprefix("models/"),))
    assert codes(planned([desired()], [], policy=short)) == []


def test_a_child_is_allowed_what_its_root_is_allowed() -> None:
    root = desired("root")
    kid = desired("kid", parent="root", source=f"tunedModels/{root.model_id}")
    assert codes(planned([root, kid], policy=Policy(allowed_base_models=(BASE,)))) == []
    other = Policy(allowed_base_models=("models/other",))
    assert codes(planned([root, kid], policy=other)) == ["base-not-allowed"] * 2


def spending(*costs: float | None) -> list[Change]:
    return [
        Change(name=f"m{index}", action=Action.CREATE, reason="x", cost=Cost(usd=usd))
        for index, usd in enumerate(costs)
    ]


@pytest.mark.parametrize(
    ("limit", "costs", "words"),
    [
        (10.0, (6.0, 4.0), ""),
        (10.0, (6.0, 4.5), "about $10.50 (limit is $10.00)"),
        (10.0, (None, 4.0), "m0 would cost is unknown"),
        (None, (None, 4000.0), ""),
        (0.0, (0.0,), ""),
    ],
)
def test_a_budget_is_kept(limit: float | None, costs: tuple[float | None, ...], words: str) -> None:
    refusals = list(safety.too_dear(spending(*costs), Policy(max_cost_usd=limit)))
    assert [refusal.code for refusal in refusals] == (["over-budget"] if words else [])
    assert all(words in refusal.message for refusal in refusals)


def test_tuning_here_and_on_the_gemini_api_is_free() -> None:
    plan = planned([desired()], [], policy=Policy(max_cost_usd=0))
    assert (plan.cost_usd, plan.refusals) == (0, ())


def test_every_refusal_says_how_to_go_on() -> None:
    plan = planned([], [live(promoted=1)], policy=CAREFUL)
    assert codes(plan) == ["no-manifests", "too-many-deletes"]
    assert all(refusal.cure for refusal in plan.refusals)
