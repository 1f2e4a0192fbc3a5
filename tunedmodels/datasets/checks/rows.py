"""The checks of single rows: on whole columns at C speed, row by row only after a failed check."""

from __future__ import annotations

import re

from tunedmodels.datasets.blocks import Block, ConversationRow, normalize
from tunedmodels.datasets.examples import prompt
from tunedmodels.datasets.limits import Limits
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.source import ExampleSource
from tunedmodels.datasets.tokens import RELATIVE_ERROR, estimate_tokens

# In the canonical form every control character is an escape, except those that match _C1 or are
# 0x7f. Valid texts contain the escapes \n, \t, \" and \\ only.
_GOOD_ESCAPES = b'n"\\t'
_FEW_ESCAPES = 200
# May also match the second half of an escaped backslash; that only costs a check row by row.
_ESCAPE = re.compile(rb'\\[^n"\\t]')
_C1 = re.compile(rb"\xc2[\x80-\x9f]")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class RowChecker:
    """Checks rows against the limits of one base model."""

    def __init__(
        self, source: ExampleSource, limits: Limits, preamble: str, problems: ProblemCollector
    ) -> None:
        self._source = source
        self._limits = limits
        self._preamble_chars = len(prompt(preamble, ""))
        self._preamble_tokens = estimate_tokens(preamble) if limits.max_tokens else 0
        self._problems = problems

    def check(self, block: Block) -> tuple[Block, bytes, int]:
        """Report the problems of the rows.

        Returns those without errors, their canonical form, and the number of rows with a text.
        """
        try:
            encoded = block.canonical_form()
        except UnicodeEncodeError:  # a byte that is not UTF-8: `normalize` reports it
            pass
        else:
            if self._is_clean(block, encoded):
                return block, encoded, len(block.inputs)
        before = self._problems.count("not-utf8")
        normal = normalize(block, self._source, self._problems)
        examples = len(normal.inputs) + self._problems.count("not-utf8") - before
        block = self._check_rows(normal)
        return block, block.canonical_form(), examples

    def _is_clean(self, block: Block, encoded: bytes) -> bool:
        inputs, outputs = block.inputs, {*block.outputs}  # often a few labels
        limits = self._limits
        longest_input = max(map(len, inputs), default=0)
        longest_output = max(map(len, outputs), default=0)
        return (
            (block.conversations is None or not self._must_be_pairs(block))
            and all(inputs)
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

    def _must_be_pairs(self, block: Block) -> bool:
        """Whether a conversation of the block cannot be trained on."""
        return not self._limits.allows_conversations and any(
            each and not each.is_pair for each in block.conversations or ()
        )

    def _check_rows(self, block: Block) -> Block:
        limits, source = self._limits, self._source
        valid = []
        limit = limits.max_input_chars - self._preamble_chars
        for number, (text_input, output) in enumerate(block.pairs()):
            line = block.lines[number]
            before = self._problems.error_count
            each = block.conversations[number] if block.conversations else None
            if each and not each.is_pair and not limits.allows_conversations:
                self._report_conversation(each, line)
                continue
            self._check_text(text_input, source.input_field, line, limit)
            self._check_text(output, source.output_field, line, limits.max_output_chars)
            if self._may_have_too_many_tokens(len(text_input) + len(output)):
                self._check_tokens(text_input, output, line)
            if self._problems.error_count == before:
                valid.append(number)
        return block.select(valid)

    def _report_conversation(self, row: ConversationRow, line: int) -> None:
        is_turns = "turns" in row.reason
        self._problems.error(
            line,
            "not-a-pair",
            row.reason,
            "This base model trains on pairs. Set turns: split to train on one pair per answer, or "
            "turns: splitWithHistory to put the turns before it into the input."
            if is_turns
            else "Train on it with a provider of type vertex, or remove these examples.",
        )

    def _may_have_too_many_tokens(self, chars: int) -> bool:
        # No character has more than two tokens, so few rows are ever examined.
        limit = self._limits.max_tokens
        return limit is not None and 2 * (chars + self._preamble_chars) > limit

    def _check_tokens(self, text_input: str, output: str, line: int) -> None:
        """Report a row with too many tokens, which the service would truncate or omit."""
        limit = self._limits.max_tokens or 0
        tokens = self._preamble_tokens + estimate_tokens(text_input) + estimate_tokens(output)
        if tokens <= limit:
            return
        is_sure = tokens * (1 - RELATIVE_ERROR) > limit
        (self._problems.error if is_sure else self._problems.warn)(
            line,
            "too-many-tokens",
            f"has about {tokens:,} tokens (estimated); at most {limit:,} are allowed",
            "Shorten it, or split the example in two; the service truncates longer examples.",
        )

    def _check_text(self, text: str, field: str, line: int, limit: int) -> None:
        """Check one of the two texts of a row, which may have `limit` characters."""
        if not text or text.isspace():
            self._problems.error(
                line,
                "empty-text",
                "is blank" if text else "is empty",
                "An example needs both an input and an output: write the text, or remove the row.",
                path=field,
            )
        if len(text) > limit:
            is_input = field == self._source.input_field
            extra = self._preamble_chars if is_input else 0
            self._problems.error(
                line,
                "too-long",
                f"has {len(text) + extra:,} characters{' with the preamble' if extra else ''}; "
                f"at most {limit + extra:,} are allowed",
                "Shorten it, or split the example in two.",
                path=field,
            )
        if control := _CONTROL.search(text):
            self._problems.warn(
                line,
                "control-character",
                f"contains U+{ord(control[0]):04X} at character {control.start() + 1:,}",
                "Remove the control character; production traffic is unlikely to contain it.",
                path=field,
            )


def _has_odd_escape(encoded: bytes) -> bool:
    """Return whether the canonical form contains an escape of a control character."""
    # memchr finds the first few escapes many times faster than a pattern; most blocks of prose do
    # not contain more.
    offset = encoded.find(b"\\")
    for _ in range(_FEW_ESCAPES):
        if offset < 0:
            return False
        if encoded[offset + 1] not in _GOOD_ESCAPES:
            return True
        offset = encoded.find(b"\\", offset + 2)
    return bool(_ESCAPE.search(encoded, offset)) if offset >= 0 else False
