"""The contract of whoever decides for a gate; the executor knows neither questions nor metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tunedmodels.desired import Desired
from tunedmodels.observed import ObservedModel
from tunedmodels.stamp import Decision


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a gate says of a version; `score` as a stamp holds it, `words` without dataset text."""

    decision: Decision
    score: str
    words: str


class Judge(Protocol):
    """Whoever asks a version the held-out examples and holds its answers against the gate."""

    async def __call__(
        self,
        want: Desired,
        version: ObservedModel,
        rival: ObservedModel | None,
        tell: Callable[[int, int], None],
    ) -> Judgement:
        """Judge a version of `want` beside its rival; `tell` hears how many answers there are.

        Raises RefusedError when the examples are not those of `want`, and ProviderError when they
        cannot be asked.
        """
