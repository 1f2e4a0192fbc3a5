"""Open the providers of a project, and use them to fetch datasets and to manage locks.

The embedded service runs inside this process, without a port.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from tunedmodels.aio import in_background
from tunedmodels.errors import RefusedError
from tunedmodels.project.project import Project
from tunedmodels.project.remote import copies_dir, is_remote
from tunedmodels.providers.provider import LockHolder, OnUpload, Provider
from tunedmodels.providers.registry import open_provider
from tunedmodels.schema.base_models import BaseModelCatalog
from tunedmodels.schema.project import EmbeddedSettings
from tunedmodels.schema.tuned_model import TunedModelSpec
from tunedmodels.stamp import DEFAULT_ENVIRONMENT

OnRetry = Callable[[str, int, float, str], None]
"""Called before a request is retried: the request, the attempt, the delay in s, and the error."""

_CHECK_S = 0.5
_log = logging.getLogger(__name__)


@asynccontextmanager
async def connect(
    project: Project,
    *,
    run_jobs: bool = False,
    on_retry: OnRetry | None = None,
    on_upload: OnUpload | None = None,
) -> AsyncIterator[dict[str, Provider]]:
    """Open all providers of the project, by name, and close them at the end of the block.

    With `run_jobs`, the embedded service trains its jobs while the providers are open; an
    unfinished job resumes from its checkpoint the next time. Raises StoreError inside the block
    when the disk of the service stops it.
    """
    base_models = BaseModelCatalog(project.manifest.spec.base_models)
    async with AsyncExitStack() as stack:
        providers: dict[str, Provider] = {}
        for name, settings in project.providers.items():
            app = None
            if isinstance(settings, EmbeddedSettings):
                from tunedmodels.service.embedded import EmbeddedService

                store = project.embedded_store_dir(name)
                service = stack.enter_context(EmbeddedService(store, jobs=settings.jobs))
                if run_jobs:
                    service.start()
                    checks = in_background([_check_periodically(service.check)])
                    await stack.enter_async_context(checks)
                app = service.app
            provider = open_provider(
                name,
                settings,
                project=project.name,
                environ=os.environ,
                embedded_app=app,
                on_retry=on_retry or _log_retry,
                on_upload=on_upload,
                base_models=base_models,
                scope=_scope(project),
                former_projects=[each.project for each in project.ownership.former_projects],
            )
            providers[name] = await stack.enter_async_context(provider)
        yield providers


def _scope(project: Project) -> str:
    """Return the part of the names of locks by which lineages and environments differ."""
    ownership = project.ownership
    environment = ownership.training_environment
    parts = [ownership.lineage, environment if environment != DEFAULT_ENVIRONMENT else ""]
    return ".".join(filter(None, parts))


async def _check_periodically(check: Callable[[], None]) -> None:
    """Call `check` every half second, until it raises or the task is cancelled."""
    while True:
        check()
        await asyncio.sleep(_CHECK_S)


def _log_retry(request: str, _attempt: int, delay_s: float, message: str) -> None:
    """Log why the command waits; without a handler Python writes warnings to standard error."""
    _log.warning("no answer to %s, retry in %.0f s: %s", request, delay_s, message)


async def fetch_all(project: Project) -> None:
    """Fetch the datasets in Cloud Storage that have changed. Raises ProviderError."""
    remote = {
        (project.provider_of(model), path)
        for model in project.declared
        for path in _dataset_paths(model.spec)
        if is_remote(path)
    }
    if not remote:
        return
    from tunedmodels.providers.vertex.provider import VertexProvider

    project.create_state_dir()
    async with connect(project) as providers:
        for name, path in sorted(remote):
            provider = providers[name]
            if not isinstance(provider, VertexProvider):  # rejected by manifests.provider_support
                raise RefusedError(f"{path} can be read by a provider of type vertex only")
            await provider.download(path, copies_dir(project, path))


def _dataset_paths(spec: TunedModelSpec) -> Iterator[str]:
    for part in (spec.dataset, spec.validation, spec.evaluation):
        if part:
            yield from part.paths


async def lock_holders(project: Project) -> Mapping[str, LockHolder]:
    """Return the holder of each provider's lock, for the locks that are held.

    Raises ProviderError.
    """
    async with connect(project) as providers:
        holders = {name: await provider.lock_holder() for name, provider in providers.items()}
    return {name: holder for name, holder in holders.items() if holder}


async def break_locks(project: Project, names: Iterable[str]) -> Mapping[str, LockHolder]:
    """Break the locks of the named providers and return their former holders."""
    async with connect(project) as providers:
        broken = {name: await providers[name].break_lock() for name in names}
    return {name: holder for name, holder in broken.items() if holder}
