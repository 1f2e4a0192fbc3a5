r"""The canonical form of examples, and the digest of a dataset.

The digest is computed over what the model is trained on, in order: one JSON array
`["input","output"]` per line, UTF-8, no spaces, every line end inside a text as `\n`. The same
examples as JSONL, JSON or CSV, with keys in any order and under any file name, have the same
digest. Another order of the examples has another digest, because training uses them in order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec


class Example(msgspec.Struct, frozen=True, array_like=True):
    """One pair of a prompt and the expected response, without the preamble."""

    text_input: str
    output: str


class Preference(Example, frozen=True, array_like=True):
    """A prompt with two responses: `output` is the better one, `rejected` the worse one."""

    rejected: str


def canonical_form(examples: Iterable[Example | tuple[str, str]]) -> bytes:
    """Return the bytes that are digested. A tuple is (input, output)."""
    return msgspec.json.Encoder().encode_lines(examples)


def digest(examples: Iterable[Example]) -> str:
    """Return the SHA-256 of the canonical form as hex digits."""
    return hashlib.sha256(canonical_form(examples)).hexdigest()


def prompt(preamble: str, text_input: str) -> str:
    """Return the text that the model is given: the preamble on its own lines, then the input."""
    if not preamble:
        return text_input
    return f"{preamble}{text_input}" if preamble[-1].isspace() else f"{preamble}\n{text_input}"
