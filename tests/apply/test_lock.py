"""The lock of a provider, job records, blocked versions and validation examples."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.support.apply_harness import ApplyHarness, actions, declare, message, outcomes
from tests.support.builders import live, with_inputs
from tunedmodels.datasets.examples import Example
from tunedmodels.desired import Desired
from tunedmodels.errors import RefusedError
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan.plan import Action
from tunedmodels.stamp import Stamp

OLD, NEW = declare(data="old"), declare(data="new")
DROPPED = "trained on 22 of 24 examples"


def record_calls(harness: ApplyHarness, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which the lock, its release and all requests are appended."""
    calls: list[str] = []

    @asynccontextmanager
    async def lock() -> AsyncIterator[None]:
        calls.append("lock")
        yield
        calls.append("release")

    monkeypatch.setattr(harness.provider, "lock", lock)
    harness.provider.on_request = lambda call, _: calls.append(call)
    return calls


async def test_the_lock_is_held_from_the_first_request_to_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harness = ApplyHarness([NEW])
    calls = record_calls(harness, monkeypatch)
    await harness.apply()
    assert calls == ["lock", "create", "promote", "release"]


async def test_waiting_and_promoting_need_no_lock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harness = ApplyHarness([NEW])
    harness.provider.add(live(NEW, state=ModelState.QUEUED))
    calls = record_calls(harness, monkeypatch)
    await harness.apply()
    assert calls == ["promote"]


async def test_without_the_lock_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = ApplyHarness([NEW])

    @asynccontextmanager
    async def lock() -> AsyncIterator[None]:
        raise RefusedError("held by another process")
        yield

    monkeypatch.setattr(harness.provider, "lock", lock)
    with pytest.raises(RefusedError, match="held by another process"):
        await harness.apply()
    assert harness.events == []


@pytest.mark.parametrize("state", [ModelState.FAILED, ModelState.CANCELLED])
async def test_a_job_is_created_although_a_job_record_cannot_be_deleted(state: ModelState) -> None:
    harness = ApplyHarness([NEW])
    record = live(NEW, state=state, is_job_record=True)
    records = [record]
    models, get, create = harness.provider.models, harness.provider.get, harness.provider.create

    async def get_record(model_id: str) -> ObservedModel | None:
        return records[0] if records else await get(model_id)

    async def create_job(
        declared: Desired, data: Sequence[Example], stamp: Stamp, **others: Any
    ) -> ObservedModel:
        records.clear()
        return await create(declared, data, stamp, **others)

    harness.provider.models = lambda: [*records, *models()]  # type: ignore[method-assign]  # a service that keeps records
    harness.provider.get = get_record  # type: ignore[method-assign]  # a service that keeps records
    harness.provider.create = create_job  # type: ignore[assignment,method-assign]  # a service that keeps records
    plan = harness.plan()
    assert actions(plan) == [Action.RETRY if state is ModelState.FAILED else Action.CREATE]
    assert outcomes(await harness.apply(plan)) == [("Succeeded", "tone")]
    assert [call for call, _ in harness.provider.requests] == ["create", "promote"]


@pytest.mark.parametrize("state", [ModelState.FAILED, ModelState.CANCELLED])
async def test_a_job_that_failed_since_the_plan_is_not_paid_for_again(
    state: ModelState,
) -> None:
    """Another process with the same manifests created the job, of which only a record is left."""
    harness = ApplyHarness([NEW])
    if state is ModelState.CANCELLED:  # a plan with this record would have a create
        harness.provider.add(live(NEW, state=ModelState.TRAINING))
    plan = harness.plan()
    harness.provider.add(live(NEW, state=state, is_job_record=True), failure="no good")
    outcome = await harness.apply(plan)
    assert outcomes(outcome) == [("Failed", "tone")]
    assert harness.provider.requests == []


async def test_a_job_record_of_another_owner_is_ignored() -> None:
    harness = ApplyHarness([NEW])
    foreign_record = replace(live(NEW, state=ModelState.FAILED, is_job_record=True), stamp=None)
    harness.provider.add(foreign_record)
    create = harness.provider.create

    async def create_and_remove_record(*arguments: Any, **others: Any) -> ObservedModel:
        harness.provider.remove(NEW.model_id)
        return await create(*arguments, **others)

    harness.provider.create = create_and_remove_record  # type: ignore[method-assign]  # the service chooses the ids
    assert outcomes(await harness.apply()) == [("Succeeded", "tone")]


async def test_a_blocked_version_becomes_ready_and_is_not_promoted() -> None:
    harness = ApplyHarness([NEW])
    harness.provider.add(live(OLD, promoted=1))
    get = harness.provider.get

    async def get_blocked(model_id: str) -> ObservedModel | None:
        model = await get(model_id)
        is_new = model is not None and model.fingerprint == NEW.fingerprint
        return replace(model, blocked_reason=DROPPED) if model and is_new else model

    harness.provider.get = get_blocked  # type: ignore[method-assign]  # a service that drops examples
    outcome = await harness.apply()
    assert outcomes(outcome) == [("Failed", "tone")]
    assert message(outcome.events[0]) == DROPPED
    serving = harness.serving()
    assert serving
    assert serving.fingerprint == OLD.fingerprint


async def test_the_job_gets_the_planned_validation_examples() -> None:
    declared = declare(data="new")
    held_out = declare(data="held out").inputs.dataset
    harness = ApplyHarness([with_inputs(declared, validation=held_out)])
    arguments_of_create: dict[str, Any] = {}
    create = harness.provider.create

    async def create_with(*arguments: Any, **others: Any) -> ObservedModel:
        arguments_of_create.update(others)
        return await create(*arguments, **others)

    harness.provider.create = create_with  # type: ignore[method-assign]  # records its arguments
    plan = harness.plan()
    await harness.apply(plan)
    assert arguments_of_create["validation"] == harness.load_examples(
        with_inputs(declared, dataset=held_out)
    )


async def test_validation_examples_that_changed_since_the_plan_are_refused() -> None:
    held_out = declare(data="held out").inputs.dataset
    harness = ApplyHarness([with_inputs(NEW, validation=held_out)])
    plan = harness.plan()
    harness.files["held out"] = [Example("other", "yes")]
    outcome = await harness.apply(plan)
    assert outcomes(outcome) == [("Refused", "tone")]
    assert "held out changed since the plan" in message(outcome.events[0])
    assert harness.provider.requests == []
