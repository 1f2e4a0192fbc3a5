"""What `evaluate` found, as text, and in one table every form of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from tunedmodels import __version__
from tunedmodels.evaluation.gate import between, bounds, signed
from tunedmodels.evaluation.report import Contender, Difference, Report, Role, luck
from tunedmodels.evaluation.scoring import Answered
from tunedmodels.render.layout import WIDTH, Style, columns, cut, padded, plain, wrapped
from tunedmodels.render.markup import alert, code, fenced, footer, prose
from tunedmodels.render.plan.phrases import number
from tunedmodels.stamp import Decision

# FOLDED
# The words of a report, the same in every form of it: rows, the gate, and the differences.
#
# What models say and what examples hold is text of somebody: it is cleaned and cut before it is
# shown (`words.cut`), and shown at all only where it is asked for and git tracks the file.
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


_ROLES: Final = {
    Decision.PASSED: "good",
    Decision.INCONCLUSIVE: "warning",
    Decision.REFUSED: "error",
}


def evaluation_text(report: Report, *, most: int = NONE, style: Style = plain) -> str:
    """Return the report for a terminal, no line wider than 100 columns."""
    blocks = [[style(title(report), "bold")], list(_table(report))]
    if report.verdict:
        first, *rest = wrapped(f"Gate: {gate(report)}", indent=0, hang=6, limit=1000)
        blocks.append([style(first, _ROLES[report.verdict.decision]), *rest])
    blocks.append(wrapped(report.tuning.words, indent=0, limit=1000))
    blocks += [[section.title, *_section_lines(section)] for section in sections(report, most)]
    if most != NONE and not report.shows_text:
        blocks.append(wrapped(f"Note: {HIDDEN}.", indent=0))
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _table(report: Report) -> Iterator[str]:
    table = [Row("", "model", "score", against(report)), *rows(report)]
    widths = [
        max(columns(cell) for cell in column)
        for column in zip(*((row.who, row.model, row.score) for row in table), strict=True)
    ]
    for row in table:
        cells = [row.who, row.model, row.score]
        start = "  ".join(padded(cell, width) for cell, width in zip(cells, widths, strict=True))
        line = f"  {start}  {row.beside}".rstrip()
        if columns(line) <= WIDTH:
            yield line
        else:
            yield f"  {start}".rstrip()
            yield from wrapped(row.beside, indent=6)


def _section_lines(section: Section) -> Iterator[str]:
    places = max(columns(line.place) for line in section.lines)
    for line in section.lines:
        if line.more:
            yield f"  and {line.more:,} more (to see every one: --examples all)"
            continue
        start = f"{line.sign} {padded(line.place, places)}"
        yield from wrapped(f"{start}  {told(line)}".rstrip(), indent=2, hang=places + 4)


def _text(report: Report, most: int, style: Style) -> str:
    return evaluation_text(report, most=most, style=style)


def _json(report: Report, most: int, _style: Style) -> str:
    from tunedmodels.render.evaluation_json import evaluation_json  # noqa: PLC0415  # a form

    return evaluation_json(report, most=most)


def _markdown(report: Report, most: int, _style: Style) -> str:
    return evaluation_markdown(report, most=most)


def _html(report: Report, most: int, _style: Style) -> str:
    return evaluation_page(report, most=most)


EVALUATIONS: Final[Mapping[str, Callable[[Report, int, Style], str]]] = MappingProxyType(
    {"text": _text, "json": _json, "markdown": _markdown, "html": _html}
)


# FOLDED
# What `evaluate` found, for a comment or a job's summary: nothing in anybody's text acts in it.
_LONGEST = 1000  # of a sentence with its numbers


def evaluation_markdown(report: Report, *, most: int = NONE) -> str:
    """Return the report as GitHub and GitLab read Markdown; `most` examples of each kind."""
    return "\n".join(_markdown_lines(report, most)) + "\n"


def _markdown_lines(report: Report, most: int) -> Iterator[str]:
    yield f"### {prose(title(report), 200)}"
    yield from ["", f"| | model | score | {against(report)} |", "| --- | --- | --- | --- |"]
    for row in rows(report):
        model = code(row.model, in_table=True)
        yield f"| {row.who} | {model} | {row.score} | {prose(row.beside)} |"
    if report.verdict:
        has_passed = report.verdict.decision is Decision.PASSED
        yield from alert(
            "NOTE" if has_passed else "WARNING", [f"**Gate**: {prose(gate(report), _LONGEST)}"]
        )
    yield from ["", prose(report.tuning.words, _LONGEST)]
    for section in sections(report, most):
        yield from _folded(section)
    if most != NONE and not report.shows_text:
        yield from ["", f"Note: {HIDDEN}."]
    yield from footer([f"tunedmodels {__version__}"])


def _folded(section: Section) -> Iterator[str]:
    yield from ["", f"<details><summary>{section.title}</summary>", ""]
    lines = [
        f"  and {line.more:,} more"
        if line.more
        else f"{line.sign} {line.place}  {told(line)}".rstrip()
        for line in section.lines
    ]
    yield from [*fenced(lines), "", "</details>"]


# FOLDED
# What `evaluate` found as one HTML file, in the frame of the other pages: nothing runs in it.
# The classes of the style sheet by what they mean: good, doubtful, bad.
_KINDS = {
    Decision.PASSED: "create",
    Decision.INCONCLUSIVE: "warning",
    Decision.REFUSED: "error",
}
_SIGNS = {"+": "added", "-": "removed", "!": "changed", "": ""}


def evaluation_page(report: Report, *, most: int = NONE) -> str:
    """Return the page; `most` examples of each kind. Equal reports give equal bytes."""
    from tunedmodels.render.plan.html import framed  # noqa: PLC0415  # jinja2 takes 0.1 s

    return framed(
        "evaluation.html",
        path=(report.name,),
        result=f"Evaluation: {title(report).partition(': ')[2]}",
        footer=[],
        gate=gate(report),
        gate_kind=_KINDS[report.verdict.decision] if report.verdict else "",
        rows=rows(report),
        against=against(report),
        tuning=report.tuning.words,
        sections=list(sections(report, most)),
        signs=_SIGNS,
        note="" if most == NONE or report.shows_text else HIDDEN,
    )


# FOLDED
# The worst answers of a version that its gate kept from serving, for the person at the terminal.
#
# They are somebody's data: never in a journal, a plan or a stamp, and here only of files that git
# tracks.
_WORST_INPUT, _WORST_OUTPUT = 36, 16  # columns, so that a line has at most 100 of them


def worst_text(found: Mapping[str, Sequence[Answered]], style: Style = plain) -> str:
    """Return a block of lines for each version that has some, by its id; nothing for none."""
    blocks = [
        [style(f"Worst answers of {cut(model_id)}", "bold"), *_worst_lines(answers)]
        for model_id, answers in found.items()
        if answers
    ]
    return "".join("\n" + "".join(f"{line}\n" for line in block) for block in blocks)


def _worst_lines(answers: Sequence[Answered]) -> Iterator[str]:
    table = [
        (
            f":{one.line}",
            f'"{cut(one.text_input, _WORST_INPUT)}"',
            f'"{cut(one.expected, _WORST_OUTPUT)}"',
            f'"{cut(one.got, _WORST_OUTPUT)}"',
        )
        for one in answers
    ]
    place, asked, expected = (max(columns(row[n]) for row in table) for n in range(3))
    for row in table:
        start = f"  {padded(row[0], place)}  {padded(row[1], asked)}"
        yield f"{start}  expected {padded(row[2], expected)}  got {row[3]}"
