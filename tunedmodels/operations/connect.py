"""Opening the providers of a project; the embedded service runs in this process, without a port."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from tunedmodels.project.project import Project
from tunedmodels.providers.provider import OnUpload, Provider
from tunedmodels.providers.registry import open_provider
from tunedmodels.schema.project import EmbeddedSettings

OnRetry = Callable[[str, int, float, str], None]

_LOOK_S = 0.5
_log = logging.getLogger(__name__)


@asynccontextmanager
async def connect(
    project: Project,
    *,
    trains: bool = False,
    on_retry: OnRetry | None = None,
    on_upload: OnUpload | None = None,
) -> AsyncIterator[dict[str, Provider]]:
    """Open every provider of the project, by name.

    With `trains`, the embedded service also works on its jobs as long as the providers are open;
    what is unfinished at the end goes on from its checkpoint the next time. Raises StoreError, out
    of the middle of the block, when its disk keeps them from going on.
    """
    async with AsyncExitStack() as stack:
        providers: dict[str, Provider] = {}
        for name, settings in project.providers.items():
            app = None
            if isinstance(settings, EmbeddedSettings):
                from tunedmodels.service.embedded import EmbeddedService

                store = project.store_of(name)
                service = stack.enter_context(EmbeddedService(store, jobs=settings.jobs))
                if trains:
                    service.start()
                    await stack.enter_async_context(_attended(service.check))
                app = service.app
            provider = open_provider(
                name,
                settings,
                project=project.name,
                environ=os.environ,
                embedded_app=app,
                on_retry=on_retry or _say,
                on_upload=on_upload,
            )
            providers[name] = await stack.enter_async_context(provider)
        yield providers


@asynccontextmanager
async def _attended(check: Callable[[], None]) -> AsyncIterator[None]:
    """Look again and again while the block runs, and end it with what `check` raises."""

    async def look() -> None:
        while True:
            check()
            await asyncio.sleep(_LOOK_S)

    try:
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(look())
            yield
            looking.cancel()
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from failed


def _say(call: str, _attempt: int, wait_s: float, words: str) -> None:
    """Tell a person who waits why; without a handler Python writes warnings to standard error."""
    _log.warning("no answer to %s, again in %.0f s: %s", call, wait_s, words)
