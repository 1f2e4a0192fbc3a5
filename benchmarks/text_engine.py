"""The quality of the text engine.

    python benchmarks/text_engine.py [--quick] [--unseen] [--ablations] [--markdown]

Exact match on trained and held-out examples with the API's defaults (5 epochs, batches of 4, rate
0.001), mean of 3 data seeds, compared with three baselines without training: the most frequent
output, a copy of the input, and the output of the nearest training input (by the features of the
label engine). Times are CPU seconds of this process. `--quick` uses one seed; `--unseen` adds the
tasks that the engine was not tuned on, `--ablations` the value of each of its parts; `--markdown`
prints all tables of docs/embedded-models.md.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from benchmarks.engine import SETS, from_manifests
from benchmarks.engine import intents as noisy_intents
from benchmarks.tables import Table
from benchmarks.text_tasks import NAMED, Split, Task
from benchmarks.unseen_tasks import LONG, UNSEEN
from tunedmodels.datasets.examples import Example
from tunedmodels.engines.engine import Engine, Sampling, TuningRequest
from tunedmodels.engines.label import LabelEngine
from tunedmodels.engines.label.features import ROWS, feature_rows
from tunedmodels.engines.text import TextEngine, features, tokens

Draw = Callable[[int], Split]  # returns the data of one seed


@dataclass(frozen=True, slots=True)
class Result:
    """Shares of exact answers, and CPU seconds of the job and of one answer."""

    trained: float
    held_out: float
    job_s: float
    answer_s: float


def measure(engine: Engine, parts: Split, seed: int = 0) -> Result:
    """Train on one part with the defaults, and answer both."""
    train, held_out = parts
    start = time.process_time()
    tuning = engine.tune(TuningRequest(train, seed=seed))
    for _ in tuning:
        pass
    job_s = time.process_time() - start
    adapter = tuning.adapter()

    def answer(text: str) -> str:
        return "".join(engine.answer(adapter, text, Sampling()))

    start = time.process_time()
    trained, unseen = (exact(part, answer) if part else 0.0 for part in parts)
    answer_s = (time.process_time() - start) / (len(train) + len(held_out))
    return Result(trained, unseen, job_s, answer_s)


def mean(engine: Engine, draw: Draw, seeds: int) -> Result:
    """Return the mean over data seeds."""
    results = [measure(engine, draw(seed), seed) for seed in range(seeds)]
    return Result(*(fmean(getattr(r, name) for r in results) for name in Result.__slots__))


def draw_of(task: Task) -> Draw:
    """Return the function that draws the data of a task."""
    return lambda seed: task(random.Random(seed))  # noqa: S311  # data for a benchmark is not a secret


def exact(examples: Sequence[Example], answer: Callable[[str], str]) -> float:
    """Return the share of examples that are answered exactly."""
    return sum(answer(e.text_input) == e.output for e in examples) / len(examples)


def baselines(parts: Split) -> list[float]:
    """Return the scores of majority, copy and nearest neighbour on the held-out part."""
    train, held_out = parts
    if not held_out:
        return [0.0] * 3
    majority = Counter(e.output for e in train).most_common(1)[0][0]
    vectors = np.stack([_indicator(e.text_input) for e in train])
    vectors *= np.log1p(len(train) / np.maximum(vectors.sum(axis=0), 1))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    def nearest(text: str) -> str:
        return train[int((vectors @ _indicator(text)).argmax())].output

    answers: list[Callable[[str], str]] = [lambda _: majority, lambda text: text, nearest]
    return [exact(held_out, answer) for answer in answers]


def _indicator(text: str) -> NDArray[np.float32]:
    vector = np.zeros(ROWS, np.float32)
    vector[feature_rows(text)] = 1
    return vector


def quality(tasks: Mapping[str, tuple[Draw, str]], seeds: int) -> Table:
    """Return the table of results; each task has a goal."""

    def row(draw: Draw, goal: str) -> list[str]:
        result = mean(TextEngine(), draw, seeds)
        base = np.mean([baselines(draw(seed)) for seed in range(seeds)], axis=0)
        shares = [f"{share:.2f}" for share in (result.trained, result.held_out, *base)]
        return [*shares, f"{result.job_s:.1f}", f"{result.answer_s * 1000:.1f}", goal]

    columns = "trained", "held out", "majority", "copy", "nearest", "job, s", "answer, ms", "goal"
    rows = {f"{n} ({len(draw(0)[0])})": partial(row, draw, g) for n, (draw, g) in tasks.items()}
    return Table(("task (examples)", *columns), rows)


def named(seeds: int) -> Table:
    """Return the table of the named tasks and of the examples in the manifests."""
    tasks = {n: (draw_of(task), f"{t:.2f} / {h:.2f}") for n, (task, t, h) in NAMED.items()}
    tasks["manifests: next-number"] = (from_manifests("next-number.jsonl"), "1.00 / -")
    tasks["manifests: invoice-dates"] = (from_manifests("invoice-dates.jsonl"), "- / 0.90")
    return quality(tasks, seeds)


def unseen(seeds: int) -> Table:
    """Return the table of the tasks that the engine was not tuned on."""
    return quality({name: (draw_of(task), "-") for name, task in UNSEEN.items()}, seeds)


def long_inputs(seeds: int) -> Table:
    """Return the table of inputs of different lengths."""

    def row(draw: Draw) -> list[str]:
        result = mean(TextEngine(), draw, seeds)
        shares = [f"{result.trained:.2f}", f"{result.held_out:.2f}"]
        return [*shares, f"{result.job_s:.1f}", f"{result.answer_s * 1000:.1f}"]

    columns = "a code among (50 examples)", "trained", "held out", "job, s", "answer, ms"
    return Table(columns, {name: partial(row, draw_of(task)) for name, task in LONG.items()})


def both_engines(seeds: int) -> Table:
    """Return the table of both engines on labels."""
    sets: dict[str, Draw] = {name: SETS[name] for name in ("support-triage", "review-sentiment")}
    for name in ("intent, unseen wordings", "hard sentiment"):
        sets[name] = draw_of(NAMED[name][0])
    sets["intents, a fifth of the labels wrong"] = partial(noisy_intents, noise=0.2)

    def row(draw: Draw) -> list[str]:
        text, label = (mean(engine, draw, seeds) for engine in (TextEngine(), LabelEngine()))
        return [f"{n:.2f}" for r in (text, label) for n in (r.held_out, r.job_s)]

    rows = {f"{name} ({len(draw(0)[0])})": partial(row, draw) for name, draw in sets.items()}
    columns = "text: held out", "job, s", "label: held out", "job, s"
    return Table(("labels (examples)", *columns), rows)


def equal_values(groups: Sequence[NDArray[np.intp]], _: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return equal values for all features: without rarity and groups, with one length for all."""
    count = sum(map(len, groups))
    length = np.sqrt(np.square(list(features.GROUP_LENGTHS.values())).sum() / max(count, 1))
    return np.full(count, length, np.float32)


def ablations(seeds: int) -> Table:
    """Return the table of held-out exact match without each part."""
    without: dict[str, list[AbstractContextManager[object]]] = {
        "whole": [],
        "no pointers": [
            patch.object(tokens, "find_copy_sources", lambda _: iter(())),
            patch.object(tokens.InputText, "next_characters", lambda *_: iter(())),
        ],
        "no learned units": [patch.object(tokens, "recurring_units", lambda *_: [])],
        "no normalised groups": [patch.object(features, "normalize_groups", equal_values)],
    }

    def row(draw: Draw) -> list[str]:
        cells = []
        for patches in without.values():
            with ExitStack() as stack:
                for active in patches:
                    stack.enter_context(active)
                cells.append(f"{mean(TextEngine(), draw, seeds).held_out:.2f}")
        return cells

    rows = {n: partial(row, draw_of(task)) for n, (task, _, held) in NAMED.items() if held}
    return Table(("held out", *without), rows)


def tables(seeds: int) -> list[Table]:
    """Return all tables in the order of the page."""
    return [
        named(seeds),
        unseen(seeds),
        long_inputs(seeds),
        both_engines(seeds),
        ablations(seeds),
    ]


def main() -> None:
    """Print the selected tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one data seed instead of three")
    parser.add_argument(
        "--unseen", action="store_true", help="add the tasks that it was not tuned on"
    )
    parser.add_argument("--ablations", action="store_true", help="add the value of each part")
    parser.add_argument("--markdown", action="store_true", help="print all tables as Markdown")
    options = parser.parse_args()
    has_unseen = options.markdown or options.unseen
    has_ablations = options.markdown or options.ablations
    selected = [True, has_unseen, has_unseen, True, has_ablations]
    for table, is_selected in zip(tables(1 if options.quick else 3), selected, strict=True):
        if is_selected:
            table.show(markdown=options.markdown)


if __name__ == "__main__":
    main()
