"""The conditions under which a whole plan is refused, and that the given cure allows it."""

from __future__ import annotations

import pytest

from tests.support.builders import BASE, desired, live, plan_for
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


def test_a_plan_without_manifests_is_refused_unless_allowed() -> None:
    plan = plan_for([], [])
    assert codes(plan) == ["no-manifests"]
    assert "--allow-empty" in plan.refusals[0].cure
    assert codes(plan_for([], [], allowances=Allowances(empty=True))) == []
    assert codes(plan_for([desired()], [])) == []


@pytest.mark.parametrize(
    ("removed", "total", "is_refused"), [(3, 10, False), (4, 10, True), (1, 1, True)]
)
def test_deleting_a_larger_share_than_the_policy_allows_is_refused(
    removed: int, total: int, *, is_refused: bool
) -> None:
    names = [f"m{index}" for index in range(total)]
    observed = [live(desired(name), promoted=1) for name in names]
    models = [desired(name) for name in names[removed:]] or [desired("new")]
    plan = plan_for(models, observed, policy=CAREFUL)
    assert (codes(plan) == ["too-many-deletes"]) is is_refused
    if is_refused:
        (refusal,) = plan.refusals
        assert f"{removed} of {total}" in refusal.message
        assert f"--allow-delete {removed}" in refusal.cure
        for count, expected in ((removed, []), (removed - 1, ["too-many-deletes"])):
            allowed = Allowances(delete=count)
            plan = plan_for(models, observed, policy=CAREFUL, allowances=allowed)
            assert codes(plan) == expected


def test_only_ready_versions_of_names_without_a_manifest_count() -> None:
    jobs = [live(desired(f"m{index}"), state=ModelState.TRAINING) for index in range(9)]
    formers = [live(desired(data=str(minute)), promoted=minute) for minute in range(5)]
    model = desired(lifecycle=Lifecycle(keep=0))
    plan = plan_for([model], [*jobs, *formers, live(model, promoted=9)], policy=CAREFUL)
    assert len(plan.changes) == 9 + 5
    assert plan.refusals == ()


def test_destroying_needs_no_other_allowance() -> None:
    plan = plan_for([desired()], [live(promoted=1)], policy=CAREFUL, destroying=True)
    assert (codes(plan), len(plan.changes)) == ([], 1)
    assert codes(plan_for([], [live(promoted=1)], policy=CAREFUL, destroying=True)) == []


def test_a_protected_name_is_refused_and_the_cure_works() -> None:
    observed = [live(desired(lifecycle=PROTECTED), promoted=1)]
    plan = plan_for([desired("other")], observed)
    assert (codes(plan), plan.refusals[0].message.split()[0]) == (["protected"], "tone")
    assert [change.name for change in plan.changes] == ["other"]
    # The cure: declare it unprotected, which is an update, and then remove it.
    assert "protect: false}" in plan.refusals[0].cure
    (update,) = plan_for([desired()], observed).changes
    assert update.action is Action.UPDATE
    assert codes(plan_for([desired("other")], [live(desired(), promoted=1)])) == []


def test_a_protected_former_version_must_be_deleted_first() -> None:
    former = live(desired(data="old", lifecycle=PROTECTED), promoted=1)
    observed = [former, live(desired(), promoted=2)]
    (refusal,) = plan_for([desired("other")], observed).refusals
    assert "keep: 0" in refusal.cure
    (delete,) = plan_for([desired(lifecycle=Lifecycle(keep=0))], observed).changes
    assert delete.action is Action.DELETE


@pytest.mark.parametrize("in_stamp", [True, False])
def test_destroying_respects_protection_in_the_stamp_and_in_the_manifest(*, in_stamp: bool) -> None:
    unprotected, protected = desired(), desired(lifecycle=PROTECTED)
    model, applied = (unprotected, protected) if in_stamp else (protected, unprotected)
    assert codes(plan_for([model], [live(applied, promoted=1)], destroying=True)) == ["protected"]


def test_a_base_model_outside_the_policy_is_refused_only_for_a_training() -> None:
    policy = Policy(allowed_base_models=("models/other", "another"))
    plan = plan_for([desired()], [], policy=policy)
    assert codes(plan) == ["base-not-allowed"]
    assert "models/other" in plan.refusals[0].cure
    assert codes(plan_for([desired()], [live(promoted=1)], policy=policy)) == []
    short = Policy(allowed_base_models=(BASE.removeprefix("models/"),))
    assert codes(plan_for([desired()], [], policy=short)) == []


def test_the_policy_applies_to_the_base_model_of_the_first_parent() -> None:
    root = desired("root")
    child = desired("child", parent="root", source=f"tunedModels/{root.model_id}")
    assert codes(plan_for([root, child], policy=Policy(allowed_base_models=(BASE,)))) == []
    other = Policy(allowed_base_models=("models/other",))
    assert codes(plan_for([root, child], policy=other)) == ["base-not-allowed"] * 2


def spending(*costs: float | None) -> list[Change]:
    return [
        Change(name=f"m{index}", action=Action.CREATE, reason="x", cost=Cost(usd=usd))
        for index, usd in enumerate(costs)
    ]


@pytest.mark.parametrize(
    ("limit", "costs", "message"),
    [
        (10.0, (6.0, 4.0), ""),
        (10.0, (6.0, 4.5), "about $10.50 (limit is $10.00)"),
        (10.0, (None, 4.0), "the cost of m0 is unknown"),
        (None, (None, 4000.0), ""),
        (0.0, (0.0,), ""),
    ],
)
def test_a_budget_is_enforced(
    limit: float | None, costs: tuple[float | None, ...], message: str
) -> None:
    refusals = list(safety.over_budget(spending(*costs), Policy(max_cost_usd=limit)))
    assert [refusal.code for refusal in refusals] == (["over-budget"] if message else [])
    assert all(message in refusal.message for refusal in refusals)


def test_training_without_a_listed_price_is_free() -> None:
    plan = plan_for([desired()], [], policy=Policy(max_cost_usd=0))
    assert (plan.cost_usd, plan.refusals) == (0, ())


def test_every_refusal_has_a_cure() -> None:
    plan = plan_for([], [live(promoted=1)], policy=CAREFUL)
    assert codes(plan) == ["no-manifests", "too-many-deletes"]
    assert all(refusal.cure for refusal in plan.refusals)
