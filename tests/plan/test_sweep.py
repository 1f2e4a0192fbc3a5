"""The plan of a sweep: laws, limits, and the staleness of a saved plan."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.builders import (
    desired,
    evaluation,
    live,
    plan_for,
    sha,
    unowned_model,
    with_sweep,
)
from tests.support.plan_models import (
    CANDIDATES,
    FORMER,
    PRICED,
    SWEEP,
    WITHOUT_SWEEP,
    chosen_by_sweep,
)
from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel, serving
from tunedmodels.ownership import Ownership
from tunedmodels.plan.plan import Action, Plan
from tunedmodels.plan.planner import BaseModelFacts
from tunedmodels.plan.staleness import StalenessReport, check_staleness
from tunedmodels.plan.sweep import resolve_sweeps
from tunedmodels.schema.project import Policy
from tunedmodels.schema.tuned_model import Lifecycle

READY, FAILED, TRAINING = ModelState.READY, ModelState.FAILED, ModelState.TRAINING
FIRST, SECOND, THIRD = CANDIDATES


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Desired, list[ObservedModel]]:
    """Draw a sweep of three, with candidates and other versions in any state."""
    lifecycle = Lifecycle(keep=draw(st.integers(0, 2)), retry=draw(st.integers(0, 1)))
    sweep = replace(SWEEP, lifecycle=lifecycle)
    others = [desired(data=word) for word in ("old", "older")]
    models = []
    for each in draw(st.lists(st.sampled_from([*sweep.candidates, *others]), unique_by=id)):
        model = live(
            each,
            state=draw(st.sampled_from(ModelState)),
            promoted=draw(st.sampled_from([None, None, 1, 2])),
            attempt=draw(st.integers(1, 3)),
        )
        assert model.stamp
        scored_by = draw(st.sampled_from(["", sweep.sweep_digest, "0ff0ff0ff0ff"]))
        stamp = replace(model.stamp, scored_by_sweep=scored_by)
        if draw(st.integers(0, 4)) == 0:
            stamp = stamp.with_choice_of(sweep.sweep_digest)
        models.append(replace(model, stamp=stamp))
    return sweep, models


@settings(max_examples=300, deadline=None)
@given(worlds())
def test_no_plan_retrains_a_candidate_or_deletes_the_serving_version(
    world: tuple[Desired, list[ObservedModel]],
) -> None:
    sweep, models = world
    plan = plan_for([sweep], models)
    answering = serving(models)
    usable = {m.fingerprint for m in models if m.state is READY or m.state.is_running}
    (resolved,) = resolve_sweeps([sweep], models, Ownership("demo"))
    for change in plan.changes:
        candidates = change.sweep.candidates if change.sweep else ()
        trained = {each.fingerprint for each in candidates if each.action.trains}
        assert not trained & usable
        assert not (candidates and resolved.chosen_by_sweep), "the sweep is settled"
        if change.action is Action.DELETE and change.before and not resolved.chosen_by_sweep:
            ids = {(each.provider, each.model_id) for each in sweep.candidates}
            deleted = (change.before.provider, change.before.model_id)
            assert deleted not in ids or change.before.promoted
        if answering and change.action is Action.DELETE and change.before:
            assert change.before.model_id != answering.model_id


@settings(max_examples=200, deadline=None)
@given(worlds(), st.randoms())
def test_the_order_of_observed_models_does_not_matter(
    world: tuple[Desired, list[ObservedModel]], random: Random
) -> None:
    sweep, models = world
    shuffled = random.sample(models, len(models))
    assert plan_for([sweep], shuffled) == plan_for([sweep], models)


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_a_plan_is_valid_as_long_as_nothing_changes(
    world: tuple[Desired, list[ObservedModel]],
) -> None:
    sweep, models = world
    assert report(plan_for([sweep], models), sweep, models).stale == {}


def report(saved: Plan, sweep: Desired, models: list[ObservedModel]) -> StalenessReport:
    (resolved,) = resolve_sweeps([sweep], models, Ownership("demo"))
    return check_staleness(
        saved, plan_for([sweep], models), {resolved.name: resolved}, models, Ownership("demo")
    )


def test_a_saved_plan_is_valid_while_its_candidates_train() -> None:
    saved = plan_for([SWEEP], [FORMER])
    for states in ([TRAINING], [READY, TRAINING], [READY, READY, READY]):
        models = [live(each, state=state) for each, state in zip(CANDIDATES, states, strict=False)]
        found = report(saved, SWEEP, [FORMER, *models])
        assert found.stale == {}
        assert len(found.valid) == 1


def test_a_saved_plan_is_valid_after_the_sweep_and_deletes_the_losers() -> None:
    saved = plan_for([SWEEP], [FORMER])
    loser = live(FIRST)
    assert loser.stamp
    loser = replace(loser, stamp=replace(loser.stamp, scored_by_sweep=SWEEP.sweep_digest))
    found = report(saved, SWEEP, [FORMER, chosen_by_sweep(live(SECOND, promoted=9)), loser])
    assert found.stale == {}
    assert [change.action for change in found.valid] == [Action.DELETE]


def test_a_saved_plan_trains_only_the_candidates_that_it_lists() -> None:
    saved = plan_for([SWEEP], [FORMER, live(FIRST)])
    found = report(saved, SWEEP, [FORMER])
    (message,) = found.stale["tone"]
    assert message == f"{FIRST.model_id} was planned to promote, and would now be trained"
    assert found.valid == ()


def test_a_saved_plan_does_not_retry_a_candidate_that_failed_since() -> None:
    saved = plan_for([SWEEP], [FORMER])
    found = report(saved, SWEEP, [FORMER, live(FIRST, state=FAILED)])
    assert found.stale["tone"] == (f"{FIRST.model_id} was started since the plan, and is failed",)


def test_a_stale_plan_tells_how_its_sweep_was_edited() -> None:
    saved = plan_for([SWEEP], [FORMER])
    other = with_sweep(WITHOUT_SWEEP, 3, 5, 8, 13)
    assert report(saved, other, [FORMER]).stale["tone"] == (
        "its sweep has other candidates (3 planned, 4 now)",
    )
    metric = replace(SWEEP, evaluation=evaluation(metric="chrF"))
    messages = report(saved, metric, [FORMER]).stale["tone"]
    assert "its sweep would score its candidates differently: its evaluation changed" in messages
    assert report(saved, SECOND, [FORMER]).stale["tone"][0] == "it was planned with a sweep"


def test_only_candidates_to_be_trained_have_a_cost() -> None:
    (change,) = plan_for([SWEEP], [FORMER, live(THIRD)], base_models=PRICED).changes
    assert change.cost
    assert (change.cost.usd, change.jobs) == (4.0, 2)
    assert change.sweep
    assert [each.cost and each.cost.usd for each in change.sweep.candidates] == [1.5, 2.5, None]


def test_the_policy_limits_the_cost_of_the_candidates() -> None:
    plan = plan_for([SWEEP], base_models=PRICED, policy=Policy(max_cost_usd=5.0))
    (refusal,) = plan.refusals
    assert refusal.message == "this plan would cost about $8.00 (limit is $5.00)."


def test_an_unknown_cost_is_refused_with_a_cure() -> None:
    plan = plan_for([SWEEP], base_models=BaseModelFacts(prices={"tone": None}))
    (refusal,) = plan.refusals
    assert refusal.cure == (
        "Set the price of the base model in spec.baseModels of the Project, or remove"
        " spec.sweep.maxCostUsd in manifests/tone.yaml:9."
    )


def test_a_candidate_whose_id_is_taken_is_a_conflict_and_nothing_is_trained() -> None:
    (change,) = plan_for([SWEEP], [unowned_model(SECOND.model_id)]).changes
    assert change.action is Action.CONFLICT


def test_the_declared_order_decides_only_ties() -> None:
    models = [FORMER, chosen_by_sweep(live(SECOND, promoted=9))]
    assert plan_for([with_sweep(WITHOUT_SWEEP, 8, 5, 3)], models).changes == ()


def test_a_sweep_is_open_again_if_the_chosen_version_is_gone() -> None:
    (change,) = plan_for([SWEEP], [FORMER]).changes
    assert change.jobs == 3


def test_a_version_keeps_the_record_of_every_sweep_that_chose_it() -> None:
    both = chosen_by_sweep(live(SECOND, promoted=9))
    assert both.stamp
    both = replace(both, stamp=both.stamp.with_choice_of(sha("another")[:12]))
    assert plan_for([SWEEP], [both]).changes == ()
