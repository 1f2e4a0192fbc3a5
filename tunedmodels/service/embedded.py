"""The embedded service as one object: its ASGI application, its store and its training workers.

    with EmbeddedService(Path(".tunedmodels")) as service:
        service.start()

`service.app` responds to requests also without `start`, which trains the jobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tunedmodels.service.api.base_models import EngineCatalog
from tunedmodels.service.identity import ApiKeys
from tunedmodels.service.store.jobs import JobQueue
from tunedmodels.service.store.models import ModelStore
from tunedmodels.service.store.names import NameIndex
from tunedmodels.service.store.permissions import PermissionStore
from tunedmodels.service.training.supervisor import WorkerSupervisor

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.routing import BaseRoute

    from tunedmodels.service.api.request import ServiceContext


class EmbeddedService:
    """The `tunedModels` part of the Gemini API on a local directory.

    The directory is created by the first write. The application reads and writes models also
    before `start`, but only `start` trains them.
    """

    def __init__(
        self,
        store: Path,
        *,
        jobs: int = 2,
        engines: str = "tunedmodels.engines:ENGINES",
        keys: ApiKeys | None = None,
    ) -> None:
        """Create a service on the directory `store`.

        `jobs` is the number of jobs that train at the same time. `engines` is the import path
        (`module:NAME`) of the table of engines, because each worker process imports it. Without
        `keys`, every caller owns every model.
        """
        self._keys = keys
        self._store = ModelStore(store.absolute())
        self._catalog = EngineCatalog(engines)
        self._supervisor = WorkerSupervisor(
            JobQueue(self._store), max_workers=jobs, engines=engines
        )

    @cached_property
    def context(self) -> ServiceContext:
        """The dependencies of the request handlers of the API and the library pages."""
        # Imported when a request handler is needed, for the start-up time of the other commands.
        from tunedmodels.service.api.generate import cached_adapter_loader  # noqa: PLC0415
        from tunedmodels.service.api.request import ServiceContext  # noqa: PLC0415

        return ServiceContext(
            store=self._store,
            permissions=PermissionStore(self._store.database),
            names=NameIndex(self._store.database),
            catalog=self._catalog,
            load_adapter=cached_adapter_loader(self._store.files),
            wake_workers=self._supervisor.wake,
            keys=self._keys,
        )

    @cached_property
    def app(self) -> Starlette:
        """The application, for a server or an in-process transport. It needs no lifespan."""
        return self.make_app()

    def make_app(
        self, *, extra_routes: Sequence[BaseRoute] = (), middleware: Sequence[Middleware] = ()
    ) -> Starlette:
        """Return an application with extra routes, and with middleware around the API routes."""
        from tunedmodels.service.api.app import make_app  # noqa: PLC0415  # start-up time

        return make_app(self.context, extra_routes=extra_routes, middleware=middleware)

    @property
    def store(self) -> ModelStore:
        """The store of the models and their jobs."""
        return self._store

    def start(self) -> None:
        """Continue the unfinished jobs, and train new jobs as they are created.

        Raises StoreError if the store cannot be read.
        """
        self._store.remove_orphaned_files()
        self._supervisor.start()

    def check(self) -> None:
        """Raise StoreError if jobs cannot continue, so that no caller waits for them in vain."""
        self._supervisor.check()

    def close(self) -> None:
        """Stop the workers, which save checkpoints first, and close the store."""
        self._supervisor.close()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
