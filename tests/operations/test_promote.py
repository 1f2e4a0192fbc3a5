"""What a person does by hand, beside an apply that may be at work: promote and cancel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import NOON, desired, evaluation, live
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.provider import FakeProvider
from tunedmodels.datasets.diff import Numbered
from tunedmodels.datasets.examples import Example
from tunedmodels.errors import RefusedError
from tunedmodels.observed import ModelState, ObservedModel, serving
from tunedmodels.operations import models
from tunedmodels.operations.evaluate import Examiner, OtherPreambleError
from tunedmodels.project.project import Project
from tunedmodels.stamp import HAND

OLD, NEW = desired(data="old"), desired(data="new")
DROPPED = "trained on 22 of 24 examples"
LATE = NOON.replace(year=NOON.year + 50)  # the clock of a machine that was wrong


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> FakeProvider:
    """The only provider of the project."""
    provider = FakeProvider(FakeClock())

    @asynccontextmanager
    async def connect(_project: Project) -> AsyncIterator[dict[str, FakeProvider]]:
        yield {"embedded": provider}

    monkeypatch.setattr(models, "connect", connect)
    return provider


@pytest.fixture
def project(tmp_path: Path) -> Project:
    head = "apiVersion: tunedmodels.dev/v1\nkind: Project\nmetadata: {name: demo}\n"
    (tmp_path / "tunedmodels.yaml").write_text(head, encoding="utf-8")
    return Project.open(tmp_path)


def stamped_at(want: Any, moment: Any) -> ObservedModel:
    model = live(want)
    assert model.stamp
    return replace(model, stamp=model.stamp.promoted_at(moment))


async def test_a_rollback_by_hand_serves_although_another_clock_was_ahead(
    project: Project, provider: FakeProvider
) -> None:
    provider.hold(stamped_at(OLD, NOON), stamped_at(NEW, LATE))
    done = await models.promote(project, "tone", OLD.model_id)
    assert done.former == NEW.model_id
    answers = serving(provider.models())
    assert answers
    assert answers.stamp
    assert (answers.model_id, answers.stamp.by) == (OLD.model_id, HAND)


async def test_what_was_not_trained_on_all_examples_is_not_promoted_by_hand_either(
    project: Project, provider: FakeProvider
) -> None:
    provider.hold(live(OLD, promoted=1), live(NEW, objection=DROPPED))
    for version in (None, NEW.model_id):
        with pytest.raises(RefusedError, match=DROPPED) as refused:
            await models.promote(project, "tone", version)
        assert "onDroppedExamples: warn" in refused.value.cure
    assert provider.requests == []


async def test_what_served_before_can_be_gone_back_to_whatever_was_dropped(
    project: Project, provider: FakeProvider
) -> None:
    provider.hold(live(OLD, promoted=1, objection=DROPPED), live(NEW, promoted=2))
    assert (await models.promote(project, "tone", OLD.model_id)).model_id == OLD.model_id


async def test_without_a_name_a_version_is_chosen_that_may_serve(
    project: Project, provider: FakeProvider
) -> None:
    newest = live(NEW, objection=DROPPED, created=LATE)
    provider.hold(live(desired(data="x"), promoted=1), live(OLD), newest)
    assert (await models.promote(project, "tone", None)).model_id == OLD.model_id


async def test_a_cancelled_job_is_waited_for_before_what_it_left_is_deleted(
    project: Project, provider: FakeProvider
) -> None:
    provider.cancel_takes_s = 5
    provider.hold(live(NEW, state=ModelState.TRAINING))
    assert await models.cancel(project, "tone", clock=provider.clock) == {
        NEW.model_id: ModelState.CANCELLED
    }
    assert [call for call, _ in provider.requests] == ["cancel", "delete"]
    assert provider.models() == []


async def test_a_job_that_does_not_stop_is_left_to_the_service(
    project: Project, provider: FakeProvider
) -> None:
    provider.takes_s = provider.cancel_takes_s = 10_000
    provider.hold(live(NEW, state=ModelState.TRAINING))
    (state,) = (await models.cancel(project, "tone", clock=provider.clock)).values()
    assert state.is_running
    assert [call for call, _ in provider.requests] == ["cancel"]


async def test_a_job_that_was_ready_before_the_cancel_reached_it_is_never_deleted(
    project: Project, provider: FakeProvider
) -> None:
    """An apply that waits for it may have made it serve by then, and retired the former one."""
    provider.takes_s, provider.cancel_takes_s = 3, 100
    provider.hold(live(NEW, state=ModelState.TRAINING))
    assert await models.cancel(project, "tone", clock=provider.clock) == {
        NEW.model_id: ModelState.READY
    }
    assert [model.model_id for model in provider.models()] == [NEW.model_id]


async def test_a_version_that_learned_its_preamble_in_another_way_is_not_asked(
    provider: FakeProvider,
) -> None:
    """It would do worse than it can, and let a bad version pass the gate beside it."""
    trained = live(desired(preamble="Be kind."))
    asked = [Numbered(1, Example("q", "a"))]
    held_out = replace(evaluation(), preamble="Be kind.")
    assert (await Examiner(held_out, asked, None).version(provider, trained)).answers
    with pytest.raises(OtherPreambleError):
        await Examiner(replace(held_out, as_system=True), asked, None).version(provider, trained)
    assert desired(preamble_as="systemInstruction").stamp().preamble == ""
