"""Which declared name continues from which: the order of a plan, and what stops a training."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tunedmodels.desired import Desired
from tunedmodels.plan import reasons
from tunedmodels.plan.plan import Action, Change

Line = tuple[str, ...]  # a name, after all the names it continues from


class Obstacle(NamedTuple):
    """Why a name cannot be trained, in words that fit after "because", and what to do about it."""

    reason: str
    cure: str


@dataclass(frozen=True, slots=True)
class Family:
    """The declared names. `tunable` maps a provider to the base models it can tune, where known.

    `obstacles` are those that stand in the way of a name's training, whatever the service says.
    """

    wants: Mapping[str, Desired]
    tunable: Mapping[str, Collection[str]]
    obstacles: Mapping[str, Obstacle]

    def in_order(self) -> list[tuple[Line, Desired]]:
        """Return every name with its line, parents before children, else by name."""
        return sorted(
            ((self._line(want), want) for want in self.wants.values()), key=lambda entry: entry[0]
        )

    def base(self, want: Desired) -> str:
        """Return the base model (`models/NAME`) at the root of the line."""
        return self.wants[self._line(want)[0]].source

    def feasible(self, change: Change, want: Desired, stuck: Mapping[str, Action]) -> Change:
        """Return a training as it is, or as failed when it cannot begin.

        `stuck` says by name why apply can do nothing. What continues from a version that its gate
        rejected shares its fate, and is no failure either.
        """
        base = self.base(want)
        tunable = self.tunable.get(want.provider)
        action = Action.FAILED
        if want.parent and want.parent in stuck:
            is_rejected = stuck[want.parent] is Action.REJECTED
            action = Action.REJECTED if is_rejected else action
            reason = reasons.orphaned(want.parent, is_rejected=is_rejected)
            cure = reasons.CURE_PARENT
        elif want.name in self.obstacles:
            reason, cure = self.obstacles[want.name]
        elif tunable is not None and base not in tunable:
            reason, cure = reasons.not_tunable(want.provider, base), reasons.cure_base(tunable)
        else:
            return change
        return Change(
            name=change.name,
            action=action,
            reason=reason,
            cure=cure,
            before=change.before,
            after=change.after,
        )

    def _line(self, want: Desired) -> Line:
        # There can be no circle: a source holds the fingerprint of the parent, which holds its own.
        parent = self.wants.get(want.parent) if want.parent else None
        return (*self._line(parent), want.name) if parent else (want.name,)
