"""YAML text to documents: values, lines, and every fault of the text itself."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tunedmodels.manifests.yaml_errors import MAX_BYTES, FaultError, decode, unprintable
from tunedmodels.manifests.yaml_parser import read
from tunedmodels.manifests.yaml_scalars import plain, shown


@pytest.fixture(params=["C", "pure"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parsers of PyYAML, because not every installation has the C one."""
    if request.param == "pure":
        monkeypatch.setattr(yaml, "__with_libyaml__", False)


def value_of(text: str) -> Any:
    reading = read(text)
    assert reading.faults == ()
    return reading.documents[0].value


# fmt: off
SCALARS = [  # written        meant
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
@pytest.mark.parametrize(("written", "meant"), SCALARS, ids=[w[:20] for w, _ in SCALARS])
def test_a_scalar_means_what_yaml_1_2_says(written: str, meant: object) -> None:
    value = value_of(f"key: {written}")["key"]
    assert value == meant
    assert type(value) is type(meant)


@pytest.mark.usefixtures("parser")
def test_nan_is_a_number_that_validation_refuses() -> None:
    assert math.isnan(value_of("key: .nan")["key"])


@pytest.mark.usefixtures("parser")
def test_keys_are_always_text() -> None:
    assert value_of("on: 1\n5: 2\ntrue: 3\nnull: 4") == {"on": 1, "5": 2, "true": 3, "null": 4}


@pytest.mark.usefixtures("parser")
def test_documents_are_told_apart_and_empty_ones_left_out() -> None:
    documents = read("# nothing\n---\n---\na: 1\n---\n# still nothing\n---\nb: 2\n").documents
    assert [(d.value, d.line) for d in documents] == [({"a": 1}, 4), ({"b": 2}, 8)]


@pytest.mark.usefixtures("parser")
def test_anchors_and_merge_keys_work() -> None:
    text = "x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\nz: {b: 4, <<: [*x, {c: 5}]}\n"
    document = read(text, lines=True).documents[0]
    assert document.value == {
        "x": {"a": 1, "b": 2},
        "y": {"a": 1, "b": 3},
        "z": {"a": 1, "b": 4, "c": 5},
    }
    assert document.find(["z", "a"]) == (1, 2)


@pytest.mark.usefixtures("parser")
def test_every_key_and_item_knows_its_line() -> None:
    document = read("a:\n  b: 1\n  c:\n  - x\n  - y: 2\n", lines=True).documents[0]
    assert document.find(["a", "b"]) == (2, 2)
    assert document.find(["a", "c", 0]) == (4, 3)
    assert document.find(["a", "c", 1, "y"]) == (5, 4)
    assert document.find(["a", "gone", "x"]) == (1, 1)
    assert document.find(["a", "b", "c"]) == (2, 2)


BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
)
# fmt: off
FAULTS = [  # text                     line  what
    ("a: 1\n\tb: 2",                   2, "YAML does not allow tabs for indentation"),
    ("a:\n\tb: 2",                     2, "YAML does not allow tabs for indentation"),
    ("a: 1\nb: 2\na: 3",               3, "is written twice, first in line 1"),
    ("a: b: c",                        1, "has a ':' where none can be"),
    ("a: 1\nb\nc: 2",                  3, "is a line without ': ' between keys"),
    ("a: - b",                         1, "has a '- ' where no list item can be"),
    ("a: 'x\nb: 1",                    1, "begins a quoted text that never ends"),
    ('a: "\\q"',                       1, "has a backslash in double quotes that means nothing"),
    ("a: @x", 1,
     "begins a value with a character that YAML keeps for itself"),
    ("a: !e!x 1",                      1, "has a tag that means nothing here"),
    ("a: !env X",                      1, "has the tag !env, which means nothing here"),
    ("a: !!timestamp 2026-01-01",      1, "has the tag !!timestamp, which means nothing here"),
    ("a: !!python/object/apply:os.x []", 1,
     "has the tag !!python/object/apply:os.x, which means nothing here"),
    ("a: !!int x",                     1, "has the tag !!int, which means nothing here"),
    ("a: !!map [1]",                   1, "has the tag !!map, which means nothing here"),
    ("a: [1,\nb: 2", 1,
     "opens a bracket that is not closed, or lacks a comma inside"),
    ("a: [1,\n",                       1,
     "has an empty place in brackets, or a bracket that is not closed"),
    ("a: 1\n...\nb\n--- c: d",         3, "goes on after the end of the document"),
    ("{{ .V }}\nb: 1",                 1, "has a key that is no text"),
    ("a:\n  - b\n c: 1",               3, "does not fit the lines above"),
    ("a: *x",                          1, "*x stands for nothing: no &x ends before it"),
    ("a: &x [*x]",                     1, "*x stands for nothing: no &x ends before it"),
    ("? [a]\n: 1",                     1, "has a key that is no text"),
    ("<<: 5",                          1, "<< needs a mapping, or a list of mappings (got 5)"),
    ("a: \x07", 1,
     "holds the control character U+0007, which YAML does not allow"),
    ("a: 1\nb: \x00",                  2, "holds a NUL byte, so it is binary or UTF-16"),
    ("a: " + "[" * 200,                1, "is nested more than 100 levels deep"),
    (BOMB,                             5, "has aliases that stand for more than 100,000 values"),
]
# fmt: on


@pytest.mark.parametrize(("text", "line", "message"), FAULTS, ids=[f[0][:20] for f in FAULTS])
def test_a_fault_has_its_line_and_words(text: str, line: int, message: str) -> None:
    fault = read(text).faults[0]
    assert fault.line == line
    assert fault.message == message


@pytest.mark.parametrize(("text", "line", "message"), FAULTS, ids=[f[0][:20] for f in FAULTS])
def test_the_pure_parser_finds_the_same_faults(
    text: str, line: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = len(read(text).faults)
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    assert len(read(text).faults) == there


def test_what_stands_before_a_fault_of_syntax_is_still_read() -> None:
    reading = read("a: 1\n---\nb: [\n")
    assert [d.value for d in reading.documents] == [{"a": 1}]
    assert len(reading.faults) == 1


def test_faults_that_are_no_syntax_are_all_found_in_one_reading() -> None:
    reading = read("a: 1\na: 2\nb: !x 1\nc: {d: 1, d: 2}\n")
    assert [(f.line, f.code, f.path) for f in reading.faults] == [
        (2, "duplicate-key", ("a",)),
        (3, "unknown-tag", ("b",)),
        (4, "duplicate-key", ("c", "d")),
    ]


def test_many_documents_in_one_file_are_no_alias_bomb() -> None:
    assert len(read("--- [a, b, c, d, e, f, g, h, i, j, k]\n" * 10_000).documents) == 10_000


def test_half_a_surrogate_pair_is_refused_by_the_pure_parser_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    assert [f.code for f in read('a: "\\ud800"').faults] == ["not-text"]


# fmt: off
ENCODINGS = [  # bytes                             line  message
    ("a: 1\n".encode("utf-16"),                    1, "is UTF-16, not UTF-8"),
    ("a: 1\n".encode("utf-32"),                    1, "is UTF-32, not UTF-8"),
    (b"a: 1\nb: abc\xe9\n",                        2, "is not UTF-8: byte 0xe9 at column 7"),
    (b" " * (MAX_BYTES + 1),                       0, "is larger than 10 MB"),
]
# fmt: on


@pytest.mark.parametrize(("raw", "line", "message"), ENCODINGS, ids=["16", "32", "latin", "large"])
def test_bytes_that_are_no_text_are_one_fault(raw: bytes, line: int, message: str) -> None:
    with pytest.raises(FaultError) as caught:
        decode(raw)
    assert (caught.value.fault.line, caught.value.fault.message) == (line, message)


def test_a_byte_order_mark_is_accepted() -> None:
    assert value_of(decode(b"\xef\xbb\xbfa: 1")) == {"a": 1}


@given(st.binary(max_size=200))
def test_any_bytes_are_documents_or_faults(raw: bytes) -> None:
    try:
        text = decode(raw)
    except FaultError:
        return
    read(text)


YAMLISH = st.text(st.sampled_from("ab:-?[]{}&*!|>'\"%@`#, \n\t\\<~0\u00e9"), max_size=60)


@given(YAMLISH)
def test_any_text_is_documents_or_faults_with_both_parsers(text: str) -> None:
    fast = read(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml, "__with_libyaml__", False)
        read(text)
    slow = read(text, lines=True)
    assert [d.value for d in fast.documents] == [d.value for d in slow.documents]


# PyYAML writes YAML 1.1, where `0E0` is a word and needs no quotes; in 1.2 it is a number.
WORDS = st.text(max_size=8).filter(lambda text: not isinstance(plain(text), float))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner),
    max_leaves=12,
)


@given(PLAIN.filter(lambda value: value is not None))
def test_what_pyyaml_writes_is_read_back(value: object) -> None:
    assert value_of(yaml.safe_dump({"key": value}, allow_unicode=False))["key"] == value


def test_a_shown_value_is_short_and_obeys_no_terminal() -> None:
    assert shown("x" * 100) == "'" + "x" * 57 + "...'"
    assert shown("\x1b[31m\n") == "'\\x1b[31m\\n'"
    values: list[object] = [True, None, 1.5, [1], {}]
    assert [shown(v) for v in values] == ["true", "null", "1.5", "a list", "a mapping"]


def test_a_refusal_that_nobody_can_place_is_said_of_the_whole_file() -> None:
    fault = unprintable("nothing wrong here")
    assert (fault.line, fault.message) == (0, "holds a character that YAML does not allow")
