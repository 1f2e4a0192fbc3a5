"""A lock in a bucket: an object with an owner and a time to live.

The holder renews the lock while it works and deletes it at the end. Another process that finds the
lock waits for one time to live. If the lock was not renewed by then, its holder is gone, and the
process takes the lock over. Each step names the generation that it replaces, so that only one of
several processes succeeds, and their clocks need not agree.
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
from tunedmodels.providers.provider import LockHolder
from tunedmodels.providers.retry import OnRetry
from tunedmodels.providers.storage.bucket import Bucket, ConflictError
from tunedmodels.wire import storage as wire

TTL_S: Final = 60.0  # the longest wait for others after the holder was killed
MAX_TTL_S: Final = 3600.0
EXPIRY_CHECKS: Final = 6  # of a held lock per time to live, in which it is renewed twice

_CONTENT_TYPE: Final = "text/plain"
_CURE: Final = (
    "Wait until it ends. If no such process exists any more:\n"
    "    tunedmodels lock show\n    tunedmodels lock break"
)


class BucketLock:
    """The lock at `path`. It expires `ttl_s` seconds after the last renewal."""

    def __init__(
        self,
        bucket: Bucket,
        path: str,
        *,
        ttl_s: float | None = None,
        on_retry: OnRetry | None = None,
    ) -> None:
        self._bucket = bucket
        self._path = path
        self._ttl_s = TTL_S if ttl_s is None else ttl_s
        self._on_retry = on_retry
        self._owner = secrets.token_hex(8)
        self._generation = ""  # of the lock object while this process holds the lock

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Hold and renew the lock while the block runs.

        Raises RefusedError when another process holds and renews it.
        """
        await self._acquire()
        renewal = asyncio.create_task(self._renew())
        try:
            yield
        finally:
            renewal.cancel()
            with suppress(asyncio.CancelledError):
                await renewal
            with suppress(ProviderError):  # the lock then expires by itself
                await self._release()

    async def require_held(self) -> None:
        """Raise RefusedError unless Cloud Storage shows that this process holds the lock.

        It may have lost the lock while the machine was suspended, or because a user broke the lock.
        """
        existing = await self._bucket.stat(self._path) if self._generation else None
        if existing is None or not self._is_ours(existing):
            raise RefusedError(
                f"The lock {self._bucket.uri(self._path)} was lost: it was broken, or could not "
                "be renewed in time. Nothing was sent.",
                cure="To continue from the live state: tunedmodels apply",
            )

    async def holder(self) -> LockHolder | None:
        """Return the process that holds the lock, or None."""
        existing = await self._bucket.stat(self._path)
        return self._to_holder(existing) if existing else None

    async def break_lock(self) -> LockHolder | None:
        """Remove the lock and return the process that held it, which then makes no more changes."""
        existing = await self._bucket.stat(self._path)
        if existing is None:
            return None
        await self._bucket.delete(self._path, generation=existing.generation)
        return self._to_holder(existing)

    async def _acquire(self) -> None:
        existing = await self._bucket.stat(self._path)
        generation: str | None = "0"
        if existing and not self._is_ours(existing):
            holder = self._to_holder(existing)
            if self._on_retry:
                reason = f"{holder.uri} is held by {holder.owner}"
                self._on_retry("lock", 1, holder.ttl_s, reason)
            generation = await self._wait_for_expiry(existing, holder.ttl_s)
        if generation is None or not await self._write(generation):
            current = await self.holder()
            owner = current.owner if current else "another process"
            uri = self._bucket.uri(self._path)
            raise RefusedError(f"The lock {uri} is held by {owner}.", cure=_CURE)

    async def _release(self) -> None:
        # The known generation may be outdated: the last renewal may have been interrupted.
        existing = await self._bucket.stat(self._path) if self._generation else None
        self._generation = ""
        if existing and self._is_ours(existing):
            await self._bucket.delete(self._path, generation=existing.generation)

    async def _wait_for_expiry(self, first: wire.Object, ttl_s: float) -> str | None:
        """Wait until a lock has expired; return the generation to replace, None after a renewal.

        The lock has expired when it was not renewed for one time to live after this process first
        saw it, independent of any clock.
        """
        for _ in range(EXPIRY_CHECKS):
            await asyncio.sleep(ttl_s / EXPIRY_CHECKS)
            existing = await self._bucket.stat(self._path)
            if existing is None:
                return "0"
            if existing.generation != first.generation:
                return None
        return first.generation

    async def _write(self, generation: str) -> bool:
        """Write the lock over `generation`; return whether this process holds it then."""
        metadata = {
            "owner": self._owner,
            "who": _user_name(),
            "host": socket.gethostname(),
            "pid": str(os.getpid()),
            "lifeS": f"{self._ttl_s:g}",
        }
        written: wire.Object | None
        try:
            written = await self._bucket.write(
                self._path,
                b"",
                generation=generation,
                content_type=_CONTENT_TYPE,
                metadata=metadata,
            )
        except (ConflictError, OutcomeUnknownError):
            # This may be our own write, whose response was lost or which was sent twice.
            written = await self._bucket.stat(self._path)
            if written is None or not self._is_ours(written):
                self._generation = ""
                return False
        self._generation = written.generation
        return True

    async def _renew(self) -> None:
        while self._generation:
            await asyncio.sleep(self._ttl_s / 3)
            # A failed renewal is repeated; `require_held` raises when it is too late.
            with suppress(ProviderError):
                if self._generation and not await self._write(self._generation):
                    return

    def _is_ours(self, existing: wire.Object) -> bool:
        return existing.metadata.get("owner") == self._owner

    def _to_holder(self, existing: wire.Object) -> LockHolder:
        metadata = existing.metadata
        return LockHolder(
            uri=self._bucket.uri(self._path),
            owner=f"{metadata.get('who', '?')} on {metadata.get('host', '?')}, "
            f"process {metadata.get('pid', '?')}",
            renewed_at=existing.updated,
            ttl_s=_ttl_s(existing),
        )


def _ttl_s(existing: wire.Object) -> float:
    try:
        return min(max(float(existing.metadata.get("lifeS", "")), 0.0), MAX_TTL_S)
    except ValueError:
        return TTL_S


def _user_name() -> str:
    """Return the name of the user, or of the account that started the CI run."""
    for name in ("GITHUB_ACTOR", "GITLAB_USER_LOGIN"):
        if user := os.environ.get(name):
            return user
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown user"
