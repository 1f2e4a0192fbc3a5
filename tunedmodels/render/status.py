"""Render the live models as text: `status`, `show` and `lock show`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Final, Literal

from tunedmodels.evaluation.curves import last_epoch_loss, read_curve
from tunedmodels.observed import ModelState, ModelVersions, ObservedModel
from tunedmodels.providers.provider import LockHolder
from tunedmodels.render.chart import curve_text
from tunedmodels.render.layout import Style, format_duration, no_style, text_width, wrap
from tunedmodels.stamp import MANUAL, Decision, GateRecord, parse_gate_record
from tunedmodels.text import join, printable, utc_minute

_CHART_WIDTH: Final = 72
_READY_STATES: Final = {
    Decision.PASSED: "ready, not promoted",
    Decision.INCONCLUSIVE: "its gate could not decide",
    Decision.REFUSED: "refused by its gate",
}

_HEADINGS: Final = ("NAME", "VERSION", "STATE", "LOSS", "SCORE AND NOTES")


def status_text(models: Sequence[ModelVersions], style: Style = no_style) -> str:
    """Return headings and a row per version: serving, in training, kept or failed."""
    if not models:
        return "No models: none is declared and none is live.\n"
    rows = [_HEADINGS]
    for model in models:
        cells = [_row(version, model) for version in sorted_versions(model)]
        first, *rest = cells or [("-", "not created yet: tunedmodels apply", "", "")]
        if not model.is_declared:
            first = (*first[:-1], ", ".join(filter(None, (first[-1], "no manifest declares it"))))
        rows += [(model.name, *first), *(("", *row) for row in rest)]
    return "".join(f"{line}\n" for line in _aligned(rows, style))


def show_text(model: ModelVersions, style: Style = no_style) -> str:
    """Return the facts of every version, and the curve of the newest version that has one."""
    lines = [style(model.name, "bold")]
    for version in sorted_versions(model):
        version_id, state, loss, notes = _row(version, model)
        cells = (version_id, state, f"loss {loss}" if loss else "", notes)
        lines.append(f"  {'  '.join(cell for cell in cells if cell)}")
        lines += [f"      {key:<16}{value}" for key, value in _facts(version)]
    text = "".join(f"{line.rstrip()}\n" for line in lines)
    if drawn := version_with_curve(model):
        reading = read_curve(drawn.curve, epoch_count=drawn.used.epoch_count)
        chart = curve_text(
            drawn.curve,
            width=min(_CHART_WIDTH, text_width()),
            marked_epoch=reading.recommended_epoch_count,
        )
        advice = "\n".join(wrap(reading.advice, indent=0))
        text += f"\nLoss of {drawn.model_id}\n{chart}\n{advice}\n"
    return text


def locks_text(holders: Mapping[str, LockHolder]) -> str:
    """Return two lines for each lock that is held; `holders` is by provider."""
    if not holders:
        return "No lock is held.\n"
    return "".join(_lock(provider, holder) for provider, holder in holders.items())


def version_with_curve(model: ModelVersions) -> ObservedModel | None:
    """Return the first version with a loss curve, in the order of `sorted_versions`."""
    return next((version for version in sorted_versions(model) if version.curve), None)


def sorted_versions(model: ModelVersions) -> list[ObservedModel]:
    """Return the serving version, then those in training, then the others from new to old."""
    serving = model.serving

    def rank(version: ObservedModel) -> tuple[bool, bool, float, str]:
        newest = version.promoted or version.created
        timestamp = newest.timestamp() if newest else 0.0
        is_idle = not version.state.is_running
        return version is not serving, is_idle, -timestamp, version.model_id

    return sorted(model.versions, key=rank)


def gate_record(version: ObservedModel) -> GateRecord | None:
    """Return the recorded decision of the gate of a version."""
    return parse_gate_record(version.stamp.gate_record) if version.stamp else None


def sweep_role(version: ObservedModel) -> Literal["chosen", "tried"] | None:
    """Return whether a sweep chose the version, or only scored it."""
    stamp = version.stamp
    if stamp is None or not (stamp.chosen_by_sweeps or stamp.scored_by_sweep):
        return None
    return "chosen" if stamp.chosen_by_sweeps else "tried"


def _aligned(rows: Sequence[tuple[str, ...]], style: Style) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    for row in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)]
        yield "  ".join([style(cells[0], "bold"), *cells[1:]]).rstrip()


def _row(version: ObservedModel, model: ModelVersions) -> tuple[str, str, str, str]:
    """Return the id, the state, the loss, and the score with what the user should know.

    The loss is the mean of the last finished epoch, as in the advice on the curve.
    """
    loss = f"{last_epoch_loss(version.curve):.3g}" if version.curve else ""
    environments = join(model.environments(version))
    users = f"in {environments}" if environments else ""
    notes = ", ".join(filter(None, (users, _score(version), _note(version))))
    return version.model_id, _state(version, model), loss, notes


def _state(version: ObservedModel, model: ModelVersions) -> str:
    if version is model.serving and version.promoted:
        return f"serves since {utc_minute(version.promoted)}"
    if version.state is ModelState.READY:
        if version.promoted:
            return "kept for a rollback"
        if record := gate_record(version):
            return _READY_STATES[record.decision]
        is_scored = sweep_role(version) == "tried"
        return "scored for its sweep" if is_scored else "ready, not promoted"
    if version.state.is_running and version.step:
        return f"training, step {version.step}/{version.total_steps or '?'}"
    return printable(version.job_phase, keep_newlines=True) or version.state.value


def _score(version: ObservedModel) -> str:
    """Return `exactMatch 0.912`, or nothing."""
    return printable(version.stamp.score.replace(":", " ")) if version.stamp else ""


def _note(version: ObservedModel) -> str:
    if version.stamp and version.stamp.unverified:
        return "unverified"
    if text := version.failure or version.warning:
        return printable(text, keep_newlines=True)
    is_rejected = version.stamp is not None and version.stamp.is_rejected
    return "to see what to do: tunedmodels plan" if is_rejected else ""


def _facts(version: ObservedModel) -> list[tuple[str, str]]:
    used, stamp = version.used, version.stamp
    facts = [("base", version.source), ("resource", version.resource)]
    settings = {
        "epochs": used.epoch_count,
        "batch size": used.batch_size,
        "learning rate": used.learning_rate,
        "rate factor": used.learning_rate_multiplier,
        "adapter size": used.adapter_size,
        "beta": used.beta,
    }
    facts += [(key, f"{value:g}") for key, value in settings.items() if value is not None]
    if stamp:
        doubt = "; unverified, since the model was adopted" if stamp.unverified else ""
        is_chosen = sweep_role(version) == "chosen"
        history = {
            "dataset": f"{stamp.examples} examples, sha256 {stamp.dataset[:8]}{doubt}",
            "commit": stamp.commit,
            "sweep": "chosen as the best of its candidates" if is_chosen else "",
            "gate": _gate(version),
            "promoted": _promotion(version),
        }
        facts += [(key, value) for key, value in history.items() if value]
    if version.created and version.completed:
        duration_s = (version.completed - version.created).total_seconds()
        facts.append(("trained", f"{utc_minute(version.created)}, took {duration_s:.1f} s"))
    return facts


def _gate(version: ObservedModel) -> str:
    """Return the decision of its gate, the baseline, and whether the decision was overruled."""
    stamp, record = version.stamp, gate_record(version)
    if stamp is None or record is None:
        return ""
    baseline = record.baseline_prefix
    compared = f", baseline {stamp.name}-{printable(baseline)}" if baseline else ""
    is_undecided = record.decision is Decision.INCONCLUSIVE and stamp.promoted_by == MANUAL
    is_overruled = stamp.promoted and (record.decision is Decision.REFUSED or is_undecided)
    return f"{record.decision}{compared}" + ("; overruled manually" if is_overruled else "")


def _promotion(version: ObservedModel) -> str:
    """Return when and how it was last promoted, and from which commit."""
    stamp = version.stamp
    if stamp is None or stamp.promoted is None:
        return ""
    way = "manually" if stamp.promoted_by == MANUAL else "by apply"
    commit = f", from commit {printable(stamp.promoted_commit)}" if stamp.promoted_commit else ""
    return f"{utc_minute(stamp.promoted)}, {way}{commit}"


def _lock(provider: str, holder: LockHolder) -> str:
    time = holder.renewed_at
    renewed = f"{time:%Y-%m-%d %H:%M:%S} UTC" if time else "at an unknown time"
    return (
        f"{printable(provider)}: held by {printable(holder.owner)}\n"
        f"    {printable(holder.uri)}, renewed {renewed}; expires "
        f"{format_duration(holder.ttl_s)} after that\n"
    )
