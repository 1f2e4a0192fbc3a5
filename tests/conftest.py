"""Fixtures for all tests, and the settings of Hypothesis."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No deadlines: the machine can be busy. In CI every run uses the same examples, so that a failure
# is caused by the change; on a developer's machine every run looks for new examples.
settings.register_profile(
    "calm",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("calm")


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, the only backend of the product."""
    return "asyncio"


@pytest.fixture
def golden() -> Callable[[Path, str], None]:
    """Return a function that compares an output with its golden file.

    With `GOLDEN=write` in the environment it updates the file.
    """

    def compare(path: Path, text: str) -> None:
        if os.environ.get("GOLDEN") == "write":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return compare
