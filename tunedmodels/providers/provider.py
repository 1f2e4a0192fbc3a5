"""The contract of a provider: our words in and out, errors of `tunedmodels.errors`, nothing else.

Every verb is one question or one order. None of them waits for a job; all but `create` may be sent
again without harm, and `create` is made harmless by the id, which holds the fingerprint, or, where
ids are the service's, by the guard under which it is sent. A provider joins by one file, one line
in `PROVIDERS` and passing `tests/contract`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, Self

from tunedmodels.datasets.examples import Example
from tunedmodels.desired import Desired
from tunedmodels.observed import ObservedModel
from tunedmodels.schema.tuned_model import GenerationConfig
from tunedmodels.stamp import Stamp

# Hears how an upload goes on: where it goes to, bytes that are there, bytes in all.
OnUpload = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Edit:
    """New values for the mutable fields of a live model; None leaves a field as it is.

    `description` and `stamp` are one field on the wire, so both are always given. `labels` are laid
    over those that are there; a service that has none passes them over.
    """

    description: str
    stamp: Stamp
    display_name: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    reader_project_numbers: tuple[int, ...] | None = None
    labels: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a guard: `owner` in words for people, `place` where it is.

    It was `renewed` last at that time, and opens by itself `life_s` seconds later.
    """

    place: str
    owner: str
    renewed: datetime | None
    life_s: float


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A model that can be asked, and perhaps tuned. `name` is `models/NAME`."""

    name: str
    display_name: str
    is_tunable: bool
    input_token_limit: int | None = None


class Provider(Protocol):
    """One place where tuned models live. Used as an async context manager, which closes it."""

    name: str
    trains_here: bool
    """Whether its jobs stop with this process, to go on with the next one that trains."""

    def guard(self) -> AbstractAsyncContextManager[None]:
        """Keep every other apply of this project away from this place while the block runs.

        Where a repeated create is harmless, nobody need be kept away. Raises RefusedError when
        somebody else is at work.
        """

    async def holder(self) -> Holder | None:
        """Return who holds the guard now, or None where nobody does."""

    async def break_guard(self) -> Holder | None:
        """Take the guard from whoever holds it, and return who that was."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def observe(self) -> list[ObservedModel]:
        """Return every tuned model there is, ours or not, in the order of their ids.

        `failure` need not be filled; `get` fills it.
        """

    async def get(self, model_id: str) -> ObservedModel | None:
        """Return one model with all that is known of it, or None when there is none."""

    async def create(
        self,
        desired: Desired,
        examples: Sequence[Example],
        stamp: Stamp,
        *,
        validation: Sequence[Example] = (),
    ) -> ObservedModel:
        """Start training `desired.model_id` and return at once.

        `examples` and `validation` are Preferences where the method is `preference`.
        Idempotent: a second call with the same `desired` returns the model of the first.
        Raises AlreadyExistsError when the id is taken by a model that does not bear this
        fingerprint in a stamp of this project, and OutcomeUnknownError when the answer was lost.
        """

    async def update(self, model_id: str, edit: Edit) -> None:
        """Change mutable fields in one atomic request. Raises NotFoundError."""

    async def cancel(self, model_id: str) -> None:
        """Stop the job of a model that is queued or training; no harm if it has ended already.

        The model itself stays, as CANCELLED, until it is deleted. Raises NotFoundError.
        """

    async def delete(self, model_id: str) -> None:
        """Delete the model for good; no harm if it is gone already."""

    async def base_models(self) -> list[BaseModel]:
        """Return the models of the service that are no tuned models."""

    async def count_tokens(self, base: str, texts: Iterable[str]) -> int:
        """Return how many tokens a base model (`models/NAME`) sees in all the texts.

        Raises UnimplementedError where the place counts none.
        """

    def generate(
        self,
        resource: str,
        text: str,
        config: GenerationConfig | None = None,
        *,
        system: str = "",
    ) -> AsyncIterator[str]:
        """Ask a model and yield its answer piece by piece, as the service sends it.

        `text` is sent as it is: a preamble is the caller's business. What `config` leaves open is
        as the model says. `system` is the system instruction, of a model that was trained with one.
        """


class Unguarded:
    """A place where a repeated create is harmless, since the id is ours: nothing to guard."""

    def guard(self) -> AbstractAsyncContextManager[None]:
        """Keep nobody away."""
        return nullcontext()

    async def holder(self) -> Holder | None:
        """Return None: nobody is kept away."""
        return None

    async def break_guard(self) -> Holder | None:
        """Return None: there is nothing to break."""
        return None
