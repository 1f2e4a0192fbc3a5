"""Parsing and validating the dataset of a tuning job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.support.vertex.discovery import discovery

_SFT = {"systemInstruction", "system_instruction", "contents", "tools"}
_PREFERENCE = {"systemInstruction", "system_instruction", "contents", "completions"}
_CHARACTERS_PER_TOKEN = 4


class InvalidDatasetError(Exception):
    """A dataset that fails the job."""


@dataclass
class ParsedDataset:
    """A dataset: its size, and the answers that a model learns from it."""

    examples: int = 0
    tokens: int = 0
    characters: int = 0
    learned: dict[str, str] = field(default_factory=dict)


def parse_dataset(data: bytes, *, is_preference: bool) -> ParsedDataset:
    """Parse JSONL; raises InvalidDatasetError at the first invalid line."""
    lines = [line for line in data.decode("utf-8").split("\n") if line.strip()]
    if not lines:
        raise InvalidDatasetError("The dataset is empty.")
    dataset = ParsedDataset(examples=len(lines))
    for number, line in enumerate(lines, start=1):
        location = f"Dataset example {number} of {len(lines)}"
        try:
            row = json.loads(line)
        except ValueError:
            raise InvalidDatasetError(f"{location} is not valid JSON.") from None
        problem = next(_row_problems(row, is_preference=is_preference), None)
        if problem is not None:
            raise InvalidDatasetError(f"{location} {problem} JSON: {line[:200]}")
        question, answer = _question_and_answer(row, is_preference=is_preference)
        system = row.get("systemInstruction") or row.get("system_instruction")
        dataset.learned[prompt_key(question, system)] = answer
        dataset.characters += sum(map(len, _texts(row)))
    dataset.tokens = -(-dataset.characters // _CHARACTERS_PER_TOKEN)
    return dataset


def parse_messages(data: bytes, *, is_preference: bool) -> ParsedDataset:
    """Parse the JSONL of an open model; raises InvalidDatasetError at the first invalid line."""
    if is_preference:
        raise InvalidDatasetError("Open models have no preference tuning.")
    dataset = ParsedDataset()
    for number, line in enumerate(data.decode("utf-8").splitlines(), start=1):
        messages = json.loads(line).get("messages") or []
        roles = [message.get("role") for message in messages]
        if roles[-2:] != ["user", "assistant"] or set(roles[:-2]) - {"system"}:
            raise InvalidDatasetError(f"Dataset example {number} has the roles {roles}.")
        dataset.examples += 1
        dataset.characters += sum(len(message["content"]) for message in messages)
    dataset.tokens = -(-dataset.characters // _CHARACTERS_PER_TOKEN)
    return dataset


def prompt_key(question: str, system: Any) -> str:
    """The key of a learned answer: the question with the system instruction."""
    return f"{content_text(system)}\n\n{question}" if system else question


def _row_problems(row: Any, *, is_preference: bool) -> Iterator[str]:
    if not isinstance(row, dict):
        yield "is not an object."
        return
    known = _PREFERENCE if is_preference else _SFT
    for key in row.keys() - known:
        yield f'contains an unknown field "{key}".'
    turns = row.get("contents")
    if not isinstance(turns, list) or not turns:
        yield 'is missing the required field "contents".'
        return
    system_turns = [row[key] for key in ("systemInstruction", "system_instruction") if key in row]
    for content in [*turns, *system_turns]:
        yield from _content_problems(content)
    last = turns[-1].get("role")
    if is_preference:
        yield from _completion_problems(row.get("completions"))
        if last != "user":
            yield 'does not end with a turn of the role "user".'
    elif last != "model":
        yield 'does not end with a turn of the role "model".'


def _completion_problems(completions: Any) -> Iterator[str]:
    if not isinstance(completions, list) or len(completions) != 2:
        yield "needs exactly two completions."
        return
    scores = sorted(completion.get("score", 0) for completion in completions)
    if scores != [0, 1]:
        yield f"has the scores {scores} instead of 0 and 1."
    for completion in completions:
        yield from _content_problems(completion.get("completion"))


def _content_problems(content: Any) -> Iterator[str]:
    schema = {"$ref": "GoogleCloudAiplatformV1Content"}
    problem = next(
        discovery("aiplatform.v1").violations(schema, content, "", is_request=True), None
    )
    if problem is not None:
        yield f"has a malformed content: {problem}."
    elif not content.get("parts"):
        yield 'has a content without "parts".'
    elif content.get("role") not in ("user", "model", "system", None):
        yield f'has the unknown role "{content["role"]}".'


def _question_and_answer(row: dict[str, Any], *, is_preference: bool) -> tuple[str, str]:
    """The last question and its answer, the preferred one of preferences."""
    if is_preference:
        best = max(row["completions"], key=lambda completion: completion.get("score", 0))
        return content_text(row["contents"][-1]), content_text(best["completion"])
    question = row["contents"][-2] if len(row["contents"]) > 1 else {}
    return content_text(question), content_text(row["contents"][-1])


def content_text(content: dict[str, Any]) -> str:
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
