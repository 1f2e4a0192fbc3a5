"""Which former versions of a name go: those that neither `keep` nor `grace` covers.

Grace counts from the moment at which a version gave way to its successor, whose promotion mark says
so. Nothing is remembered and nothing waits: the first plan after that moment lets it go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from tunedmodels.observed import ObservedModel
from tunedmodels.plan.history import History, written
from tunedmodels.plan.leaving import Leaving
from tunedmodels.schema.tuned_model import Lifecycle


@dataclass(frozen=True, slots=True)
class Retirement:
    """The former versions of one name, at the moment `now`; without one, nobody's grace is over.

    `is_held` says that the declared version does not come to serve, so that `keep` counts from the
    one that does.
    """

    past: History
    lifecycle: Lifecycle
    now: datetime | None
    is_held: bool

    @property
    def is_timed(self) -> bool:
        """Whether a version goes or stays because of the time."""
        return any(self._until(m) for m in self._uncovered() if m is not self.past.serves)

    def due(self) -> Iterator[ObservedModel]:
        """Yield what may go now, or as soon as the declared version serves; the oldest first."""
        return (model for model in self._uncovered() if self._is_due(model))

    def leaving(self, name: str) -> Iterator[Leaving]:
        """Yield what goes with a later apply."""
        for model in self._uncovered():
            if self.lifecycle.grace and not self._is_due(model):
                until = None if model is self.past.serves else self._until(model)
                yield Leaving(
                    name=name,
                    model_id=model.model_id,
                    grace=self.lifecycle.grace,
                    until=written(until),
                )

    def _uncovered(self) -> tuple[ObservedModel, ...]:
        keep = self.lifecycle.keep
        return self.past.beside_the_serving(keep) if self.is_held else self.past.beyond(keep)

    def _is_due(self, model: ObservedModel) -> bool:
        if model is self.past.serves:
            return not self.lifecycle.grace
        until = self._until(model)
        return until is None or (self.now is not None and self.now >= until)

    def _until(self, model: ObservedModel) -> datetime | None:
        """Return when its grace is over; one that never served has none, as nobody misses it."""
        stopped = self.past.stopped.get((model.provider, model.model_id))
        if stopped is None or not self.lifecycle.grace:
            return None
        return stopped + timedelta(seconds=self.lifecycle.grace_s)
