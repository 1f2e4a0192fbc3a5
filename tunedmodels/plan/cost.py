"""What training costs.

Tuning is free of charge on the Gemini API (source: Gemini API pricing, "Tuning price: free of
charge") and on this machine. A place that sends bills gets its prices here.
"""

from __future__ import annotations

from tunedmodels.plan.change import Action, Cost

_FREE = Cost(usd=0)


def cost_of(action: Action) -> Cost | None:
    """Return what a change costs, or None when it trains nothing."""
    return _FREE if action.trains else None
