"""What `evaluate` found, in every form: whole golden files, and laws of the document."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.support.builders import evaluation
from tests.support.paths import GOLDEN as GOLDEN_FOLDER
from tunedmodels import __version__
from tunedmodels.cli.evaluate import FORMS
from tunedmodels.evaluation.gate import judge
from tunedmodels.evaluation.report import Contender, Report, Role
from tunedmodels.evaluation.scoring import Answered, Scores
from tunedmodels.render.evaluation import ALL, EVALUATIONS, FEW, NONE, evaluation_text
from tunedmodels.render.evaluation_json import EVALUATION_SCHEMA, evaluation_json
from tunedmodels.render.layout import columns, plain

GOLDEN = GOLDEN_FOLDER / "evaluation"
ENDINGS = {"text": "txt", "json": "json", "markdown": "md", "html": "html"}
HOSTILE = '<b>@everyone</b> | `rm -rf` ```\n# \x1b[31mred\x1b[0m ![x](http://evil) "q" \u202e'


def scores(right: range, of: int = 100, *, got: str = "bug", wanted: str = "billing") -> Scores:
    """Answers of which those in `right` are."""
    answers = [
        Answered(place + 2, f"message {place}", wanted, wanted if place in right else got,
                 float(place in right))
        for place in range(of)
    ]  # fmt: skip
    return Scores("labelAccuracy", tuple(answers))


def report(*contenders: Contender, few_shot: int = 5, **rules: Any) -> Report:
    """A report on the contenders, with the gate of `rules`."""
    by_role = {each.role: each for each in contenders}
    first, serving = contenders[0], by_role.get(Role.SERVING)
    assert first.scores
    beside = serving.scores if serving and serving is not first else None
    verdict = judge(evaluation(metric="labelAccuracy", **rules), first.scores, beside)
    return Report(
        name="support-triage",
        path="data/support-triage.eval.csv",
        metric="labelAccuracy",
        examples=len(first.scores.answers),
        few_shot=few_shot,
        contenders=contenders,
        judged=first.model if rules else "",
        verdict=verdict if rules else None,
    )


CANDIDATE, SERVING = "support-triage-caffce57", "support-triage-81bf1eb4"
BASE = "models/gemini-9-flash"


def better() -> Report:
    return report(
        Contender(Role.CANDIDATE, CANDIDATE, scores(range(2, 97))),
        Contender(Role.SERVING, SERVING, scores(range(85))),
        Contender(Role.FEW_SHOT, BASE, scores(range(20, 90), got="It is a bug.")),
        Contender(Role.BASE, BASE, scores(range(30), got="I cannot know that.")),
        at_least=0.8,
        not_worse_than_serving_by=0.02,
    )


def refused() -> Report:
    return report(
        Contender(Role.CANDIDATE, CANDIDATE, scores(range(60))),
        Contender(Role.SERVING, SERVING, scores(range(90))),
        Contender(Role.BASE, BASE, scores(range(75))),
        few_shot=0,
        at_least=0.5,
        not_worse_than_serving_by=0.02,
    )


def undecided() -> Report:
    return report(
        Contender(Role.CANDIDATE, CANDIDATE, scores(range(1, 18), 20)),
        Contender(Role.SERVING, SERVING, scores(range(18), 20)),
        Contender(Role.FEW_SHOT, BASE, scores(range(16), 20)),
        at_least=0.8,
        not_worse_than_serving_by=0.02,
    )


def alone() -> Report:
    """One version, and a base that cannot be asked; git does not track the file."""
    made = report(
        Contender(Role.SERVING, SERVING, scores(range(95))),
        Contender(Role.FEW_SHOT, BASE, None, "models/x knows no answers until it is tuned"),
        Contender(Role.BASE, BASE, None, "models/x knows no answers until it is tuned"),
    )
    return replace(made, shows_text=False)


def hostile() -> Report:
    made = report(
        Contender(Role.CANDIDATE, "x" * 40, scores(range(5, 20), 20, got=HOSTILE)),
        Contender(Role.SERVING, SERVING, scores(range(15), 20, got=HOSTILE)),
        Contender(Role.FEW_SHOT, f"models/{'y' * 60}", None, HOSTILE),
        Contender(Role.BASE, BASE, scores(range(5), 20, got=HOSTILE * 20)),
        not_worse_than_serving_by=0.5,
    )
    return replace(made, name="tone", path=f"data/{HOSTILE}.jsonl")


REPORTS = {each.__name__: each for each in (better, refused, undecided, alone, hostile)}
every_report = pytest.mark.parametrize("name", REPORTS)


@pytest.mark.parametrize("form", EVALUATIONS)
@every_report
def test_a_report_in_every_form_is_the_golden_file(
    name: str, form: str, golden: Callable[[Path, str], None]
) -> None:
    shown = EVALUATIONS[form](REPORTS[name](), FEW, plain)
    if form == "html":  # the style sheet is that of every page, and has golden files enough
        head, _, rest = shown.partition("<style>")
        shown = head.split("<meta http-equiv")[0] + rest.partition("</style>\n")[2]
    golden(GOLDEN / f"{name}.{ENDINGS[form]}", shown.replace(__version__, "VERSION"))


def test_every_golden_file_has_its_report() -> None:
    there = {path.name for path in GOLDEN.iterdir()}
    assert there == {f"{name}.{ending}" for name in REPORTS for ending in ENDINGS.values()}


def test_the_command_line_offers_every_form() -> None:
    assert list(EVALUATIONS) == FORMS


@every_report
@pytest.mark.parametrize("most", [NONE, FEW, ALL])
def test_every_document_fits_the_published_schema(name: str, most: int) -> None:
    jsonschema.Draft202012Validator.check_schema(EVALUATION_SCHEMA)
    text = evaluation_json(REPORTS[name](), most=most)
    jsonschema.validate(json.loads(text), EVALUATION_SCHEMA)
    assert text.isascii()


@every_report
@pytest.mark.parametrize("most", [NONE, FEW, ALL])
def test_no_line_is_wide_or_ends_in_blanks_or_steers_the_terminal(name: str, most: int) -> None:
    for line in evaluation_text(REPORTS[name](), most=most)[:-1].split("\n"):
        assert columns(line) <= 100, line
        assert line == line.rstrip()
        assert line.isprintable()


@pytest.mark.parametrize("form", EVALUATIONS)
def test_no_text_of_an_example_is_shown_unless_it_is_asked_for(form: str) -> None:
    shown = EVALUATIONS[form](better(), NONE, plain)
    assert "message" not in shown
    assert "billing" not in shown
    asked = EVALUATIONS[form](better(), FEW, plain)
    assert "message 0" in asked


@pytest.mark.parametrize("form", EVALUATIONS)
def test_no_text_is_shown_of_a_file_that_git_does_not_track(form: str) -> None:
    shown = EVALUATIONS[form](replace(better(), shows_text=False), ALL, plain)
    assert "message" not in shown
    assert "billing" not in shown


def test_tuning_pays_or_does_not_or_nobody_can_tell() -> None:
    assert better().tuning.pays is True
    assert refused().tuning.pays is False
    assert undecided().tuning.pays is None
    assert "examples would do" in undecided().tuning.words
    assert alone().tuning.pays is None
    assert "nothing to compare tuning with" in alone().tuning.words


def test_all_of_the_differences_are_shown_when_all_are_asked_for() -> None:
    made = better()
    shown, more = made.differences(made.contenders[0], ALL)
    assert (len([each for each in shown if each.is_gain]), more) == (12, 0)
    assert [each.after.line for each in shown if not each.is_gain] == [2, 3]
    few, rest = made.differences(made.contenders[0], FEW)
    assert len(few) + rest == len(shown)
