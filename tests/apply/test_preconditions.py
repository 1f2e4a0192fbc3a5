"""Nothing is applied that differs from what was planned: each promise of a plan, broken once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.support.apply_harness import Stage, actions, examples, said, want, words
from tests.support.builders import NOON, foreign, live
from tunedmodels.errors import Exit, Problem, ProblemsFoundError, Severity
from tunedmodels.events import Ending, Refused
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan.plan import Action
from tunedmodels.schema.tuned_model import Lifecycle

OLD, NEW = want(data="old"), want(data="new")
KEEP_NONE = Lifecycle(keep=0)


async def refused(stage: Stage, change_world: Callable[[], object]) -> Ending:
    """Plan, let the world change, apply: the only last word must be a refusal."""
    plan = stage.plan()
    change_world()
    stage.provider.requests.clear()
    outcome = await stage.apply(plan)
    (ending,) = outcome.events
    assert isinstance(ending, Refused), ending
    assert outcome.code is Exit.REFUSED
    assert ending.cure
    assert stage.provider.requests == []
    return ending


def stage_with(*models: ObservedModel, wants: list[Any] | None = None) -> Stage:
    stage = Stage([NEW] if wants is None else wants)
    stage.provider.hold(*models)
    return stage


async def test_create_refuses_an_id_that_somebody_took_meanwhile() -> None:
    stage = stage_with()
    ending = await refused(stage, lambda: stage.provider.hold(foreign(NEW.model_id)))
    assert words(ending) == f"{NEW.model_id} exists and bears no stamp of project demo"


async def test_create_refuses_a_model_of_ours_that_was_trained_from_something_else() -> None:
    stage = stage_with()
    other = replace(live(OLD), model_id=NEW.model_id)
    assert "something else" in words(await refused(stage, lambda: stage.provider.hold(other)))


@pytest.mark.parametrize("state", [ModelState.TRAINING, ModelState.READY])
async def test_create_goes_on_with_the_same_version_that_somebody_began(state: ModelState) -> None:
    stage = stage_with()
    plan = stage.plan()
    stage.provider.hold(live(NEW, state=state))
    assert said(await stage.apply(plan)) == [("Succeeded", "tone")]
    assert stage.sent() == [f"promote {NEW.model_id}"]


async def test_what_serves_already_is_not_promoted_again() -> None:
    stage = stage_with()
    plan = stage.plan()
    stage.provider.hold(live(NEW, promoted=1))
    assert said(await stage.apply(plan)) == [("Succeeded", "tone")]
    assert stage.sent() == []


@pytest.mark.parametrize(
    "declared",
    [
        pytest.param(want(data="newer"), id="other examples"),
        pytest.param(want(data="new", description="other"), id="other words"),
        pytest.param(want(data="new", lifecycle=Lifecycle(protect=True)), id="protected"),
        pytest.param(want("renamed"), id="not declared any more"),
    ],
)
async def test_a_manifest_that_changed_since_the_plan_is_refused(declared: Any) -> None:
    stage = stage_with()

    def edit() -> None:
        stage.wants = [declared]

    ending = await refused(stage, edit)
    assert "changed since the plan" in words(ending) or "not declared" in words(ending)


async def test_a_dataset_that_changed_between_plan_and_apply_is_refused() -> None:
    stage = stage_with()
    ending = await refused(stage, lambda: stage.files.update(new=examples("new")[1:]))
    assert words(ending) == "the dataset new changed since the plan (24 examples then, 23 now)"


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("no such file"),
        ProblemsFoundError([Problem("data", 7, "output", Severity.ERROR, "empty", "is empty")]),
    ],
    ids=["gone", "broken"],
)
async def test_a_dataset_that_cannot_be_read_any_more_is_refused(error: Exception) -> None:
    def load(_declared: object) -> list[Any]:
        raise error

    stage = stage_with()
    (ending,) = (await stage.apply(load=load)).events
    assert isinstance(ending, Refused)
    assert stage.provider.requests == []


async def test_retry_refuses_when_the_dataset_changed_and_deletes_nothing() -> None:
    stage = stage_with(live(NEW, state=ModelState.FAILED))
    await refused(stage, lambda: stage.files.update(new=examples("newer")))


async def test_retry_goes_on_with_what_somebody_retried_meanwhile() -> None:
    stage = stage_with(live(NEW, state=ModelState.FAILED))
    plan = stage.plan()
    stage.provider.hold(live(NEW, state=ModelState.TRAINING, attempt=2))
    assert said(await stage.apply(plan)) == [("Succeeded", "tone")]
    assert stage.sent() == [f"promote {NEW.model_id}"]


async def test_retry_refuses_when_somebody_retried_and_failed_too() -> None:
    stage = stage_with(live(NEW, state=ModelState.FAILED))
    again = live(NEW, state=ModelState.FAILED, attempt=2)
    assert "tried again" in words(await refused(stage, lambda: stage.provider.hold(again)))


async def test_retry_of_a_model_that_is_gone_trains_the_next_attempt() -> None:
    stage = stage_with(live(NEW, state=ModelState.FAILED))
    plan = stage.plan()
    stage.provider.drop(NEW.model_id)
    assert said(await stage.apply(plan)) == [("Succeeded", "tone")]
    (model,) = stage.provider.models()
    assert model.stamp is not None
    assert model.stamp.attempt == 2


async def test_wait_refuses_when_the_model_is_gone() -> None:
    stage = stage_with(live(NEW, state=ModelState.TRAINING))
    ending = await refused(stage, lambda: stage.provider.drop(NEW.model_id))
    assert words(ending) == f"{NEW.model_id} is gone since the plan"


SPOILS = [
    pytest.param(lambda model: replace(model, stamp=None), "no stamp", id="lost its stamp"),
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
        id="other mark",
    ),
]


@pytest.mark.parametrize(("spoil", "expected"), SPOILS)
async def test_update_refuses_what_is_no_longer_as_planned(spoil: Any, expected: str) -> None:
    there = live(want(), promoted=1)
    stage = stage_with(there, wants=[want(temperature=0.1)])
    assert actions(stage.plan()) == [Action.UPDATE]
    assert expected in words(await refused(stage, lambda: stage.provider.hold(spoil(there))))


@pytest.mark.parametrize(("spoil", "expected"), SPOILS)
async def test_promote_refuses_what_is_no_longer_as_planned(spoil: Any, expected: str) -> None:
    there = live(want())
    stage = stage_with(there, wants=[want()])
    assert actions(stage.plan()) == [Action.PROMOTE]
    assert expected in words(await refused(stage, lambda: stage.provider.hold(spoil(there))))


@pytest.mark.parametrize(("spoil", "expected"), SPOILS[:3])
async def test_delete_refuses_what_is_no_longer_as_planned(spoil: Any, expected: str) -> None:
    there = live(want())
    stage = stage_with(there, live(want("other"), promoted=1), wants=[want("other")])
    assert actions(stage.plan()) == [Action.DELETE]
    assert expected in words(await refused(stage, lambda: stage.provider.hold(spoil(there))))


@pytest.mark.parametrize("action", [Action.UPDATE, Action.PROMOTE])
async def test_a_target_that_is_gone_is_refused(action: Action) -> None:
    there = live(want(), promoted=1 if action is Action.UPDATE else None)
    stage = stage_with(there, wants=[want(temperature=0.1)])
    assert actions(stage.plan()) == [action]
    assert "gone" in words(await refused(stage, lambda: stage.provider.drop(there.model_id)))


@pytest.mark.parametrize("state", [ModelState.READY, ModelState.TRAINING])
async def test_what_is_to_go_and_is_gone_already_is_a_success(state: ModelState) -> None:
    there = live(want(), state=state)
    stage = stage_with(there, live(want("other"), promoted=1), wants=[want("other")])
    plan = stage.plan()
    stage.provider.drop(there.model_id)
    assert said(await stage.apply(plan)) == [("Succeeded", "tone")]
    assert stage.sent() == []


async def test_cancel_refuses_a_job_that_ended_meanwhile() -> None:
    there = live(OLD, state=ModelState.TRAINING)
    stage = stage_with(there, live(NEW, promoted=1))
    ready = replace(there, state=ModelState.READY)
    ending = await refused(stage, lambda: stage.provider.hold(ready))
    assert words(ending) == f"{OLD.model_id} was training and is ready now"


async def test_cancel_does_not_mind_that_a_queued_job_began() -> None:
    stage = stage_with(live(OLD, state=ModelState.QUEUED), live(NEW, promoted=1))
    plan = stage.plan()
    stage.provider.hold(live(OLD, state=ModelState.TRAINING))
    assert said(await stage.apply(plan)) == [("Succeeded", "tone")]


async def test_cancel_keeps_a_job_that_was_ready_before_the_cancel_reached_it() -> None:
    stage = stage_with(live(OLD, state=ModelState.TRAINING), live(NEW, promoted=1))
    stage.provider.cancel_takes_s = 60
    stage.provider.takes_s = 3
    (ending,) = (await stage.apply()).events
    assert isinstance(ending, Refused)
    assert "is kept" in ending.words
    assert OLD.model_id in [model.model_id for model in stage.provider.models()]


async def test_delete_refuses_what_serves_by_now() -> None:
    former = live(OLD, promoted=1)
    stage = stage_with(former, live(NEW, promoted=5), wants=[want(data="new", lifecycle=KEEP_NONE)])
    assert actions(stage.plan()) == [Action.DELETE]
    ending = await refused(stage, lambda: stage.provider.drop(NEW.model_id))
    assert words(ending) == f"{OLD.model_id} serves now, which it did not when it was planned"


async def test_delete_refuses_what_is_declared_again() -> None:
    stage = stage_with(
        live(want(), promoted=1), live(want("other"), promoted=1), wants=[want("other")]
    )

    def declare_again() -> None:
        stage.wants = [want(), want("other")]

    assert "declared again" in words(await refused(stage, declare_again))


async def test_a_former_version_is_not_retired_unless_the_new_one_is_seen_to_serve() -> None:
    stage = stage_with(live(OLD, promoted=1), wants=[want(data="new", lifecycle=KEEP_NONE)])

    def promote_the_old_one_again(call: str, model_id: str) -> None:
        if call == "promote":
            stage.provider.hold(live(OLD, promoted=60 * 24))

    stage.provider.after = promote_the_old_one_again
    outcome = await stage.apply()
    assert said(outcome) == [("Refused", "tone"), ("Succeeded", "tone")]
    assert "does not serve yet" in words(outcome.events[0])
    answers = stage.serving()
    assert answers is not None
    assert answers.model_id == OLD.model_id


async def test_a_version_that_is_not_ready_any_more_is_not_promoted() -> None:
    stage = stage_with(live(OLD, promoted=1))
    ready = live(NEW)
    asked = 0

    def spoil(call: str) -> None:
        nonlocal asked
        asked += call == "observe"
        if asked:
            stage.provider.hold(replace(ready, state=ModelState.FAILED))

    plan = stage.plan()
    stage.provider.hold(ready)
    stage.provider.asked = spoil
    (ending,) = (await stage.apply(plan)).events
    assert isinstance(ending, Refused)
    assert "not ready any more" in ending.words


async def test_a_provider_that_is_not_declared_any_more_is_refused() -> None:
    stage = stage_with()
    plan = stage.plan()
    (ending,) = (await stage.apply(plan, providers={})).events
    assert isinstance(ending, Refused)
    assert "embedded" in ending.words


async def test_a_removal_without_a_version_is_refused() -> None:
    stage = stage_with(live(want()), wants=[])
    plan = stage.plan()
    broken = [change.model_copy(update={"before": None}) for change in plan.changes]
    plan = plan.model_copy(update={"changes": tuple(broken), "refusals": ()})
    (ending,) = (await stage.apply(plan)).events
    assert isinstance(ending, Refused)
