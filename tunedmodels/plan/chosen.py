"""Which candidate a sweep chose: the marks on the live models say so, and nothing else. Pure.

As long as no ready version bears the mark of the declared sweep, the sweep is open: all its
candidates are trained and scored, and one is chosen. From then on that candidate is the declared
version, and the sweep is history: what lost is never trained again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel


def chosen(want: Desired, live: Sequence[ObservedModel]) -> Desired:
    """Return the candidate that its sweep chose among `live`, or `want` as it is.

    `live` are our versions of its name. Of several the newest promoted counts.
    """
    if want.sweep is None:
        return want
    winners = {
        model.fingerprint: model
        for model in sorted(live, key=_when)
        if model.state is ModelState.READY
        and model.provider == want.provider
        and model.stamp
        and model.stamp.was_chosen_by(want.sweep_digest)
    }
    found = [each for each in want.candidates if each.fingerprint in winners]
    if not found:
        return want
    winner = max(found, key=lambda each: _when(winners[each.fingerprint]))
    return replace(winner, chosen_by=want.sweep_digest)


def resolved(
    wants: Iterable[Desired], observed: Iterable[ObservedModel], project: str
) -> list[Desired]:
    """Return what is declared, with the chosen candidate in place of every sweep that has one."""
    live: dict[str, list[ObservedModel]] = {}
    for model in observed:
        if model.stamp and model.stamp.project == project:
            live.setdefault(model.stamp.name, []).append(model)
    return [chosen(want, live.get(want.name, ())) for want in wants]


def others(want: Desired, live: Sequence[ObservedModel]) -> list[ObservedModel]:
    """Return the versions that are no mere candidates: former ones, and what is outdated.

    A candidate that served once is both.
    """
    fingerprints = {each.fingerprint for each in want.candidates}
    return [
        model
        for model in live
        if model.promoted
        or model.provider != want.provider
        or model.fingerprint not in fingerprints
    ]


def _when(model: ObservedModel) -> tuple[bool, float, str]:
    return (
        model.promoted is not None,
        model.promoted.timestamp() if model.promoted else 0.0,
        model.model_id,
    )
