"""What training costs: tokens of the data x epochs x price; an estimate, never a quote.

Tuning is free of charge on the Gemini API (source: Gemini API pricing, "Tuning price: free of
charge") and on this machine. Vertex AI bills the tokens of every epoch (source: its pricing page).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tunedmodels.desired import Desired
from tunedmodels.plan.plan import Action, Cost

_CENT: Final = 0.01


@dataclass(frozen=True, slots=True)
class Pricing:
    """What a million training tokens cost in US dollars; None is unknown, 0 is free.

    `as_of` is the day (ISO) on which the price was looked up. A price that is not `is_official` was
    read by somebody else.
    """

    usd_per_million_tokens: float | None
    as_of: str = ""
    is_official: bool = True


FREE: Final = Pricing(0.0)
_FREE: Final = Cost(usd=0)


def cost_of(action: Action, want: Desired, pricing: Pricing) -> Cost | None:
    """Return what a change costs, or None when it trains nothing."""
    if not action.trains:
        return None
    price = pricing.usd_per_million_tokens
    tokens, epochs = want.dataset.tokens, want.hyperparameters.epoch_count
    if price == 0:  # an estimate of what costs nothing is noise, but not what somebody asked for
        is_asked = want.dataset.is_counted
        return Cost(usd=0, tokens=tokens, epochs=epochs, is_counted=True) if is_asked else _FREE
    usd = None
    if price is not None and tokens is not None and epochs is not None:
        # Whole cents, so that what a person adds up is the sum that stands below.
        usd = max(round(tokens * epochs * price / 1_000_000, 2), _CENT)
    return Cost(
        usd=usd,
        tokens=tokens,
        epochs=epochs,
        is_counted=want.dataset.is_counted,
        usd_per_million_tokens=price,
        prices_of=pricing.as_of,
        is_official=pricing.is_official,
    )
