"""What `evaluate` found as JSON, and the schema of it."""

from __future__ import annotations

import json
from typing import Any, Final

from tunedmodels.evaluation.metrics import METRICS
from tunedmodels.evaluation.report import Contender, Difference, Report, Role, luck
from tunedmodels.evaluation.significance import Gain
from tunedmodels.stamp import Decision

FORMAT_VERSION: Final = 1


def evaluation_document(report: Report, *, most: int = 0) -> dict[str, Any]:
    """Return the report; `most` differences of each kind stand in it, whole and not cut."""
    verdict = report.verdict
    return {
        "formatVersion": FORMAT_VERSION,
        "name": report.name,
        "path": report.path,
        "metric": report.metric,
        "examples": report.examples,
        "fewShot": report.few_shot,
        "contenders": [_contender(report, each, most) for each in report.contenders],
        "tuning": {"pays": report.tuning.pays, "words": report.tuning.words},
        "gate": {
            "model": report.judged,
            "decision": verdict.decision.value,
            "promotes": verdict.promotes,
            "words": verdict.words,
            "enough": verdict.enough,
        }
        if verdict
        else None,
    }


def evaluation_json(report: Report, *, most: int = 0) -> str:
    """Return the document as text, in ASCII, so that no character in it steers a terminal."""
    return json.dumps(evaluation_document(report, most=most), indent=2) + "\n"


def _contender(report: Report, contender: Contender, most: int) -> dict[str, Any]:
    score = contender.scores.score if contender.scores else None
    shown, more = report.differences(contender, most)
    gain = report.gains.get(contender.role)
    return {
        "role": contender.role.value,
        "model": contender.model,
        "score": _rounded(score.value) if score else None,
        "low": _rounded(score.low) if score else None,
        "high": _rounded(score.high) if score else None,
        "unable": contender.unable,
        "gain": _gain(report, gain) if gain else None,
        "differences": [_difference(report, each) for each in shown] if most else [],
        "more": more if most else 0,
    }


def _gain(report: Report, gain: Gain) -> dict[str, Any]:
    return {
        "over": report.reference.model if report.reference else "",
        "value": _rounded(gain.value),
        "low": _rounded(gain.low),
        "high": _rounded(gain.high),
        "luck": _rounded(gain.luck),
        "words": luck(gain),
    }


def _difference(report: Report, difference: Difference) -> dict[str, Any]:
    after, before = difference.after, difference.before
    row: dict[str, Any] = {
        "line": after.line,
        "value": _rounded(after.value),
        "before": _rounded(before.value) if before else None,
    }
    if report.shows_text:
        row |= {"textInput": after.text_input, "expected": after.expected, "got": after.got}
        row |= {"gotBefore": before.got} if before else {}
    return row


def _rounded(value: float) -> float:
    return round(value, 6) + 0.0  # no -0.0


_SHARE: Final = {"type": "number", "minimum": 0, "maximum": 1}
_DIFFERENCE: Final = {"type": "number", "minimum": -1, "maximum": 1}
_COUNT: Final = {"type": "integer", "minimum": 0}
_TEXT: Final = {"type": "string"}


def _object(properties: dict[str, Any], *optional: str) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required,
        "properties": properties,
    }


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


EVALUATION_SCHEMA: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "What `tunedmodels evaluate --format json` prints",
    **_object(
        {
            "formatVersion": {"const": FORMAT_VERSION},
            "name": _TEXT,
            "path": _TEXT,
            "metric": {"enum": list(METRICS)},
            "examples": _COUNT,
            "fewShot": _COUNT,
            "contenders": {
                "type": "array",
                "items": _object(
                    {
                        "role": {"enum": [role.value for role in Role]},
                        "model": _TEXT,
                        "score": _or_null(_SHARE),
                        "low": _or_null(_SHARE),
                        "high": _or_null(_SHARE),
                        "unable": {
                            **_TEXT,
                            "description": "Why it was not scored; empty where it was.",
                        },
                        "gain": _or_null(
                            _object(
                                {
                                    "over": _TEXT,
                                    "value": _DIFFERENCE,
                                    "low": _DIFFERENCE,
                                    "high": _DIFFERENCE,
                                    "luck": {
                                        **_SHARE,
                                        "description": "Chance of such a difference by luck.",
                                    },
                                    "words": _TEXT,
                                }
                            )
                        ),
                        "differences": {
                            "type": "array",
                            "items": _object(
                                {
                                    "line": {"type": "integer", "minimum": 1},
                                    "value": _SHARE,
                                    "before": _or_null(_SHARE),
                                    "textInput": _TEXT,
                                    "expected": _TEXT,
                                    "got": _TEXT,
                                    "gotBefore": _TEXT,
                                },
                                "textInput",
                                "expected",
                                "got",
                                "gotBefore",
                            ),
                        },
                        "more": _COUNT,
                    }
                ),
            },
            "tuning": _object({"pays": {"type": ["boolean", "null"]}, "words": _TEXT}),
            "gate": _or_null(
                _object(
                    {
                        "model": _TEXT,
                        "decision": {"enum": [decision.value for decision in Decision]},
                        "promotes": {"type": "boolean"},
                        "words": _TEXT,
                        "enough": _or_null(_COUNT),
                    }
                )
            ),
        }
    ),
}
