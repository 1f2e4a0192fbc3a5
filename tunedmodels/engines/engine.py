"""The contract of an engine.

An engine has a frozen base and learns an *adapter*: named arrays and notes that are only valid with
that base (F2: the tuned model is the original model combined with newly learned parameters). The
base is never changed. Training is an iteration: the caller takes one step at a time, so it can stop
between any two steps. `adapter` after step n is the complete checkpoint; a run that is resumed from
it equals an uninterrupted one to the last bit. Randomness depends on `seed` only.

Steps are counted as in the Gemini API: batches continue across epochs, so there are
`ceil(examples x epochs / batch size)` steps, and `epoch = floor(step x batch size / examples)`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tunedmodels.datasets.examples import Example

if TYPE_CHECKING:
    # Start-up: listing the base models must not import numpy.
    from numpy.typing import NDArray

# Keys of the notes of every adapter: the number of steps, and the version of the feature map.
STEPS_NOTE = "steps"
FEATURE_MAP_NOTE = "features"

DEFAULT_EPOCH_COUNT = 5
DEFAULT_BATCH_SIZE = 4
DEFAULT_LEARNING_RATE = 0.001  # F10


@dataclass(frozen=True, slots=True)
class TuningRequest:
    """The inputs of a training run, with effective hyperparameters."""

    examples: Sequence[Example]
    epoch_count: int = DEFAULT_EPOCH_COUNT
    batch_size: int = DEFAULT_BATCH_SIZE

    learning_rate: float = DEFAULT_LEARNING_RATE
    """In the units of the API, with a multiplier already applied."""

    seed: int = 0

    parent: Adapter | None = None
    """The adapter of the tuned model to continue from, which must have the same base model."""

    @property
    def total_steps(self) -> int:
        """The number of steps of the whole run."""
        return math.ceil(len(self.examples) * self.epoch_count / self.batch_size)

    def finished_epochs(self, step: int) -> int:
        """Return the number of full passes over the data after `step` steps."""
        return step * self.batch_size // len(self.examples)


@dataclass(frozen=True, slots=True)
class Adapter:
    """Learned parameters: arrays by name, and notes such as the list of labels."""

    base_model: str  #: the base model; an adapter cannot be used with another one
    arrays: Mapping[str, NDArray[Any]]
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """The number of steps taken, after which a resumed run continues."""
        return int(self.notes.get(STEPS_NOTE, "0"))


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """One step that was taken."""

    step: int  #: from 1
    epoch: int  #: the number of finished epochs after this step
    mean_loss: float  #: the mean loss of the batch before the update


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is sampled; temperature 0 always chooses the likeliest."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0  #: 0: all
    max_output_tokens: int | None = None
    stop_sequences: tuple[str, ...] = ()
    seed: int | None = None


class TrainingRun(Protocol):
    """A training run in memory."""

    def __iter__(self) -> Iterator[TrainingStep]:
        """Take one step at a time.

        Raises ValueError with a message for the user at the first loss that is not finite.
        """

    def adapter(self) -> Adapter:
        """Return the checkpoint after the last step, with the number of steps in its notes."""


class Engine(Protocol):
    """One base model and the way it learns."""

    @property
    def base_model(self) -> str:
        """`models/NAME`, as in manifests and in `models.list`."""

    @property
    def display_name(self) -> str:
        """A name for users."""

    @property
    def description(self) -> str:
        """The abilities and limits of the base model, in one or two sentences."""

    def tune(self, request: TuningRequest, *, resume: Adapter | None = None) -> TrainingRun:
        """Start a training run, or resume it from its checkpoint `resume`.

        Raises ValueError with a message for the user when the engine cannot learn the examples.
        """

    def answer(self, adapter: Adapter, text: str, sampling: Sampling) -> Iterator[str]:
        """Return the answer in pieces of whole characters.

        An adapter without arrays is the untuned base model. Raises ValueError immediately, with a
        message for the user, when the adapter belongs to another base model or the untuned base
        model cannot answer.
        """
