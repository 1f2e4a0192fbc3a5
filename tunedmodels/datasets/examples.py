r"""The canonical form of an example, and the digest of a dataset.

The digest is over what the model sees, in order: one JSON array `["input","output"]` per line,
UTF-8, no spaces, every line end inside a text as `\n`. The same examples as JSONL, JSON or CSV,
with keys in any order and under any file name, have the same digest; another order of examples
has another one, because training sees them in order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec


class Example(msgspec.Struct, frozen=True, array_like=True):
    """One (prompt, expected response) pair, without the preamble."""

    text_input: str
    output: str


class Preference(Example, frozen=True, array_like=True):
    """A prompt with two responses: `output` is the better one, `rejected` the worse."""

    rejected: str


def canonical(examples: Iterable[Example | tuple[str, str]]) -> bytes:
    """Return the bytes that the digest is taken over; a pair is (input, output)."""
    return msgspec.json.Encoder().encode_lines(examples)


def digest(examples: Iterable[Example]) -> str:
    """Return the SHA-256 of the canonical form, in hex."""
    return hashlib.sha256(canonical(examples)).hexdigest()


def prompt(preamble: str, text_input: str) -> str:
    """Return what the model is shown: the preamble on lines of its own, then the input."""
    if not preamble:
        return text_input
    return f"{preamble}{text_input}" if preamble[-1].isspace() else f"{preamble}\n{text_input}"
