"""Fixtures: a project directory, and a job that takes a while."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.project_dir import ProjectDir, project_dir

__all__ = ["ProjectDir", "project_dir", "slow"]


@pytest.fixture
def slow(project_dir: ProjectDir) -> Callable[[], None]:
    """Return a function that makes training take a second or two, long enough to interrupt it."""

    def declare() -> None:
        project_dir.model(hyperparameters={"epochCount": 60, "batchSize": 1})
        project_dir.dataset(times=25)

    return declare
