"""Opening the providers of a project; the embedded service runs in this process, without a port."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from tunedmodels.errors import RefusedError
from tunedmodels.project.project import Project
from tunedmodels.project.remote import copies_of, is_remote
from tunedmodels.providers.provider import Holder, OnUpload, Provider
from tunedmodels.providers.registry import open_provider
from tunedmodels.schema.project import EmbeddedSettings
from tunedmodels.schema.tuned_model import TunedModelSpec

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


async def fetch_all(project: Project) -> None:
    """Fetch every dataset that lies in Cloud Storage and has changed. Raises ProviderError."""
    wanted = {
        (project.provider_of(model), path)
        for model in project.declared
        for path in _paths(model.spec)
        if is_remote(path)
    }
    if not wanted:
        return
    from tunedmodels.providers.vertex.provider import VertexProvider

    project.claim_state()
    async with connect(project) as providers:
        for name, path in sorted(wanted):
            provider = providers[name]
            if not isinstance(provider, VertexProvider):  # `manifests.honoured` has seen to it
                raise RefusedError(f"{path} can be read by a provider of type vertex only")
            await provider.fetch(path, copies_of(project, path))


def _paths(spec: TunedModelSpec) -> Iterator[str]:
    for part in (spec.dataset, spec.validation, spec.evaluation):
        if part:
            yield part.path


# FOLDED
# The locks in the places of a project: who holds them, and taking them away.
async def holders(project: Project) -> Mapping[str, Holder]:
    """Return by provider who holds its lock, where somebody does. Raises ProviderError."""
    async with connect(project) as providers:
        asked = {name: await provider.holder() for name, provider in providers.items()}
    return {name: holder for name, holder in asked.items() if holder}


async def break_all(project: Project, names: Iterable[str]) -> Mapping[str, Holder]:
    """Break the locks of providers; return who held those that were there."""
    async with connect(project) as providers:
        broken = {name: await providers[name].break_guard() for name in names}
    return {name: holder for name, holder in broken.items() if holder}
