"""Strategies for the laws of the planner, and a service in memory that applies plans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from tests.support import builders
from tests.support.builders import (
    NOON,
    desired,
    evaluation,
    live,
    unowned_model,
    with_decision,
    with_inputs,
)
from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel, serving
from tunedmodels.plan.plan import Action, Change, DesiredVersion, LiveVersion, Plan
from tunedmodels.schema.tuned_model import Lifecycle
from tunedmodels.stamp import Decision, GateRecord

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


def plan_for(
    models: Iterable[Desired] = (), observed: Iterable[ObservedModel] = (), **values: Any
) -> Plan:
    """Return a plan made three minutes after noon."""
    return builders.plan_for(models, observed, **{"now": NOW, **values})


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
def gate_records(draw: st.DrawFn, name: str) -> str:
    """Draw the record of a current or former gate, with any baseline."""
    baseline = draw(st.sampled_from(["", *(desired(name, data=word).fingerprint for word in DATA)]))
    gate = draw(st.sampled_from([*(each.gate_digest for each in GATES), "0ff0ff0ff0ff"]))
    return str(GateRecord(draw(st.sampled_from(Decision)), gate, baseline[:8]))


@st.composite
def manifests(draw: st.DrawFn) -> list[Desired]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    models = [draw(declared(name)) for name in names]
    if len(models) > 1 and draw(st.booleans()):
        parent = models[-1]
        child = with_inputs(models[0], source=f"tunedModels/{parent.model_id}")
        models[0] = replace(child, parent=parent.name)
    return models


@st.composite
def version(draw: st.DrawFn, models: list[Desired]) -> ObservedModel:
    other = draw(st.sampled_from(NAMES).flatmap(declared))
    # Versions of declared models matter most.
    model = draw(st.sampled_from([other, *models]))
    model = replace(model, project=draw(st.sampled_from(["demo", "demo", "demo", "theirs"])))
    observed = live(
        model,
        state=draw(st.sampled_from(ModelState)),
        promoted=draw(st.sampled_from([None, 0, 0, 1, 2])),
        attempt=draw(st.integers(1, 3)),
        created=draw(st.sampled_from([None, NOON, NOON + timedelta(hours=1)])),
        temperature=draw(st.sampled_from([None, 0.1])),
    )
    assert observed.stamp
    record = draw(st.one_of(st.just(""), gate_records(model.name)))
    observed = replace(observed, stamp=replace(observed.stamp, gate_record=record))
    return draw(st.sampled_from([*[observed] * 3, unowned_model(observed.model_id)]))


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Desired], list[ObservedModel]]:
    models = draw(manifests())
    observed = draw(st.lists(version(models), max_size=8, unique_by=id_of))
    return models, observed


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Desired], list[ObservedModel]]:
    """Draw one name with a gate, and ready versions: promoted, rejected by it, or neither."""
    model = desired(
        "a",
        data=draw(st.sampled_from(DATA)),
        evaluation=draw(st.sampled_from(GATES)),
        lifecycle=draw(lifecycles),
    )
    times = draw(st.lists(st.sampled_from([None, 0, 1, 2]), min_size=3, max_size=3))
    versions = [
        live(desired("a", data=data), promoted=time) for data, time in zip(DATA, times, strict=True)
    ]
    baseline = serving(versions)
    decisions = draw(st.lists(st.sampled_from([None, *Decision]), min_size=3, max_size=3))
    decided = [
        with_decision(version, model, decision, baseline=baseline) if decision else version
        for version, decision in zip(versions, decisions, strict=True)
    ]
    return [model], draw(st.lists(st.sampled_from(decided), unique_by=id_of))


def id_of(model: ObservedModel | LiveVersion | DesiredVersion) -> tuple[str, str]:
    return model.provider, model.model_id


def owned(models: Iterable[ObservedModel]) -> list[ObservedModel]:
    return [model for model in models if model.stamp and model.stamp.project == "demo"]


def versions_of(models: Iterable[ObservedModel], name: str) -> list[ObservedModel]:
    return [model for model in owned(models) if model.stamp and model.stamp.name == name]


def changed_versions(change: Change) -> Iterator[LiveVersion]:
    """Yield every live version that a change modifies or deletes."""
    if change.action.is_pending:
        yield from [change.before] if change.before else []
        yield from change.retires


@dataclass
class Service:
    """A service in memory, with an apply that executes a plan exactly."""

    models: dict[tuple[str, str], ObservedModel]
    outcomes: list[ModelState]
    decisions: list[Decision] = field(default_factory=list)
    minutes: int = 10
    trained: Counter[tuple[str, str]] = field(default_factory=Counter)

    def apply(self, plan: Plan) -> None:
        names = {change.name for change in plan.changes if change.after}
        served = {name for name in names if self.serving(name)}
        for change in plan.changes:
            self.execute(change)
            assert all(map(self.serving, served)), "a served name is served at every moment"

    def serving(self, name: str) -> ObservedModel | None:
        return serving(versions_of(self.models.values(), name))

    def execute(self, change: Change) -> None:
        if not change.action.is_pending:
            return
        after = change.after
        if after is None:
            assert change.before
            assert change.action in (Action.CANCEL, Action.DELETE)
            del self.models[id_of(change.before)]
            return
        key = id_of(after)
        if change.action.trains:
            self.models[key] = self.train(change, after)
            self.trained[key] += 1
        elif change.action is Action.WAIT:
            self.models[key] = replace(self.models[key], state=self.next_state())
        if self.models[key].state is READY and self.passes_gate(change, key):
            self.update(after, key, promote=change.action is not Action.UPDATE)
            for version in change.retires:
                del self.models[id_of(version)]

    def passes_gate(self, change: Change, key: tuple[str, str]) -> bool:
        """Return whether the gate of a change passes its version; record a rejection."""
        answering = self.serving(change.name)
        if change.gate is None or (answering and id_of(answering) == key):
            return True  # a version that serves already is not evaluated again
        baseline = answering if change.gate.not_worse_than_serving_by else None
        assert (change.gate.baseline and change.gate.baseline.fingerprint) == (
            baseline and baseline.fingerprint
        ), "the baseline is the serving version"
        decision = self.decisions.pop() if self.decisions else Decision.PASSED
        if change.gate.allows(decision):
            return True
        model = self.models[key]
        assert model.stamp
        record = str(change.gate.record(decision))
        self.models[key] = replace(model, stamp=replace(model.stamp, gate_record=record))
        return False

    def train(self, change: Change, after: DesiredVersion) -> ObservedModel:
        """Return the new version, with the values of the plan only."""
        is_retry = change.action is Action.RETRY
        assert is_retry or id_of(after) not in self.models
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

    def update(self, after: DesiredVersion, key: tuple[str, str], *, promote: bool) -> None:
        model = self.models[key]
        assert model.stamp
        self.minutes += promote
        stamp = replace(model.stamp, protect=after.protect, retain=after.retain)
        if promote:
            stamp = stamp.promoted_at(NOON + timedelta(minutes=self.minutes))
        fields = replace(model.fields, **after.fields.values())
        self.models[key] = replace(model, stamp=stamp, fields=fields)

    def next_state(self) -> ModelState:
        return self.outcomes.pop() if self.outcomes else READY
