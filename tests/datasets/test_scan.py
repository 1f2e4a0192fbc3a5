"""Every check with its file and line, what the whole file is told, and the difference it makes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedmodels.datasets.blocks import Block
from tunedmodels.datasets.checks import duplicates as repeats
from tunedmodels.datasets.checks.duplicates import Fingerprints
from tunedmodels.datasets.examples import Example, digest
from tunedmodels.datasets.limits import GEMINI_API, Limits, limits_for
from tunedmodels.datasets.problems import PER_CODE
from tunedmodels.datasets.scan import Survey, survey
from tunedmodels.schema.tuned_model import Examples

SOURCE = Examples(path="x")
ANY = Limits(min_examples=1, recommended=None)
Row = tuple[str, str]
Ask = Callable[..., Survey]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Survey rows, written as JSONL under the name `data.jsonl`."""

    def asked(
        rows: list[Row], limits: Limits = ANY, preamble: str = "", task: str | None = None
    ) -> Survey:
        file = tmp_path / "data.jsonl"
        lines = [json.dumps({"text_input": row[0], "output": row[1]}) + "\n" for row in rows]
        file.write_text("".join(lines))
        return survey(
            file, SOURCE, written="data.jsonl", limits=limits, preamble=preamble, task=task
        )

    return asked


def said(result: Survey) -> list[str]:
    return [f"{p.place}: {p.severity}: {p.code}: {p.message}" for p in result.problems]


def rows(count: int) -> list[Row]:
    return [(f"input {number}", f"label {number % 3}") for number in range(count)]


def test_good_examples_have_a_digest_labels_and_no_problem(ask: Ask) -> None:
    good = rows(20)
    result = ask(good, GEMINI_API.for_held_out())
    assert result.problems == ()
    assert result.is_usable
    assert result.examples == 20
    assert result.labels == {"label 0": 7, "label 1": 7, "label 2": 6}
    assert result.digest == digest(Example(*row) for row in good)


def test_line_ends_inside_texts_do_not_change_the_digest(ask: Ask) -> None:
    digests = {ask([("a\nb\nc", "x"), (f"d{end}e", "y")]).digest for end in ("\n", "\r\n", "\r")}
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (("", "x"), "text_input: error: empty-text: is empty"),
        ((" \t\n", "x"), "text_input: error: empty-text: is blank"),
        (("x", ""), "output: error: empty-text: is empty"),
        (("x", "\u3000"), "output: error: empty-text: is blank"),
        (("x" * 40_001, "x"),
         "text_input: error: too-long: has 40,001 characters; at most 40,000 are allowed"),
        (("x", "é" * 5_001),
         "output: error: too-long: has 5,001 characters; at most 5,000 are allowed"),
        (("bell\x07", "x"),
         "text_input: warning: control-character: holds U+0007 at character 5"),
        (("del\x7f", "x"),
         "text_input: warning: control-character: holds U+007F at character 4"),
        (("x", "\x92s"),
         "output: warning: control-character: holds U+0092 at character 1"),
        (("one", "1"), "warning: duplicate: says the same as line 1"),
        (("one", "2"),
         "warning: contradiction: has the same input as line 1 and another output"),
    ],
)  # fmt: skip
def test_a_row_with_something_wrong_is_named_with_its_line(
    ask: Ask, row: Row, problem: str
) -> None:
    result = ask([("one", "1"), row, ("last", "3")])
    assert said(result) == [f"data.jsonl:2: {problem}"]
    assert result.is_usable is (": error: " not in problem)
    assert result.examples == 3


@pytest.mark.parametrize(
    "row",
    [
        ("x" * 40_000, "é" * 5_000),
        ("tab\t and\r\n line \\bend 'C:\\new' \"q\"", "\u2028 é \u00a0x \U0001f600"),
    ],
)
def test_what_is_just_allowed_is_no_problem(ask: Ask, row: Row) -> None:
    assert said(ask([row])) == []


def test_a_control_character_is_found_behind_any_number_of_good_escapes(ask: Ask) -> None:
    result = ask([('"a"\n' * 300, "x"), ('"a"\n' * 300 + "\b", "y"), ("last \x7f", "z")])
    assert [(p.line, p.message) for p in result.problems] == [
        (2, "holds U+0008 at character 1,201"),
        (3, "holds U+007F at character 6"),
    ]
    assert said(ask([('"a"\n\\t' * 300, "x")])) == []


def test_the_preamble_counts_with_every_input(ask: Ask) -> None:
    limits = Limits(max_input_chars=20, min_examples=1, recommended=None)
    result = ask([("0123456789", "1"), ("01234567890", "1")], limits, preamble="Continue:")
    (problem,) = result.problems
    assert problem.place == "data.jsonl:2: text_input"
    assert problem.message == "has 21 characters with the preamble; at most 20 are allowed"


def test_all_that_is_wrong_is_said_in_one_run(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_bytes(b'text_input,output\n,1\n"a\nb",\ncaf\xe9,1\nx\na,1\na,1\n"x\x01","y\r\nz"\n')
    result = survey(file, SOURCE, written="d.csv", limits=ANY)
    assert said(result) == [
        "d.csv:2: text_input: error: empty-text: is empty",
        "d.csv:3: output: error: empty-text: is empty",
        "d.csv:5: text_input: error: not-utf8: byte 0xe9 at character 4 is not UTF-8",
        "d.csv:6: error: malformed: has 1 column, the header has 2",
        "d.csv:8: warning: duplicate: says the same as line 7",
        "d.csv:9: text_input: warning: control-character: holds U+0001 at character 2",
    ]


def test_of_a_thousand_and_more_problems_of_a_kind_the_rest_is_a_number(ask: Ask) -> None:
    result = ask([("same", "1"), *[("", "x")] * (PER_CODE + 30), *[("same", "2")] * 1500])
    assert len(result.problems) == 3 * PER_CODE + 3
    more = [(p.line, p.code, p.message) for p in result.problems if "more" in p.message]
    assert more == [
        (1001, "empty-text", "and 30 more of this kind"),
        (2031, "contradiction", "and 500 more of this kind"),
        (2032, "duplicate", "and 499 more of this kind"),
    ]


def test_a_wrong_field_name_is_one_problem_and_not_one_per_row(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text('{"prompt": "a", "output": "b"}\n' * 5000)
    result = survey(file, SOURCE, written="data.jsonl", limits=GEMINI_API)
    (problem,) = said(result)
    assert problem.startswith("data.jsonl:1: error: missing-field: has no field 'text_input'")


def test_a_file_without_any_example_says_so(tmp_path: Path) -> None:
    for name, content in (("a.jsonl", "\n"), ("a.json", "[]"), ("a.csv", "text_input,output\n")):
        file = tmp_path / name
        file.write_text(content)
        result = survey(file, SOURCE, written=name, limits=GEMINI_API)
        assert said(result) == [f"{name}: error: no-examples: holds no example"]


@pytest.mark.parametrize(
    ("base", "count", "task", "words"),
    [
        ("models/gemini-1.5-flash-001-tuning", 19, None,
         ["error: has 19 examples; tuning works from 20 on",
          "advice: has 19 examples; 100 to 500 are recommended"]),
        ("models/never-heard-of", 1, "summarization",
         ["error: has 1 example; tuning works from 20 on",
          "advice: has 1 example; 100 to 500 are recommended for summarization"]),
        ("models/embedded-label-001", 15, "classification",
         ["warning: has 15 examples; tuning works from 20 on",
          "advice: has 15 examples; 100 or more are recommended for classification"]),
        ("models/embedded-text-001", 20, "documentSearch",
         ["advice: has 3 different outputs in 20 examples",
          "advice: has 20 examples; 100 or more are recommended for document search"]),
        ("tunedModels/tone-12345678", 100, None, []),
    ],
)  # fmt: skip
def test_size_is_judged_by_base_model_and_task(
    ask: Ask, base: str, count: int, task: str | None, words: list[str]
) -> None:
    problems = ask(rows(count), limits_for(base), task=task).problems
    assert [f"{p.severity}: {p.message}" for p in problems] == words[::-1]
    assert {p.place for p in problems} <= {"data.jsonl"}


def test_a_file_over_four_mebibytes_is_an_error_unless_it_is_never_sent(ask: Ask) -> None:
    large = [(f"{number} " + "x" * 9000, "label") for number in range(500)]
    (problem,) = said(ask(large, ANY))
    assert problem == (
        "data.jsonl: error: file-too-large: "
        "has 4,520,890 bytes (4.3 MiB); at most 4,194,304 are allowed"
    )
    assert said(ask(large, ANY.for_held_out())) == []


LABEL, TEXT = (limits_for(f"models/embedded-{kind}-001") for kind in ("label", "text"))


def test_free_text_for_a_model_that_learns_labels_is_a_warning(ask: Ask) -> None:
    free = [(f"input {number}", f"answer {number}") for number in range(100)]
    half = [(f"input {number}", f"answer {number // 2}") for number in range(100)]
    result = ask(free, LABEL)
    assert said(result) == [
        "data.jsonl: warning: many-labels: has 100 different outputs in 100 examples"
    ]
    assert "models/embedded-text-001" in result.problems[0].cure
    assert result.labels is None
    assert said(ask(half, LABEL)) == []
    assert said(ask(free, TEXT)) == []


@pytest.mark.parametrize(
    ("labels", "limits", "is_advised"),
    [
        (2, TEXT, True),
        (20, TEXT, True),
        (21, TEXT, False),  # fewer than five of each
        (1, TEXT, False),
        (2, TEXT.for_held_out(), False),
        (2, LABEL, False),
        (2, GEMINI_API, False),
    ],
)
def test_labels_for_a_model_that_writes_text_are_advised_to_go_to_the_faster_one(
    ask: Ask, labels: int, limits: Limits, *, is_advised: bool
) -> None:
    result = ask([(f"input {number}", f"label {number % labels}") for number in range(100)], limits)
    expected = f"data.jsonl: advice: other-base: has {labels} different outputs in 100 examples"
    assert said(result) == [expected] * is_advised
    for problem in result.problems:
        assert "models/embedded-label-001 learns those as well" in problem.cure


QUESTION, REVERSED = "question: {}\ncontext: some", "context: {}\nquestion: some"


def test_markers_that_differ_are_named_with_their_lines(ask: Ask) -> None:
    shapes = [QUESTION] * 6 + [REVERSED] * 2 + ["{}, tell me\ncontext: x", "question: {}"]
    result = ask([(shape.format(number), "x") for number, shape in enumerate(shapes)])
    most = "most examples begin with question:, context:"
    assert said(result) == [
        f"{line}: text_input: warning: other-markers: begins with {markers}; {most}"
        for line, markers in [
            ("data.jsonl:7", "context:, question:"),
            ("data.jsonl:8", "context:, question:"),
            ("data.jsonl:9", "no marker"),
            ("data.jsonl:10", "question:"),
        ]
    ]


@pytest.mark.parametrize(
    "inputs",
    [
        [QUESTION.format(number) + "\nnote: y" * (number == 3) for number in range(30)],
        [f"user: {n}\nagent: hm\n" + "user: no\nagent: yes\n" * (n % 4) for n in range(20)],
        [f"Update: it broke {n}" if n == 3 else f"It broke {n}" for n in range(30)],
        [f"http://x/{n}" if n % 2 else f"at 12:30, {n}" for n in range(20)],
        [f"{n}word{n}: some prose" for n in range(20)],
        [f"w{chr(97 + n % 26)}{chr(97 + n // 26)}: {'prose ' * 60}" for n in range(600)],
    ],
    ids=["a rare extra", "dialogues", "one colon in prose", "no labels", "numbers", "any words"],
)
def test_colons_that_are_no_markers_are_left_alone(ask: Ask, inputs: list[str]) -> None:
    assert said(ask([(text, "x") for text in inputs])) == []


def test_of_many_other_markers_the_rest_is_a_number(ask: Ask) -> None:
    inputs = [f"question: {n}" for n in range(3000)] + [f"ask: {n}" for n in range(2500)]
    *_, more = ask([(text, "x") for text in inputs]).problems
    assert (more.line, more.message) == (4000, "and 1,500 more of this kind")


# --- repeats: a small model against the real thing, in parts and on disk -------------------------


def expected(examples: list[Row]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    duplicates, contradictions = [], []
    whole: dict[Row, int] = {}
    inputs: dict[str, int] = {}
    for number, row in enumerate(examples):
        if (first := whole.setdefault(row, number)) != number:
            duplicates.append((number, first))
        earlier = inputs.setdefault(row[0], number)
        if examples[earlier][1] != row[1]:
            contradictions.append((number, earlier))
    return duplicates, contradictions


def found(examples: list[Row], size: int = 7) -> tuple[repeats.Repeats, repeats.Repeats]:
    with Fingerprints() as fingerprints:
        for start in range(0, len(examples), size):
            some = examples[start : start + size]
            fingerprints.add(Block([r[0] for r in some], [r[1] for r in some], range(len(some))))
        return fingerprints.duplicates_and_contradictions()


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("xyz")), max_size=60),
    st.sampled_from([10, 1000]),
)
def test_repeats_are_found_however_few_rows_are_held_at_once(
    examples: list[Row], held: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repeats, "HELD", held)
        patch.setattr(repeats, "_FEW", 2)
        patch.setattr(repeats, "PART", 4)
        patch.setattr(repeats, "SLICE", 3)
        duplicates, contradictions = found(examples)
    assert ([*duplicates.rows], [*contradictions.rows]) == expected(examples)
    assert (duplicates.count, contradictions.count) == tuple(map(len, expected(examples)))


def test_examples_without_repeats_have_none_whatever_bits_they_share() -> None:
    examples = [(str(number), "x") for number in range(repeats._FEW + 5000)]
    assert found(examples, size=512) == (repeats.Repeats(), repeats.Repeats())


def test_the_first_thousand_repeats_are_the_earliest_ones() -> None:
    examples = [(str(number % 3000), "x") for number in range(9000)]
    random.Random(5).shuffle(examples)  # noqa: S311  # the same order in every run
    duplicates, contradictions = found(examples, size=512)
    assert [*duplicates.rows] == expected(examples)[0][:PER_CODE]
    assert (duplicates.count, contradictions.count) == (6000, 0)
