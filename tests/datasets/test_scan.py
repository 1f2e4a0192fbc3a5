"""The scan of a dataset: its digest, and every check with its file and line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tunedmodels.datasets.examples import Example, digest
from tunedmodels.datasets.limits import GEMINI_API, Limits, limits_for
from tunedmodels.datasets.problems import MAX_PER_CODE
from tunedmodels.datasets.scan import DatasetScan, scan
from tunedmodels.schema.tuned_model import ExampleFile

SOURCE = ExampleFile(path="x")
ANY = Limits(min_examples=1, recommended=None)
Row = tuple[str, str]
ScanRows = Callable[..., DatasetScan]


@pytest.fixture
def scan_rows(tmp_path: Path) -> ScanRows:
    """Scan rows, written as JSONL under the name `data.jsonl`."""

    def write_and_scan(
        rows: list[Row], limits: Limits = ANY, preamble: str = "", task: str | None = None
    ) -> DatasetScan:
        file = tmp_path / "data.jsonl"
        lines = [json.dumps({"text_input": row[0], "output": row[1]}) + "\n" for row in rows]
        file.write_text("".join(lines))
        return scan(
            file, SOURCE, display_path="data.jsonl", limits=limits, preamble=preamble, task=task
        )

    return write_and_scan


def messages(result: DatasetScan) -> list[str]:
    return [f"{p.location}: {p.severity}: {p.code}: {p.message}" for p in result.problems]


def rows(count: int) -> list[Row]:
    return [(f"input {number}", f"label {number % 3}") for number in range(count)]


def test_good_examples_have_a_digest_labels_and_no_problem(scan_rows: ScanRows) -> None:
    good = rows(20)
    result = scan_rows(good, GEMINI_API.for_held_out())
    assert result.problems == ()
    assert result.is_usable
    assert result.examples == 20
    assert result.labels == {"label 0": 7, "label 1": 7, "label 2": 6}
    assert result.digest == digest(Example(*row) for row in good)


def test_line_ends_inside_texts_do_not_change_the_digest(scan_rows: ScanRows) -> None:
    digests = {
        scan_rows([("a\nb\nc", "x"), (f"d{end}e", "y")]).digest for end in ("\n", "\r\n", "\r")
    }
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
         "text_input: warning: control-character: contains U+0007 at character 5"),
        (("del\x7f", "x"),
         "text_input: warning: control-character: contains U+007F at character 4"),
        (("x", "\x92s"),
         "output: warning: control-character: contains U+0092 at character 1"),
        (("one", "1"), "warning: duplicate: is the same as line 1"),
        (("one", "2"),
         "warning: contradiction: has the same input as line 1 but another output"),
    ],
)  # fmt: skip
def test_a_row_with_a_problem_is_reported_with_its_line(
    scan_rows: ScanRows, row: Row, problem: str
) -> None:
    result = scan_rows([("one", "1"), row, ("last", "3")])
    assert messages(result) == [f"data.jsonl:2: {problem}"]
    assert result.is_usable is (": error: " not in problem)
    assert result.examples == 3


@pytest.mark.parametrize(
    "row",
    [
        ("x" * 40_000, "é" * 5_000),
        ("tab\t and\r\n line \\bend 'C:\\new' \"q\"", "\u2028 é \u00a0x \U0001f600"),
    ],
)
def test_a_row_at_the_limits_has_no_problem(scan_rows: ScanRows, row: Row) -> None:
    assert messages(scan_rows([row])) == []


def test_a_control_character_is_found_after_any_number_of_valid_escapes(
    scan_rows: ScanRows,
) -> None:
    result = scan_rows([('"a"\n' * 300, "x"), ('"a"\n' * 300 + "\b", "y"), ("last \x7f", "z")])
    assert [(p.line, p.message) for p in result.problems] == [
        (2, "contains U+0008 at character 1,201"),
        (3, "contains U+007F at character 6"),
    ]
    assert messages(scan_rows([('"a"\n\\t' * 300, "x")])) == []


def test_the_preamble_counts_with_every_input(scan_rows: ScanRows) -> None:
    limits = Limits(max_input_chars=20, min_examples=1, recommended=None)
    result = scan_rows([("0123456789", "1"), ("01234567890", "1")], limits, preamble="Continue:")
    (problem,) = result.problems
    assert problem.location == "data.jsonl:2: text_input"
    assert problem.message == "has 21 characters with the preamble; at most 20 are allowed"


def test_all_problems_are_reported_in_one_scan(scan_rows: ScanRows, tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_bytes(
        b'text_input,output\n,1\n"a\nb",\ncaf\xe9,1\nx\na,1\na,1\n"x\x01","y\r\nz"\n\xe6\x9d\xb1,1\n'
    )
    result = scan(file, SOURCE, display_path="d.csv", limits=ANY)
    assert messages(result) == [
        "d.csv:2: text_input: error: empty-text: is empty",
        "d.csv:3: output: error: empty-text: is empty",
        "d.csv:5: text_input: error: not-utf8: byte 0xe9 at character 4 is not UTF-8",
        "d.csv:6: error: malformed: has 1 column, the header has 2",
        "d.csv:8: warning: duplicate: is the same as line 7",
        "d.csv:9: text_input: warning: control-character: contains U+0001 at character 2",
    ]


def test_after_a_thousand_problems_of_a_code_the_others_are_counted(scan_rows: ScanRows) -> None:
    result = scan_rows([("same", "1"), *[("", "x")] * (MAX_PER_CODE + 30), *[("same", "2")] * 1500])
    assert len(result.problems) == 3 * MAX_PER_CODE + 3
    more = [(p.line, p.code, p.message) for p in result.problems if "more" in p.message]
    assert more == [
        (1001, "empty-text", "and 30 more of this kind"),
        (2031, "contradiction", "and 500 more of this kind"),
        (2032, "duplicate", "and 499 more of this kind"),
    ]


def test_a_wrong_field_name_is_one_problem_and_not_one_per_row(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text('{"prompt": "a", "output": "b"}\n' * 5000)
    result = scan(file, SOURCE, display_path="data.jsonl", limits=GEMINI_API)
    (problem,) = messages(result)
    assert problem.startswith("data.jsonl:1: error: missing-field: has no field 'text_input'")


def test_a_file_without_examples_is_an_error(tmp_path: Path) -> None:
    for name, content in (("a.jsonl", "\n"), ("a.json", "[]"), ("a.csv", "text_input,output\n")):
        file = tmp_path / name
        file.write_text(content)
        result = scan(file, SOURCE, display_path=name, limits=GEMINI_API)
        assert messages(result) == [f"{name}: error: no-examples: contains no examples"]


@pytest.mark.parametrize(
    ("base", "count", "task", "expected"),
    [
        ("models/gemini-1.5-flash-001-tuning", 19, None,
         ["error: has 19 examples; tuning works with 20 or more",
          "advice: has 19 examples; 100 to 500 are recommended"]),
        ("models/unknown", 1, "summarization",
         ["error: has 1 example; tuning works with 20 or more",
          "advice: has 1 example; 100 to 500 are recommended for summarization"]),
        ("models/embedded-label-001", 15, "classification",
         ["warning: has 15 examples; tuning works with 20 or more",
          "advice: has 15 examples; 100 or more are recommended for classification"]),
        ("models/embedded-text-001", 20, "documentSearch",
         ["advice: has 3 different outputs in 20 examples",
          "advice: has 20 examples; 100 or more are recommended for document search"]),
        ("tunedModels/tone-12345678", 100, None, []),
    ],
)  # fmt: skip
def test_the_number_of_examples_is_checked_by_base_model_and_task(
    scan_rows: ScanRows, base: str, count: int, task: str | None, expected: list[str]
) -> None:
    problems = scan_rows(rows(count), limits_for(base), task=task).problems
    assert [f"{p.severity}: {p.message}" for p in problems] == expected[::-1]
    assert {p.location for p in problems} <= {"data.jsonl"}


def test_a_file_over_4_mib_is_an_error_unless_it_is_never_sent(scan_rows: ScanRows) -> None:
    large = [(f"{number} " + "x" * 9000, "label") for number in range(500)]
    (problem,) = messages(scan_rows(large, ANY))
    assert problem == (
        "data.jsonl: error: file-too-large: "
        "has 4,520,890 bytes (4.3 MiB); at most 4,194,304 are allowed"
    )
    assert messages(scan_rows(large, ANY.for_held_out())) == []


LABEL, TEXT = (limits_for(f"models/embedded-{kind}-001") for kind in ("label", "text"))


def test_free_text_for_a_classifier_is_a_warning(scan_rows: ScanRows) -> None:
    free = [(f"input {number}", f"answer {number}") for number in range(100)]
    half = [(f"input {number}", f"answer {number // 2}") for number in range(100)]
    result = scan_rows(free, LABEL)
    assert messages(result) == [
        "data.jsonl: warning: many-labels: has 100 different outputs in 100 examples"
    ]
    assert "models/embedded-text-001" in result.problems[0].cure
    assert result.labels is None
    assert messages(scan_rows(half, LABEL)) == []
    assert messages(scan_rows(free, TEXT)) == []


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
def test_labels_for_a_model_that_writes_text_lead_to_advice_for_the_classifier(
    scan_rows: ScanRows, labels: int, limits: Limits, *, is_advised: bool
) -> None:
    result = scan_rows(
        [(f"input {number}", f"label {number % labels}") for number in range(100)], limits
    )
    expected = f"data.jsonl: advice: other-base: has {labels} different outputs in 100 examples"
    assert messages(result) == [expected] * is_advised
    for problem in result.problems:
        assert "use models/embedded-label-001. It learns labels equally well" in problem.cure


QUESTION, REVERSED = "question: {}\ncontext: some", "context: {}\nquestion: some"


def test_markers_that_differ_are_reported_with_their_lines(scan_rows: ScanRows) -> None:
    shapes = [QUESTION] * 6 + [REVERSED] * 2 + ["{}, tell me\ncontext: x", "question: {}"]
    result = scan_rows([(shape.format(number), "x") for number, shape in enumerate(shapes)])
    most = "most examples begin with question:, context:"
    assert messages(result) == [
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
def test_colons_that_are_not_markers_are_not_a_problem(
    scan_rows: ScanRows, inputs: list[str]
) -> None:
    assert messages(scan_rows([(text, "x") for text in inputs])) == []


def test_after_a_thousand_other_markers_the_others_are_counted(scan_rows: ScanRows) -> None:
    inputs = [f"question: {n}" for n in range(3000)] + [f"ask: {n}" for n in range(2500)]
    *_, more = scan_rows([(text, "x") for text in inputs]).problems
    assert (more.line, more.message) == (4000, "and 1,500 more of this kind")
