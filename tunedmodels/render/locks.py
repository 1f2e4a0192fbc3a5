"""Who holds a lock, in words."""

from __future__ import annotations

from collections.abc import Mapping

from tunedmodels.providers.provider import Holder
from tunedmodels.render.layout import clean
from tunedmodels.render.progress import duration


def locks_text(held: Mapping[str, Holder]) -> str:
    """Return two lines for each lock that is held, by provider."""
    if not held:
        return "No lock is held.\n"
    return "".join(_one(name, holder) for name, holder in held.items())


def _one(name: str, holder: Holder) -> str:
    renewed = f"{holder.renewed:%Y-%m-%d %H:%M:%S} UTC" if holder.renewed else "at an unknown time"
    return (
        f"{clean(name)}: held by {clean(holder.owner)}\n"
        f"    {clean(holder.place)}, renewed {renewed}; opens by itself "
        f"{duration(holder.life_s)} after that\n"
    )
