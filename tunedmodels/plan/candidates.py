"""What a plan says of a sweep: every candidate, what is done for it, and what it costs."""

from __future__ import annotations

from pydantic import JsonValue

from tunedmodels.plan.frozen import Frozen
from tunedmodels.plan.version import Action, Cost, Version, Wanted


class Candidate(Frozen):
    """A version that a sweep tries; `hyperparameters` are all that it is, or was, trained with.

    `action` is `create` or `retry` where it is trained, `wait` while it is, `promote` once it is
    ready and may be chosen, and `failed` where it is given up. `before` is the live version.
    """

    model_id: str
    fingerprint: str
    hyperparameters: dict[str, JsonValue]
    action: Action
    before: Version | None = None
    cost: Cost | None = None


class Sweep(Frozen):
    """The candidates, in the order that settles equal scores, and how the best is found.

    `digest` is over their fingerprints and over what decides their scores. `place` is `file:line`
    of the sweep, `max_cost_usd` what one plan may spend on it.
    """

    digest: str
    metric: str
    path: str
    examples: int
    candidates: tuple[Candidate, ...]
    max_cost_usd: float | None = None
    place: str = ""

    def wanted(self, shared: Wanted, candidate: Candidate) -> Wanted:
        """Return what would be sent for a candidate; `shared` is what all of them have."""
        return shared.model_copy(
            update={
                "model_id": candidate.model_id,
                "fingerprint": candidate.fingerprint,
                "hyperparameters": candidate.hyperparameters,
            }
        )

    @property
    def cost(self) -> Cost | None:
        """What the candidates that are to be trained cost; None where none is."""
        costs = [candidate.cost for candidate in self.candidates if candidate.cost]
        if not costs:
            return None
        known = [cost.usd for cost in costs if cost.usd is not None]
        epochs = [cost.epochs for cost in costs if cost.epochs is not None]
        # All have the same examples and one price, and differ in how often they see them.
        return costs[0].model_copy(
            update={
                "usd": round(sum(known), 2) if len(known) == len(costs) else None,
                "epochs": sum(epochs) if len(epochs) == len(costs) else None,
            }
        )
