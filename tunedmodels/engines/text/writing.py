"""Writing an answer, unit by unit, with a model that has learned or with the base itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tunedmodels.engines.engine import Sampling
from tunedmodels.engines.sampling import choose, pieces
from tunedmodels.engines.text.features import Written
from tunedmodels.engines.text.model import TextModel
from tunedmodels.engines.text.prompts import Moments
from tunedmodels.engines.text.source import Source
from tunedmodels.engines.text.units import END


def write(model: TextModel, text: str, sampling: Sampling) -> Iterator[str]:
    """Yield the answer to `text` token by token.

    It is written before its first token is out: that takes milliseconds, and only then is it known
    where a stop sequence begins.
    """
    yield from pieces("".join(_units(model, text, sampling)), sampling)


def _units(model: TextModel, text: str, sampling: Sampling) -> Iterator[str]:
    prompt = model.prompt(Source(text))
    # What has learned to repeat itself must end: no answer is longer than its input and two of the
    # longest outputs.
    most = len(prompt.source.text) + 2 * model.longest
    written, length = Written(), 0
    for number in range(most + 1):
        moments = Moments.of(prompt, [written])
        logits = model.scores(prompt, moments).logits[0]
        # With a seed, each unit has a draw of its own, and the same one every time.
        seed = None if sampling.seed is None else sampling.seed + number * 2**32
        column = choose(logits, replace(sampling, seed=seed))
        unit = list(prompt.numbers)[column]
        length += len(unit)
        if unit == END or length > most:
            return
        yield unit
        written = written.then(unit, prompt.source)
