"""The units that an answer is written in, and how an output is spelled in them.

Units are learned from the outputs: every character, the words that recur and are not copied, and
the whole outputs that recur: labels. What the input can give needs no unit in the list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from tunedmodels.engines.text.source import Source, tokens_of

# The unit that ends an answer.
END = ""

# The weights are a matrix of 82,000 rows by the units: 1,000 are 330 MB if every row is touched.
MOST_UNITS = 1000


def learned_units(sources: Sequence[Source], outputs: Sequence[str]) -> list[str]:
    """Return the units for these pairs of input and output: END, characters, then what recurs.

    Raises ValueError, in words, when the characters alone are too many.
    """
    characters = sorted({character for output in outputs for character in output})
    if len(characters) >= MOST_UNITS:
        raise ValueError(
            f"the outputs use {len(characters):,} different characters, more than the "
            f"{MOST_UNITS - 1:,} that this model can learn to write"
        )
    recurring = recurring_units(sources, outputs)
    return list(dict.fromkeys([END, *characters, *recurring]))[:MOST_UNITS]


def recurring_units(sources: Sequence[Source], outputs: Sequence[str]) -> list[str]:
    """Return labels and words, the most frequent first, that save more than they cost."""
    labels: Counter[str] = Counter()
    words: Counter[str] = Counter()
    copied: Counter[str] = Counter()
    for source, output in zip(sources, outputs, strict=True):
        tokens = [token for token in tokens_of(output) if not token.isspace()]
        given = [token for token in tokens if token in source.whole]
        labels[output] += 1
        if 2 * len(given) >= max(len(tokens), 1):
            copied[output] += 1
        words.update(set(tokens) - set(given))
    recurring = {
        output: count
        for output, count in labels.items()
        # What is mostly copied is better learned as that, even if it comes up twice.
        if count > 1 and 2 * copied[output] <= count
    }
    recurring.update((word, count) for word, count in words.items() if count > 1)
    return sorted(filter(None, recurring), key=lambda unit: (-recurring[unit], unit))


def spelled(source: Source, output: str, units: Collection[str]) -> Iterable[str]:
    """Yield the units of an output, END last: the label, or per token a copy, a word or letters."""
    if output in units:
        yield from filter(None, [output])
    else:
        for token in tokens_of(output):
            if token in units or token in source.whole:
                yield token
            else:
                yield from token
    yield END
