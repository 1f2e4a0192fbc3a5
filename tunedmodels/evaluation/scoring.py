"""Asking a model the held-out examples, and what its answers are worth.

An example that got no answer is no wrong answer: it makes the evaluation fail, with the service's
words. What was answered until then is kept, so that the next try asks only the rest. Nothing here
repeats a request: the floor of the providers does that.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Final, Protocol

from tunedmodels.datasets.diff import Numbered
from tunedmodels.datasets.examples import Example
from tunedmodels.desired import DesiredEvaluation
from tunedmodels.errors import ProviderError, TunedModelsError
from tunedmodels.evaluation import significance
from tunedmodels.evaluation.metrics import METRICS
from tunedmodels.evaluation.significance import Gain, Interval
from tunedmodels.providers.provider import Provider
from tunedmodels.schema.tuned_model import GenerationConfig

if TYPE_CHECKING:
    from tunedmodels.evaluation.significance import Rows


GIVEN_UP: Final = 3  # questions without an answer: the others would hardly get one

Ask = Callable[[str], Awaitable[str]]
OnProgress = Callable[[int, int], None]
"""Called with the examples that are answered so far, and all of them."""


Failure = tuple[int, ProviderError]  # the line of the example, and what the service said


class UnansweredError(ProviderError):
    """An example got no answer, so that nothing can be said of the whole; `why` is a clause."""

    def __init__(self, message: str, *, cure: str, why: str) -> None:
        super().__init__(message, cure=cure)
        self.why = why


class Known(Protocol):
    """Answers that need not be asked for again, by input; see `answers.Answers`."""

    def get(self, text_input: str) -> str | None:
        """Return the answer that was given to this input."""

    def put(self, text_input: str, got: str) -> None:
        """Remember an answer."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One held-out example, the answer to it, and its value from 0 to 1. `line` is the file's."""

    line: int
    text_input: str = field(repr=False)
    expected: str = field(repr=False)
    got: str = field(repr=False)
    value: float


@dataclass(frozen=True)
class Scores:
    """The answers of one model to all examples, in their order."""

    metric: str
    answers: tuple[Answered, ...]

    @cached_property
    def rows(self) -> Rows:
        """What is added up for the score, per example; see `metrics.Metric`."""
        expected, got = zip(*((one.expected, one.got) for one in self.answers), strict=True)
        return METRICS[self.metric].tally(expected, got)

    @cached_property
    def score(self) -> Interval:
        """The score from 0 to 1, with its 90 % interval."""
        return significance.interval(self.rows, METRICS[self.metric].read)

    @property
    def value(self) -> float:
        """The score alone."""
        return self.score.value

    def gain_over(self, other: Scores) -> Gain:
        """Compare with the answers of another model to the same examples."""
        return significance.gain(other.rows, self.rows, METRICS[self.metric].read)

    def worst(self, most: int) -> tuple[Answered, ...]:
        """Return the answers of the lowest value that are not wholly right, in the file's order."""
        wrong = [one for one in self.answers if one.value < 1]
        return tuple(sorted(sorted(wrong, key=lambda one: one.value)[:most], key=_line))


def asking(
    provider: Provider,
    resource: str,
    how: GenerationConfig,
    worded: Callable[[str], str],
    *,
    system: str = "",
) -> Ask:
    """Return how to ask a model; `worded` makes the whole question of an input.

    `system` is the system instruction, of a model that was trained with one.
    """

    async def ask(text_input: str) -> str:
        pieces = provider.generate(resource, worded(text_input), how, system=system)
        return "".join([piece async for piece in pieces])

    return ask


async def score(
    evaluation: DesiredEvaluation,
    examples: Sequence[Numbered],
    ask: Ask,
    *,
    known: Known,
    on_progress: OnProgress | None = None,
) -> Scores:
    """Ask what is not known yet, `evaluation.rules.concurrency` questions at once.

    `examples` are those of the evaluation's file. Equal inputs are asked once. Raises
    TunedModelsError before anything is asked when an expected text cannot be judged by the metric,
    and UnansweredError when an example got no answer.
    """
    _require_judgeable(evaluation, examples)
    lines: dict[str, int] = {}
    for each in examples:
        lines.setdefault(each.example.text_input, each.line)
    got = {text: there for text in lines if (there := known.get(text)) is not None}
    failures: list[Failure] = []
    missing = iter([text for text in lines if text not in got])

    async def work() -> None:
        # One iterator for all workers: whoever is free takes the next question.
        for text in missing:
            if len(failures) >= GIVEN_UP:
                return
            try:
                got[text] = await ask(text)
            except ProviderError as error:
                failures.append((lines[text], error))
                continue
            known.put(text, got[text])
            if on_progress:
                on_progress(sum(each.example.text_input in got for each in examples), len(examples))

    async with asyncio.TaskGroup() as group:
        for _ in range(evaluation.rules.concurrency):
            group.create_task(work())
    if failures:
        raise _unanswered(evaluation, lines, len(got), min(failures, key=lambda one: one[0]))
    return Scores(evaluation.rules.metric, tuple(_judged(evaluation, examples, got)))


def _judged(
    evaluation: DesiredEvaluation, examples: Sequence[Numbered], got: dict[str, str]
) -> Iterator[Answered]:
    value = METRICS[evaluation.rules.metric].value
    for each in examples:
        text_input, expected = each.example.text_input, each.example.output
        answer = got[text_input]
        yield Answered(each.line, text_input, expected, answer, value(expected, answer))


def _require_judgeable(evaluation: DesiredEvaluation, examples: Sequence[Numbered]) -> None:
    metric = METRICS[evaluation.rules.metric]
    for each in examples:
        if why := metric.refuse(each.example.output):
            raise TunedModelsError(
                f"{evaluation.written}:{each.line}: {evaluation.rules.output_field} {why}",
                cure="Mend the example, or choose another evaluation.metric. Nothing was asked.",
            )


def _unanswered(
    evaluation: DesiredEvaluation, lines: Mapping[str, int], answered: int, first: Failure
) -> UnansweredError:
    line, error = first
    place = f"{evaluation.written}:{line}"
    some = f" ({answered} of {len(lines)} questions were answered)" if answered else ""
    return UnansweredError(
        f"{place}: no answer: {error.message}{some}",
        cure=error.cure or "Try again: what was answered is kept, and only the rest is asked.",
        why=error.message if not answered else f"{place}: {error.message}{some}",
    )


def _line(one: Answered) -> int:
    return one.line


# FOLDED
# Few-shot prompting, the alternative to tuning (F17): training examples in the prompt itself.
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
