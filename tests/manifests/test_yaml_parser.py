"""Parsing YAML text into documents: values, lines, and all problems of the text itself."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tunedmodels.manifests.yaml_errors import MAX_BYTES, YamlProblemError, character_problem, decode
from tunedmodels.manifests.yaml_parser import parse
from tunedmodels.manifests.yaml_scalars import parse_scalar, quote_value


@pytest.fixture(params=["C", "pure"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test with both parsers of PyYAML, because not every installation has the C parser."""
    if request.param == "pure":
        monkeypatch.setattr(yaml, "__with_libyaml__", False)


def value_of(text: str) -> Any:
    contents = parse(text)
    assert contents.problems == ()
    return contents.documents[0].value


# fmt: off
SCALARS = [  # text           value
    ("yes",                   "yes"),
    ("off",                   "off"),
    ("true",                  True),
    ("2026-11-22",            "2026-11-22"),
    ("12:30",                 "12:30"),
    ("010",                   "010"),
    ("1_000",                 "1_000"),
    ("-7",                    -7),
    ("0x1F",                  31),
    ("0o17",                  15),
    ("1e-3",                  0.001),
    (".5",                    0.5),
    ("1e400",                 math.inf),
    ("-.inf",                 -math.inf),
    ("1.2.3",                 "1.2.3"),
    ("'5'",                   "5"),
    ("!!str 5",               "5"),
    ("!!int '5'",             5),
    ("!!float 5",             5.0),
    ("[a, 1, ~]",             ["a", 1, None]),
    ('"h\\u00e9"',            "h\u00e9"),
    ("|\n  two\n  lines\n",   "two\nlines\n"),
    ("9" * 5000,              "9" * 5000),
]
# fmt: on


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(("text", "expected"), SCALARS, ids=[text[:20] for text, _ in SCALARS])
def test_scalars_follow_yaml_1_2(text: str, expected: object) -> None:
    value = value_of(f"key: {text}")["key"]
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.usefixtures("parser")
def test_nan_is_parsed_as_a_number() -> None:
    assert math.isnan(value_of("key: .nan")["key"])


@pytest.mark.usefixtures("parser")
def test_keys_are_always_text() -> None:
    assert value_of("on: 1\n5: 2\ntrue: 3\nnull: 4") == {"on": 1, "5": 2, "true": 3, "null": 4}


@pytest.mark.usefixtures("parser")
def test_documents_are_separated_and_empty_ones_are_dropped() -> None:
    documents = parse("# nothing\n---\n---\na: 1\n---\n# still nothing\n---\nb: 2\n").documents
    assert [(d.value, d.line) for d in documents] == [({"a": 1}, 4), ({"b": 2}, 8)]


@pytest.mark.usefixtures("parser")
def test_anchors_and_merge_keys_work() -> None:
    text = "x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\nz: {b: 4, <<: [*x, {c: 5}]}\n"
    document = parse(text, lines=True).documents[0]
    assert document.value == {
        "x": {"a": 1, "b": 2},
        "y": {"a": 1, "b": 3},
        "z": {"a": 1, "b": 4, "c": 5},
    }
    assert document.find(["z", "a"]) == (1, 2)


@pytest.mark.usefixtures("parser")
def test_find_returns_the_line_of_every_key_and_item() -> None:
    document = parse("a:\n  b: 1\n  c:\n  - x\n  - y: 2\n", lines=True).documents[0]
    assert document.find(["a", "b"]) == (2, 2)
    assert document.find(["a", "c", 0]) == (4, 3)
    assert document.find(["a", "c", 1, "y"]) == (5, 4)
    assert document.find(["a", "gone", "x"]) == (1, 1)
    assert document.find(["a", "b", "c"]) == (2, 2)


BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
)
# fmt: off
PROBLEMS = [  # text                   line  message
    ("a: 1\n\tb: 2",                   2, "YAML does not allow tabs for indentation"),
    ("a:\n\tb: 2",                     2, "YAML does not allow tabs for indentation"),
    ("a: 1\nb: 2\na: 3",               3, "is a duplicate key, first in line 1"),
    ("a: b: c",                        1, "has a ':' in a position where none is allowed"),
    ("a: 1\nb\nc: 2",                  3, "is a line without ': ' between keys"),
    ("a: - b",                         1, "has a '- ' in a position where no list item is allowed"),
    ("a: 'x\nb: 1",                    1, "starts a quoted text that never ends"),
    ('a: "\\q"',                       1, "has an unknown escape sequence in double quotes"),
    ("a: @x", 1,
     "starts a value with a character that YAML reserves"),
    ("a: !e!x 1",                      1, "has an unknown tag"),
    ("a: !env X",                      1, "has the tag !env, which is not supported"),
    ("a: !!timestamp 2026-01-01",      1, "has the tag !!timestamp, which is not supported"),
    ("a: !!python/object/apply:os.x []", 1,
     "has the tag !!python/object/apply:os.x, which is not supported"),
    ("a: !!int x",                     1, "has the tag !!int, which is not supported"),
    ("a: !!map [1]",                   1, "has the tag !!map, which is not supported"),
    ("a: [1,\nb: 2", 1,
     "opens a bracket that is not closed, or a comma inside is missing"),
    ("a: [1,\n",                       1,
     "has an empty item in brackets, or a bracket that is not closed"),
    ("a: 1\n...\nb\n--- c: d",         3, "continues after the end of the document"),
    ("{{ .V }}\nb: 1",                 1, "has a key that is not text"),
    ("a:\n  - b\n c: 1",               3, "does not fit the lines above"),
    ("a: *x",                          1, "has an unknown alias *x: &x is not defined before it"),
    ("a: &x [*x]",                     1, "has an unknown alias *x: &x is not defined before it"),
    ("? [a]\n: 1",                     1, "has a key that is not text"),
    ("<<: 5",                          1, "<< requires a mapping or a list of mappings (got 5)"),
    ("a: \x07", 1,
     "contains the control character U+0007, which YAML does not allow"),
    ("a: 1\nb: \x00",                  2, "contains a NUL byte, so it is binary or UTF-16"),
    ("a: " + "[" * 200,                1, "is nested more than 100 levels deep"),
    (BOMB,                             5, "has aliases that expand to more than 100,000 values"),
]
# fmt: on


@pytest.mark.parametrize(("text", "line", "message"), PROBLEMS, ids=[p[0][:20] for p in PROBLEMS])
def test_a_problem_has_a_line_and_a_message(text: str, line: int, message: str) -> None:
    problem = parse(text).problems[0]
    assert problem.line == line
    assert problem.message == message


@pytest.mark.parametrize(("text", "line", "message"), PROBLEMS, ids=[p[0][:20] for p in PROBLEMS])
def test_the_pure_parser_finds_the_same_problems(
    text: str, line: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = len(parse(text).problems)
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    assert len(parse(text).problems) == expected


def test_documents_before_a_syntax_error_are_returned() -> None:
    contents = parse("a: 1\n---\nb: [\n")
    assert [d.value for d in contents.documents] == [{"a": 1}]
    assert len(contents.problems) == 1


def test_all_problems_other_than_syntax_errors_are_found_at_once() -> None:
    contents = parse("a: 1\na: 2\nb: !x 1\nc: {d: 1, d: 2}\n")
    assert [(p.line, p.code, p.path) for p in contents.problems] == [
        (2, "duplicate-key", ("a",)),
        (3, "unknown-tag", ("b",)),
        (4, "duplicate-key", ("c", "d")),
    ]


def test_many_documents_in_one_file_are_not_an_alias_bomb() -> None:
    assert len(parse("--- [a, b, c, d, e, f, g, h, i, j, k]\n" * 10_000).documents) == 10_000


def test_the_pure_parser_rejects_half_a_surrogate_pair(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    assert [p.code for p in parse('a: "\\ud800"').problems] == ["not-text"]


# fmt: off
ENCODINGS = [  # bytes                             line  message
    ("a: 1\n".encode("utf-16"),                    1, "is UTF-16, not UTF-8"),
    ("a: 1\n".encode("utf-32"),                    1, "is UTF-32, not UTF-8"),
    (b"a: 1\nb: abc\xe9\n",                        2, "is not UTF-8: byte 0xe9 at column 7"),
    (b" " * (MAX_BYTES + 1),                       0, "is larger than 10 MB"),
]
# fmt: on


@pytest.mark.parametrize(("raw", "line", "message"), ENCODINGS, ids=["16", "32", "latin", "large"])
def test_bytes_that_are_not_text_are_one_problem(raw: bytes, line: int, message: str) -> None:
    with pytest.raises(YamlProblemError) as caught:
        decode(raw)
    problem = caught.value.problem
    assert (problem.line, problem.message) == (line, message)


def test_a_byte_order_mark_is_accepted() -> None:
    assert value_of(decode(b"\xef\xbb\xbfa: 1")) == {"a": 1}


@given(st.binary(max_size=200))
def test_any_bytes_give_documents_or_problems(raw: bytes) -> None:
    try:
        text = decode(raw)
    except YamlProblemError:
        return
    parse(text)


YAMLISH = st.text(st.sampled_from("ab:-?[]{}&*!|>'\"%@`#, \n\t\\<~0\u00e9"), max_size=60)


@given(YAMLISH)
def test_any_text_gives_documents_or_problems_with_both_parsers(text: str) -> None:
    fast = parse(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml, "__with_libyaml__", False)
        parse(text)
    slow = parse(text, lines=True)
    assert [d.value for d in fast.documents] == [d.value for d in slow.documents]


# PyYAML writes YAML 1.1, in which `0E0` is text without quotes; in YAML 1.2 it is a number.
WORDS = st.text(max_size=8).filter(lambda text: not isinstance(parse_scalar(text), float))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner),
    max_leaves=12,
)


@given(PLAIN.filter(lambda value: value is not None))
def test_values_that_pyyaml_writes_are_read_back(value: object) -> None:
    assert value_of(yaml.safe_dump({"key": value}, allow_unicode=False))["key"] == value


def test_a_quoted_value_is_short_and_has_no_control_characters() -> None:
    assert quote_value("x" * 100) == "'" + "x" * 57 + "...'"
    assert quote_value("\x1b[31m\n") == "'\\x1b[31m\\n'"
    values: list[object] = [True, None, 1.5, [1], {}]
    assert [quote_value(v) for v in values] == ["true", "null", "1.5", "a list", "a mapping"]


def test_a_character_problem_without_a_known_character_is_of_the_whole_file() -> None:
    problem = character_problem("valid text")
    assert (problem.line, problem.message) == (0, "contains a character that YAML does not allow")
