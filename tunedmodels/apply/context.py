"""What the steps of one run share: its collaborators, and the one way in which requests leave."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from tunedmodels.apply import preconditions
from tunedmodels.apply.clock import Clock
from tunedmodels.apply.signals import Stop
from tunedmodels.apply.wait import Watcher
from tunedmodels.desired import Desired
from tunedmodels.errors import RefusedError, StoreError, TunedModelsError
from tunedmodels.events import Call, Event, Failed, Refused, Sending, Sent, Skipped
from tunedmodels.observed import ObservedModel
from tunedmodels.plan.plan import Action, Change
from tunedmodels.providers.provider import Provider
from tunedmodels.stamp import Decision


# FOLDED
# The contract of whoever decides for a gate; the executor knows neither questions nor metrics.
@dataclass(frozen=True, slots=True)
class Judgement:
    """What a gate says of a version; `score` as a stamp holds it, `words` without dataset text."""

    decision: Decision
    score: str
    words: str


class Judge(Protocol):
    """Whoever asks a version the held-out examples and holds its answers against the gate."""

    async def __call__(
        self,
        want: Desired,
        version: ObservedModel,
        rival: ObservedModel | None,
        tell: Callable[[int, int], None],
    ) -> Judgement:
        """Judge a version of `want` beside its rival; `tell` hears how many answers there are.

        Raises RefusedError when the examples are not those of `want`, and ProviderError when they
        cannot be asked.
        """


# Seconds between looks at something that settles within moments: 12.7 s in all.
LOOKS: Final = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4)


class HaltedError(Exception):
    """A request was not sent because the person asked to stop."""


def about(change: Change) -> tuple[str, str, Action]:
    """Return what every event about a change begins with: name, version, action."""
    part = change.after or change.before
    return change.name, part.model_id if part else "", change.action


@dataclass(frozen=True, slots=True)
class Run:
    """One apply. `deadline_s` is the moment of `clock.elapsed()` at which all waiting ends.

    `places` maps a name to the providers that hold, or will hold, a version of it. `judge` decides
    for a gate.

    `starts` is held while requests of a change are sent and never while a job trains, so that a
    waiting job blocks no other start.
    """

    project: str
    places: Mapping[str, frozenset[str]]
    desired: Mapping[str, Desired]
    providers: Mapping[str, Provider]
    watchers: Mapping[str, Watcher]
    load: preconditions.Load
    judge: Judge
    emit: Callable[[Event], None]
    clock: Clock
    stop: Stop
    starts: asyncio.Semaphore
    commit: str
    waits: bool
    deadline_s: float

    def provider(self, name: str) -> Provider:
        """Return a provider by its name in the Project file."""
        if name not in self.providers:
            raise RefusedError(
                f"the provider {name!r} is not declared any more", cure=preconditions.CURE
            )
        return self.providers[name]

    async def send(
        self, call: Call, name: str, model_id: str, request: Callable[[], Awaitable[T]]
    ) -> T:
        """Send a request that changes something: on disk before it leaves.

        Raises HaltedError once the person asked to stop.
        """
        if self.stop.requested:
            raise HaltedError(f"interrupted before `{call}` was sent")
        self.emit(Sending(name, model_id, call))
        answer = await request()
        self.emit(Sent(name, model_id, call))
        return answer

    async def look(
        self, provider: Provider, model_id: str, until: Callable[[ObservedModel | None], bool]
    ) -> ObservedModel | None:
        """Look at a model until `until` is true of it, or for about 13 s; return the last look."""
        live = await provider.get(model_id)
        for pause_s in LOOKS:
            if until(live):
                break
            await self.clock.sleep(pause_s)
            live = await provider.get(model_id)
        return live

    async def versions(self, name: str) -> list[ObservedModel]:
        """Observe all our versions of a name, at every provider where it may have some."""
        return [
            live
            for place in sorted(self.places[name])
            for live in await self.provider(place).observe()
            if preconditions.ours(live, self.project, name)
        ]


# FOLDED
# How errors become last words: the one place for all of them.
_log = logging.getLogger(__name__)

T = TypeVar("T")


async def ending_of(
    said: tuple[str, str, Action], work: Awaitable[T]
) -> T | Skipped | Refused | Failed:
    """Return what `work` returns, or the last word on what `said` names.

    Raises StoreError: without a journal nothing more may be sent, for any name.
    """
    try:
        return await work
    except HaltedError as error:
        return Skipped(*said, str(error))
    except RefusedError as error:
        return Refused(*said, error.message, error.cure)
    except StoreError:
        raise
    except TunedModelsError as error:
        return Failed(*said, error.message, error.cure)
    except Exception as error:  # noqa: BLE001  # a fault in one change must not stop the others
        _log.debug("unexpected while %s %s %s", said[2], said[0], said[1], exc_info=error)
        words = f"unexpected {type(error).__name__}: {error}"
        return Failed(*said, words, cure="This is a fault of tunedmodels; please report it.")
