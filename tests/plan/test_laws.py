"""Laws of the planner, over every mixture of names, versions, states, marks and owners."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import builders
from tests.support.builders import NOON, desired, evaluation, foreign, live, ruled
from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel, serving
from tunedmodels.plan.diff import mutable_fields
from tunedmodels.plan.plan import Action, Change, Plan, Version, Wanted
from tunedmodels.render.plan.json import plan_json
from tunedmodels.render.plan.text import plan_text
from tunedmodels.schema.tuned_model import Lifecycle
from tunedmodels.stamp import Decision, GateMark

NAMES, DATA, PROVIDERS = "abc", "uvw", ("embedded", "other")
READY, TRAINING, FAILED = ModelState.READY, ModelState.TRAINING, ModelState.FAILED

lifecycles = st.builds(
    Lifecycle,
    keep=st.integers(0, 2),
    retry=st.integers(0, 2),
    protect=st.sampled_from([False, False, False, True]),
    on_removal=st.sampled_from(["delete", "delete", "delete", "retain"]),
    grace=st.sampled_from([None, None, "90s", "1d"]),
)
GATES = [
    evaluation(at_least=0.85),
    evaluation(not_worse_than_serving_by=0.02),
    evaluation(at_least=0.5, on_inconclusive="promote"),
]
NOW = NOON + timedelta(minutes=3)


def planned(
    wants: Iterable[Desired] = (), there: Iterable[ObservedModel] = (), **others: Any
) -> Plan:
    """A plan of three minutes after noon."""
    return builders.planned(wants, there, **{"now": NOW, **others})


def declared(name: str) -> st.SearchStrategy[Desired]:
    return st.builds(
        desired,
        st.just(name),
        data=st.sampled_from(DATA),
        provider=st.sampled_from(PROVIDERS),
        temperature=st.sampled_from([None, 0.1, 0.2]),
        lifecycle=lifecycles,
        evaluation=st.sampled_from([None, None, evaluation(), *GATES]),
    )


@st.composite
def marks(draw: st.DrawFn, name: str) -> str:
    """What a gate may have left on a version: of now or of then, beside this one or another."""
    against = draw(st.sampled_from(["", *(desired(name, data=word).fingerprint for word in DATA)]))
    gate = draw(st.sampled_from([*(each.gate for each in GATES), "0ff0ff0ff0ff"]))
    return str(GateMark(draw(st.sampled_from(Decision)), gate, against[:8]))


@st.composite
def manifests(draw: st.DrawFn) -> list[Desired]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    wants = [draw(declared(name)) for name in names]
    if len(wants) > 1 and draw(st.booleans()):
        parent = wants[-1]
        source = f"tunedModels/{parent.model_id}"
        wants[0] = replace(wants[0], parent=parent.name, source=source)
    return wants


@st.composite
def version(draw: st.DrawFn, wants: list[Desired]) -> ObservedModel:
    of = draw(st.sampled_from(NAMES).flatmap(declared))
    # Versions of what is declared are the ones that matter most.
    of = draw(st.sampled_from([of, *wants]))
    of = replace(of, project=draw(st.sampled_from(["demo", "demo", "demo", "theirs"])))
    model = live(
        of,
        state=draw(st.sampled_from(ModelState)),
        promoted=draw(st.sampled_from([None, 0, 0, 1, 2])),
        attempt=draw(st.integers(1, 3)),
        created=draw(st.sampled_from([None, NOON, NOON + timedelta(hours=1)])),
        temperature=draw(st.sampled_from([None, 0.1])),
    )
    assert model.stamp
    gate = draw(st.one_of(st.just(""), marks(of.name)))
    model = replace(model, stamp=replace(model.stamp, gate=gate))
    return draw(st.sampled_from([model, model, model, foreign(model.model_id)]))


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Desired], list[ObservedModel]]:
    wants = draw(manifests())
    models = draw(st.lists(version(wants), max_size=8, unique_by=place))
    return wants, models


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Desired], list[ObservedModel]]:
    """One name with a gate, and ready versions of it: promoted, rejected by it, or neither."""
    want = desired(
        "a",
        data=draw(st.sampled_from(DATA)),
        evaluation=draw(st.sampled_from(GATES)),
        lifecycle=draw(lifecycles),
    )
    marks = draw(st.lists(st.sampled_from([None, 0, 1, 2]), min_size=3, max_size=3))
    models = [
        live(desired("a", data=data), promoted=mark) for data, mark in zip(DATA, marks, strict=True)
    ]
    rival = serving(models)
    decided = draw(st.lists(st.sampled_from([None, *Decision]), min_size=3, max_size=3))
    judged = [
        ruled(model, want, decision, rival=rival) if decision else model
        for model, decision in zip(models, decided, strict=True)
    ]
    return [want], draw(st.lists(st.sampled_from(judged), unique_by=place))


def place(model: ObservedModel | Version | Wanted) -> tuple[str, str]:
    return model.provider, model.model_id


def ours(models: Iterable[ObservedModel]) -> list[ObservedModel]:
    return [model for model in models if model.stamp and model.stamp.project == "demo"]


def named(models: Iterable[ObservedModel], name: str) -> list[ObservedModel]:
    return [model for model in ours(models) if model.stamp and model.stamp.name == name]


def touched(change: Change) -> Iterator[Version]:
    """Every live version that a change does something to."""
    if change.action.is_pending:
        yield from [change.before] if change.before else []
        yield from change.retires


many = settings(max_examples=40, deadline=None)


@many
@given(worlds())
def test_what_is_not_ours_is_never_touched(
    world: tuple[list[Desired], list[ObservedModel]],
) -> None:
    wants, models = world
    mine = {place(model) for model in ours(models)}
    theirs = {place(model) for model in models} - mine
    for plan in (planned(wants, models), planned(wants, models, destroying=True)):
        for change in plan.changes:
            assert {place(version) for version in touched(change)} <= mine
            if change.action.is_pending and change.after:
                assert (change.after.provider, change.after.model_id) not in theirs


@many
@given(worlds())
def test_what_serves_a_declared_name_goes_only_after_a_successor_serves(
    world: tuple[list[Desired], list[ObservedModel]],
) -> None:
    wants, models = world
    for want in wants:
        serves = serving(named(models, want.name))
        for change in planned(wants, models).changes:
            if serves is None or change.name != want.name:
                continue
            if change.before and place(change.before) == place(serves):
                assert change.action not in (Action.CANCEL, Action.DELETE)
            if place(serves) in map(place, change.retires):
                assert change.after
                assert change.after.fingerprint == want.fingerprint
                assert change.action.trains or change.action in (Action.WAIT, Action.PROMOTE)


@many
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_what_is_given_does_not_matter(
    world: tuple[list[Desired], list[ObservedModel]], random: Random
) -> None:
    wants, models = world
    expected = planned(wants, models)
    random.shuffle(wants)
    random.shuffle(models)
    again = planned(wants, models)
    assert plan_json(again) == plan_json(expected)
    assert plan_text(again) == plan_text(expected)


@many
@given(worlds())
def test_every_name_and_every_version_is_counted_once(
    world: tuple[list[Desired], list[ObservedModel]],
) -> None:
    wants, models = world
    plan = planned(wants, models)
    mains = Counter(change.name for change in plan.changes if change.after)
    assert sum(mains.values()) + plan.unchanged == plan.manifests == len(wants)
    assert set(mains.values()) <= {1}
    assert plan.live == len(ours(models))
    keys = [change.key for change in plan.changes]
    assert len(keys) == len(set(keys))
    # Nothing goes twice, by a change of its own and as something that retires.
    going = [place(version) for change in plan.changes for version in change.retires]
    going += [place(c.before) for c in plan.changes if c.before and not c.after]
    assert len(going) == len(set(going))


@many
@given(worlds())
def test_a_name_is_trained_once_and_after_the_one_it_continues_from(
    world: tuple[list[Desired], list[ObservedModel]],
) -> None:
    wants, models = world
    plan = planned(wants, models)
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
    wants, models = world
    plan = planned(wants, models)
    names = {want.name for want in wants}
    for model in ours(models):
        assert model.stamp
        if model.stamp.name not in names and (model.stamp.protect or model.stamp.retain):
            assert model.stamp.name not in {change.name for change in plan.changes}


@many
@given(worlds())
def test_a_gate_is_asked_of_what_never_served_and_beside_what_serves(
    world: tuple[list[Desired], list[ObservedModel]],
) -> None:
    wants, models = world
    gates = {want.name: want.evaluation for want in wants}
    for change in planned(wants, models).changes:
        if change.gate is None:
            continue
        assert change.after
        asked = gates[change.name]
        assert asked
        assert (change.gate.digest, asked.rules.is_gate) == (asked.gate, True)
        there = [m for m in named(models, change.name) if place(m) == place(change.after)]
        # What must be trained again is another version, whatever the stamp of the lost one says.
        assert not [model for model in there if model.promoted and model.state is READY]
        serves = serving(named(models, change.name))
        if change.gate.rival:
            assert serves
            assert change.gate.rival.fingerprint == serves.fingerprint


@many
@given(worlds())
def test_nothing_goes_within_its_grace(
    world: tuple[list[Desired], list[ObservedModel]],
) -> None:
    wants, models = world
    plan = planned(wants, models)
    grace = {want.name: want.lifecycle.grace_s for want in wants if want.lifecycle.grace}
    promoted = {place(m): m.promoted for m in models if m.state is READY}
    for change in plan.changes:
        going = [*change.retires, *([change.before] if change.before and not change.after else [])]
        for version in going:
            gone = promoted.get(place(version))
            if gone is None or change.name not in grace:
                continue
            marks = [m.promoted for m in named(models, change.name) if m.promoted]
            later = [mark for mark in marks if mark >= gone]
            assert len(later) > 1, "what serves has a grace before it"
            assert (NOW - min(sorted(later)[1:])).total_seconds() >= grace[change.name]
    leaving = {(each.name, each.model_id) for each in plan.leaving}
    retired = {(c.name, v.model_id) for c in plan.changes for v in c.retires}
    assert not leaving & retired


@settings(max_examples=150, deadline=None)
@given(histories())
def test_the_same_holds_for_a_name_whose_gate_has_decided(
    world: tuple[list[Desired], list[ObservedModel]],
) -> None:
    for law in (
        test_what_serves_a_declared_name_goes_only_after_a_successor_serves,
        test_every_name_and_every_version_is_counted_once,
        test_a_gate_is_asked_of_what_never_served_and_beside_what_serves,
        test_nothing_goes_within_its_grace,
    ):
        law.hypothesis.inner_test(world)  # type: ignore[attr-defined]  # hypothesis sets it


@dataclass
class World:
    """A service in memory, and an apply that does what a plan says, to the letter."""

    models: dict[tuple[str, str], ObservedModel]
    outcomes: list[ModelState]
    decisions: list[Decision] = field(default_factory=list)
    ticks: int = 10
    trained: Counter[tuple[str, str]] = field(default_factory=Counter)

    def apply(self, plan: Plan) -> None:
        names = {change.name for change in plan.changes if change.after}
        served = {name for name in names if self.serves(name)}
        for change in plan.changes:
            self.carry_out(change)
            assert all(map(self.serves, served)), "a name that was served is served at every moment"

    def serves(self, name: str) -> ObservedModel | None:
        return serving(named(self.models.values(), name))

    def carry_out(self, change: Change) -> None:
        if not change.action.is_pending:
            return
        after = change.after
        if after is None:
            assert change.before
            assert change.action in (Action.CANCEL, Action.DELETE)
            del self.models[place(change.before)]
            return
        where = (after.provider, after.model_id)
        if change.action.trains:
            self.models[where] = self.train(change, after)
            self.trained[where] += 1
        elif change.action is Action.WAIT:
            self.models[where] = replace(self.models[where], state=self.next_state())
        if self.models[where].state is READY and self.admits(change, where):
            self.mend(after, where, promote=change.action is not Action.UPDATE)
            for version in change.retires:
                del self.models[place(version)]

    def admits(self, change: Change, where: tuple[str, str]) -> bool:
        """Whether the gate of a change lets its version serve; if not, it bears the decision."""
        serves = self.serves(change.name)
        if change.gate is None or (serves and place(serves) == where):
            return True  # what serves by a mark of before is judged no more
        rival = serves if change.gate.not_worse_than_serving_by else None
        assert (change.gate.rival and change.gate.rival.fingerprint) == (
            rival and rival.fingerprint
        ), "it is compared with what serves"
        decision = self.decisions.pop() if self.decisions else Decision.PASSED
        if change.gate.admits(decision):
            return True
        model = self.models[where]
        assert model.stamp
        mark = str(change.gate.mark(decision))
        self.models[where] = replace(model, stamp=replace(model.stamp, gate=mark))
        return False

    def train(self, change: Change, after: Wanted) -> ObservedModel:
        """Return the new version, of which a service knows only what the plan says."""
        is_retry = change.action is Action.RETRY
        assert is_retry or (after.provider, after.model_id) not in self.models
        blank = desired(change.name, provider=after.provider, source=after.source)
        stamp = replace(
            blank.stamp(attempt=1 + (change.before.attempt if is_retry and change.before else 0)),
            fingerprint=after.fingerprint,
            dataset=after.dataset,
            protect=after.protect,
            retain=after.retain,
        )
        state, temperature = self.next_state(), after.temperature
        model = live(blank, state=state, model_id=after.model_id, temperature=temperature)
        return replace(model, stamp=stamp)

    def mend(self, after: Wanted, where: tuple[str, str], *, promote: bool) -> None:
        model = self.models[where]
        assert model.stamp
        self.ticks += promote
        stamp = replace(model.stamp, protect=after.protect, retain=after.retain)
        if promote:
            stamp = stamp.promoted_at(NOON + timedelta(minutes=self.ticks))
        values: dict[str, Any] = {"temperature": model.temperature}
        if after.temperature is not None:
            values["temperature"] = after.temperature
        self.models[where] = replace(model, stamp=stamp, description=after.description, **values)

    def next_state(self) -> ModelState:
        return self.outcomes.pop() if self.outcomes else READY


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
    wants, models = world
    service = World({place(model): model for model in models}, list(outcomes), list(decisions))
    rounds = 0
    before = {want.name: service.serves(want.name) for want in wants}
    while (plan := planned(wants, service.models.values())).pending:
        rounds += 1
        assert rounds <= 2 + len(outcomes) + len(decisions), plan
        service.apply(plan)
    again = planned(wants, service.models.values())
    assert plan_json(again) == plan_json(plan)
    blocked = {change.name: change.action for change in plan.blocked}
    rejected = {change.name for change in plan.rejected}
    stay = Counter(leaving.name for leaving in plan.leaving)
    for want in wants:
        versions = named(service.models.values(), want.name)
        if want.name in rejected:
            assert serving(versions) == before[want.name], "what serves goes on serving"
            assert len(versions) <= 2 + want.lifecycle.keep + stay[want.name]
            continue
        if want.name in blocked:
            states = {model.state for model in versions}
            assert TRAINING not in states or blocked[want.name] is Action.CONFLICT
            continue
        serves = serving(versions)
        assert serves
        assert (serves.fingerprint, serves.provider) == (want.fingerprint, want.provider)
        assert mutable_fields(want, serves) == ()
        assert {model.state for model in versions} == {READY}
        assert len(versions) <= 1 + want.lifecycle.keep + stay[want.name]
    assert all(count <= 1 + 2 for count in service.trained.values())  # retry is at most 2
    kept = {model.stamp.name for model in ours(service.models.values()) if model.stamp}
    for name in kept - {want.name for want in wants}:
        stamps = [model.stamp for model in named(service.models.values(), name)]
        assert any(stamp.protect or stamp.retain for stamp in stamps if stamp)
