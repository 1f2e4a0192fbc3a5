"""The checks of single rows: whole columns at C speed, row by row only where something is wrong."""

from __future__ import annotations

import re

from tunedmodels.datasets.blocks import Block, tidy
from tunedmodels.datasets.examples import canonical, prompt
from tunedmodels.datasets.limits import Limits
from tunedmodels.datasets.problems import Found
from tunedmodels.datasets.source import Source
from tunedmodels.datasets.tokens import ERROR, estimate

# In the canonical form every control character is an escape, but for these. \n, \t, \" and \\ are
# the escapes of good texts; the second half of an escaped backslash is looked at for nothing.
_GOOD_ESCAPES = b'n"\\t'
_FEW_ESCAPES = 200
_ESCAPE = re.compile(rb'\\[^n"\\t]')
_C1 = re.compile(rb"\xc2[\x80-\x9f]")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _has_odd_escape(encoded: bytes) -> bool:
    # memchr finds the first few escapes many times faster than a pattern does; most blocks of prose
    # have no more.
    at = encoded.find(b"\\")
    for _ in range(_FEW_ESCAPES):
        if at < 0:
            return False
        if encoded[at + 1] not in _GOOD_ESCAPES:
            return True
        at = encoded.find(b"\\", at + 2)
    return bool(_ESCAPE.search(encoded, at)) if at >= 0 else False


class Checks:
    """What a row must be like for one base model."""

    def __init__(self, source: Source, limits: Limits, preamble: str, found: Found) -> None:
        self._source = source
        self._limits = limits
        self._preamble_chars = len(prompt(preamble, ""))
        self._preamble_tokens = estimate(preamble) if limits.max_tokens else 0
        self._found = found

    def admit(self, block: Block) -> tuple[Block, bytes]:
        """Report what is wrong with the rows; return the sound ones and their canonical form."""
        try:
            encoded = canonical(block.pairs())
        except UnicodeEncodeError:  # a byte that is not UTF-8: `tidy` says where
            pass
        else:
            if self._is_clean(block, encoded):
                return block, encoded
        block = self._row_by_row(tidy(block, self._source, self._found))
        return block, canonical(block.pairs())

    def _is_clean(self, block: Block, encoded: bytes) -> bool:
        inputs, outputs = block.inputs, {*block.outputs}  # often a few labels
        limits = self._limits
        longest_input = max(map(len, inputs), default=0)
        longest_output = max(map(len, outputs), default=0)
        return (
            all(inputs)
            and all(outputs)
            and longest_input <= limits.max_input_chars - self._preamble_chars
            and longest_output <= limits.max_output_chars
            and not self._may_have_too_many_tokens(longest_input + longest_output)
            and not any(map(str.isspace, inputs))
            and not any(map(str.isspace, outputs))
            and not _has_odd_escape(encoded)
            and b"\x7f" not in encoded
            and (b"\xc2" not in encoded or not _C1.search(encoded))
        )

    def _row_by_row(self, block: Block) -> Block:
        limits, source = self._limits, self._source
        sound = []
        for text_input, output, line in zip(block.inputs, block.outputs, block.lines, strict=True):
            before = self._found.errors
            room = limits.max_input_chars - self._preamble_chars
            self._text(text_input, source.input_field, line, room)
            self._text(output, source.output_field, line, limits.max_output_chars)
            if self._may_have_too_many_tokens(len(text_input) + len(output)):
                self._tokens(text_input, output, line)
            if self._found.errors == before:
                sound.append((text_input, output, line))
        return Block.of(sound)

    def _may_have_too_many_tokens(self, chars: int) -> bool:
        # No character has more than two tokens, so that hardly a row is ever looked at.
        most = self._limits.max_tokens
        return most is not None and 2 * (chars + self._preamble_chars) > most

    def _tokens(self, text_input: str, output: str, line: int) -> None:
        """Report a row that has too many tokens, which the service would cut short or leave out."""
        most = self._limits.max_tokens or 0
        tokens = self._preamble_tokens + estimate(text_input) + estimate(output)
        if tokens <= most:
            return
        is_sure = tokens * (1 - ERROR) > most
        (self._found.error if is_sure else self._found.warn)(
            line,
            "too-many-tokens",
            f"has about {tokens:,} tokens (estimated); at most {most:,} are allowed",
            "Shorten it, or split the example in two; the service cuts off what is too long.",
        )

    def _text(self, text: str, field: str, line: int, room: int) -> None:
        """Check one of the two texts of a row; `room` is how many characters it may have."""
        if not text or text.isspace():
            self._found.error(
                line,
                "empty-text",
                "is blank" if text else "is empty",
                "Both sides of an example need words; write them or drop the row.",
                path=field,
            )
        if len(text) > room:
            is_input = field == self._source.input_field
            extra = self._preamble_chars if is_input else 0
            self._found.error(
                line,
                "too-long",
                f"has {len(text) + extra:,} characters{' with the preamble' if extra else ''}; "
                f"at most {room + extra:,} are allowed",
                "Shorten it, or split the example in two.",
                path=field,
            )
        if control := _CONTROL.search(text):
            self._found.warn(
                line,
                "control-character",
                f"holds U+{ord(control[0]):04X} at character {control.start() + 1:,}",
                "Remove the control character; production traffic will hardly have it.",
                path=field,
            )
