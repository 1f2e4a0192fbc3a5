"""The stories happen at a desk; some of them with a job that lasts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.project_dir import Desk, desk

__all__ = ["Desk", "desk", "slow"]


@pytest.fixture
def slow(desk: Desk) -> Callable[[], None]:
    """Make the model of the desk train for a second or two, so that there is time to interrupt."""

    def declare() -> None:
        desk.model(hyperparameters={"epochCount": 60, "batchSize": 1})
        desk.dataset(times=25)

    return declare
