"""What is live, in words and as documents: status, and the card of one model."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Final

from tunedmodels.evaluation.curves import read_curve
from tunedmodels.observed import ModelState, Named, ObservedModel
from tunedmodels.providers.provider import Holder
from tunedmodels.render.chart import curve_text
from tunedmodels.render.layout import Style, clean, plain, wrapped
from tunedmodels.render.progress import duration
from tunedmodels.stamp import HAND, Decision, GateMark, gate_mark
from tunedmodels.text import visible

_RULINGS: Final = {
    Decision.PASSED: "ready, not promoted",
    Decision.INCONCLUSIVE: "its gate could not decide",
    Decision.REFUSED: "refused by its gate",
}


def status_text(models: Sequence[Named], style: Style = plain) -> str:
    """One row per version: the serving one first, then what trains, is kept or failed."""
    if not models:
        return "No models: none is declared and none is live.\n"
    rows: list[tuple[str, ...]] = []
    for model in models:
        first = [(model.name, *_row(version, model)) for version in _order(model)]
        first = first or [(model.name, "-", "not there yet: tunedmodels apply")]
        if not model.is_declared:
            first[0] = (*first[0], "no manifest declares it")
        rows += [first[0], *(("", *row[1:]) for row in first[1:])]
    return "".join(f"{line}\n" for line in _aligned(rows, style))


def _aligned(rows: Sequence[tuple[str, ...]], style: Style) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    for row in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)]
        yield "  ".join([style(cells[0], "bold"), *cells[1:]]).rstrip()


def status_document(models: Sequence[Named]) -> str:
    """Return `{formatVersion, models: [{name, serving, versions: [...]}]}`."""
    rows = [
        {
            "name": model.name,
            "serving": model.serving.model_id if model.serving else None,
            "versions": [_document(version) for version in _order(model)],
        }
        for model in models
    ]
    return _dump({"formatVersion": 1, "models": rows})


def show_text(model: Named, style: Style = plain) -> str:
    """Everything about one name: its versions, and the curve of the newest that has one."""
    lines = [style(model.name, "bold")]
    for version in _order(model):
        lines.append(f"  {'  '.join(part for part in _row(version, model) if part)}")
        lines += [f"      {key:<16}{value}" for key, value in _facts(version)]
    text = "".join(f"{line.rstrip()}\n" for line in lines)
    if shown := drawn(model):
        reading = read_curve(shown.curve, epoch_count=shown.used.epoch_count)
        chart = curve_text(shown.curve, marked_epoch=reading.recommended_epoch_count)
        advice = "\n".join(wrapped(reading.advice, indent=0))
        text += f"\nLoss of {shown.model_id}\n{chart}\n{advice}\n"
    return text


def drawn(model: Named) -> ObservedModel | None:
    """Return the version whose curve is shown: the serving one, else the first that has one."""
    return next((version for version in _order(model) if version.curve), None)


def show_document(model: Named) -> str:
    """Return the entry of `status` for one name, with the loss curve of every version."""
    versions = [
        _document(version)
        | {
            "hyperparameters": {
                "epochCount": version.used.epoch_count,
                "batchSize": version.used.batch_size,
                "learningRate": version.used.learning_rate,
            },
            "curve": [
                {"step": point.step, "epoch": point.epoch, "meanLoss": point.mean_loss}
                for point in version.curve
            ],
        }
        for version in _order(model)
    ]
    served = model.serving.model_id if model.serving else None
    return _dump({"formatVersion": 1, "name": model.name, "serving": served, "versions": versions})


def _order(model: Named) -> list[ObservedModel]:
    served = model.serving

    def rank(version: ObservedModel) -> tuple[bool, bool, float, str]:
        newest = version.promoted or version.created
        at = newest.timestamp() if newest else 0.0
        return version is not served, not version.state.is_running, -at, version.model_id

    return sorted(model.versions, key=rank)


def _row(version: ObservedModel, model: Named) -> tuple[str, ...]:
    """Return the id, the state, the loss and what else is to be said."""
    if version is model.serving and version.promoted:
        state = f"serves since {_minute(version.promoted)}"
    elif version.state is ModelState.READY:
        plain_ = "scored for its sweep" if _sweep(version) == "tried" else "ready, not promoted"
        own = _RULINGS[mark.decision] if (mark := _mark(version)) else plain_
        state = "kept for a rollback" if version.promoted else own
    elif version.state.is_running and version.step:
        state = f"training, step {version.step}/{version.total_steps or '?'}"
    else:
        state = visible(version.phase) or version.state.value
    loss = f"loss {version.curve[-1].mean_loss:.3f}" if version.curve else ""
    doubt = "unverified" if version.stamp and version.stamp.unverified else ""
    is_rejected = version.stamp is not None and version.stamp.is_rejected
    to_do = "tunedmodels plan says what to do" if is_rejected else ""
    said = doubt or visible(version.failure or version.remark) or to_do
    return version.model_id, state, loss, ", ".join(filter(None, (_score(version), said)))


def _score(version: ObservedModel) -> str:
    """Return `exactMatch 0.912`, or nothing."""
    return visible(version.stamp.score.replace(":", " ")) if version.stamp else ""


def _mark(version: ObservedModel) -> GateMark | None:
    return gate_mark(version.stamp.gate) if version.stamp else None


def _sweep(version: ObservedModel) -> str | None:
    """Return whether a sweep has `chosen` it or only `tried` it, or None."""
    stamp = version.stamp
    if stamp is None or not (stamp.sweep or stamp.tried):
        return None
    return "chosen" if stamp.sweep else "tried"


def _gate(version: ObservedModel) -> str:
    """Say what its gate decided, beside which version, and whether that was overruled."""
    stamp, mark = version.stamp, _mark(version)
    if stamp is None or mark is None:
        return ""
    beside = f", beside {stamp.name}-{visible(mark.against)}" if mark.against else ""
    is_undecided = mark.decision is Decision.INCONCLUSIVE and stamp.by == HAND
    is_overruled = stamp.promoted and (mark.decision is Decision.REFUSED or is_undecided)
    return f"{mark.decision}{beside}" + ("; overruled by hand" if is_overruled else "")


def _promotion(version: ObservedModel) -> str:
    """Say when it was last made to serve, by whom, and from which commit."""
    stamp = version.stamp
    if stamp is None or stamp.promoted is None:
        return ""
    by = "by hand" if stamp.by == HAND else "by apply"
    head = f", from commit {visible(stamp.head)}" if stamp.head else ""
    return f"{_minute(stamp.promoted)} {by}{head}"


def _facts(version: ObservedModel) -> list[tuple[str, str]]:
    used, stamp = version.used, version.stamp
    facts = [("base", version.source), ("resource", version.resource)]
    settings = {
        "epochs": used.epoch_count,
        "batch size": used.batch_size,
        "learning rate": used.learning_rate,
        "times the default rate": used.learning_rate_multiplier,
        "adapter size": used.adapter_size,
        "beta": used.beta,
    }
    facts += [(key, f"{value:g}") for key, value in settings.items() if value is not None]
    if stamp:
        doubt = "; declared only, as it was adopted" if stamp.unverified else ""
        facts.append(("dataset", f"{stamp.examples} examples, sha256 {stamp.dataset[:8]}{doubt}"))
        facts += [("commit", stamp.commit)] if stamp.commit else []
        chosen = "chosen as the best of its candidates" if _sweep(version) == "chosen" else ""
        told = [("sweep", chosen), ("gate", _gate(version)), ("promoted", _promotion(version))]
        facts += [(key, value) for key, value in told if value]
    if version.created and version.completed:
        took = (version.completed - version.created).total_seconds()
        facts.append(("trained", f"{_minute(version.created)}, took {took:.1f} s"))
    return facts


def _document(version: ObservedModel) -> dict[str, object]:
    return {
        "id": version.model_id,
        "provider": version.provider,
        "state": version.state.value,
        "fingerprint": version.fingerprint,
        "promoted": _iso(version.promoted),
        "unverified": bool(version.stamp and version.stamp.unverified),
        "step": version.step,
        "totalSteps": version.total_steps,
        "lastLoss": version.curve[-1].mean_loss if version.curve else None,
        "failure": version.failure,
        **_history(version),
    }


def _history(version: ObservedModel) -> dict[str, object]:
    stamp, mark = version.stamp, _mark(version)
    metric, _, score = (stamp.score if stamp else "").partition(":")
    return {
        "metric": metric or None,
        "score": _number(score),
        "gate": mark.decision.value if mark else None,
        "sweep": _sweep(version),
        "commit": (stamp.commit if stamp else "") or None,
        "promotedBy": ("hand" if stamp.by == HAND else "apply")
        if version.promoted and stamp
        else None,
        "promotedFrom": (stamp.head if stamp else "") or None,
    }


def _number(text: str) -> float | None:
    """Read a score, which anybody can write into a stamp."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _iso(time: datetime | None) -> str | None:
    return time.isoformat().replace("+00:00", "Z") if time else None


def _minute(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _dump(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


_VERSION_SCHEMA = {
    "type": "object",
    "required": ["id", "state", "fingerprint", "promoted", "step", "totalSteps", "lastLoss"],
    "properties": {
        "id": {"type": "string"},
        "provider": {"type": "string"},
        "state": {"enum": [state.value for state in ModelState]},
        "fingerprint": {"type": "string"},
        "promoted": {"type": ["string", "null"], "format": "date-time"},
        "unverified": {"type": "boolean"},
        "step": {"type": "integer", "minimum": 0},
        "totalSteps": {"type": ["integer", "null"]},
        "lastLoss": {"type": ["number", "null"]},
        "failure": {"type": "string"},
        "metric": {"type": ["string", "null"]},
        "score": {"type": ["number", "null"]},
        "gate": {"enum": [*(decision.value for decision in Decision), None]},
        "sweep": {"enum": ["chosen", "tried", None]},
        "commit": {"type": ["string", "null"]},
        "promotedBy": {"enum": ["hand", "apply", None]},
        "promotedFrom": {"type": ["string", "null"]},
    },
}

STATUS_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "What `tunedmodels status --format json` prints",
    "type": "object",
    "required": ["formatVersion", "models"],
    "properties": {
        "formatVersion": {"const": 1},
        "models": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "serving", "versions"],
                "properties": {
                    "name": {"type": "string"},
                    "serving": {"type": ["string", "null"]},
                    "versions": {"type": "array", "items": _VERSION_SCHEMA},
                },
            },
        },
    },
}


# FOLDED
# Who holds a lock, in words.
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
