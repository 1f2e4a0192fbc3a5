"""Manual promotion and cancellation, also during an apply of another process."""

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
from tunedmodels.datasets.diff import NumberedExample
from tunedmodels.datasets.examples import Example
from tunedmodels.errors import RefusedError
from tunedmodels.observed import ModelState, ObservedModel, serving
from tunedmodels.operations import models
from tunedmodels.operations.evaluate import Evaluator, PreambleMismatchError
from tunedmodels.project.project import Project
from tunedmodels.stamp import MANUAL

OLD, NEW = desired(data="old"), desired(data="new")
DROPPED = "trained on 22 of 24 examples"
LATE = NOON.replace(year=NOON.year + 50)  # by the wrong clock of another machine


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


def promoted_at(model: Any, time: Any) -> ObservedModel:
    version = live(model)
    assert version.stamp
    return replace(version, stamp=version.stamp.promoted_at(time))


async def test_a_manual_rollback_serves_although_another_clock_was_ahead(
    project: Project, provider: FakeProvider
) -> None:
    provider.add(promoted_at(OLD, NOON), promoted_at(NEW, LATE))
    result = await models.promote(project, "tone", OLD.model_id)
    assert result.previous_id == NEW.model_id
    served = serving(provider.models())
    assert served
    assert served.stamp
    assert (served.model_id, served.stamp.promoted_by) == (OLD.model_id, MANUAL)


async def test_a_version_trained_on_fewer_examples_is_not_promoted_manually(
    project: Project, provider: FakeProvider
) -> None:
    provider.add(live(OLD, promoted=1), live(NEW, blocked_reason=DROPPED))
    for version in (None, NEW.model_id):
        with pytest.raises(RefusedError, match=DROPPED) as refused:
            await models.promote(project, "tone", version)
        assert "onDroppedExamples: warn" in refused.value.cure
    assert provider.requests == []


async def test_a_version_that_served_before_can_be_promoted_despite_dropped_examples(
    project: Project, provider: FakeProvider
) -> None:
    provider.add(live(OLD, promoted=1, blocked_reason=DROPPED), live(NEW, promoted=2))
    assert (await models.promote(project, "tone", OLD.model_id)).model_id == OLD.model_id


async def test_without_a_version_the_newest_allowed_one_is_promoted(
    project: Project, provider: FakeProvider
) -> None:
    newest = live(NEW, blocked_reason=DROPPED, created=LATE)
    provider.add(live(desired(data="x"), promoted=1), live(OLD), newest)
    assert (await models.promote(project, "tone", None)).model_id == OLD.model_id


async def test_a_cancelled_job_has_ended_before_its_version_is_deleted(
    project: Project, provider: FakeProvider
) -> None:
    provider.cancel_duration_s = 5
    provider.add(live(NEW, state=ModelState.TRAINING))
    assert await models.cancel(project, "tone", clock=provider.clock) == {
        NEW.model_id: ModelState.CANCELLED
    }
    assert [call for call, _ in provider.requests] == ["cancel", "delete"]
    assert provider.models() == []


async def test_a_job_that_does_not_stop_is_left_to_the_service(
    project: Project, provider: FakeProvider
) -> None:
    provider.job_duration_s = provider.cancel_duration_s = 10_000
    provider.add(live(NEW, state=ModelState.TRAINING))
    (state,) = (await models.cancel(project, "tone", clock=provider.clock)).values()
    assert state.is_running
    assert [call for call, _ in provider.requests] == ["cancel"]


async def test_a_job_that_was_ready_before_the_cancel_request_is_never_deleted(
    project: Project, provider: FakeProvider
) -> None:
    """A waiting apply may have promoted it by then, and retired the former version."""
    provider.job_duration_s, provider.cancel_duration_s = 3, 100
    provider.add(live(NEW, state=ModelState.TRAINING))
    assert await models.cancel(project, "tone", clock=provider.clock) == {
        NEW.model_id: ModelState.READY
    }
    assert [model.model_id for model in provider.models()] == [NEW.model_id]


async def test_a_version_trained_with_another_kind_of_preamble_is_not_scored(
    provider: FakeProvider,
) -> None:
    """It would score lower than it can, and let a bad version pass the gate."""
    trained = live(desired(preamble="Be kind."))
    examples = [NumberedExample(1, Example("q", "a"))]
    held_out = replace(evaluation(), preamble="Be kind.")
    assert (await Evaluator(held_out, examples, None).score_version(provider, trained)).answers
    other = replace(held_out, is_system_preamble=True)
    with pytest.raises(PreambleMismatchError):
        await Evaluator(other, examples, None).score_version(provider, trained)
    assert desired(preamble_as="systemInstruction").stamp().preamble == ""
