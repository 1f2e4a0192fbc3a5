"""Render where a version comes from (`show --card`), and whether that was verified (`verify`).

A provenance card has facts only. An unknown fact is left out or shown as unknown. The card never
contains an example of the dataset.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from tunedmodels.evaluation.curves import read_curve
from tunedmodels.observed import ObservedModel
from tunedmodels.provenance import Commit, ProvenanceCard, Verification
from tunedmodels.render.chart import sparkline
from tunedmodels.render.layout import Style, no_style
from tunedmodels.render.markup import code, prose
from tunedmodels.stamp import MANUAL, parse_gate_record
from tunedmodels.text import printable, utc_minute

_SPARKLINE_WIDTH: Final = 40


def provenance_markdown(card: ProvenanceCard) -> str:
    """Return the card for a release, a wiki or a model registry."""
    version = card.version
    lines = [f"# {prose(version.model_id)}", "", _sentence(card), "", "| | |", "|---|---|"]
    lines += [f"| {key} | {value} |" for key, value in _rows(card)]
    if version.curve:
        reading = read_curve(version.curve, epoch_count=version.used.epoch_count)
        losses = [point.mean_loss for point in version.curve]
        curve = code(sparkline(losses, _SPARKLINE_WIDTH))
        lines += ["", f"Loss: {curve}  ", prose(reading.advice)]
    if not card.stamp.unverified:
        option = "" if card.serves else f" --version {version.model_id}"
        lines += ["", f"To verify it: {code(f'tunedmodels verify {card.name}{option}', 100)}"]
    return "\n".join(lines) + "\n"


def verification_text(verification: Verification, style: Style = no_style) -> str:
    """Return a line per check, and whether all of them are met."""
    width = max(len(check.name) for check in verification.checks)
    lines = []
    for check in verification.checks:
        sign = style("ok", "good") if check.is_met else style("!!", "error")
        message = printable(check.message, keep_newlines=True)
        lines.append(f"  {sign}  {check.name:<{width}}  {message}")
        if not check.is_met and check.cure:
            lines.append(f"      {'':<{width}}  {check.cure}")
    if verification.is_verified:
        result = style(f"{verification.version} matches the repository.", "good")
    else:
        result = style(f"{verification.version} is not verified.", "error")
    return "\n".join([*lines, "", result]) + "\n"


def _sentence(card: ProvenanceCard) -> str:
    name = f"{code(card.name)} of the project {code(card.project)}"
    if card.serves:
        return f"The serving version of {name}."
    return f"A version of {name}; it does not serve."


def _rows(card: ProvenanceCard) -> Iterator[tuple[str, str]]:
    version, stamp = card.version, card.stamp
    yield "resource", code(version.resource, in_table=True)
    yield "fingerprint", code(stamp.fingerprint, 64, in_table=True)
    if card.manifest:
        yield "manifest", code(card.manifest, in_table=True)
    yield "base", code(version.source, in_table=True)
    if card.parent:
        yield "continues from", code(card.parent, in_table=True)
    yield "dataset", _dataset(card)
    yield from _hyperparameters(version)
    if card.trained_from:
        yield "trained from", _commit(card.trained_from)
    if version.created:
        yield "trained", _training_time(version.created, version.completed)
    if stamp.attempt > 1:
        yield "attempt", str(stamp.attempt)
    yield "evaluation", _evaluation(card)
    yield "cost", _cost(card.cost_usd)
    if stamp.promoted:
        way = "manually" if stamp.promoted_by == MANUAL else "by apply"
        yield "promoted", f"{utc_minute(stamp.promoted)}, {way}"
    if card.promoted_from:
        yield "promoted from", _commit(card.promoted_from)


def _dataset(card: ProvenanceCard) -> str:
    stamp = card.stamp
    path = f"{code(card.dataset_path, in_table=True)}, " if card.dataset_path else ""
    doubt = "; unverified, since the model was adopted" if stamp.unverified else ""
    return f"{path}{stamp.examples} examples, sha256 {code(stamp.dataset, 64)}{doubt}"


def _hyperparameters(version: ObservedModel) -> Iterator[tuple[str, str]]:
    used = version.used
    values = {
        "epochCount": used.epoch_count,
        "batchSize": used.batch_size,
        "learningRate": used.learning_rate,
        "learningRateMultiplier": used.learning_rate_multiplier,
    }
    return ((key, f"{value:g}") for key, value in values.items() if value is not None)


def _evaluation(card: ProvenanceCard) -> str:
    if not card.stamp.score:
        return "none"
    metric, _, value = card.stamp.score.partition(":")
    record = parse_gate_record(card.stamp.gate_record)
    path = f" on {code(card.evaluation_path, in_table=True)}" if card.evaluation_path else ""
    gate = f"; gate: {record.decision}" if record else ""
    return f"{prose(metric)} {prose(value)}{path}{gate}"


def _cost(usd: float | None) -> str:
    if usd is None:
        return "unknown"
    return f"${usd:.2f}" if usd else "free"


def _commit(commit: Commit) -> str:
    changed = " with changes" if commit.is_changed else ""
    subject = f", {prose(commit.author, 60)}: {prose(commit.subject, 100)}" if commit.author else ""
    return f"commit {code(commit.id, in_table=True)}{changed}{subject}"


def _training_time(start: datetime, end: datetime | None) -> str:
    duration = f", took {(end - start).total_seconds():.1f} s" if end else ""
    return f"{utc_minute(start)}{duration}"
