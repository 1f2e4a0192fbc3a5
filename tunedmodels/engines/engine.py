"""The contract of an engine.

An engine has a frozen base and learns an *adapter*: named arrays and notes that mean something
only together with that base (F2: the tuned model is the original model combined with newly learned
parameters). The base is never written. Training is an iteration: the caller takes one step at a
time, so it can stop between any two of them; `adapter` after step n is the whole checkpoint, and a
run resumed from it equals an uninterrupted one to the last bit. Randomness comes from `seed` alone.

Steps are counted as the Gemini API counts: batches run on across epochs, so there are
`ceil(examples x epochs / batch size)` steps, and `epoch = floor(step x batch size / examples)`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tunedmodels.datasets.examples import Example

if TYPE_CHECKING:
    # Whoever only lists the base models must not wait for numpy.
    from numpy.typing import NDArray

# What the notes of every adapter say: the steps done, and the version of the base's features.
STEPS_NOTE = "steps"
MAP_NOTE = "features"

DEFAULT_EPOCH_COUNT = 5
DEFAULT_BATCH_SIZE = 4
DEFAULT_LEARNING_RATE = 0.001  # F10


@dataclass(frozen=True, slots=True)
class TuningRequest:
    """What a job trains with: examples, effective hyperparameters (none unset), seed and parent.

    `learning_rate` is in the units of the API, with a multiplier already applied. `parent` is the
    adapter of the tuned model to continue from, which must be of the same base.
    """

    examples: Sequence[Example]
    epoch_count: int = DEFAULT_EPOCH_COUNT
    batch_size: int = DEFAULT_BATCH_SIZE
    learning_rate: float = DEFAULT_LEARNING_RATE
    seed: int = 0
    parent: Adapter | None = None

    @property
    def total_steps(self) -> int:
        """The number of steps of the whole job."""
        return math.ceil(len(self.examples) * self.epoch_count / self.batch_size)

    def epoch_at(self, step: int) -> int:
        """Full passes over the data that are done after `step` steps."""
        return step * self.batch_size // len(self.examples)


@dataclass(frozen=True, slots=True)
class Adapter:
    """Learned parameters: arrays by name, and notes (strings) such as the list of labels.

    `base_model` names the base it belongs to; any other base refuses it.
    """

    base_model: str
    arrays: Mapping[str, NDArray[Any]]
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Steps done when this was taken: where a resumed run goes on."""
        return int(self.notes.get(STEPS_NOTE, "0"))


@dataclass(frozen=True, slots=True)
class Step:
    """One step taken: `step` counts from 1; `mean_loss` is the batch's, before its update."""

    step: int
    epoch: int
    mean_loss: float


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is drawn; temperature 0 takes the likeliest every time."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0  # 0: all
    max_output_tokens: int | None = None
    stop_sequences: tuple[str, ...] = ()
    seed: int | None = None


class Tuning(Protocol):
    """A job in memory: iterating takes steps, `adapter` is the checkpoint after the last one."""

    def __iter__(self) -> Iterator[Step]:
        """Take one step at a time.

        Raises ValueError, in words for people, at the first loss that is not finite.
        """

    def adapter(self) -> Adapter:
        """Return what was learned so far, with the number of steps done in its notes."""


class Engine(Protocol):
    """One base model and the way it learns."""

    @property
    def base_model(self) -> str:
        """`models/NAME`, as it stands in manifests and in `models.list`."""

    @property
    def display_name(self) -> str:
        """A name for people."""

    @property
    def description(self) -> str:
        """What it can and cannot do, in a sentence or two."""

    def tune(self, request: TuningRequest, *, resume: Adapter | None = None) -> Tuning:
        """Begin a job, or go on from the checkpoint `resume` of the same request.

        Raises ValueError, in words for people, when the data cannot be learned by this engine.
        """

    def answer(self, adapter: Adapter, text: str, sampling: Sampling) -> Iterator[str]:
        """Return the answer piece by piece, in whole characters.

        An adapter without arrays is the untuned base itself. Raises ValueError at once, in words
        for people, when the adapter belongs to another base or the untuned base has no answers.
        """
