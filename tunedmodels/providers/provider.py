"""The contract of a provider. It exchanges values of this package and raises `tunedmodels.errors`.

Each method is one query or command, and none waits for a job. All methods except `create` are
idempotent at the service. A repeated `create` starts one job because the id contains the
fingerprint or, where the service assigns the ids, because the caller holds the lock. A new provider
needs one module, one line in `registry.PROVIDERS`, and must pass `tests/contract`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, Self

from tunedmodels.datasets.examples import Example
from tunedmodels.desired import Desired
from tunedmodels.model_fields import MutableFields
from tunedmodels.observed import LossPoint, ObservedModel
from tunedmodels.schema.tuned_model import GenerationConfig
from tunedmodels.stamp import Stamp

OnUpload = Callable[[str, int, int], None]
"""Called with the progress of an upload: destination URI, bytes stored so far, bytes in total."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A change to a live model. A field without a value is not changed.

    The description and the stamp are one field of the API, so both are always written.
    """

    stamp: Stamp
    fields: MutableFields
    """Labels are merged into the existing ones; a service without labels ignores them."""

    @classmethod
    def of_stamp(cls, model: ObservedModel, stamp: Stamp) -> Self:
        """Return an edit that writes only the stamp of a live model."""
        return cls(stamp, MutableFields(description=model.fields.description))


@dataclass(frozen=True, slots=True)
class LockHolder:
    """The process that holds the lock of a provider."""

    uri: str
    """Where the lock is stored."""
    owner: str
    """User, host and process, for messages."""
    renewed_at: datetime | None
    """When the holder last renewed the lock."""
    ttl_s: float
    """The lock expires this many seconds after the last renewal."""


@dataclass(frozen=True, slots=True)
class AvailableBaseModel:
    """A model of the service that is not tuned."""

    name: str
    """`models/NAME`."""
    display_name: str
    is_tunable: bool
    input_token_limit: int | None = None


class Provider(Protocol):
    """A service that holds tuned models. An async context manager, which closes the connections."""

    name: str
    """The name of the provider in manifests."""
    is_in_process: bool
    """Whether its jobs stop with this process; the next process that trains continues them."""
    owner_warning: str
    """That the owners of models could not be checked; empty if they were."""
    has_conditional_delete: bool
    """Whether `delete` takes the etag of `get`."""

    def lock(self) -> AbstractAsyncContextManager[None]:
        """Exclude every other apply of this project at this provider while the block runs.

        Does nothing where a repeated create starts no second job. Raises RefusedError when another
        process holds the lock.
        """

    async def lock_holder(self) -> LockHolder | None:
        """Return the process that holds the lock, or None."""

    async def break_lock(self) -> LockHolder | None:
        """Remove the lock and return the process that held it, or None."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def observe(self) -> list[ObservedModel]:
        """Return all tuned models, those of other owners included, sorted by id.

        `failure` may be empty; `get` fills it. A long curve may be its last point only; `curve`
        returns all of it.
        """

    async def get(self, model_id: str) -> ObservedModel | None:
        """Return one model with all fields, or None when it does not exist.

        A long curve may be its last point only; `curve` returns all of it.
        """

    async def curve(self, model: ObservedModel) -> tuple[LossPoint, ...]:
        """Return the whole loss curve of a live model, as it is now."""

    async def create(
        self,
        desired: Desired,
        examples: Sequence[Example],
        stamp: Stamp,
        *,
        validation: Sequence[Example] = (),
    ) -> ObservedModel:
        """Start training `desired.model_id` and return without waiting for the job.

        With the method `preference`, `examples` and `validation` are Preferences. Idempotent: a
        second call with the same `desired` returns the model of the first call. Values that the
        service chooses for undeclared fields may be missing in the result; `get` returns them.

        Raises AlreadyExistsError when a model with this id has no stamp of this project with this
        fingerprint, and OutcomeUnknownError when the response was lost.
        """

    async def update(self, model_id: str, edit: Edit, *, etag: str = "") -> None:
        """Change mutable fields in one atomic request. Raises NotFoundError.

        With an `etag`, that of `get`, the request changes nothing if the model was changed since:
        it raises ChangedError then. After a lost response it raises ChangedError as well, although
        the request was executed, so that the caller must look.
        """

    async def cancel(self, model_id: str) -> None:
        """Stop the job of a model that is queued or training; do nothing if the job has ended.

        The model remains, as CANCELLED, until it is deleted. Raises NotFoundError.
        """

    async def delete(self, model_id: str, *, etag: str = "") -> None:
        """Delete the model permanently; do nothing if it does not exist.

        With an `etag`, that of `get`, nothing is deleted if the model was changed since: it raises
        ChangedError then. A service without `has_conditional_delete` ignores the etag.
        """

    async def base_models(self) -> list[AvailableBaseModel]:
        """Return the models of the service that are not tuned models."""

    async def count_tokens(self, base: str, texts: Iterable[str]) -> int:
        """Return the total number of tokens of the texts for a base model (`models/NAME`).

        Raises UnimplementedError when the service cannot count tokens.
        """

    def generate(
        self,
        resource: str,
        text: str,
        config: GenerationConfig | None = None,
        *,
        system: str = "",
    ) -> AsyncIterator[str]:
        """Send a prompt to a model and yield the parts of the answer as the service sends them.

        `text` is sent unchanged: the caller adds a preamble. The model's own values apply to every
        field that `config` leaves unset. `system` is the system instruction of a model that was
        trained with one.
        """


class NoLock:
    """Lock methods of a provider that needs no lock, since a repeated create starts no job."""

    def lock(self) -> AbstractAsyncContextManager[None]:
        """Return a context manager that does nothing."""
        return nullcontext()

    async def lock_holder(self) -> LockHolder | None:
        """Return None: the lock does not exist."""
        return None

    async def break_lock(self) -> LockHolder | None:
        """Return None: the lock does not exist."""
        return None
