"""Vertex AI's JSONL of `contents`: one conversation per line.

A line is one prompt and one response: a user turn and a model turn of text parts, which are joined.
The text of `systemInstruction` is put before the input like a preamble (`examples.prompt`) and
becomes part of the input. More turns, files, functions and tools are errors, because the Gemini API
trains on single pairs of texts. For preference tuning a line has one user turn and two
`completions`, one with the score 1 and one with the score 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tunedmodels.datasets.blocks import Block
from tunedmodels.datasets.examples import prompt
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.readers.jsonl import TextPair, read_batches, report_malformed_line
from tunedmodels.datasets.source import ExampleSource, ResponseSource

_PAIR_FORM = (
    'Write {"contents": [{"role": "user", "parts": [{"text": "..."}]}, '
    '{"role": "model", "parts": [{"text": "..."}]}]}.'
)
_PREFERENCE_FORM = (
    'Write {"contents": [{"role": "user", "parts": [{"text": "..."}]}], "completions": '
    '[{"score": 1, "completion": {"role": "model", "parts": [{"text": "..."}]}}, '
    '{"score": 0, "completion": {"role": "model", "parts": [{"text": "..."}]}}]}.'
)
_CONTENTS_START = re.compile(rb'\{\s*"(contents|systemInstruction|system_instruction)"\s*:')
_JSON_PATH = re.compile(r" - at `\$\.?(.*)`$")


class _TextPart(msgspec.Struct, forbid_unknown_fields=True):
    text: str


class _TextTurn(msgspec.Struct):
    parts: list[_TextPart]
    role: str = ""

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts)


class _Conversation(msgspec.Struct):
    contents: list[_TextTurn]
    camel: _TextTurn | None = msgspec.field(default=None, name="systemInstruction")
    snake: _TextTurn | None = msgspec.field(default=None, name="system_instruction")
    tools: list[Any] | None = None
    completions: list[_ScoredCompletion] | None = None

    @property
    def system_text(self) -> str:
        system = self.camel or self.snake
        return system.text if system else ""


class _ScoredCompletion(msgspec.Struct):
    completion: _TextTurn
    score: float = 0.0


def looks_like_contents(head: bytes, source: ExampleSource) -> bool:
    """Return whether a .jsonl file contains conversations, judging by its first line."""
    line = head.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")[0]
    try:
        row = msgspec.json.decode(line)
    except (ValueError, RecursionError):  # the line may be longer than the head
        return bool(_CONTENTS_START.match(line))
    return isinstance(row, dict) and "contents" in row and source.input_field not in row


def read_contents(file: Path, source: ExampleSource, problems: ProblemCollector) -> Iterator[Block]:
    """Yield the rows of a JSONL file of conversations.

    The field names of `source` are not used; it only selects the response of preferences.
    """
    response = source if isinstance(source, ResponseSource) else None
    decode = msgspec.json.Decoder(_Conversation).decode
    for batch in read_batches(file, problems):
        block = Block([], [], numbers := [])
        for number, line in batch.lines():
            pair: TextPair | None
            try:
                pair = _parse_pair(decode(line), response, number, problems)
            except msgspec.ValidationError as error:
                pair = None
                _report_invalid(error, number, problems)
            except (ValueError, RecursionError):
                pair = report_malformed_line(line, number, problems, lambda _: None)
            if pair:
                block.inputs.append(pair[0])
                block.outputs.append(pair[1])
                numbers.append(number)
        yield block


def _parse_pair(
    row: _Conversation, response: ResponseSource | None, line: int, problems: ProblemCollector
) -> TextPair | None:
    roles = [turn.role for turn in row.contents]
    if response:
        return _parse_preference(row, response, line, problems)
    if row.tools:
        message = "has tools; only text can be trained on"
    elif row.completions:
        message = "has completions to choose from; set method: preference"
    elif roles == ["user", "model"]:
        user, model = row.contents
        return prompt(row.system_text, user.text), model.text
    elif len(roles) > len(["user", "model"]):
        message = f"has {len(roles)} turns; an example is one user turn and one model turn"
    else:
        message = f"has {_describe_roles(roles)}; an example is one user turn and one model turn"
    problems.error(line, "not-a-pair", message, _PAIR_FORM, path="contents")
    return None


def _parse_preference(
    row: _Conversation, response: ResponseSource, line: int, problems: ProblemCollector
) -> TextPair | None:
    """Return the input with the better or the worse of two completions."""
    completions = row.completions or []
    by_score = {completion.score: completion.completion.text for completion in completions}
    if [turn.role for turn in row.contents] != ["user"]:
        message, path = "is not one user turn", "contents"
    elif len(completions) != len(by_score) or by_score.keys() != {0.0, 1.0}:
        message, path = "are not two, one with the score 1 and one with the score 0", "completions"
    else:
        text_input = prompt(row.system_text, row.contents[0].text)
        return text_input, by_score[1.0 if response.is_better else 0.0]
    problems.error(line, "not-a-preference", message, _PREFERENCE_FORM, path=path)
    return None


def _describe_roles(roles: list[str]) -> str:
    return f"the turns {', '.join(map(repr, roles))}" if roles else "no turns"


def _report_invalid(error: msgspec.ValidationError, line: int, problems: ProblemCollector) -> None:
    message = str(error)
    match = _JSON_PATH.search(message)
    path = match[1] if match and match[1] else "contents"
    reason = _JSON_PATH.sub("", message).replace("`", "'")
    message = f"is not one pair of texts: {reason}"
    problems.error(line, "not-a-pair", message, _PAIR_FORM, path=path)
