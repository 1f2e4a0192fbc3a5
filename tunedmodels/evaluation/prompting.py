"""Few-shot prompting, the alternative to tuning (F17): training examples in the prompt itself."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable
from itertools import chain, zip_longest

from tunedmodels.datasets.examples import Example


def shots(examples: Iterable[Example], most: int, *, without: Collection[str]) -> list[Example]:
    """Choose up to `most` examples: the same ones every time, in whatever order they come.

    They go by the digest of their input, one for each output before any gets a second one, so that
    every label is shown as far as there is room. Inputs in `without`, which are those of the
    evaluation, are never chosen.
    """
    by_output: dict[str, list[Example]] = defaultdict(list)
    for example in sorted(set(examples), key=_digest):
        if example.text_input not in without:
            by_output[example.output].append(example)
    rounds = chain.from_iterable(zip_longest(*by_output.values()))
    return [example for example in rounds if example is not None][:most]


def few_shot_prompt(preamble: str, chosen: Iterable[Example], text_input: str) -> str:
    """Return the whole question: the preamble, the examples, the input whose output is wanted."""
    parts = [f"Input: {each.text_input}\nOutput: {each.output}" for each in chosen]
    opening = [preamble.strip()] if preamble.strip() else []
    return "\n\n".join([*opening, *parts, f"Input: {text_input}\nOutput:"])


def _digest(example: Example) -> tuple[bytes, str]:
    text = example.text_input.encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).digest(), example.output
