"""Decide the change for one name in an environment that promotes what another one trained. Pure.

The environment trains, updates and deletes nothing. It serves a version that its home has served by
adding a line to the description, and it stops the use of a version by removing that line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan import reasons
from tunedmodels.plan.diff import mutable_changes
from tunedmodels.plan.plan import Action, Change
from tunedmodels.plan.reconcile import Reconciler
from tunedmodels.plan.version import desired_version


def is_used(model: ObservedModel, environment: str) -> bool:
    """Whether an environment uses a claimed version of another environment."""
    return bool(model.live_stamp and model.live_stamp.use_by(environment))


def used_or_declared(
    desired: Desired | None, versions: Sequence[ObservedModel], environment: str
) -> list[ObservedModel]:
    """Return the versions of a name that concern an environment that promotes."""
    return [
        model
        for model in versions
        if is_used(model, environment)
        or (
            desired is not None
            and (model.provider, model.fingerprint) == (desired.provider, desired.fingerprint)
        )
    ]


def has_served(model: ObservedModel) -> bool:
    """Whether the home of a claimed version has served it."""
    stored = model.live_stamp or model.stamp
    return stored is not None and stored.promoted is not None


@dataclass(frozen=True, slots=True)
class PromotionReconciler(Reconciler):
    """Decides what an environment promotes and releases."""

    home: str = ""  #: the environment that trains the versions

    def _primary_change(self) -> Change | None:
        declared = self.history.declared
        if declared is not None and declared is self.history.serving:
            fields = tuple(
                field
                for field in mutable_changes(self.desired, declared)
                if field.path.startswith("lifecycle.")
            )
            return self._update(declared, fields) if fields else None
        is_ready = declared is not None and declared.state is ModelState.READY
        rejected = self._rejected(declared) if declared is not None and is_ready else None
        return rejected or self._promotion(declared)

    def _promotion(self, declared: ObservedModel | None) -> Change:
        # Without `before`: an approved promotion stays valid while the home trains the version.
        model_id = declared.model_id if declared else self.desired.model_id
        return Change(
            name=self.desired.name,
            action=Action.PROMOTE,
            reason=reasons.promoting_from(self.home),
            after=desired_version(self.desired, model_id),
            gate=self._gate,
            retires=self._retires(),
        )

    def _removals(self, primary: Change | None) -> Iterator[Change]:
        if primary is None or primary.action is Action.UPDATE:
            for model in self.retirement.due():
                yield self._removal(Action.RELEASE, model, reasons.RELEASED)
