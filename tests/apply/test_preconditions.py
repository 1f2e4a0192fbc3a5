"""A change is refused when a condition of its plan no longer holds: each condition, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.support.apply_harness import ApplyHarness, actions, declare, examples, message, outcomes
from tests.support.builders import NOON, live, unowned_model
from tunedmodels.errors import Exit, Problem, ProblemsFoundError, Severity
from tunedmodels.events import Ending, Refused
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan.plan import Action
from tunedmodels.schema.tuned_model import Lifecycle

OLD, NEW = declare(data="old"), declare(data="new")
KEEP_NONE = Lifecycle(keep=0)


async def refused(harness: ApplyHarness, change_state: Callable[[], object]) -> Ending:
    """Plan, change the state, apply; return the only final event, which must be a refusal."""
    plan = harness.plan()
    change_state()
    harness.provider.requests.clear()
    outcome = await harness.apply(plan)
    (ending,) = outcome.events
    assert isinstance(ending, Refused), ending
    assert outcome.code is Exit.REFUSED
    assert ending.cure
    assert harness.provider.requests == []
    return ending


def harness_with(*models: ObservedModel, desired: list[Any] | None = None) -> ApplyHarness:
    harness = ApplyHarness([NEW] if desired is None else desired)
    harness.provider.add(*models)
    return harness


async def test_create_refuses_an_id_that_was_taken_since_the_plan() -> None:
    harness = harness_with()
    ending = await refused(harness, lambda: harness.provider.add(unowned_model(NEW.model_id)))
    assert message(ending) == f"{NEW.model_id} exists without a stamp of project demo"


async def test_create_refuses_an_owned_model_with_other_training_inputs() -> None:
    harness = harness_with()
    other = replace(live(OLD), model_id=NEW.model_id)
    assert "other training inputs" in message(
        await refused(harness, lambda: harness.provider.add(other))
    )


@pytest.mark.parametrize("state", [ModelState.TRAINING, ModelState.READY])
async def test_create_continues_with_the_same_version_of_another_process(state: ModelState) -> None:
    harness = harness_with()
    plan = harness.plan()
    harness.provider.add(live(NEW, state=state))
    assert outcomes(await harness.apply(plan)) == [("Succeeded", "tone")]
    assert harness.sent() == [f"promote {NEW.model_id}"]


async def test_a_serving_version_is_not_promoted_again() -> None:
    harness = harness_with()
    plan = harness.plan()
    harness.provider.add(live(NEW, promoted=1))
    assert outcomes(await harness.apply(plan)) == [("Succeeded", "tone")]
    assert harness.sent() == []


@pytest.mark.parametrize(
    "declared",
    [
        pytest.param(declare(data="newer"), id="other examples"),
        pytest.param(declare(data="new", description="other"), id="other description"),
        pytest.param(declare(data="new", lifecycle=Lifecycle(protect=True)), id="protected"),
        pytest.param(declare("renamed"), id="no longer declared"),
    ],
)
async def test_a_manifest_that_changed_since_the_plan_is_refused(declared: Any) -> None:
    harness = harness_with()

    def edit() -> None:
        harness.desired = [declared]

    ending = await refused(harness, edit)
    assert "changed since the plan" in message(ending) or "no longer declared" in message(ending)


async def test_a_dataset_that_changed_between_plan_and_apply_is_refused() -> None:
    harness = harness_with()
    ending = await refused(harness, lambda: harness.files.update(new=examples("new")[1:]))
    assert message(ending) == "the dataset new changed since the plan (24 examples then, 23 now)"


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("no such file"),
        ProblemsFoundError([Problem("data", 7, "output", Severity.ERROR, "empty", "is empty")]),
    ],
    ids=["missing", "invalid"],
)
async def test_a_dataset_that_can_no_longer_be_read_is_refused(error: Exception) -> None:
    def load(_declared: object) -> list[Any]:
        raise error

    harness = harness_with()
    (ending,) = (await harness.apply(load_examples=load)).events
    assert isinstance(ending, Refused)
    assert harness.provider.requests == []


async def test_retry_refuses_when_the_dataset_changed_and_deletes_nothing() -> None:
    harness = harness_with(live(NEW, state=ModelState.FAILED))
    await refused(harness, lambda: harness.files.update(new=examples("newer")))


async def test_retry_continues_with_the_retry_of_another_process() -> None:
    harness = harness_with(live(NEW, state=ModelState.FAILED))
    plan = harness.plan()
    harness.provider.add(live(NEW, state=ModelState.TRAINING, attempt=2))
    assert outcomes(await harness.apply(plan)) == [("Succeeded", "tone")]
    assert harness.sent() == [f"promote {NEW.model_id}"]


async def test_retry_refuses_after_a_failed_retry_of_another_process() -> None:
    harness = harness_with(live(NEW, state=ModelState.FAILED))
    again = live(NEW, state=ModelState.FAILED, attempt=2)
    assert "tried again" in message(await refused(harness, lambda: harness.provider.add(again)))


async def test_retry_of_a_deleted_model_trains_the_next_attempt() -> None:
    harness = harness_with(live(NEW, state=ModelState.FAILED))
    plan = harness.plan()
    harness.provider.remove(NEW.model_id)
    assert outcomes(await harness.apply(plan)) == [("Succeeded", "tone")]
    (model,) = harness.provider.models()
    assert model.stamp is not None
    assert model.stamp.attempt == 2


async def test_wait_refuses_a_deleted_model() -> None:
    harness = harness_with(live(NEW, state=ModelState.TRAINING))
    ending = await refused(harness, lambda: harness.provider.remove(NEW.model_id))
    assert message(ending) == f"{NEW.model_id} was deleted since the plan"


DIFFERENCES = [
    pytest.param(
        lambda model: replace(model, stamp=None), "no longer has a stamp", id="lost its stamp"
    ),
    pytest.param(
        lambda model: replace(model, state=ModelState.FAILED), "is failed now", id="other state"
    ),
    pytest.param(
        lambda model: replace(model, stamp=replace(model.stamp, fingerprint="f" * 64)),
        "another version",
        id="other fingerprint",
    ),
    pytest.param(
        lambda model: replace(model, stamp=model.stamp.promoted_at(NOON + timedelta(days=1))),
        "promoted or demoted",
        id="other promotion time",
    ),
]


@pytest.mark.parametrize(("change_model", "expected"), DIFFERENCES)
async def test_update_refuses_a_version_that_is_not_as_planned(
    change_model: Any, expected: str
) -> None:
    existing = live(declare(), promoted=1)
    harness = harness_with(existing, desired=[declare(temperature=0.1)])
    assert actions(harness.plan()) == [Action.UPDATE]
    assert expected in message(
        await refused(harness, lambda: harness.provider.add(change_model(existing)))
    )


@pytest.mark.parametrize(("change_model", "expected"), DIFFERENCES)
async def test_promote_refuses_a_version_that_is_not_as_planned(
    change_model: Any, expected: str
) -> None:
    existing = live(declare())
    harness = harness_with(existing, desired=[declare()])
    assert actions(harness.plan()) == [Action.PROMOTE]
    assert expected in message(
        await refused(harness, lambda: harness.provider.add(change_model(existing)))
    )


@pytest.mark.parametrize(("change_model", "expected"), DIFFERENCES[:3])
async def test_delete_refuses_a_version_that_is_not_as_planned(
    change_model: Any, expected: str
) -> None:
    existing = live(declare())
    harness = harness_with(existing, live(declare("other"), promoted=1), desired=[declare("other")])
    assert actions(harness.plan()) == [Action.DELETE]
    assert expected in message(
        await refused(harness, lambda: harness.provider.add(change_model(existing)))
    )


@pytest.mark.parametrize("action", [Action.UPDATE, Action.PROMOTE])
async def test_a_deleted_target_is_refused(action: Action) -> None:
    existing = live(declare(), promoted=1 if action is Action.UPDATE else None)
    harness = harness_with(existing, desired=[declare(temperature=0.1)])
    assert actions(harness.plan()) == [action]
    assert "was deleted" in message(
        await refused(harness, lambda: harness.provider.remove(existing.model_id))
    )


@pytest.mark.parametrize("state", [ModelState.READY, ModelState.TRAINING])
async def test_a_removal_of_a_deleted_version_succeeds(state: ModelState) -> None:
    existing = live(declare(), state=state)
    harness = harness_with(existing, live(declare("other"), promoted=1), desired=[declare("other")])
    plan = harness.plan()
    harness.provider.remove(existing.model_id)
    assert outcomes(await harness.apply(plan)) == [("Succeeded", "tone")]
    assert harness.sent() == []


async def test_cancel_refuses_a_job_that_ended_since_the_plan() -> None:
    existing = live(OLD, state=ModelState.TRAINING)
    harness = harness_with(existing, live(NEW, promoted=1))
    ready = replace(existing, state=ModelState.READY)
    ending = await refused(harness, lambda: harness.provider.add(ready))
    assert message(ending) == f"{OLD.model_id} was training and is ready now"


async def test_cancel_accepts_that_a_queued_job_started() -> None:
    harness = harness_with(live(OLD, state=ModelState.QUEUED), live(NEW, promoted=1))
    plan = harness.plan()
    harness.provider.add(live(OLD, state=ModelState.TRAINING))
    assert outcomes(await harness.apply(plan)) == [("Succeeded", "tone")]


async def test_cancel_keeps_a_version_that_was_ready_before_it_had_an_effect() -> None:
    harness = harness_with(live(OLD, state=ModelState.TRAINING), live(NEW, promoted=1))
    harness.provider.cancel_duration_s = 60
    harness.provider.job_duration_s = 3
    (ending,) = (await harness.apply()).events
    assert isinstance(ending, Refused)
    assert "is kept" in ending.words
    assert OLD.model_id in [model.model_id for model in harness.provider.models()]


async def test_delete_refuses_a_version_that_now_serves() -> None:
    former = live(OLD, promoted=1)
    harness = harness_with(
        former, live(NEW, promoted=5), desired=[declare(data="new", lifecycle=KEEP_NONE)]
    )
    assert actions(harness.plan()) == [Action.DELETE]
    ending = await refused(harness, lambda: harness.provider.remove(NEW.model_id))
    assert message(ending) == f"{OLD.model_id} serves now, which it did not when it was planned"


async def test_delete_refuses_a_version_that_is_declared_again() -> None:
    harness = harness_with(
        live(declare(), promoted=1), live(declare("other"), promoted=1), desired=[declare("other")]
    )

    def declare_again() -> None:
        harness.desired = [declare(), declare("other")]

    assert "declared again" in message(await refused(harness, declare_again))


async def test_a_former_version_is_not_retired_before_the_new_one_serves() -> None:
    harness = harness_with(
        live(OLD, promoted=1), desired=[declare(data="new", lifecycle=KEEP_NONE)]
    )

    def promote_the_old_one_again(call: str, model_id: str) -> None:
        if call == "promote":
            harness.provider.add(live(OLD, promoted=60 * 24))

    harness.provider.on_response = promote_the_old_one_again
    outcome = await harness.apply()
    assert outcomes(outcome) == [("Refused", "tone"), ("Succeeded", "tone")]
    assert "does not serve yet" in message(outcome.events[0])
    serving = harness.serving()
    assert serving is not None
    assert serving.model_id == OLD.model_id


async def test_a_version_that_is_no_longer_ready_is_not_promoted() -> None:
    harness = harness_with(live(OLD, promoted=1))
    ready = live(NEW)
    is_observed = False

    def fail(call: str) -> None:
        nonlocal is_observed
        is_observed |= call == "observe"
        if is_observed:
            harness.provider.add(replace(ready, state=ModelState.FAILED))

    plan = harness.plan()
    harness.provider.add(ready)
    harness.provider.on_query = fail
    (ending,) = (await harness.apply(plan)).events
    assert isinstance(ending, Refused)
    assert "is no longer ready" in ending.words


async def test_a_provider_that_is_no_longer_declared_is_refused() -> None:
    harness = harness_with()
    plan = harness.plan()
    (ending,) = (await harness.apply(plan, providers={})).events
    assert isinstance(ending, Refused)
    assert "embedded" in ending.words


async def test_a_removal_without_a_version_is_refused() -> None:
    harness = harness_with(live(declare()), desired=[])
    plan = harness.plan()
    without_version = [change.model_copy(update={"before": None}) for change in plan.changes]
    plan = plan.model_copy(update={"changes": tuple(without_version), "refusals": ()})
    (ending,) = (await harness.apply(plan)).events
    assert isinstance(ending, Refused)
