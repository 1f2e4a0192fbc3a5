"""Choosing an index from logits, and splitting an answer into the tokens that are streamed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from tunedmodels.engines.engine import Sampling

# A token of the embedded service is a word with the white space before it.
_TOKEN = re.compile(r"\s*\S+|\s+")

# At lower temperatures the division only leads to infinities; the likeliest index is chosen.
_MIN_TEMPERATURE = 1e-6


def choose(logits: NDArray[np.float64], sampling: Sampling) -> int:
    """Return the likeliest index (the first of equal ones), or one drawn by its probability.

    The draw is among the `top_k` likeliest, and of these among the fewest that together reach
    `top_p`, with probabilities softmax(logits / temperature). Equal seeds draw equal indices.
    """
    likeliest_first = np.argsort(-logits, kind="stable")
    if sampling.temperature < _MIN_TEMPERATURE:
        return int(likeliest_first[0])
    kept = likeliest_first[: sampling.top_k or None]
    shares = softmax(logits[kept] / sampling.temperature)
    enough = int(np.searchsorted(np.cumsum(shares), sampling.top_p)) + 1
    kept, shares = kept[:enough], shares[:enough]
    draw = np.random.default_rng(None if sampling.seed is None else sampling.seed % 2**64)
    return int(draw.choice(kept, p=shares / shares.sum()))


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities for `logits` of any finite size."""
    exponentials = np.exp(logits - logits.max())
    return np.asarray(exponentials / exponentials.sum())


def stream_tokens(text: str, sampling: Sampling) -> Iterator[str]:
    """Yield `text` token by token, up to its first stop sequence and `max_output_tokens`."""
    stops = [text.find(stop) for stop in sampling.stop_sequences if stop]
    end = min((offset for offset in stops if offset >= 0), default=len(text))
    tokens = (match.group() for match in _TOKEN.finditer(text[:end]))
    yield from islice(tokens, sampling.max_output_tokens)
