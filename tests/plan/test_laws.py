"""Laws of the planner, over combinations of names, versions, states, promotions and owners."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.planner_worlds import (
    FAILED,
    NOW,
    READY,
    TRAINING,
    Service,
    changed_versions,
    histories,
    id_of,
    owned,
    plan_for,
    versions_of,
    worlds,
)
from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel, serving
from tunedmodels.plan.diff import mutable_changes
from tunedmodels.plan.plan import Action
from tunedmodels.render.plan.json import plan_json
from tunedmodels.render.plan.text import plan_text
from tunedmodels.stamp import Decision

many = settings(max_examples=40, deadline=None)


@many
@given(worlds())
def test_a_model_of_another_owner_is_never_changed(
    world: tuple[list[Desired], list[ObservedModel]],
) -> None:
    models, observed = world
    own = {id_of(model) for model in owned(observed)}
    foreign = {id_of(model) for model in observed} - own
    for plan in (plan_for(models, observed), plan_for(models, observed, destroying=True)):
        for change in plan.changes:
            assert {id_of(version) for version in changed_versions(change)} <= own
            if change.action.is_pending and change.after:
                assert (change.after.provider, change.after.model_id) not in foreign


@many
@given(worlds())
def test_a_serving_version_is_deleted_only_after_a_successor_serves(
    world: tuple[list[Desired], list[ObservedModel]],
) -> None:
    models, observed = world
    for model in models:
        answering = serving(versions_of(observed, model.name))
        for change in plan_for(models, observed).changes:
            if answering is None or change.name != model.name:
                continue
            if change.before and id_of(change.before) == id_of(answering):
                assert change.action not in (Action.CANCEL, Action.DELETE)
            if id_of(answering) in map(id_of, change.retires):
                assert change.after
                assert change.after.fingerprint == model.fingerprint
                assert change.action.trains or change.action in (Action.WAIT, Action.PROMOTE)


@many
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_the_inputs_does_not_matter(
    world: tuple[list[Desired], list[ObservedModel]], random: Random
) -> None:
    models, observed = world
    expected = plan_for(models, observed)
    random.shuffle(models)
    random.shuffle(observed)
    again = plan_for(models, observed)
    assert plan_json(again) == plan_json(expected)
    assert plan_text(again) == plan_text(expected)


@many
@given(worlds())
def test_every_name_and_every_version_is_counted_once(
    world: tuple[list[Desired], list[ObservedModel]],
) -> None:
    models, observed = world
    plan = plan_for(models, observed)
    primary = Counter(change.name for change in plan.changes if change.after)
    assert sum(primary.values()) + plan.unchanged == plan.manifests == len(models)
    assert set(primary.values()) <= {1}
    assert plan.live == len(owned(observed))
    keys = [change.key for change in plan.changes]
    assert len(keys) == len(set(keys))
    # No version is deleted twice, by its own change and as a retirement.
    deleted = [id_of(version) for change in plan.changes for version in change.retires]
    deleted += [id_of(c.before) for c in plan.changes if c.before and not c.after]
    assert len(deleted) == len(set(deleted))


@many
@given(worlds())
def test_a_name_is_trained_once_and_after_its_parent(
    world: tuple[list[Desired], list[ObservedModel]],
) -> None:
    models, observed = world
    plan = plan_for(models, observed)
    trained = [change.name for change in plan.changes if change.action.trains]
    assert len(trained) == len(set(trained))
    order = [change.name for change in plan.changes]
    for change in plan.changes:
        if change.after and change.after.parent in order:
            assert order.index(change.after.parent) < order.index(change.name)


@many
@given(worlds())
def test_protected_and_retained_names_are_never_removed(
    world: tuple[list[Desired], list[ObservedModel]],
) -> None:
    models, observed = world
    plan = plan_for(models, observed)
    names = {model.name for model in models}
    for version in owned(observed):
        assert version.stamp
        if version.stamp.name not in names and (version.stamp.protect or version.stamp.retain):
            assert version.stamp.name not in {change.name for change in plan.changes}


@many
@given(worlds())
def test_a_gate_is_for_versions_never_promoted_and_compares_with_the_serving_one(
    world: tuple[list[Desired], list[ObservedModel]],
) -> None:
    models, observed = world
    evaluations = {model.name: model.evaluation for model in models}
    for change in plan_for(models, observed).changes:
        if change.gate is None:
            continue
        assert change.after
        declared = evaluations[change.name]
        assert declared
        assert (change.gate.digest, declared.spec.is_gate) == (declared.gate_digest, True)
        versions = versions_of(observed, change.name)
        # A version that is trained again has a gate, even if its former stamp has a promotion.
        assert not [
            version
            for version in versions
            if id_of(version) == id_of(change.after) and version.promoted and version.state is READY
        ]
        answering = serving(versions)
        if change.gate.baseline:
            assert answering
            assert change.gate.baseline.fingerprint == answering.fingerprint


@many
@given(worlds())
def test_no_version_is_deleted_within_its_grace_period(
    world: tuple[list[Desired], list[ObservedModel]],
) -> None:
    models, observed = world
    plan = plan_for(models, observed)
    grace = {model.name: model.lifecycle.grace_s for model in models if model.lifecycle.grace}
    promoted = {id_of(m): m.promoted for m in observed if m.state is READY}
    for change in plan.changes:
        own = [change.before] if change.before and not change.after else []
        for version in (*change.retires, *own):
            time = promoted.get(id_of(version))
            if time is None or change.name not in grace:
                continue
            times = [m.promoted for m in versions_of(observed, change.name) if m.promoted]
            later = [other for other in times if other >= time]
            assert len(later) > 1, "the grace period of the serving version has not started"
            assert (NOW - min(sorted(later)[1:])).total_seconds() >= grace[change.name]
    leaving = {(each.name, each.model_id) for each in plan.leaving}
    retired = {(c.name, v.model_id) for c in plan.changes for v in c.retires}
    assert not leaving & retired


@settings(max_examples=150, deadline=None)
@given(histories())
def test_the_laws_are_valid_for_a_name_with_a_decision_of_its_gate(
    world: tuple[list[Desired], list[ObservedModel]],
) -> None:
    for law in (
        test_a_serving_version_is_deleted_only_after_a_successor_serves,
        test_every_name_and_every_version_is_counted_once,
        test_a_gate_is_for_versions_never_promoted_and_compares_with_the_serving_one,
        test_no_version_is_deleted_within_its_grace_period,
    ):
        law.hypothesis.inner_test(world)  # type: ignore[attr-defined]  # hypothesis sets it


@settings(max_examples=100, deadline=None)
@given(
    worlds() | histories(),
    st.lists(st.sampled_from([READY, TRAINING, FAILED]), max_size=5),
    st.lists(st.sampled_from(Decision), max_size=4),
)
def test_applying_until_nothing_changes_ends_as_declared(
    world: tuple[list[Desired], list[ObservedModel]],
    outcomes: list[ModelState],
    decisions: list[Decision],
) -> None:
    models, observed = world
    service = Service({id_of(each): each for each in observed}, list(outcomes), list(decisions))
    rounds = 0
    before = {model.name: service.serving(model.name) for model in models}
    while (plan := plan_for(models, service.models.values())).pending:
        rounds += 1
        assert rounds <= 2 + len(outcomes) + len(decisions), plan
        service.apply(plan)
    again = plan_for(models, service.models.values())
    assert plan_json(again) == plan_json(plan)
    blocked = {change.name: change.action for change in plan.blocked}
    rejected = {change.name for change in plan.rejected}
    in_grace = Counter(version.name for version in plan.leaving)
    for model in models:
        versions = versions_of(service.models.values(), model.name)
        if model.name in rejected:
            assert serving(versions) == before[model.name], "the serving version is unchanged"
            assert len(versions) <= 2 + model.lifecycle.keep + in_grace[model.name]
            continue
        if model.name in blocked:
            states = {version.state for version in versions}
            assert TRAINING not in states or blocked[model.name] is Action.CONFLICT
            continue
        answering = serving(versions)
        assert answering
        assert (answering.fingerprint, answering.provider) == (model.fingerprint, model.provider)
        assert mutable_changes(model, answering) == ()
        assert {version.state for version in versions} == {READY}
        assert len(versions) <= 1 + model.lifecycle.keep + in_grace[model.name]
    assert all(count <= 1 + 2 for count in service.trained.values())  # retry is at most 2
    kept = {version.stamp.name for version in owned(service.models.values()) if version.stamp}
    for name in kept - {model.name for model in models}:
        stamps = [version.stamp for version in versions_of(service.models.values(), name)]
        assert any(stamp.protect or stamp.retain for stamp in stamps if stamp)
