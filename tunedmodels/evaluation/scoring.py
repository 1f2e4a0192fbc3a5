"""Scoring a model on held-out examples, and few-shot prompting as an alternative to tuning.

An example without an answer is not a wrong answer: the evaluation fails with the error of the
service. The answers until then are kept, so that the next attempt only asks the remaining
questions. Requests are not retried here: the provider retries them.
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

from tunedmodels.datasets.diff import NumberedExample
from tunedmodels.datasets.examples import Example
from tunedmodels.desired import DesiredEvaluation
from tunedmodels.errors import ProviderError, TunedModelsError
from tunedmodels.evaluation import significance
from tunedmodels.evaluation.metrics import FOLDING_METRICS, METRICS, exact_match
from tunedmodels.evaluation.significance import Gain, Interval
from tunedmodels.providers.provider import Provider
from tunedmodels.schema.tuned_model import GenerationConfig

if TYPE_CHECKING:
    from tunedmodels.evaluation.significance import Rows

MAX_FAILURES: Final = 3  # questions without an answer; further ones would probably fail as well

Ask = Callable[[str], Awaitable[str]]
"""Asks a model and returns its answer."""

OnProgress = Callable[[int, int], None]
"""Called with the number of answered examples and the number of all examples."""

_Failure = tuple[int, ProviderError]  # (line of the example, error of the service)


class UnansweredError(ProviderError):
    """An example got no answer, so the model has no score; `why` is the reason as a clause."""

    def __init__(self, message: str, *, cure: str, why: str) -> None:
        super().__init__(message, cure=cure)
        self.why = why


class AnswerSource(Protocol):
    """Known answers by input, such as `answer_cache.AnswerCache`."""

    def get(self, text_input: str) -> str | None:
        """Return the known answer to an input."""

    def put(self, text_input: str, answer: str) -> None:
        """Store an answer."""


@dataclass(frozen=True, slots=True)
class ScoredAnswer:
    """The answer to one held-out example, and its value."""

    line: int  #: of the file
    text_input: str = field(repr=False)
    expected: str = field(repr=False)
    answer: str = field(repr=False)
    value: float  #: from 0 to 1


@dataclass(frozen=True)
class Scores:
    """The answers of one model to all examples, in their order."""

    metric: str
    answers: tuple[ScoredAnswer, ...]

    @cached_property
    def rows(self) -> Rows:
        """The summands of the score, one row per example; see `metrics.Metric`."""
        pairs = ((answer.expected, answer.answer) for answer in self.answers)
        expected, actual = zip(*pairs, strict=True)
        return METRICS[self.metric].summands(expected, actual)

    @cached_property
    def score(self) -> Interval:
        """The score from 0 to 1, with its 90 % interval."""
        return significance.interval(self.rows, METRICS[self.metric].score_sums)

    @property
    def value(self) -> float:
        """The score without its interval."""
        return self.score.value

    @property
    def exact_share(self) -> float | None:
        """The share of answers that are spelled as expected.

        None if that is the score, or if the metric does not compare labels.
        """
        if self.metric not in FOLDING_METRICS:
            return None
        exact = sum(exact_match(answer.expected, answer.answer) for answer in self.answers)
        folded = sum(answer.value for answer in self.answers)
        return exact / len(self.answers) if exact < folded else None

    def gain_over(self, other: Scores) -> Gain:
        """Return the gain over the answers of another model to the same examples."""
        return significance.gain(other.rows, self.rows, METRICS[self.metric].score_sums)

    def worst(self, limit: int) -> tuple[ScoredAnswer, ...]:
        """Return up to `limit` answers with the lowest values below 1, in the order of the file."""
        wrong = [answer for answer in self.answers if answer.value < 1]
        worst = sorted(wrong, key=lambda answer: answer.value)[:limit]
        return tuple(sorted(worst, key=lambda answer: answer.line))


def ask_function(
    provider: Provider,
    resource: str,
    config: GenerationConfig,
    to_prompt: Callable[[str], str],
    *,
    system: str = "",
) -> Ask:
    """Return a function that asks a model; `to_prompt` makes the prompt for an input.

    `system` is the system instruction, for a model that was trained with one.
    """

    async def ask(text_input: str) -> str:
        pieces = provider.generate(resource, to_prompt(text_input), config, system=system)
        return "".join([piece async for piece in pieces])

    return ask


async def score_answers(
    evaluation: DesiredEvaluation,
    examples: Sequence[NumberedExample],
    ask: Ask,
    *,
    answers: AnswerSource,
    on_progress: OnProgress | None = None,
) -> Scores:
    """Ask for the unknown answers, up to `spec.concurrency` at the same time, and score all.

    `examples` are the examples of the evaluation. Equal inputs are asked once. Raises
    TunedModelsError, before anything is asked, if the metric cannot score an expected text, and
    UnansweredError if an example got no answer.
    """
    _require_scorable(evaluation, examples)
    lines: dict[str, int] = {}
    for row in examples:
        lines.setdefault(row.example.text_input, row.line)
    known = {text: answer for text in lines if (answer := answers.get(text)) is not None}
    failures: list[_Failure] = []
    unknown = iter([text for text in lines if text not in known])

    async def work() -> None:
        # All workers share one iterator: an idle worker takes the next question.
        for text in unknown:
            if len(failures) >= MAX_FAILURES:
                return
            try:
                known[text] = await ask(text)
            except ProviderError as error:
                failures.append((lines[text], error))
                continue
            answers.put(text, known[text])
            if on_progress:
                on_progress(sum(row.example.text_input in known for row in examples), len(examples))

    async with asyncio.TaskGroup() as group:
        for _ in range(evaluation.spec.concurrency):
            group.create_task(work())
    if failures:
        first = min(failures, key=lambda failure: failure[0])
        raise _unanswered_error(evaluation, lines, len(known), first)
    return Scores(evaluation.spec.metric, tuple(_score_each(evaluation, examples, known)))


def choose_few_shot(
    examples: Iterable[Example], limit: int, *, without: Collection[str]
) -> list[Example]:
    """Return up to `limit` training examples for a few-shot prompt (F17).

    The choice does not depend on the order of `examples`: they are sorted by the digest of their
    input, and every output gets one example before any output gets a second one. Inputs in
    `without`, which are those of the evaluation, are never chosen.
    """
    by_output: dict[str, list[Example]] = defaultdict(list)
    for example in sorted(set(examples), key=_digest):
        if example.text_input not in without:
            by_output[example.output].append(example)
    rounds = chain.from_iterable(zip_longest(*by_output.values()))
    return [example for example in rounds if example is not None][:limit]


def few_shot_prompt(preamble: str, examples: Iterable[Example], text_input: str) -> str:
    """Return a prompt of the preamble, the examples, and the input without its output."""
    shots = [f"Input: {example.text_input}\nOutput: {example.output}" for example in examples]
    opening = [preamble.strip()] if preamble.strip() else []
    return "\n\n".join([*opening, *shots, f"Input: {text_input}\nOutput:"])


def _score_each(
    evaluation: DesiredEvaluation, examples: Sequence[NumberedExample], answers: Mapping[str, str]
) -> Iterator[ScoredAnswer]:
    value = METRICS[evaluation.spec.metric].value
    for row in examples:
        text_input, expected = row.example.text_input, row.example.output
        answer = answers[text_input]
        yield ScoredAnswer(row.line, text_input, expected, answer, value(expected, answer))


def _require_scorable(evaluation: DesiredEvaluation, examples: Sequence[NumberedExample]) -> None:
    metric = METRICS[evaluation.spec.metric]
    for row in examples:
        if reason := metric.rejection_reason(row.example.output):
            raise TunedModelsError(
                f"{evaluation.declared_path}:{row.line}: {evaluation.spec.output_field} {reason}",
                cure="Fix the example, or choose another evaluation.metric. Nothing was asked.",
            )


def _unanswered_error(
    evaluation: DesiredEvaluation, lines: Mapping[str, int], answered: int, first: _Failure
) -> UnansweredError:
    line, error = first
    location = f"{evaluation.declared_path}:{line}"
    progress = f" ({answered} of {len(lines)} questions were answered)" if answered else ""
    return UnansweredError(
        f"{location}: no answer: {error.message}{progress}",
        cure=error.cure or "Try again: the answers are kept, and only the others are asked for.",
        why=error.message if not answered else f"{location}: {error.message}{progress}",
    )


def _digest(example: Example) -> tuple[bytes, str]:
    text = example.text_input.encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).digest(), example.output
