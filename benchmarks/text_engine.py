"""How well the text engine learns: `python benchmarks/text_engine.py [--quick] [--ablations]`.

Exact match on trained and held-out examples with the API's defaults (5 epochs, batches of 4, rate
0.001), mean of 3 data seeds, beside three baselines that do not train: the most frequent output, a
copy of the input, and the output of the nearest training input (the label engine's features). Times
are CPU seconds of this process.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from benchmarks.text_tasks import NAMED, Split, Task
from benchmarks.unseen_tasks import UNSEEN
from tunedmodels.datasets.examples import Example
from tunedmodels.engines.engine import Engine, Sampling, TuningRequest
from tunedmodels.engines.features import ROWS, rows_of
from tunedmodels.engines.label import LabelEngine
from tunedmodels.engines.text import TextEngine, prompts, source, units

DATA = Path(__file__).parent.parent / "manifests" / "data"


@dataclass(frozen=True, slots=True)
class Result:
    """Shares of exact answers, and CPU seconds: of the whole job, and of one answer."""

    trained: float
    held_out: float
    job_s: float
    answer_s: float


def measure(engine: Engine, parts: Split, seed: int = 0) -> Result:
    """Train on one part with the defaults, and ask for both."""
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
    shares = [exact(part, answer) for part in parts]
    answer_s = (time.process_time() - start) / (len(train) + len(held_out))
    return Result(shares[0], shares[1], job_s, answer_s)


def drawn(task: Task, seed: int) -> Split:
    """Return the data of one seed."""
    return task(random.Random(seed))  # noqa: S311  # data for a benchmark is no secret


def exact(examples: Sequence[Example], answer: Callable[[str], str]) -> float:
    """Return the share of examples that are answered letter for letter."""
    return sum(answer(e.text_input) == e.output for e in examples) / len(examples)


def baselines(parts: Split) -> tuple[float, float, float]:
    """Return what majority, copy and nearest neighbour get right of the held-out part."""
    train, held_out = parts
    majority = Counter(e.output for e in train).most_common(1)[0][0]
    known = np.stack([_indicator(e.text_input) for e in train])
    known *= np.log1p(len(train) / np.maximum(known.sum(axis=0), 1))
    known /= np.linalg.norm(known, axis=1, keepdims=True)

    def nearest(text: str) -> str:
        return train[int((known @ _indicator(text)).argmax())].output

    answers: list[Callable[[str], str]] = [lambda _: majority, lambda text: text, nearest]
    copy = [exact(held_out, answer) for answer in answers]
    return copy[0], copy[1], copy[2]


def _indicator(text: str) -> NDArray[np.float32]:
    found = np.zeros(ROWS, np.float32)
    found[rows_of(text)] = 1
    return found


def table(tasks: Mapping[str, tuple[Task, str]], seeds: int) -> None:
    """Print one line for each task."""
    print(
        f"{'task (examples)':34} majority copy nearest   trained held out   job s  answer ms  goal"
    )
    for name, (task, goal) in tasks.items():
        splits = [drawn(task, seed) for seed in range(seeds)]
        results = [measure(TextEngine(), parts, seed) for seed, parts in enumerate(splits)]
        base = np.mean([baselines(parts) for parts in splits], axis=0)
        mean = {
            field: float(np.mean([getattr(result, field) for result in results]))
            for field in Result.__slots__
        }
        print(
            f"{f'{name} ({len(splits[0][0])})':34} {base[0]:8.2f} {base[1]:4.2f} {base[2]:7.2f}"
            f"   {mean['trained']:7.3f} {mean['held_out']:8.3f} {mean['job_s']:7.2f} "
            f"{mean['answer_s'] * 1000:10.1f}  {goal}",
            flush=True,
        )


def living() -> Iterator[tuple[str, Split]]:
    """Yield the label sets of the living examples."""

    def rows(name: str, text: str, label: str) -> list[Example]:
        path = DATA / name
        with path.open(encoding="utf-8", newline="") as file:
            found = csv.DictReader(file) if path.suffix == ".csv" else map(json.loads, file)
            return [Example(row[text], row[label]) for row in found]

    for name, ending, text, label in (
        ("support-triage", "csv", "message", "team"),
        ("review-sentiment", "jsonl", "text_input", "output"),
    ):
        train = rows(f"{name}.{ending}", text, label)
        yield name, (train, rows(f"{name}.eval.{ending}", text, label))


def side_by_side(seeds: int) -> None:
    """Print both engines on labels."""
    sets = list(living())
    for name in ("intent, unseen wordings", "hard sentiment"):
        sets += [(f"{name} {seed}", drawn(NAMED[name][0], seed)) for seed in range(seeds)]
    print(f"\n{'labels':34} text: held out   job s  answer ms   label: held out   job s  answer ms")
    for name, parts in sets:
        shown = [
            f"{r.held_out:14.3f} {r.job_s:7.2f} {r.answer_s * 1000:10.1f}"
            for r in (measure(engine, parts) for engine in (TextEngine(), LabelEngine()))
        ]
        print(f"{f'{name} ({len(parts[0])})':34} {shown[0]}   {shown[1]}", flush=True)


def one_group(
    groups: Mapping[str, NDArray[np.intp]], _: NDArray[np.float32], lengths: Mapping[str, float]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Weigh every feature alike: no rarity, no groups, one length for all."""
    rows = np.unique(np.concatenate([groups[group] for group in lengths]))
    length = np.sqrt(sum(length**2 for length in lengths.values()))
    return rows, np.full(len(rows), length / np.sqrt(max(len(rows), 1)), np.float32)


def ablations(seeds: int) -> None:
    """Print what each part is worth: held-out exact match without it."""
    without: dict[str, list[AbstractContextManager[object]]] = {
        "nothing": [],
        "pointers": [
            patch.object(source.Source, "places", []),
            patch.object(source.Source, "near", lambda *_: iter(())),
        ],
        "learned units": [patch.object(units, "recurring_units", lambda *_: [])],
        "normalised groups": [patch.object(prompts, "_normalised", one_group)],
    }
    names = [name for name in NAMED if name != "next-number"]
    print("\nheld out without ...      " + " ".join(f"{name[:15]:>15}" for name in names))
    for part, patches in without.items():
        shares = []
        with ExitStack() as stack:
            for each in patches:
                stack.enter_context(each)
            for name in names:
                splits = [drawn(NAMED[name][0], seed) for seed in range(seeds)]
                shares.append(np.mean([measure(TextEngine(), p).held_out for p in splits]))
        print(f"{part:25} " + " ".join(f"{share:15.3f}" for share in shares), flush=True)


def main() -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one data seed instead of three")
    parser.add_argument("--ablations", action="store_true", help="only what each part is worth")
    options = parser.parse_args()
    seeds = 1 if options.quick else 3
    if options.ablations:
        ablations(seeds)
        return
    named = {n: (task, f"{trained:.2f} / {held:.2f}") for n, (task, trained, held) in NAMED.items()}
    table(named, seeds)
    print("\nnot tuned on:")
    table({name: (task, "-") for name, task in UNSEEN.items()}, seeds)
    side_by_side(seeds)


if __name__ == "__main__":
    main()
