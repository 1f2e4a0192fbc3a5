"""What a tuning job reads in Cloud Storage, line by line, and what it finds wrong there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.support.vertex.discovery import api

_SFT = {"systemInstruction", "system_instruction", "contents", "tools"}
_PREFERENCE = {"systemInstruction", "system_instruction", "contents", "completions"}
_CHARACTERS_PER_TOKEN = 4


class BadData(Exception):  # noqa: N818  # the job's error, not this program's
    """A dataset that fails the job."""


@dataclass
class Read:
    """A dataset: how much it is, and what a model would learn from it."""

    examples: int = 0
    tokens: int = 0
    characters: int = 0
    learned: dict[str, str] = field(default_factory=dict)


def read(data: bytes, *, is_preference: bool) -> Read:
    """Read JSONL; raises BadData at the first line that a job could not use."""
    lines = [line for line in data.decode("utf-8").split("\n") if line.strip()]
    if not lines:
        raise BadData("The dataset is empty.")
    found = Read(examples=len(lines))
    for number, line in enumerate(lines, start=1):
        place = f"Dataset example {number} of {len(lines)}"
        try:
            row = json.loads(line)
        except ValueError:
            raise BadData(f"{place} is not valid JSON.") from None
        wrong = next(_wrong(row, is_preference=is_preference), None)
        if wrong is not None:
            raise BadData(f"{place} {wrong} JSON: {line[:200]}")
        question, answer = _pair(row, is_preference=is_preference)
        system = row.get("systemInstruction") or row.get("system_instruction")
        found.learned[as_asked(question, system)] = answer
        found.characters += sum(map(len, _texts(row)))
    found.tokens = -(-found.characters // _CHARACTERS_PER_TOKEN)
    return found


def as_asked(question: str, system: Any) -> str:
    """A question as a model knows it: another system instruction makes it another one."""
    return f"{text_of(system)}\n\n{question}" if system else question


def _wrong(row: Any, *, is_preference: bool) -> Iterator[str]:
    if not isinstance(row, dict):
        yield "is no object."
        return
    known = _PREFERENCE if is_preference else _SFT
    for key in row.keys() - known:
        yield f'contains an unknown field "{key}".'
    turns = row.get("contents")
    if not isinstance(turns, list) or not turns:
        yield 'is missing the required field "contents".'
        return
    of_system = [row[key] for key in ("systemInstruction", "system_instruction") if key in row]
    for content in [*turns, *of_system]:
        yield from _wrong_content(content)
    last = turns[-1].get("role")
    if is_preference:
        yield from _wrong_completions(row.get("completions"))
        if last != "user":
            yield 'does not end with a turn of the role "user".'
    elif last != "model":
        yield 'does not end with a turn of the role "model".'


def _wrong_completions(completions: Any) -> Iterator[str]:
    if not isinstance(completions, list) or len(completions) != 2:
        yield "needs exactly two completions."
        return
    scores = sorted(completion.get("score", 0) for completion in completions)
    if scores != [0, 1]:
        yield f"has the scores {scores}, and not 0 and 1."
    for completion in completions:
        yield from _wrong_content(completion.get("completion"))


def _wrong_content(content: Any) -> Iterator[str]:
    schema = {"$ref": "GoogleCloudAiplatformV1Content"}
    wrong = next(api("aiplatform.v1").wrong(schema, content, "", is_request=True), None)
    if wrong is not None:
        yield f"has a malformed content: {wrong}."
    elif not content.get("parts"):
        yield 'has a content without "parts".'
    elif content.get("role") not in ("user", "model", "system", None):
        yield f'has the unknown role "{content["role"]}".'


def _pair(row: dict[str, Any], *, is_preference: bool) -> tuple[str, str]:
    """The last question and its answer."""
    if is_preference:
        best = max(row["completions"], key=lambda completion: completion.get("score", 0))
        return text_of(row["contents"][-1]), text_of(best["completion"])
    question = row["contents"][-2] if len(row["contents"]) > 1 else {}
    return text_of(question), text_of(row["contents"][-1])


def text_of(content: dict[str, Any]) -> str:
    """The text of a turn."""
    return "".join(part.get("text", "") for part in content.get("parts", []))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "text":
                yield str(item)
            else:
                yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
