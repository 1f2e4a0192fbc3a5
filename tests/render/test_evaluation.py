"""The renderers of an evaluation report: golden files, and invariants of the output."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest

from tests.support.builders import evaluation
from tests.support.paths import GOLDEN as GOLDEN_FOLDER
from tunedmodels import __version__
from tunedmodels.cli.evaluate import command
from tunedmodels.evaluation.gate import evaluate_gate
from tunedmodels.evaluation.report import ComparedModel, ComparedRole, EvaluationReport
from tunedmodels.evaluation.scoring import ScoredAnswer, Scores
from tunedmodels.render.evaluation import EVALUATION_RENDERERS, evaluation_text
from tunedmodels.render.evaluation_json import evaluation_json, evaluation_schema
from tunedmodels.render.layout import columns
from tunedmodels.render.options import ALL, FEW, NONE, RenderOptions

GOLDEN = GOLDEN_FOLDER / "evaluation"
ENDINGS = {"text": "txt", "json": "json", "markdown": "md", "html": "html"}
HOSTILE = '<b>@everyone</b> | `rm -rf` ```\n# \x1b[31mred\x1b[0m ![x](http://evil) "q" \u202e'


def scores(correct: range, count: int = 100, *, wrong: str = "bug") -> Scores:
    """Return the scores of answers of which those in `correct` are correct."""
    answers = [
        ScoredAnswer(
            number + 2,
            f"message {number}",
            "billing",
            "billing" if number in correct else wrong,
            float(number in correct),
        )
        for number in range(count)
    ]
    return Scores("labelAccuracy", tuple(answers))


def report(*models: ComparedModel, few_shot: int = 5, **rules: Any) -> EvaluationReport:
    """Return a report on the models, with the gate of `rules`."""
    by_role = {model.role: model for model in models}
    first, serving = models[0], by_role.get(ComparedRole.SERVING)
    assert first.scores
    baseline = serving.scores if serving and serving is not first else None
    verdict = evaluate_gate(evaluation(metric="labelAccuracy", **rules), first.scores, baseline)
    return EvaluationReport(
        name="support-triage",
        path="data/support-triage.eval.csv",
        metric="labelAccuracy",
        examples=len(first.scores.answers),
        few_shot=few_shot,
        models=models,
        gated_model_id=first.model if rules else "",
        verdict=verdict if rules else None,
    )


CANDIDATE, SERVING = "support-triage-caffce57", "support-triage-81bf1eb4"
BASE = "models/gemini-9-flash"
UNAVAILABLE = "models/x cannot answer until it is tuned"


def better() -> EvaluationReport:
    return report(
        ComparedModel(ComparedRole.CANDIDATE, CANDIDATE, scores(range(2, 97))),
        ComparedModel(ComparedRole.SERVING, SERVING, scores(range(85))),
        ComparedModel(ComparedRole.FEW_SHOT, BASE, scores(range(20, 90), wrong="It is a bug.")),
        ComparedModel(ComparedRole.BASE, BASE, scores(range(30), wrong="I cannot know that.")),
        at_least=0.8,
        not_worse_than_serving_by=0.02,
    )


def refused() -> EvaluationReport:
    return report(
        ComparedModel(ComparedRole.CANDIDATE, CANDIDATE, scores(range(60))),
        ComparedModel(ComparedRole.SERVING, SERVING, scores(range(90))),
        ComparedModel(ComparedRole.BASE, BASE, scores(range(75))),
        few_shot=0,
        at_least=0.5,
        not_worse_than_serving_by=0.02,
    )


def undecided() -> EvaluationReport:
    return report(
        ComparedModel(ComparedRole.CANDIDATE, CANDIDATE, scores(range(1, 18), 20)),
        ComparedModel(ComparedRole.SERVING, SERVING, scores(range(18), 20)),
        ComparedModel(ComparedRole.FEW_SHOT, BASE, scores(range(16), 20)),
        at_least=0.8,
        not_worse_than_serving_by=0.02,
    )


def alone() -> EvaluationReport:
    """Return a report on one version; its base cannot answer, and git does not track the file."""
    single = report(
        ComparedModel(ComparedRole.SERVING, SERVING, scores(range(95))),
        ComparedModel(ComparedRole.FEW_SHOT, BASE, None, UNAVAILABLE),
        ComparedModel(ComparedRole.BASE, BASE, None, UNAVAILABLE),
    )
    return replace(single, can_show_text=False)


def hostile() -> EvaluationReport:
    harmless = report(
        ComparedModel(ComparedRole.CANDIDATE, "x" * 40, scores(range(5, 20), 20, wrong=HOSTILE)),
        ComparedModel(ComparedRole.SERVING, SERVING, scores(range(15), 20, wrong=HOSTILE)),
        ComparedModel(ComparedRole.FEW_SHOT, f"models/{'y' * 60}", None, HOSTILE),
        ComparedModel(ComparedRole.BASE, BASE, scores(range(5), 20, wrong=HOSTILE * 20)),
        not_worse_than_serving_by=0.5,
    )
    return replace(harmless, name="tone", path=f"data/{HOSTILE}.jsonl")


REPORTS = {make.__name__: make for make in (better, refused, undecided, alone, hostile)}
every_report = pytest.mark.parametrize("name", REPORTS)


@pytest.mark.parametrize("form", EVALUATION_RENDERERS)
@every_report
def test_every_form_equals_its_golden_file(
    name: str, form: str, golden: Callable[[Path, str], None]
) -> None:
    text = EVALUATION_RENDERERS[form](REPORTS[name](), RenderOptions(max_examples=FEW))
    if form == "html":  # the golden files of plans have the style sheet
        head, _, rest = text.partition("<style>")
        text = head.split("<meta http-equiv")[0] + rest.partition("</style>\n")[2]
    golden(GOLDEN / f"{name}.{ENDINGS[form]}", text.replace(__version__, "VERSION"))


def test_every_golden_file_has_a_report() -> None:
    names = {path.name for path in GOLDEN.iterdir()}
    assert names == {f"{name}.{ending}" for name in REPORTS for ending in ENDINGS.values()}


def test_the_command_line_offers_every_form() -> None:
    (choices,) = [each.type for each in command.params if each.name == "output_format"]
    assert isinstance(choices, click.Choice)
    assert list(EVALUATION_RENDERERS) == list(choices.choices)


@every_report
@pytest.mark.parametrize("max_examples", [NONE, FEW, ALL])
def test_every_document_is_valid_against_the_published_schema(name: str, max_examples: int) -> None:
    schema = evaluation_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    text = evaluation_json(REPORTS[name](), RenderOptions(max_examples=max_examples))
    jsonschema.validate(json.loads(text), schema)
    assert text.isascii()


@every_report
@pytest.mark.parametrize("max_examples", [NONE, FEW, ALL])
def test_no_line_is_too_wide_or_has_trailing_spaces_or_escapes(
    name: str, max_examples: int
) -> None:
    text = evaluation_text(REPORTS[name](), RenderOptions(max_examples=max_examples))
    for line in text[:-1].split("\n"):
        assert columns(line) <= 100, line
        assert line == line.rstrip()
        assert line.isprintable()


@pytest.mark.parametrize("form", EVALUATION_RENDERERS)
def test_examples_are_shown_only_on_request(form: str) -> None:
    text = EVALUATION_RENDERERS[form](better(), RenderOptions(max_examples=NONE))
    assert "message" not in text
    assert "billing" not in text
    with_examples = EVALUATION_RENDERERS[form](better(), RenderOptions(max_examples=FEW))
    assert "message 0" in with_examples


@pytest.mark.parametrize("form", EVALUATION_RENDERERS)
def test_no_example_is_shown_of_a_file_that_git_does_not_track(form: str) -> None:
    report_without_text = replace(better(), can_show_text=False)
    text = EVALUATION_RENDERERS[form](report_without_text, RenderOptions(max_examples=ALL))
    assert "message" not in text
    assert "billing" not in text


def test_tuning_pays_or_not_or_that_is_unknown() -> None:
    assert better().tuning.is_worthwhile is True
    assert refused().tuning.is_worthwhile is False
    assert undecided().tuning.is_worthwhile is None
    assert "examples would be enough" in undecided().tuning.message
    assert alone().tuning.is_worthwhile is None
    assert "Tuning cannot be compared with the base model" in alone().tuning.message


def test_a_report_returns_all_differences_on_request() -> None:
    comparison = better()
    differences, more = comparison.differences(comparison.models[0], ALL)
    assert (len([each for each in differences if each.is_gain]), more) == (12, 0)
    assert [each.after.line for each in differences if not each.is_gain] == [2, 3]
    few, rest = comparison.differences(comparison.models[0], FEW)
    assert len(few) + rest == len(differences)
