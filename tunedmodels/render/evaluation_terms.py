"""The words of a report, the same in every form of it: rows, the gate, and the differences.

What models say and what examples hold is text of somebody: it is cleaned and cut before it is shown
(`words.cut`), and shown at all only where it is asked for and git tracks the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tunedmodels.evaluation.gate import between, bounds, signed
from tunedmodels.evaluation.report import Contender, Difference, Report, Role, luck
from tunedmodels.render.layout import cut
from tunedmodels.render.plan.phrases import number

FEW: Final = 3  # differences of each kind
ALL: Final = 2**31
NONE: Final = 0
HIDDEN: Final = "git does not track the file, so what its examples say is not shown"

_INPUT, _OUTPUT = 44, 40  # columns


@dataclass(frozen=True, slots=True)
class Row:
    """One contender: as what it was asked, its score, and how that lies beside the reference."""

    who: str
    model: str
    score: str
    beside: str


@dataclass(frozen=True, slots=True)
class Line:
    """One example that was answered better (`+`) or worse (`-`), or wrong; `more` are not shown."""

    sign: str
    place: str = ""
    text_input: str = ""
    got: str = ""
    wanted: str = ""
    before: str = ""
    more: int = 0


@dataclass(frozen=True, slots=True)
class Section:
    """The differences of one contender under their heading."""

    title: str
    lines: tuple[Line, ...]


def title(report: Report) -> str:
    """Say what was measured, and on what."""
    examples = number(report.examples, "example")
    return f"{report.name}: {report.metric} on {cut(report.path)} ({examples})"


def rows(report: Report) -> list[Row]:
    """Return a row per contender."""
    return [_row(report, contender) for contender in report.contenders]


def gate(report: Report) -> str:
    """Say what the gate decides, or nothing without one."""
    verdict = report.verdict
    return f"{verdict.decision} for {report.judged}. {verdict.words}" if verdict else ""


def sections(report: Report, most: int) -> Iterator[Section]:
    """Yield what each contender did otherwise than the reference; `most` examples of each kind."""
    for contender in report.contenders:
        shown, more = report.differences(contender, most)
        if most == NONE or not (shown or more):
            continue
        lines = [_line(report, each, is_alone=contender is report.reference) for each in shown]
        lines += [Line("", more=more)] if more else []
        yield Section(_heading(report, contender), tuple(lines))


def against(report: Report) -> str:
    """Say with whom the contenders are compared, or nothing where there is only one."""
    reference = report.reference
    return f"against {_who(report, reference)}" if reference and report.gains else ""


def told(line: Line) -> str:
    """Return what was asked and answered, in a sentence without an end."""
    if not (line.text_input or line.got):
        return ""
    words = f'"{line.text_input}" -> "{line.got}"'
    words += f', before "{line.before}"' if line.before else ""
    return words + (f', wanted "{line.wanted}"' if line.wanted else "")


def _row(report: Report, contender: Contender) -> Row:
    who, model = _who(report, contender), cut(contender.model.removeprefix("models/"), 40)
    if contender.scores is None:
        return Row(who, model, "", f"not scored: {cut(contender.unable, 300)}")
    gain = report.gains.get(contender.role)
    beside = f"{signed(gain.value)} ({between(gain)}), {luck(gain)}" if gain else ""
    return Row(who, model, bounds(contender.scores.score), beside)


def _who(report: Report, contender: Contender) -> str:
    if contender.role is Role.FEW_SHOT:
        return f"base + {number(report.few_shot, 'example')}"
    return contender.role.value


def _heading(report: Report, contender: Contender) -> str:
    reference = report.reference
    if reference is None or contender is reference:
        return f"{_who(report, contender)}: wrong answers"
    return f"{_who(report, contender)} against {_who(report, reference)}"


def _line(report: Report, difference: Difference, *, is_alone: bool) -> Line:
    after, before = difference.after, difference.before
    sign = "!" if is_alone else "+" if difference.is_gain else "-"
    if not report.shows_text:
        return Line(sign, f":{after.line}")
    return Line(
        sign,
        f":{after.line}",
        text_input=cut(after.text_input, _INPUT),
        got=cut(after.got, _OUTPUT),
        # What is right is said once, wherever it stands.
        wanted="" if after.value == 1 else cut(after.expected, _OUTPUT),
        before="" if before is None or before.value == 1 else cut(before.got, _OUTPUT),
    )
