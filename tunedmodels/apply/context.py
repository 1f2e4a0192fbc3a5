"""The context that all steps of one apply share, and the contract of a gate check.

Requests that change something are sent through `ApplyContext.send` only, so that each of them is in
the journal before it leaves. `outcome_of` is the one place where errors become final events.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeVar

from tunedmodels.apply import preconditions
from tunedmodels.apply.clock import Clock
from tunedmodels.apply.signals import StopSignal
from tunedmodels.apply.wait import JobPoller
from tunedmodels.desired import Desired
from tunedmodels.errors import ChangedError, RefusedError, StoreError, TunedModelsError
from tunedmodels.events import Event, Failed, Refused, RequestKind, Sending, Sent, Skipped
from tunedmodels.observed import ObservedModel
from tunedmodels.ownership import Ownership
from tunedmodels.plan import safety
from tunedmodels.plan.plan import Action, Change
from tunedmodels.providers.provider import Edit, Provider
from tunedmodels.stamp import Decision

# Delays between checks of a state that settles within seconds: 12.7 s in all.
SETTLE_DELAYS_S: Final = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4)

_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class GateResult:
    """The decision of a gate on one version."""

    decision: Decision
    #: In the form of the stamp, for example `exactMatch:0.912`.
    score: str
    #: The decision in one sentence, without text of the dataset.
    message: str


class GateCheck(Protocol):
    """Evaluates a version for its gate; this package knows neither the examples nor the metrics."""

    async def __call__(
        self,
        desired: Desired,
        version: ObservedModel,
        baseline: ObservedModel | None,
        on_progress: Callable[[int, int], None],
    ) -> GateResult:
        """Evaluate a version of `desired` against the baseline.

        `on_progress` receives the number of answers so far and in all. Raises RefusedError when the
        examples are not those of `desired`, and ProviderError when a version cannot be called.
        """


class StopRequestedError(Exception):
    """A request was not sent because the user asked to stop."""


@dataclass(frozen=True, slots=True)
class ApplyContext:
    """The collaborators and settings of one apply."""

    ownership: Ownership
    #: By name, the providers that have, or will have, a version of it.
    provider_names: Mapping[str, frozenset[str]]
    desired: Mapping[str, Desired]
    providers: Mapping[str, Provider]
    #: The job pollers by provider.
    pollers: Mapping[str, JobPoller]
    load_examples: preconditions.LoadExamples
    check_gate: GateCheck
    emit: Callable[[Event], None]
    clock: Clock
    stop: StopSignal
    #: Held while the requests of a change are sent, and never while a job trains, so that a change
    #: that waits for a job does not block another one.
    request_slots: asyncio.Semaphore
    commit: str
    #: Whether to wait for jobs.
    wait: bool
    #: The time of `clock.elapsed()` at which all waiting ends.
    deadline_s: float

    def provider(self, name: str) -> Provider:
        """Return a provider by its name in the Project manifest."""
        if name not in self.providers:
            raise RefusedError(
                f"the provider {name!r} is no longer declared", cure=preconditions.REPLAN_CURE
            )
        return self.providers[name]

    async def send(
        self, call: RequestKind, name: str, model_id: str, request: Callable[[], Awaitable[T]]
    ) -> T:
        """Send a request that changes something; the journal has it on disk before it leaves.

        Raises StopRequestedError after the user asked to stop.
        """
        if self.stop.is_set:
            raise StopRequestedError(f"interrupted before `{call}` was sent")
        self.emit(Sending(name, model_id, call))
        answer = await request()
        self.emit(Sent(name, model_id, call))
        return answer

    async def get(self, provider_name: str, model_id: str) -> ObservedModel | None:
        """Return a model as the environment sees it, or unchanged if it is not ours."""
        model = await self.provider(provider_name).get(model_id)
        return (self.ownership.claim(model) or model) if model else None

    async def update(self, call: RequestKind, name: str, model: ObservedModel, edit: Edit) -> None:
        """Write an edit to a model that was just read, unless it was changed since.

        Raises ChangedError if it was changed; `decide_again` repeats the step then.
        """
        provider = self.provider(model.provider)
        stored = replace(edit, stamp=self.ownership.stored(model, edit.stamp))
        if self.ownership.is_promoting:
            stored = Edit.of_stamp(model, stored.stamp)  # its fields belong to its home
            _require_etag(model)
        try:
            await self.send(
                call,
                name,
                model.model_id,
                lambda: provider.update(model.model_id, stored, etag=model.etag),
            )
        except ChangedError:
            # The response of an earlier attempt may have been lost, not the request.
            current = await provider.get(model.model_id)
            if current is None or current.stamp != stored.stamp:
                raise
            self.emit(Sent(name, model.model_id, call))

    async def remove_use(self, call: RequestKind, name: str, model: ObservedModel) -> None:
        """Remove the line of the environment from a model that was just read.

        Raises ChangedError as `update` does.
        """
        stored = model.live_stamp or model.stamp
        if stored is None:
            return
        _require_etag(model)
        edit = Edit.of_stamp(model, stored.without_use(self.ownership.environment))
        provider = self.provider(model.provider)
        await self.send(
            call,
            name,
            model.model_id,
            lambda: provider.update(model.model_id, edit, etag=model.etag),
        )

    async def decide_again(self, step: Callable[[], Awaitable[T]]) -> T:
        """Return the result of `step`, which reads, decides and writes; repeat it after a change.

        Raises RefusedError if other processes change the model all the time.
        """
        for delay_s in SETTLE_DELAYS_S:
            try:
                return await step()
            except ChangedError:
                await self.clock.sleep(delay_s)
        raise RefusedError(
            "it was changed by other processes all the time", cure=preconditions.REPLAN_CURE
        )

    async def get_until(
        self,
        provider: Provider,
        model_id: str,
        condition: Callable[[ObservedModel | None], bool],
    ) -> ObservedModel | None:
        """Get a model repeatedly until it meets the condition, for about 13 s at most.

        Return the state that was seen last.
        """
        model = await provider.get(model_id)
        for delay_s in SETTLE_DELAYS_S:
            if condition(model):
                break
            await self.clock.sleep(delay_s)
            model = await provider.get(model_id)
        return model

    async def observe_versions(self, name: str) -> list[ObservedModel]:
        """Return all versions of a name that this project owns, from all of its providers."""
        return [
            model
            for provider_name in sorted(self.provider_names[name])
            for model in self.ownership.versions(await self.provider(provider_name).observe())[name]
        ]


def _require_etag(model: ObservedModel) -> None:
    if not model.etag:
        refusal = safety.NO_ETAGS
        raise RefusedError(refusal.message, cure=refusal.cure)


def event_key(change: Change) -> tuple[str, str, Action]:
    """Return the first three fields of every event about a change: name, version id, action."""
    version = change.after or change.before
    return change.name, version.model_id if version else "", change.action


async def outcome_of(
    key: tuple[str, str, Action], work: Awaitable[T]
) -> T | Skipped | Refused | Failed:
    """Return the result of `work`, or the final event for the error that it raised.

    `key` is the `event_key` of the change. Raises StoreError: without a journal no request may be
    sent for any name.
    """
    try:
        return await work
    except StopRequestedError as error:
        return Skipped(*key, str(error))
    except RefusedError as error:
        return Refused(*key, error.message, error.cure)
    except StoreError:
        raise
    except TunedModelsError as error:
        return Failed(*key, error.message, error.cure)
    except Exception as error:  # noqa: BLE001  # a bug in one change must not stop the others
        _log.debug("unexpected while %s %s %s", key[2], key[0], key[1], exc_info=error)
        message = f"unexpected {type(error).__name__}: {error}"
        return Failed(*key, message, cure="This is a bug in tunedmodels; please report it.")
