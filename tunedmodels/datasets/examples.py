r"""The canonical form of examples, and the digest of a dataset. No other module knows the form.

The digest is computed over what the model is trained on, in order: one JSON value per line, UTF-8,
no spaces. A pair is `["input","output"]` with every line end inside a text as `\n`, a preference
`["input","better","worse"]`. A conversation of several turns, or with files or tools, is the row of
Vertex AI with sorted keys: `{"contents":[...],"systemInstruction":{...},"tools":[...]}`.

The same examples as JSONL, JSON, CSV or a chat format, with keys in any order and under any file
name, have the same digest. Another order of the examples has another digest, because training uses
them in order. One user turn with its answer is a pair, so a system text before it counts as the
beginning of the input.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec


class Example(msgspec.Struct, frozen=True, array_like=True):
    """One pair of a prompt and the expected response, without the preamble."""

    text_input: str
    output: str


class Preference(Example, frozen=True, array_like=True):
    """A prompt with two responses: `output` is the better one, `rejected` the worse one."""

    rejected: str


class Conversation(Example, frozen=True, array_like=True):
    """An example that a row of Vertex AI expresses better than a pair.

    `text_input` is everything before the last response, as text.
    """

    row: str  #: the row of Vertex AI as JSON with sorted keys
    is_pair: bool = False  #: one user turn and one response, with a system text


class ConversationPreference(Preference, frozen=True, array_like=True):
    """A preference whose prompt is a conversation."""

    row: str
    is_pair: bool = False


_ENCODER = msgspec.json.Encoder()


def canonical_form(examples: Iterable[Example | tuple[str, str]]) -> bytes:
    """Return the bytes that are digested. A tuple is (input, output)."""
    return _ENCODER.encode_lines(map(_canonical_value, examples))


def canonical_pairs(pairs: Iterable[tuple[str, str]]) -> bytes:
    """Return the canonical form of pairs, at the speed of the encoder."""
    return _ENCODER.encode_lines(pairs)


def decode_canonical(content: bytes) -> list[Example]:
    """Return the examples of a canonical form. Raises msgspec.DecodeError.

    Preferences are read as pairs without the worse response.
    """
    if b"\n{" not in content and not content.startswith(b"{"):
        return msgspec.json.Decoder(Example).decode_lines(content)
    pair = msgspec.json.Decoder(Example)
    return [
        conversation(msgspec.json.decode(line)) if line.startswith(b"{") else pair.decode(line)
        for line in content.split(b"\n")
        if line
    ]


def digest(examples: Iterable[Example]) -> str:
    """Return the SHA-256 of the canonical form as hex digits."""
    return hashlib.sha256(canonical_form(examples)).hexdigest()


def conversation(row: dict[str, Any]) -> Conversation:
    """Return the example of a normalized row of Vertex AI, whose last turn is the response."""
    *before, last = row["contents"]
    system = turn_text(row.get("systemInstruction") or {})
    is_pair = is_text_pair(row)
    text_input = prompt(system, turn_text(before[0])) if is_pair else history(system, before)
    return Conversation(text_input, turn_text(last), encode_row(row), is_pair)


def encode_row(row: dict[str, Any]) -> str:
    """Return a row of Vertex AI as JSON with sorted keys."""
    return msgspec.json.encode(row, order="sorted").decode()


def conversation_row(
    example: Conversation | ConversationPreference, preamble: str, *, as_system: bool
) -> dict[str, Any]:
    """Return the row of Vertex AI to train on, with the preamble before it.

    With `as_system` the preamble begins the system instruction, otherwise the first user turn.
    """
    row: dict[str, Any] = msgspec.json.decode(example.row)
    if not preamble:
        return row
    if as_system:
        system = turn_text(row.get("systemInstruction") or {})
        row["systemInstruction"] = {"parts": [{"text": prompt(preamble, system).rstrip("\n")}]}
        return row
    parts = row["contents"][0]["parts"]
    if "text" in parts[0]:
        parts[0] = {**parts[0], "text": prompt(preamble, parts[0]["text"])}
    else:
        parts.insert(0, {"text": preamble})
    return row


def is_text_pair(row: dict[str, Any]) -> bool:
    """Return whether a row is one user turn and one response, both text only."""
    contents = row["contents"]
    return (
        len(contents) + len(row.get("completions") or ()) // 2 == len(["user", "model"])
        and not row.get("tools")
        and all(list(part) == ["text"] for turn in contents for part in turn["parts"])
    )


def turn_text(turn: dict[str, Any]) -> str:
    """Return the text parts of a turn; a call of a function and a file count by their JSON."""
    return "".join(
        part["text"] if "text" in part else encode_row(part) for part in turn.get("parts", ())
    )


def history(system: str, turns: Iterable[dict[str, Any]]) -> str:
    """Return the turns before a response as text: the system text, then `role: text` lines."""
    lines = [f"{turn.get('role', 'user')}: {turn_text(turn)}" for turn in turns]
    return "\n".join([system, *lines] if system else lines)


def prompt(preamble: str, text_input: str) -> str:
    """Return the text that the model is given: the preamble on its own lines, then the input."""
    if not preamble:
        return text_input
    return f"{preamble}{text_input}" if preamble[-1].isspace() else f"{preamble}\n{text_input}"


def texts(examples: Iterable[Example]) -> Iterator[str]:
    """Yield every text of the examples: inputs, responses and worse responses."""
    for example in examples:
        yield example.text_input
        yield example.output
        if isinstance(example, Preference):
            yield example.rejected


def _canonical_value(example: Example | tuple[str, str]) -> object:
    if isinstance(example, Conversation | ConversationPreference):
        if not example.is_pair:
            return msgspec.Raw(example.row.encode())
        if isinstance(example, ConversationPreference):
            return (example.text_input, example.output, example.rejected)
        return (example.text_input, example.output)
    return example
