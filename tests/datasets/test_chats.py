"""Chat formats: the same conversations have one digest, and what cannot be read has its line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.dataset_files import WriteFile, read_rows, source
from tunedmodels.datasets.archive import Archive
from tunedmodels.datasets.examples import (
    Conversation,
    Example,
    canonical_form,
    conversation_row,
    decode_canonical,
    digest,
)
from tunedmodels.datasets.limits import Limits
from tunedmodels.datasets.load import load
from tunedmodels.datasets.scan import scan

ALL = Limits(min_examples=1, recommended=None, allows_conversations=True)
PAIRS_ONLY = Limits(min_examples=1, recommended=None)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip)
TURNS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=3)
Turns = list[tuple[str, str]]


def as_messages(system: str, turns: Turns) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    for user, model in turns:
        rows.append({"role": "user", "content": user})
        rows.append({"role": "assistant", "content": [{"type": "text", "text": model}]})
    return {"messages": rows}


def as_conversations(system: str, turns: Turns) -> dict[str, Any]:
    rows = [{"from": "system", "value": system}] if system else []
    for user, model in turns:
        rows += [{"from": "human", "value": user}, {"from": "gpt", "value": model}]
    return {"id": "x", "conversations": rows}


def as_contents(system: str, turns: Turns) -> dict[str, Any]:
    contents = [
        {"role": role, "parts": [{"text": text}]}
        for pair in turns
        for role, text in zip(("user", "model"), pair, strict=True)
    ]
    instruction = {"system_instruction": {"parts": [{"text": system}]}} if system else {}
    return {**instruction, "contents": contents}


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@settings(max_examples=40)
@given(rows=st.lists(st.tuples(st.one_of(st.just(""), TEXTS), TURNS), min_size=1, max_size=4))
def test_the_same_conversations_have_one_digest_in_every_format(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, Turns]]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    digests = set()
    for name, form in (("m", as_messages), ("s", as_conversations), ("c", as_contents)):
        for suffix in ("jsonl", "json"):
            data = [form(*row) for row in rows]
            file = folder / f"{name}.{suffix}"
            file.write_text(lines(data) if suffix == "jsonl" else json.dumps(data, indent=1))
            result = scan(file, source(), display_path="x", limits=ALL)
            assert [p for p in result.problems if p.severity == "error"] == []
            examples = load(file, source())
            assert result.digest == digest(examples)
            assert digest(decode_canonical(canonical_form(examples))) == result.digest
            digests.add(result.digest)
    assert len(digests) == 1


def test_one_question_with_its_answer_is_a_pair_in_every_format(write: WriteFile) -> None:
    for form in (as_messages, as_conversations, as_contents):
        file = write("a.jsonl", lines([form("", [("one", "1")]), form("Count.", [("two", "2")])]))
        assert read_rows(file) == ([("one", "1", 1), ("Count.\ntwo", "2", 2)], [])
        # As the former version read a system text: as the beginning of the input.
        assert digest(load(file, source())) == digest(
            [Example("one", "1"), Example("Count.\ntwo", "2")]
        )


def test_an_archive_returns_conversations(write: WriteFile) -> None:
    file = write("a.jsonl", lines([as_messages("Be brief.", [("a", "b"), ("c", "d")])]))
    examples = load(file, source())
    archive = Archive(file.parent / "archive")
    archive.put(digest(examples), examples)
    assert archive.get(digest(examples)) == examples


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ("split", [("S\na", "b", 1), ("S\nc", "d", 1)]),
        ("splitWithHistory", [("S\na", "b", 1), ("S\nuser: a\nmodel: b\nuser: c", "d", 1)]),
    ],
)
def test_a_conversation_can_be_split_into_pairs(
    write: WriteFile, turns: str, expected: list[tuple[str, str, int]]
) -> None:
    file = write("a.jsonl", lines([as_messages("S", [("a", "b"), ("c", "d")])]))
    assert read_rows(file, source(turns=turns)) == (expected, [])
    assert scan(file, source(turns=turns), display_path="a", limits=PAIRS_ONLY).is_usable


def test_the_cure_for_turns_that_cannot_be_trained_on_works(write: WriteFile) -> None:
    file = write("a.jsonl", lines([as_messages("", [("a", "b"), ("c", "d")])]))
    (problem,) = scan(file, source(), display_path="a", limits=PAIRS_ONLY).problems
    assert problem.message == "has 4 turns; an example is one user turn and one model turn"
    assert "Set turns: split" in problem.cure
    assert scan(file, source(), display_path="a", limits=ALL).is_usable


USER = {"role": "user", "content": "a"}
ASSISTANT = {"role": "assistant", "content": "b"}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"messages": [USER]},
         ("messages: begins with a user turn and ends with a user turn; "
          "it must begin with user and end with model")),
        ({"messages": [USER, USER, ASSISTANT]},
         "messages[1]: is the second user turn in a row; join the two"),
        ({"messages": [USER, {"role": "tool", "content": "x"}]},
         ("messages[1].role: has the role 'tool', which is not read; "
          "only system, user and assistant are")),
        ({"messages": [USER, {**ASSISTANT, "tool_calls": [{}]}]},
         "messages[1].tool_calls: is not read from OpenAI messages; only text is"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}, ASSISTANT]},
         ("messages[0].content[0]: is of type 'image_url'; "
          "only text parts are read from OpenAI messages")),
        ({"messages": [USER, ASSISTANT], "tools": [{}]},
         "tools: are not read from OpenAI messages; only text is"),
        ({"messages": [USER, {**ASSISTANT, "weight": 0}]},
         "messages[1].weight: is 0, which no provider here can express"),
        ({"conversations": [{"from": "observation", "value": "x"}]},
         ("conversations[0].from: has the role 'observation', which is not read; "
          "only system, user and assistant are")),
        ({"conversations": [{"from": "human", "value": None}]},
         "conversations[0].value: is not a text"),
    ],
)  # fmt: skip
def test_what_is_not_text_is_an_error_with_its_line(
    write: WriteFile, row: Mapping[str, Any], problem: str
) -> None:
    first = {"messages": [USER, ASSISTANT]}
    if "conversations" in row:
        first = as_conversations("", [("a", "b")])
    file = write("a.jsonl", lines([first, dict(row)]))
    result = scan(file, source(), display_path="a.jsonl", limits=ALL)
    assert [f"{p.path}: {p.message}" for p in result.problems] == [problem]
    assert result.problems[0].line == 2


def test_a_row_of_vertex_ai_is_trained_on_as_it_is(write: WriteFile) -> None:
    row = {
        "systemInstruction": {"parts": [{"text": "S"}]},
        "tools": [{"functionDeclarations": [{"name": "f"}]}],
        "contents": [
            {"role": "user", "parts": [{"fileData": {"fileUri": "gs://b/x", "mimeType": "a/b"}}]},
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"n": 1.5}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]},
            {"role": "model", "parts": [{"text": "done"}]},
        ],
    }
    (example,) = load(write("a.jsonl", lines([row])), source())
    assert isinstance(example, Conversation)
    assert example.output == "done"
    assert conversation_row(example, "", as_system=True) == row
    with_preamble = conversation_row(example, "P", as_system=True)
    assert with_preamble["systemInstruction"] == {"parts": [{"text": "P\nS"}]}
    before = conversation_row(example, "P", as_system=False)
    assert before["contents"][0]["parts"][0] == {"text": "P"}
    assert before["systemInstruction"] == row["systemInstruction"]


def test_a_user_turn_without_role_is_read(write: WriteFile) -> None:
    row = {"contents": [{"parts": [{"text": "a"}]}, {"role": "model", "parts": [{"text": "b"}]}]}
    assert read_rows(write("a.jsonl", lines([row]))) == ([("a", "b", 1)], [])
