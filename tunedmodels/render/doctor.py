"""A checkup in words, for people and for programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence

from tunedmodels.providers.doctor.findings import Checkup, Verdict
from tunedmodels.render.layout import WIDTH, Style, clean, cut, padded, plain

_ROLES = {
    Verdict.OK: "good",
    Verdict.WARNING: "warning",
    Verdict.UNKNOWN: "dim",
    Verdict.FAILED: "failed",
}
_VERDICT = max(map(len, Verdict)) + 2
_LONGEST = 800  # columns of words; the documents have all of them
_CHECK = 20  # columns; the longest name of a check is shorter


def doctor_text(checkups: Sequence[Checkup], style: Style = plain) -> str:
    """Return every finding on a line of its own, the cure below it, and the count at the end."""
    blocks = [
        "\n".join(
            [style(f"{clean(each.name)}  ({clean(each.about)})", "bold"), *_lines(each, style)]
        )
        for each in checkups
    ]
    return "\n\n".join([*blocks, _summary(checkups, style)]) + "\n"


def doctor_document(checkups: Sequence[Checkup]) -> str:
    """Return `{formatVersion, ok, checkups: [{name, about, ok, findings: [...]}]}`."""
    document = {
        "formatVersion": 1,
        "ok": all(each.is_well for each in checkups),
        "checkups": [
            {
                "name": each.name,
                "about": each.about,
                "ok": each.is_well,
                "findings": [
                    {
                        "check": finding.check,
                        "verdict": finding.verdict.value,
                        "words": finding.words,
                        "cure": finding.cure,
                    }
                    for finding in each.findings
                ],
            }
            for each in checkups
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _lines(checkup: Checkup, style: Style) -> Iterator[str]:
    margin = " " * (2 + _VERDICT + _CHECK)
    told: set[str] = set()
    for finding in checkup.findings:
        first, *rest = _wrapped(finding.words, len(margin))
        verdict = style(padded(finding.verdict, _VERDICT), _ROLES[finding.verdict])
        yield f"  {verdict}{padded(finding.check, _CHECK)}{first}".rstrip()
        yield from (f"{margin}{line}" for line in rest)
        if finding.cure and finding.cure in told:
            yield f"{margin}Mended as above."
            continue
        told.add(finding.cure)
        # A command must come out whole, to be copied: nothing of a cure is wrapped.
        yield from (f"{margin}{clean(line)}" for line in finding.cure.splitlines())


def _wrapped(words: str, margin: int) -> list[str]:
    """Lay words beside a margin; paths, addresses and permissions are never broken."""
    lines = textwrap.wrap(
        cut(words, _LONGEST), WIDTH - margin, break_on_hyphens=False, break_long_words=False
    )
    return lines or [""]


def _summary(checkups: Sequence[Checkup], style: Style) -> str:
    verdicts = [finding.verdict for each in checkups for finding in each.findings]
    failed, unknown = verdicts.count(Verdict.FAILED), verdicts.count(Verdict.UNKNOWN)
    rest = f"; {unknown} could not be found out" if unknown else ""
    if failed:
        return style(f"{failed} of {len(verdicts)} checks failed{rest}.", "failed")
    return style(f"Nothing failed{rest}.", "good") if rest else style("All is well.", "good")


DOCTOR_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "What `tunedmodels doctor --format json` prints",
    "type": "object",
    "additionalProperties": False,
    "required": ["formatVersion", "ok", "checkups"],
    "properties": {
        "formatVersion": {"const": 1},
        "ok": {"type": "boolean", "description": "nothing failed"},
        "checkups": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "about", "ok", "findings"],
                "properties": {
                    "name": {"type": "string", "description": "machine, or that of a provider"},
                    "about": {"type": "string"},
                    "ok": {"type": "boolean"},
                    "findings": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["check", "verdict", "words", "cure"],
                            "properties": {
                                "check": {"type": "string"},
                                "verdict": {"enum": [each.value for each in Verdict]},
                                "words": {"type": "string"},
                                "cure": {"type": "string"},
                            },
                        },
                    },
                },
            },
        },
    },
}
