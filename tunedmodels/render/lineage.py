"""The lineage card of a version: where it comes from, as Markdown for people or as JSON.

Facts alone, each with the place it was taken from; what nobody knows is left out or said to be
unknown. No example of the dataset is on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Protocol

from tunedmodels.evaluation.curves import CurveReading, read_curve
from tunedmodels.lineage import Card, Commit
from tunedmodels.observed import ObservedModel
from tunedmodels.render.chart import sparkline
from tunedmodels.render.layout import Style, plain
from tunedmodels.render.markup import code, prose
from tunedmodels.stamp import HAND, Stamp, gate_mark
from tunedmodels.text import visible

_SPARKS = 40


def card_document(card: Card) -> dict[str, Any]:
    """Return the card as `{formatVersion, project, name, version, dataset, ...}`."""
    version, stamp = card.version, card.stamp
    reading = _reading(version)
    mark = gate_mark(stamp.gate)
    metric, _, value = stamp.score.partition(":")
    return {
        "formatVersion": 1,
        "project": card.project,
        "name": card.name,
        "version": version.model_id,
        "resource": version.resource,
        "provider": version.provider,
        "state": version.state.value,
        "serves": card.serves,
        "fingerprint": stamp.fingerprint,
        "manifest": card.manifest or None,
        "trainedFrom": _commit(card.trained_from),
        "trainedAt": _iso(version.created),
        "completedAt": _iso(version.completed),
        "base": version.source,
        "parent": card.parent or None,
        "dataset": {
            "path": card.dataset_path or None,
            "sha256": stamp.dataset,
            "examples": stamp.examples,
            "isProved": not stamp.unverified,
        },
        "hyperparameters": _used(version),
        "curve": None
        if reading is None
        else {
            "steps": version.step,
            "lastLoss": version.curve[-1].mean_loss,
            "epochMeans": list(reading.epoch_means),
            "kind": reading.kind.value,
            "recommendedEpochCount": reading.recommended_epoch_count,
        },
        "evaluation": None
        if not stamp.score
        else {
            "path": card.evaluation_path or None,
            "metric": metric,
            "score": float(value),
            "verdict": mark.decision.value if mark else None,
        },
        "costUsd": card.cost_usd,
        "attempt": stamp.attempt,
        "promotedAt": _iso(stamp.promoted),
        "promotedBy": _promoted_by(stamp) or None,
        "promotedFrom": _commit(card.promoted_from),
    }


def card_json(card: Card) -> str:
    """Return the document as text with a line end."""
    return json.dumps(card_document(card), indent=2) + "\n"


def card_markdown(card: Card) -> str:
    """Return the card for a release, a wiki or a model registry."""
    lines = [f"# {prose(card.version.model_id)}", "", _sentence(card), "", "| | |", "|---|---|"]
    lines += [f"| {key} | {value} |" for key, value in _rows(card)]
    if reading := _reading(card.version):
        losses = [point.mean_loss for point in card.version.curve]
        lines += ["", f"Loss: {code(sparkline(losses, _SPARKS))}  ", prose(reading.advice)]
    if not card.stamp.unverified:
        version = "" if card.serves else f" --version {card.version.model_id}"
        lines += ["", f"To prove it: {code(f'tunedmodels verify {card.name}{version}', 100)}"]
    return "\n".join(lines) + "\n"


def _sentence(card: Card) -> str:
    place = f"{code(card.name)} of the project {code(card.project)}"
    if card.serves:
        return f"The version that serves {place}."
    return f"A version of {place}; it does not serve."


def _rows(card: Card) -> Iterator[tuple[str, str]]:
    version, stamp = card.version, card.stamp
    yield "resource", code(version.resource, in_table=True)
    yield "fingerprint", code(stamp.fingerprint, 64, in_table=True)
    if card.manifest:
        yield "manifest", code(card.manifest, in_table=True)
    yield "base", code(version.source, in_table=True)
    if card.parent:
        yield "continues from", code(card.parent, in_table=True)
    yield "dataset", _dataset(card)
    for key, value in _used(version).items():
        if value is not None:
            yield key, f"{value:g}"
    if card.trained_from:
        yield "trained from", _words(card.trained_from)
    if version.created:
        yield "trained", _when(version.created, version.completed)
    if stamp.attempt > 1:
        yield "attempt", str(stamp.attempt)
    yield "evaluation", _evaluation(card)
    yield "cost", _cost(card.cost_usd)
    if stamp.promoted:
        by = _promoted_by(stamp)
        yield "promoted", f"{_minute(stamp.promoted)}, by {by}"
    if card.promoted_from:
        yield "promoted from", _words(card.promoted_from)


def _dataset(card: Card) -> str:
    stamp = card.stamp
    path = f"{code(card.dataset_path, in_table=True)}, " if card.dataset_path else ""
    doubt = "; adopted, so nobody can prove it" if stamp.unverified else ""
    return f"{path}{stamp.examples} examples, sha256 {code(stamp.dataset, 64)}{doubt}"


def _evaluation(card: Card) -> str:
    if not card.stamp.score:
        return "none"
    metric, _, value = card.stamp.score.partition(":")
    mark = gate_mark(card.stamp.gate)
    on = f" on {code(card.evaluation_path, in_table=True)}" if card.evaluation_path else ""
    gate = f"; its gate: {mark.decision}" if mark else ""
    return f"{prose(metric)} {prose(value)}{on}{gate}"


def _cost(usd: float | None) -> str:
    if usd is None:
        return "unknown"
    return f"${usd:.2f}" if usd else "free"


def _used(version: ObservedModel) -> dict[str, float | None]:
    used = version.used
    return {
        "epochCount": used.epoch_count,
        "batchSize": used.batch_size,
        "learningRate": used.learning_rate,
        "learningRateMultiplier": used.learning_rate_multiplier,
    }


def _reading(version: ObservedModel) -> CurveReading | None:
    return (
        read_curve(version.curve, epoch_count=version.used.epoch_count) if version.curve else None
    )


def _promoted_by(stamp: Stamp) -> str:
    if stamp.promoted is None:
        return ""
    return "hand" if stamp.by == HAND else "apply"


def _commit(commit: Commit | None) -> dict[str, Any] | None:
    if commit is None:
        return None
    return {
        "commit": commit.id,
        "author": commit.author or None,
        "subject": commit.subject or None,
        "isChanged": commit.is_changed,
    }


def _words(commit: Commit) -> str:
    changed = " with changes" if commit.is_changed else ""
    who = f", {prose(commit.author, 60)}: {prose(commit.subject, 100)}" if commit.author else ""
    return f"commit {code(commit.id, in_table=True)}{changed}{who}"


def _when(began: datetime, ended: datetime | None) -> str:
    took = f", took {(ended - began).total_seconds():.1f} s" if ended else ""
    return f"{_minute(began)}{took}"


def _iso(time: datetime | None) -> str | None:
    return time.isoformat().replace("+00:00", "Z") if time else None


def _minute(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


# FOLDED
# How a verification went: a line per check, or a document.
class Checked(Protocol):
    """One check, as the project made it."""

    @property
    def name(self) -> str:
        """What was compared."""

    @property
    def holds(self) -> bool:
        """Whether it is so."""

    @property
    def words(self) -> str:
        """What was found."""

    @property
    def cure(self) -> str:
        """What to do where it does not hold; may be empty."""


def verification_text(version: str, checks: Sequence[Checked], style: Style = plain) -> str:
    """Return a line per check, and whether all of them hold."""
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        sign = style("ok", "good") if check.holds else style("!!", "error")
        lines.append(f"  {sign}  {check.name:<{width}}  {visible(check.words)}")
        if not check.holds and check.cure:
            lines.append(f"      {'':<{width}}  {check.cure}")
    failed = sum(not check.holds for check in checks)
    last = f"{version} is what git says." if not failed else f"{version} is not proved."
    return "\n".join([*lines, "", style(last, "error" if failed else "good")]) + "\n"


def verification_json(name: str, version: str, commit: str, checks: Sequence[Checked]) -> str:
    """Return `{formatVersion, name, version, commit, verified, checks: [...]}`."""
    document = {
        "formatVersion": 1,
        "name": name,
        "version": version,
        "commit": commit,
        "verified": all(check.holds for check in checks),
        "checks": [
            {"name": one.name, "holds": one.holds, "words": one.words, "cure": one.cure}
            for one in checks
        ],
    }
    return json.dumps(document, indent=2) + "\n"
