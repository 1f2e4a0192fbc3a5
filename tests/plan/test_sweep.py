"""The plan of a sweep: laws, limits, and what became of a plan that was saved."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.builders import desired, evaluation, foreign, live, planned, sha, swept
from tests.support.plans import FORMER, PRICED, SWEEP, SWEPT, TRIED, won
from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel, serving
from tunedmodels.plan.cost import Pricing
from tunedmodels.plan.plan import Action, Plan
from tunedmodels.plan.planner import Bases
from tunedmodels.plan.staleness import Review, review
from tunedmodels.plan.sweep import resolved
from tunedmodels.schema.project import Policy
from tunedmodels.schema.tuned_model import Lifecycle

READY, FAILED, TRAINING = ModelState.READY, ModelState.FAILED, ModelState.TRAINING
FEW, SOME, MANY = TRIED


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Desired, list[ObservedModel]]:
    """A sweep of three, and any of its candidates and of other versions in any state."""
    lifecycle = Lifecycle(keep=draw(st.integers(0, 2)), retry=draw(st.integers(0, 1)))
    want = replace(SWEEP, lifecycle=lifecycle)
    others = [desired(data=word) for word in ("old", "older")]
    models = []
    for of in draw(st.lists(st.sampled_from([*want.candidates, *others]), unique_by=id)):
        model = live(
            of,
            state=draw(st.sampled_from(ModelState)),
            promoted=draw(st.sampled_from([None, None, 1, 2])),
            attempt=draw(st.integers(1, 3)),
        )
        assert model.stamp
        tried = draw(st.sampled_from(["", want.sweep_digest, "0ff0ff0ff0ff"]))
        stamp = replace(model.stamp, tried=tried)
        if draw(st.integers(0, 4)) == 0:
            stamp = stamp.chosen_by(want.sweep_digest)
        models.append(replace(model, stamp=stamp))
    return want, models


@settings(max_examples=300, deadline=None)
@given(worlds())
def test_no_plan_trains_what_is_there_nor_what_lost_nor_touches_what_serves(
    world: tuple[Desired, list[ObservedModel]],
) -> None:
    want, models = world
    plan = planned([want], models)
    serves = serving(models)
    well = {m.fingerprint for m in models if m.state is READY or m.state.is_running}
    (now,) = resolved([want], models, "demo")
    for change in plan.changes:
        candidates = change.sweep.candidates if change.sweep else ()
        trained = {each.fingerprint for each in candidates if each.action.trains}
        assert not trained & well
        assert not (candidates and now.chosen_by), "a sweep is over once it has chosen"
        if change.action is Action.DELETE and change.before and not now.chosen_by:
            tried = {(each.provider, each.model_id) for each in want.candidates}
            there = (change.before.provider, change.before.model_id)
            assert there not in tried or change.before.promoted
        if serves and change.action is Action.DELETE and change.before:
            assert change.before.model_id != serves.model_id


@settings(max_examples=200, deadline=None)
@given(worlds(), st.randoms())
def test_the_order_of_what_is_there_and_of_the_values_does_not_matter(
    world: tuple[Desired, list[ObservedModel]], random: Random
) -> None:
    want, models = world
    shuffled = random.sample(models, len(models))
    assert planned([want], shuffled) == planned([want], models)


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_a_plan_is_current_as_long_as_nothing_moves(
    world: tuple[Desired, list[ObservedModel]],
) -> None:
    want, models = world
    assert reviewed(planned([want], models), want, models).moved == {}


def reviewed(saved: Plan, want: Desired, models: list[ObservedModel]) -> Review:
    now = planned([want], models)
    return review(saved, now, {d.name: d for d in resolved([want], models, "demo")}, models)


def test_a_saved_plan_holds_while_its_candidates_come_along() -> None:
    saved = planned([SWEEP], [FORMER])
    for states in ([TRAINING], [READY, TRAINING], [READY, READY, READY]):
        there = [live(each, state=state) for each, state in zip(TRIED, states, strict=False)]
        found = reviewed(saved, SWEEP, [FORMER, *there])
        assert found.moved == {}
        assert len(found.holds) == 1


def test_a_saved_plan_holds_once_its_sweep_is_over_and_removes_what_lost() -> None:
    saved = planned([SWEEP], [FORMER])
    lost = live(FEW)
    assert lost.stamp
    lost = replace(lost, stamp=replace(lost.stamp, tried=SWEEP.sweep_digest))
    found = reviewed(saved, SWEEP, [FORMER, won(live(SOME, promoted=9)), lost])
    assert found.moved == {}
    assert [change.action for change in found.holds] == [Action.DELETE]


def test_a_saved_plan_trains_no_candidate_that_it_did_not_list() -> None:
    saved = planned([SWEEP], [FORMER, live(FEW)])
    found = reviewed(saved, SWEEP, [FORMER])
    (words,) = found.moved["tone"]
    assert words == f"{FEW.model_id} would be trained now, and was planned to promote"
    assert found.holds == ()


def test_a_saved_plan_does_not_try_again_what_failed_since() -> None:
    saved = planned([SWEEP], [FORMER])
    found = reviewed(saved, SWEEP, [FORMER, live(FEW, state=FAILED)])
    assert found.moved["tone"] == (f"{FEW.model_id} was tried since the plan, and is failed",)


def test_a_saved_plan_says_how_its_sweep_was_edited() -> None:
    saved = planned([SWEEP], [FORMER])
    other = swept(SWEPT, 3, 5, 8, 13)
    assert reviewed(saved, other, [FORMER]).moved["tone"] == (
        "its sweep has other candidates (3 then, 4 now)",
    )
    metric = replace(SWEEP, evaluation=evaluation(metric="chrF"))
    words = reviewed(saved, metric, [FORMER]).moved["tone"]
    assert "its sweep would choose by other answers: its evaluation changed" in words
    assert reviewed(saved, SOME, [FORMER]).moved["tone"][0] == "it was planned with a sweep"


def test_only_what_is_still_to_be_trained_costs() -> None:
    (change,) = planned([SWEEP], [FORMER, live(MANY)], bases=PRICED).changes
    assert change.cost
    assert (change.cost.usd, change.jobs) == (4.0, 2)
    assert change.sweep
    assert [each.cost and each.cost.usd for each in change.sweep.candidates] == [1.5, 2.5, None]


def test_the_policy_counts_the_candidates_too() -> None:
    plan = planned([SWEEP], bases=PRICED, policy=Policy(max_cost_usd=5.0))
    (refusal,) = plan.refusals
    assert refusal.message == "this plan would cost about $8.00 (limit is $5.00)."


def test_an_unknown_cost_is_refused_with_what_would_tell_it() -> None:
    plan = planned([SWEEP], bases=Bases(prices={"tone": Pricing(None)}))
    (refusal,) = plan.refusals
    assert refusal.cure == (
        "Say the price of the base model in spec.baseModels of the Project, or leave out"
        " spec.sweep.maxCostUsd in manifests/tone.yaml:9."
    )


def test_a_candidate_whose_id_is_somebody_elses_is_a_conflict_and_nothing_is_trained() -> None:
    (change,) = planned([SWEEP], [foreign(SOME.model_id)]).changes
    assert change.action is Action.CONFLICT


def test_what_the_declared_order_is_decides_nothing_but_ties() -> None:
    there = [FORMER, won(live(SOME, promoted=9))]
    assert planned([swept(SWEPT, 8, 5, 3)], there).changes == ()


def test_a_chosen_version_that_is_gone_opens_its_sweep_again() -> None:
    (change,) = planned([SWEEP], [FORMER]).changes
    assert change.jobs == 3


def test_the_same_version_may_be_chosen_by_another_sweep_without_forgetting_the_first() -> None:
    both = won(live(SOME, promoted=9))
    assert both.stamp
    both = replace(both, stamp=both.stamp.chosen_by(sha("another")[:12]))
    assert planned([SWEEP], [both]).changes == ()
