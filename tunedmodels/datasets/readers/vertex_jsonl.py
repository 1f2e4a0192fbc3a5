"""Vertex AI's JSONL of `contents`: one conversation per line.

What one prompt and one response can hold is read: a user turn and a model turn, of text parts,
which are joined. The text of `systemInstruction` is put before the input, in the way of a preamble
(`examples.prompt`), and is part of the input from then on. More turns, files, functions and tools
are errors, since the Gemini API trains on single pairs of text. For preference tuning a line has
one user turn and two `completions`, of which one has the score 1 and one the score 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tunedmodels.datasets.blocks import Block
from tunedmodels.datasets.examples import prompt
from tunedmodels.datasets.problems import Found
from tunedmodels.datasets.readers.jsonl import Pair, batches, explained
from tunedmodels.datasets.source import Response, Source

_FORM = (
    'Write {"contents": [{"role": "user", "parts": [{"text": "..."}]}, '
    '{"role": "model", "parts": [{"text": "..."}]}]}.'
)
_PREFERENCE_FORM = (
    'Write {"contents": [{"role": "user", "parts": [{"text": "..."}]}], "completions": '
    '[{"score": 1, "completion": {"role": "model", "parts": [{"text": "..."}]}}, '
    '{"score": 0, "completion": {"role": "model", "parts": [{"text": "..."}]}}]}.'
)
_BEGINNING = re.compile(rb'\{\s*"(contents|systemInstruction|system_instruction)"\s*:')
_PLACE = re.compile(r" - at `\$\.?(.*)`$")


class _Part(msgspec.Struct, forbid_unknown_fields=True):
    text: str


class _Turn(msgspec.Struct):
    parts: list[_Part]
    role: str = ""

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts)


class _Conversation(msgspec.Struct):
    contents: list[_Turn]
    camel: _Turn | None = msgspec.field(default=None, name="systemInstruction")
    snake: _Turn | None = msgspec.field(default=None, name="system_instruction")
    tools: list[Any] | None = None
    completions: list[_Completion] | None = None


class _Completion(msgspec.Struct):
    completion: _Turn
    score: float = 0.0


def looks_like_contents(head: bytes, source: Source) -> bool:
    """Tell from its beginning whether a .jsonl file holds conversations and not examples."""
    line = head.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")[0]
    try:
        row = msgspec.json.decode(line)
    except (ValueError, RecursionError):  # longer than the head, perhaps
        return bool(_BEGINNING.match(line))
    return isinstance(row, dict) and "contents" in row and source.input_field not in row


def read_contents(file: Path, source: Source, found: Found) -> Iterator[Block]:
    """Yield the rows of a JSONL file of conversations.

    `source` has no field names to say, only which of two responses is wanted, if there are two.
    """
    wanted = source if isinstance(source, Response) else None
    decode = msgspec.json.Decoder(_Conversation).decode
    for batch in batches(file, found):
        block = Block([], [], numbers := [])
        for number, line in batch.lines():
            pair: Pair | None
            try:
                pair = _pair(decode(line), wanted, number, found)
            except msgspec.ValidationError as error:
                pair = None
                _misfit(error, number, found)
            except (ValueError, RecursionError):
                pair = explained(line, number, found, lambda _: None)
            if pair:
                block.inputs.append(pair[0])
                block.outputs.append(pair[1])
                numbers.append(number)
        yield block


def _pair(row: _Conversation, wanted: Response | None, line: int, found: Found) -> Pair | None:
    roles = [turn.role for turn in row.contents]
    if wanted:
        return _preference(row, wanted, line, found)
    if row.tools:
        wrong = "has tools; only text can be trained on"
    elif row.completions:
        wrong = "has completions to choose from; set method: preference"
    elif roles == ["user", "model"]:
        system = row.camel or row.snake
        user, model = row.contents
        return prompt(system.text if system else "", user.text), model.text
    elif len(roles) > len(["user", "model"]):
        wrong = f"has {len(roles)} turns; an example is one user turn and one model turn"
    else:
        wrong = f"has the turns {', '.join(map(repr, roles)) or 'of nobody'}, not 'user', 'model'"
    found.error(line, "not-a-pair", wrong, _FORM, path="contents")
    return None


def _preference(row: _Conversation, wanted: Response, line: int, found: Found) -> Pair | None:
    """Return the input with the better of two completions, or with the worse."""
    by_score = {
        completion.score: completion.completion.text for completion in row.completions or []
    }
    if [turn.role for turn in row.contents] != ["user"]:
        wrong, path = "is not one turn of the user", "contents"
    elif len(row.completions or []) != len(by_score) or by_score.keys() != {0.0, 1.0}:
        wrong, path = "are not two, one with the score 1 and one with the score 0", "completions"
    else:
        system = row.camel or row.snake
        text = prompt(system.text if system else "", row.contents[0].text)
        return text, by_score[1.0 if wanted.is_better else 0.0]
    found.error(line, "not-a-preference", wrong, _PREFERENCE_FORM, path=path)
    return None


def _misfit(error: msgspec.ValidationError, line: int, found: Found) -> None:
    words = str(error)
    place = _PLACE.search(words)
    path = place[1] if place and place[1] else "contents"
    wrong = _PLACE.sub("", words).replace("`", "'")
    found.error(line, "not-a-pair", f"is not one pair of texts: {wrong}", _FORM, path=path)
