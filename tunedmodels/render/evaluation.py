"""Render an evaluation report as text, JSON, Markdown or HTML.

Answers of models and examples of datasets are data: they are escaped and cut (`layout.cut`), and
shown only if the user asks for them and git tracks the dataset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from tunedmodels import __version__
from tunedmodels.evaluation.gate import format_difference, format_interval, format_score
from tunedmodels.evaluation.report import (
    AnswerDifference,
    ComparedModel,
    ComparedRole,
    EvaluationReport,
    significance_phrase,
)
from tunedmodels.evaluation.scoring import ScoredAnswer
from tunedmodels.render.evaluation_json import evaluation_json
from tunedmodels.render.html import render_page
from tunedmodels.render.layout import Style, columns, cut, no_style, pad, text_width, wrap
from tunedmodels.render.markup import alert, code, code_block, footer, prose
from tunedmodels.render.options import NONE, RenderOptions
from tunedmodels.stamp import Decision
from tunedmodels.text import plural

_HIDDEN_NOTE: Final = "git does not track the file, so its examples are not shown"
_INPUT_COLUMNS, _OUTPUT_COLUMNS = 44, 40
_MAX_SENTENCE = 1000  # columns of a sentence with its numbers
_ROLES: Final = {
    Decision.PASSED: "good",
    Decision.INCONCLUSIVE: "warning",
    Decision.REFUSED: "error",
}


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """The score of one model."""

    #: Its role, and how many examples its prompt held.
    label: str
    model: str
    #: Empty if the model was not scored.
    score: str
    #: The difference from the reference, or why the model was not scored.
    comparison: str


@dataclass(frozen=True, slots=True)
class ExampleLine:
    """One example that a model answered differently from the reference, or wrong."""

    #: `+` for better, `-` for worse, `!` for wrong.
    sign: str
    line: str = ""
    text_input: str = ""
    answer: str = ""
    #: Empty if `answer` is correct.
    expected: str = ""
    #: The answer of the reference; empty if it is correct.
    reference_answer: str = ""
    #: The number of examples that are not shown; the other fields are empty then.
    more: int = 0


@dataclass(frozen=True, slots=True)
class DifferenceSection:
    """The differences between one model and the reference."""

    title: str
    lines: tuple[ExampleLine, ...]


def evaluation_text(report: EvaluationReport, options: RenderOptions) -> str:
    """Return the report for a terminal, no line wider than 100 columns."""
    blocks = [[options.style(_title(report), "bold")], list(_text_table(report))]
    if report.verdict:
        first, *rest = wrap(f"Gate: {_gate_phrase(report)}", indent=0, hang=6, limit=_MAX_SENTENCE)
        blocks.append([options.style(first, _ROLES[report.verdict.decision]), *rest])
    blocks.append(wrap(report.tuning.message, indent=0, limit=_MAX_SENTENCE))
    blocks += [[section.title, *_text_lines(section)] for section in _sections(report, options)]
    if note := _hidden_note(report, options):
        blocks.append(wrap(f"Note: {note}.", indent=0))
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def evaluation_markdown(report: EvaluationReport, options: RenderOptions) -> str:
    """Return the report for a comment or a job summary on GitHub or GitLab."""
    return "\n".join(_markdown_lines(report, options)) + "\n"


def evaluation_html(report: EvaluationReport, options: RenderOptions) -> str:
    """Return the report as one HTML file. Equal reports give equal bytes."""
    # The classes of the style sheet.
    kinds = {
        Decision.PASSED: "create",
        Decision.INCONCLUSIVE: "warning",
        Decision.REFUSED: "error",
    }
    return render_page(
        "evaluation.html",
        path=(report.name,),
        result=f"Evaluation: {_title(report).partition(': ')[2]}",
        footer=[],
        gate=_gate_phrase(report),
        gate_kind=kinds[report.verdict.decision] if report.verdict else "",
        rows=_score_rows(report),
        reference=_reference_phrase(report),
        tuning=report.tuning.message,
        sections=list(_sections(report, options)),
        signs={"+": "added", "-": "removed", "!": "changed", "": ""},
        note=_hidden_note(report, options),
    )


EVALUATION_RENDERERS: Final[Mapping[str, Callable[[EvaluationReport, RenderOptions], str]]] = (
    MappingProxyType(
        {
            "text": evaluation_text,
            "json": evaluation_json,
            "markdown": evaluation_markdown,
            "html": evaluation_html,
        }
    )
)


def _title(report: EvaluationReport) -> str:
    """Return what was measured, and on which examples."""
    examples = f"{report.examples} {plural(report.examples, 'example')}"
    return f"{report.name}: {report.metric} on {cut(report.path)} ({examples})"


def _gate_phrase(report: EvaluationReport) -> str:
    """Return the decision of the gate and its reason, or nothing without a gate."""
    verdict = report.verdict
    return f"{verdict.decision} for {report.gated_model_id}. {verdict.message}" if verdict else ""


def _hidden_note(report: EvaluationReport, options: RenderOptions) -> str:
    """Return why the requested examples are not shown, or nothing."""
    return "" if options.max_examples == NONE or report.can_show_text else _HIDDEN_NOTE


def _reference_phrase(report: EvaluationReport) -> str:
    """Return which model the others are compared with, or nothing if there is only one."""
    reference = report.reference
    return f"against {_label(report, reference)}" if reference and report.gains else ""


def _label(report: EvaluationReport, model: ComparedModel) -> str:
    if model.role is ComparedRole.FEW_SHOT:
        return f"base + {report.few_shot} {plural(report.few_shot, 'example')}"
    return model.role.value


def _score_rows(report: EvaluationReport) -> list[ScoreRow]:
    return [_score_row(report, model) for model in report.models]


def _score_row(report: EvaluationReport, model: ComparedModel) -> ScoreRow:
    label, name = _label(report, model), cut(model.model.removeprefix("models/"), 40)
    if model.scores is None:
        return ScoreRow(label, name, "", f"not scored: {cut(model.unavailable_reason, 300)}")
    comparison = ""
    if gain := report.gains.get(model.role):
        difference = f"{format_difference(gain.value)} ({format_interval(gain)})"
        comparison = f"{difference}, {significance_phrase(gain)}"
    return ScoreRow(label, name, format_score(model.scores.score), comparison)


def _sections(report: EvaluationReport, options: RenderOptions) -> Iterator[DifferenceSection]:
    """Yield the differences between each model and the reference."""
    for model in report.models:
        shown, more = report.differences(model, options.max_examples)
        if options.max_examples == NONE or not (shown or more):
            continue
        is_reference = model is report.reference
        lines = [_example_line(report, each, is_reference=is_reference) for each in shown]
        lines += [ExampleLine("", more=more)] if more else []
        yield DifferenceSection(_section_title(report, model), tuple(lines))


def _section_title(report: EvaluationReport, model: ComparedModel) -> str:
    reference = report.reference
    if reference is None or model is reference:
        return f"{_label(report, model)}: wrong answers"
    return f"{_label(report, model)} against {_label(report, reference)}"


def _example_line(
    report: EvaluationReport, difference: AnswerDifference, *, is_reference: bool
) -> ExampleLine:
    after, before = difference.after, difference.before
    sign = "!" if is_reference else "+" if difference.is_gain else "-"
    if not report.can_show_text:
        return ExampleLine(sign, f":{after.line}")
    # The correct answer is written once: as `expected`, or as one of the answers.
    return ExampleLine(
        sign,
        f":{after.line}",
        text_input=cut(after.text_input, _INPUT_COLUMNS),
        answer=cut(after.answer, _OUTPUT_COLUMNS),
        expected="" if after.value == 1 else cut(after.expected, _OUTPUT_COLUMNS),
        reference_answer=""
        if before is None or before.value == 1
        else cut(before.answer, _OUTPUT_COLUMNS),
    )


def _answer_phrase(line: ExampleLine) -> str:
    """Return the input, the answer and the other answers, or nothing if text is not shown."""
    if not (line.text_input or line.answer):
        return ""
    phrase = f'"{line.text_input}" -> "{line.answer}"'
    phrase += f', not "{line.reference_answer}"' if line.reference_answer else ""
    return phrase + (f', expected "{line.expected}"' if line.expected else "")


def _text_table(report: EvaluationReport) -> Iterator[str]:
    table = [ScoreRow("", "model", "score", _reference_phrase(report)), *_score_rows(report)]
    widths = [
        max(columns(cell) for cell in column)
        for column in zip(*((row.label, row.model, row.score) for row in table), strict=True)
    ]
    for row in table:
        cells = [row.label, row.model, row.score]
        start = "  ".join(pad(cell, width) for cell, width in zip(cells, widths, strict=True))
        line = f"  {start}  {row.comparison}".rstrip()
        if columns(line) <= text_width():
            yield line
        else:
            yield f"  {start}".rstrip()
            yield from wrap(row.comparison, indent=6)


def _text_lines(section: DifferenceSection) -> Iterator[str]:
    width = max(columns(line.line) for line in section.lines)
    for line in section.lines:
        if line.more:
            yield f"  and {line.more:,} more (to show all: --examples all)"
            continue
        start = f"{line.sign} {pad(line.line, width)}"
        yield from wrap(f"{start}  {_answer_phrase(line)}".rstrip(), indent=2, hang=width + 4)


def _markdown_lines(report: EvaluationReport, options: RenderOptions) -> Iterator[str]:
    yield f"### {prose(_title(report), 200)}"
    yield ""
    yield f"| | model | score | {_reference_phrase(report)} |"
    yield "| --- | --- | --- | --- |"
    for row in _score_rows(report):
        model = code(row.model, in_table=True)
        yield f"| {row.label} | {model} | {row.score} | {prose(row.comparison)} |"
    if report.verdict:
        gate = f"**Gate**: {prose(_gate_phrase(report), _MAX_SENTENCE)}"
        has_passed = report.verdict.decision is Decision.PASSED
        yield from alert("NOTE" if has_passed else "WARNING", [gate])
    yield from ["", prose(report.tuning.message, _MAX_SENTENCE)]
    for section in _sections(report, options):
        yield from _markdown_section(section)
    if note := _hidden_note(report, options):
        yield from ["", f"Note: {note}."]
    yield from footer([f"tunedmodels {__version__}"])


def _markdown_section(section: DifferenceSection) -> Iterator[str]:
    lines = [
        f"  and {line.more:,} more"
        if line.more
        else f"{line.sign} {line.line}  {_answer_phrase(line)}".rstrip()
        for line in section.lines
    ]
    yield from ["", f"<details><summary>{section.title}</summary>", ""]
    yield from [*code_block(lines), "", "</details>"]


# So that a line of the worst answers has at most 100 columns.
_WORST_INPUT_COLUMNS, _WORST_OUTPUT_COLUMNS = 36, 16


def worst_answers_text(
    answers_by_version: Mapping[str, Sequence[ScoredAnswer]], style: Style = no_style
) -> str:
    """Return the worst answers of the versions that their gates did not promote, by model id.

    They are for the terminal only, never for a journal, a plan or a stamp; pass only answers to
    examples of files that git tracks.
    """
    blocks = [
        [style(f"Worst answers of {cut(model_id)}", "bold"), *_worst_answer_lines(answers)]
        for model_id, answers in answers_by_version.items()
        if answers
    ]
    return "".join("\n" + "".join(f"{line}\n" for line in block) for block in blocks)


def _worst_answer_lines(answers: Sequence[ScoredAnswer]) -> Iterator[str]:
    table = [
        (
            f":{answer.line}",
            f'"{cut(answer.text_input, _WORST_INPUT_COLUMNS)}"',
            f'"{cut(answer.expected, _WORST_OUTPUT_COLUMNS)}"',
            f'"{cut(answer.answer, _WORST_OUTPUT_COLUMNS)}"',
        )
        for answer in answers
    ]
    widths = [max(columns(row[n]) for row in table) for n in range(3)]
    for row in table:
        line, text_input, expected = (pad(row[n], widths[n]) for n in range(3))
        yield f"  {line}  {text_input}  expected {expected}  got {row[3]}"
