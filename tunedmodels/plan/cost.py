"""The cost of a training: tokens of the examples x epochs x price. It is an estimate.

Tuning is free on the Gemini API (source: Gemini API pricing, "Tuning price: free of charge") and on
this machine. Vertex AI bills the tokens of every epoch (source: its pricing page).
"""

from __future__ import annotations

from typing import Final

from tunedmodels.desired import Desired
from tunedmodels.plan.version import Action, Cost
from tunedmodels.schema.base_models import Price

FREE: Final = Price(usd_per_million_tokens=0.0)

_CENT: Final = 0.01


def cost_of(action: Action, desired: Desired, price: Price | None) -> Cost | None:
    """Return the cost of a change, or None if it trains nothing; a price of None is unknown."""
    if not action.trains:
        return None
    dataset, epochs = desired.inputs.dataset, desired.inputs.hyperparameters.epoch_count
    tokens, is_counted = dataset.tokens, dataset.tokens_are_exact
    if price is None:
        return Cost(usd=None, tokens=tokens, epochs=epochs, is_counted=is_counted)
    usd_per_million = price.usd_per_million_tokens
    if usd_per_million == 0:
        # Show tokens of a free training only if the user asked the service to count them.
        if not is_counted:
            return Cost(usd=0)
        return Cost(usd=0, tokens=tokens, epochs=epochs, is_counted=True)
    usd = None
    if tokens is not None and epochs is not None:
        # Whole cents, so that the amounts add up to the displayed sum.
        usd = max(round(tokens * epochs * usd_per_million / 1_000_000, 2), _CENT)
    return Cost(
        usd=usd,
        tokens=tokens,
        epochs=epochs,
        is_counted=is_counted,
        usd_per_million_tokens=usd_per_million,
        prices_of=price.as_of.isoformat() if price.as_of else "",
        is_official=price.certainty == "documented",
    )
