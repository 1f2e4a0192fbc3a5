"""The quality and speed of an engine, compared with baselines without training.

    python benchmarks/engine.py [models/NAME] [--markdown]

Held-out accuracy (exact match) after 2, 5 (the default) and 20 epochs, with the other defaults of
the API, mean of three seeds; CPU seconds of one default job. First come the examples in the
manifests, then generated sets whose held-out wordings are not in the training set and which differ
per seed. Baselines: always the most frequent output, and the output of the training example with
the largest share of common words. All sets are measured sequentially in one run.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean

from benchmarks.tables import Table
from tunedmodels.datasets.examples import Example
from tunedmodels.engines import ENGINES
from tunedmodels.engines.engine import DEFAULT_EPOCH_COUNT, Engine, Sampling, TuningRequest

DATA = Path(__file__).parent.parent / "manifests" / "data"
EPOCHS = (2, 5, 20)
SEEDS = range(3)

Split = tuple[list[Example], list[Example]]  # for training, held out


def from_manifests(
    name: str, text: str = "text_input", output: str = "output"
) -> Callable[[int], Split]:
    """Return a function that reads examples of the manifests, which are the same for every seed."""

    def read(path: Path) -> list[Example]:
        if not path.exists():
            return []  # no held-out examples
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file) if path.suffix == ".csv" else map(json.loads, file)
            return [Example(row[text], row[output]) for row in rows]

    stem, suffix = name.split(".")
    return lambda _: (read(DATA / name), read(DATA / f"{stem}.eval.{suffix}"))


# Six wordings per intent: four for training, two held out.
INTENTS = {
    "weather": "will it rain {when}|what is the weather {when}|do I need an umbrella {when}"
    "|how cold is it in {city}|is the weather cold in {city}|will I need a coat in the rain {when}",
    "train": "next train to {city}|when does the train to {city} leave|a ticket to {city} {when}"
    "|which platform to {city}|a ticket for the next train {when}|from which platform to {city}",
    "alarm": "wake me at {hour}|set an alarm for {hour}|I have to get up at {hour} {when}"
    "|ring at {hour}|please wake me up {when} at {hour}|an alarm at {hour} please",
    "light": "turn on the light in the {room}|make the {room} brighter|lights off in the {room}"
    "|dim the lamp in the {room}|turn the lamp off in the {room}|brighter light for the {room}",
    "cook": "how do I cook {dish}|find a recipe for {dish}|how long does {dish} take to cook"
    "|what do I need for {dish}|a recipe to cook {dish} {when}|how do I make {dish}",
}
SLOTS = {
    "when": ["today", "tomorrow", "tonight", "on Monday", "this weekend", "in the morning"],
    "city": ["Berlin", "Oslo", "Lima", "Paris", "Rome", "Quito", "Cairo"],
    "hour": ["7", "six thirty", "8:15", "noon", "half past nine", "5 sharp"],
    "room": ["kitchen", "hall", "bedroom", "cellar", "garden", "office"],
    "dish": ["pizza", "rice", "bread", "apple pie", "curry", "noodles", "soup"],
}


def intents(seed: int, noise: float = 0.0) -> Split:
    """150 examples of 5 intents, 100 held out; `noise` is the share of wrong training labels."""
    draw = random.Random(seed)  # noqa: S311  # a data set, not a secret

    def draw_examples(first: int, last: int, count: int) -> list[Example]:
        examples = []
        for label in sorted(INTENTS) * count:
            wording = draw.choice(INTENTS[label].split("|")[first:last])
            words = {slot: draw.choice(values) for slot, values in SLOTS.items()}
            examples.append(Example(wording.format(**words), label))
        return examples

    train = [
        Example(e.text_input, draw.choice(sorted(INTENTS))) if draw.random() < noise else e
        for e in draw_examples(0, 4, 30)
    ]
    return train, draw_examples(4, 6, 20)


def negation(seed: int) -> Split:
    """120 short reviews with "not good" and "not bad" among them, 200 held out."""
    draw = random.Random(seed)  # noqa: S311  # a data set, not a secret
    moods = {
        "positive": ["good", "great", "lovely", "excellent", "helpful", "fast"],
        "negative": ["bad", "awful", "poor", "useless", "rude", "slow"],
    }
    things = ["room", "staff", "food", "film", "phone", "screen", "story", "coffee"]
    plain = ["the {} was {}", "I found the {} {}", "honestly, the {} is {}", "our {} seemed {}"]
    turned = ["the {} was not {}", "I would not call the {} {}", "the {} is never {}"]
    asides = ["we went on Monday", "my sister came along", "it rained", "I bought it last year"]

    def review() -> Example:
        mood, other = draw.sample(sorted(moods), 2)
        is_turned = draw.random() < 0.3  # noqa: PLR2004  # the share of negations
        wording = draw.choice(turned if is_turned else plain)
        word = draw.choice(moods[other if is_turned else mood])
        parts = [wording.format(draw.choice(things), word), draw.choice(asides)]
        draw.shuffle(parts)
        return Example(". ".join(parts) + ".", mood)

    return [review() for _ in range(120)], [review() for _ in range(200)]


SETS: dict[str, Callable[[int], Split]] = {
    "support-triage": from_manifests("support-triage.csv", "message", "team"),
    "review-sentiment": from_manifests("review-sentiment.jsonl"),
    "intents": intents,
    "intents, 20% wrong": lambda seed: intents(seed, noise=0.2),
    "negation": negation,
}


def majority(train: Sequence[Example], text: str) -> str:
    """Return the most frequent output."""
    del text
    return Counter(e.output for e in train).most_common(1)[0][0]


def nearest(train: Sequence[Example], text: str) -> str:
    """Return the output of the training example with the largest share of common words."""
    words = set(text.lower().split())

    def similarity(example: Example) -> float:
        others = set(example.text_input.lower().split())
        return len(words & others) / (len(words | others) or 1)

    return max(train, key=similarity).output


def accuracy(held_out: Sequence[Example], answer: Callable[[str], str]) -> float:
    """Return the share of exact matches."""
    return fmean(answer(e.text_input) == e.output for e in held_out)


def train_and_score(engine: Engine, split: Split, epochs: int, seed: int) -> tuple[float, float]:
    """Return held-out accuracy, and the CPU seconds of training."""
    train, held_out = split
    start = time.process_time()
    tuning = engine.tune(TuningRequest(train, epoch_count=epochs, seed=seed))
    for _ in tuning:
        pass
    seconds = time.process_time() - start
    adapter = tuning.adapter()
    score = accuracy(held_out, lambda text: "".join(engine.answer(adapter, text, Sampling())))
    return score, seconds


def table(engine: Engine) -> Table:
    """Return the table of one engine: one row for each set."""

    def row(draw: Callable[[int], Split]) -> list[str]:
        splits = [draw(seed) for seed in SEEDS]
        train, held_out = splits[0]
        cells = [str(count) for count in (len(held_out), len({e.output for e in train}))]
        for baseline in (majority, nearest):
            score = fmean(accuracy(held, partial(baseline, known)) for known, held in splits)
            cells.append(f"{score:.2f}")
        seconds = 0.0
        for epochs in EPOCHS:
            runs = [
                train_and_score(engine, s, epochs, seed)
                for seed, s in zip(SEEDS, splits, strict=True)
            ]
            cells.append(f"{fmean(score for score, _ in runs):.2f}")
            if epochs == DEFAULT_EPOCH_COUNT:
                seconds = fmean(cpu for _, cpu in runs)
        return [*cells, f"{seconds:.2f}"]

    epochs = (f"{count} epochs" for count in EPOCHS)
    columns = ("set (examples)", "held out", "classes", "majority", "nearest", *epochs, "job, s")
    rows = {f"{name} ({len(draw(0)[0])})": partial(row, draw) for name, draw in SETS.items()}
    return Table(columns, rows)


def main() -> None:
    """Print one line per set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", nargs="?", choices=ENGINES, default="models/embedded-label-001")
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    options = parser.parse_args()
    engine = ENGINES[options.base]
    train_and_score(engine, intents(0), 1, 0)  # excludes the imports from the times
    if not options.markdown:
        print(engine.base_model)
    table(engine).show(markdown=options.markdown)


if __name__ == "__main__":
    main()
