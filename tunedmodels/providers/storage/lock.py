"""A lock in a bucket that opens by itself: an object with an owner and an expiry.

Whoever holds it renews it while it works and deletes it at the end. Whoever finds it waits until
its time is over; if it was not renewed by then, its holder is gone, and the lock changes hands.
Each step names the generation that it replaces, so that of two who want it one gets it, and no two
clocks need agree.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from tunedmodels.errors import OutcomeUnknownError, ProviderError, RefusedError
from tunedmodels.providers.provider import Holder
from tunedmodels.providers.retry import OnRetry
from tunedmodels.providers.storage.bucket import Bucket, ConflictError
from tunedmodels.wire import storage as wire

LIFE_S: Final = 60.0  # as long as a run that was killed keeps others waiting at most
LOOKS: Final = 6  # at a lock that is held, within its life: it is renewed twice in it
LONGEST_S: Final = 3600.0

_KIND: Final = "text/plain"
_CURE: Final = (
    "Let it end. If nobody is at work there any more:\n"
    "    tunedmodels lock show\n    tunedmodels lock break"
)


class Lease:
    """The lock at `path`. `life_s` is how long it holds without being renewed."""

    def __init__(
        self,
        bucket: Bucket,
        path: str,
        *,
        life_s: float | None = None,
        on_retry: OnRetry | None = None,
    ) -> None:
        self._bucket = bucket
        self._path = path
        self._life_s = LIFE_S if life_s is None else life_s
        self._on_retry = on_retry
        self._token = secrets.token_hex(8)
        self._held = ""  # the generation that is ours

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Hold the lock while this block runs.

        Raises RefusedError when somebody else does, and renews it.
        """
        await self._take()
        renewing = asyncio.create_task(self._renew())
        try:
            yield
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing
            with suppress(ProviderError):  # else it opens by itself, a little later
                await self._release()

    async def _release(self) -> None:
        # Not by the generation that we know of: the last renewal may have been cut off.
        there = await self._bucket.look(self._path) if self._held else None
        self._held = ""
        if there and self._is_ours(there):
            await self._bucket.delete(self._path, generation=there.generation)

    async def assure(self) -> None:
        """Raise RefusedError unless the lock is ours at this moment, as Cloud Storage sees it.

        A machine that slept, or whose lock was broken, learns here that it must not go on.
        """
        there = await self._bucket.look(self._path) if self._held else None
        if there is None or not self._is_ours(there):
            raise RefusedError(
                f"The lock {self._bucket.uri(self._path)} is not held any more: it was broken, or "
                "could not be renewed in time. Nothing was sent.",
                cure="To go on from what is live: tunedmodels apply",
            )

    async def holder(self) -> Holder | None:
        """Return who holds the lock, or None where nobody does."""
        there = await self._bucket.look(self._path)
        return self._told(there) if there else None

    async def open(self) -> Holder | None:
        """Break the lock; return who held it. Whoever did begins and ends nothing any more."""
        there = await self._bucket.look(self._path)
        if there is None:
            return None
        await self._bucket.delete(self._path, generation=there.generation)
        return self._told(there)

    async def _take(self) -> None:
        there = await self._bucket.look(self._path)
        generation: str | None = "0"
        if there and not self._is_ours(there):
            holder = self._told(there)
            if self._on_retry:
                words = f"{holder.place} is held by {holder.owner}"
                self._on_retry("lock", 1, holder.life_s, words)
            generation = await self._left(there, holder.life_s)
        if generation is None or not await self._write(generation):
            now = await self.holder()
            who = now.owner if now else "somebody else"
            place = self._bucket.uri(self._path)
            raise RefusedError(f"{place} is held by {who}, who is at work.", cure=_CURE)

    async def _left(self, met: wire.Object, life_s: float) -> str | None:
        """Wait until a lock is open; return the generation to replace, None when it is renewed.

        Counted from the first sight of it, a whole life without a renewal means that nobody holds
        it any more, whatever any clock says.
        """
        for _ in range(LOOKS):
            await asyncio.sleep(life_s / LOOKS)
            there = await self._bucket.look(self._path)
            if there is None:
                return "0"
            if there.generation != met.generation:
                return None
        return met.generation

    async def _write(self, generation: str) -> bool:
        """Write the lock over `generation`; return whether it is ours then."""
        about = {
            "owner": self._token,
            "who": _who(),
            "host": socket.gethostname(),
            "pid": str(os.getpid()),
            "lifeS": f"{self._life_s:g}",
        }
        written: wire.Object | None
        try:
            written = await self._bucket.write(
                self._path, b"", generation=generation, kind=_KIND, about=about
            )
        except (ConflictError, OutcomeUnknownError):
            # Perhaps it was our own write whose answer was lost, or that was sent twice.
            written = await self._bucket.look(self._path)
            if written is None or not self._is_ours(written):
                self._held = ""
                return False
        self._held = written.generation
        return True

    async def _renew(self) -> None:
        while self._held:
            await asyncio.sleep(self._life_s / 3)
            # What fails now may work the next time; `require` knows when it is too late.
            with suppress(ProviderError):
                if self._held and not await self._write(self._held):
                    return

    def _is_ours(self, there: wire.Object) -> bool:
        return there.metadata.get("owner") == self._token

    def _told(self, there: wire.Object) -> Holder:
        about = there.metadata
        return Holder(
            place=self._bucket.uri(self._path),
            owner=f"{about.get('who', '?')} on {about.get('host', '?')}, "
            f"process {about.get('pid', '?')}",
            renewed=there.updated,
            life_s=_life_s(there),
        )


def _life_s(there: wire.Object) -> float:
    try:
        return min(max(float(there.metadata.get("lifeS", "")), 0.0), LONGEST_S)
    except ValueError:
        return LIFE_S


def _who() -> str:
    """Return the name of the person, or of the run in CI, for people."""
    for name in ("GITHUB_ACTOR", "GITLAB_USER_LOGIN"):
        if found := os.environ.get(name):
            return found
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"
