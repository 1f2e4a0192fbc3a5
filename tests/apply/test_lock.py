"""One apply at a time where that matters, and what it does with what is only a record."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.support.apply_harness import Stage, actions, said, want, words
from tests.support.builders import live
from tunedmodels.datasets.examples import Example
from tunedmodels.desired import Desired
from tunedmodels.errors import RefusedError
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan.plan import Action
from tunedmodels.stamp import Stamp

OLD, NEW = want(data="old"), want(data="new")
DROPPED = "trained on 22 of 24 examples"


def watched(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happened, in order: the guard taken and left, and every request in between."""
    happened: list[str] = []

    @asynccontextmanager
    async def guard() -> AsyncIterator[None]:
        happened.append("guard")
        yield
        happened.append("open")

    monkeypatch.setattr(stage.provider, "guard", guard)
    stage.provider.before = lambda call, _: happened.append(call)
    return happened


async def test_the_guard_is_held_from_the_first_request_to_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage([NEW])
    happened = watched(stage, monkeypatch)
    await stage.apply()
    assert happened == ["guard", "create", "promote", "open"]


async def test_nobody_is_kept_away_while_nothing_begins_or_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage([NEW])
    stage.provider.hold(live(NEW, state=ModelState.QUEUED))
    happened = watched(stage, monkeypatch)
    await stage.apply()
    assert happened == ["promote"]


async def test_whoever_is_kept_away_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage([NEW])

    @asynccontextmanager
    async def guard() -> AsyncIterator[None]:
        raise RefusedError("held by somebody")
        yield

    monkeypatch.setattr(stage.provider, "guard", guard)
    with pytest.raises(RefusedError, match="held by somebody"):
        await stage.apply()
    assert stage.events == []


@pytest.mark.parametrize("state", [ModelState.FAILED, ModelState.CANCELLED])
async def test_a_new_job_follows_a_record_that_nobody_deletes(state: ModelState) -> None:
    stage = Stage([NEW])
    record = live(NEW, state=state, is_record=True)
    shown = [record]
    models, get, create = stage.provider.models, stage.provider.get, stage.provider.create

    async def get_record(model_id: str) -> ObservedModel | None:
        return shown[0] if shown else await get(model_id)

    async def create_anew(
        declared: Desired, data: Sequence[Example], stamp: Stamp, **others: Any
    ) -> ObservedModel:
        shown.clear()
        return await create(declared, data, stamp, **others)

    stage.provider.models = lambda: [*shown, *models()]  # type: ignore[method-assign]  # a service that keeps records
    stage.provider.get = get_record  # type: ignore[method-assign]  # the same
    stage.provider.create = create_anew  # type: ignore[assignment,method-assign]  # the same
    plan = stage.plan()
    assert actions(plan) == [Action.RETRY if state is ModelState.FAILED else Action.CREATE]
    assert said(await stage.apply(plan)) == [("Succeeded", "tone")]
    assert [call for call, _ in stage.provider.requests] == ["create", "promote"]


@pytest.mark.parametrize("state", [ModelState.FAILED, ModelState.CANCELLED])
async def test_a_job_that_ended_badly_since_the_plan_is_not_paid_for_again(
    state: ModelState,
) -> None:
    """Somebody else with the same manifests was quicker, and their job left only a record."""
    stage = Stage([NEW])
    if state is ModelState.CANCELLED:  # a create is what a plan makes of that record
        stage.provider.hold(live(NEW, state=ModelState.TRAINING))
    plan = stage.plan()
    stage.provider.hold(live(NEW, state=state, is_record=True), failure="no good")
    outcome = await stage.apply(plan)
    assert said(outcome) == [("Failed", "tone")]
    assert stage.provider.requests == []


async def test_somebody_elses_record_is_in_nobodys_way() -> None:
    stage = Stage([NEW])
    theirs = replace(live(NEW, state=ModelState.FAILED, is_record=True), stamp=None)
    stage.provider.hold(theirs)
    create = stage.provider.create

    async def create_beside(*arguments: Any, **others: Any) -> ObservedModel:
        stage.provider.drop(NEW.model_id)
        return await create(*arguments, **others)

    stage.provider.create = create_beside  # type: ignore[method-assign]  # ids of its own
    assert said(await stage.apply()) == [("Succeeded", "tone")]


async def test_what_is_objected_to_ends_ready_and_does_not_serve() -> None:
    stage = Stage([NEW])
    stage.provider.hold(live(OLD, promoted=1))
    get = stage.provider.get

    async def get_objected(model_id: str) -> ObservedModel | None:
        model = await get(model_id)
        is_new = model is not None and model.fingerprint == NEW.fingerprint
        return replace(model, objection=DROPPED) if model and is_new else model

    stage.provider.get = get_objected  # type: ignore[method-assign]  # a service that drops examples
    outcome = await stage.apply()
    assert said(outcome) == [("Failed", "tone")]
    assert words(outcome.events[0]) == DROPPED
    serves = stage.serving()
    assert serves
    assert serves.fingerprint == OLD.fingerprint


async def test_validation_examples_are_those_of_the_plan() -> None:
    declared = want(data="new")
    held_out = want(data="held out").dataset
    stage = Stage([replace(declared, validation=held_out)])
    given: dict[str, Any] = {}
    create = stage.provider.create

    async def create_with(*arguments: Any, **others: Any) -> ObservedModel:
        given.update(others)
        return await create(*arguments, **others)

    stage.provider.create = create_with  # type: ignore[method-assign]  # looks at what it is given
    plan = stage.plan()
    await stage.apply(plan)
    assert given["validation"] == stage.load(replace(declared, dataset=held_out))


async def test_validation_examples_that_changed_since_the_plan_are_refused() -> None:
    held_out = want(data="held out").dataset
    stage = Stage([replace(NEW, validation=held_out)])
    plan = stage.plan()
    stage.files["held out"] = [Example("other", "yes")]
    outcome = await stage.apply(plan)
    assert said(outcome) == [("Refused", "tone")]
    assert "held out changed since the plan" in words(outcome.events[0])
    assert stage.provider.requests == []
