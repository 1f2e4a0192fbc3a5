"""The embedded service as one object: an ASGI application, its store, and what trains its jobs.

with EmbeddedService(Path(".tunedmodels")) as service:   # `service.app` answers
    service.start()                                      # ... and jobs train
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tunedmodels.service.api.base_models import Catalogue
from tunedmodels.service.identity import Keys
from tunedmodels.service.store.jobs import Jobs
from tunedmodels.service.store.models import Store
from tunedmodels.service.store.permissions import Sharing
from tunedmodels.service.training.supervisor import Trainer

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.routing import BaseRoute

    from tunedmodels.service.api.request import Rooms


class EmbeddedService:
    """The Gemini API's tunedModels surface on a folder of this machine.

    Nothing is created before the first write; until `start`, questions and changes are answered
    and nothing is trained. `jobs` is how many jobs train at once. `engines` (`module:NAME`) is the
    table of engines: a place and no table, because workers import it in processes of their own.
    Without `keys`, whoever asks owns everything.
    """

    def __init__(
        self,
        store: Path,
        *,
        jobs: int = 2,
        engines: str = "tunedmodels.engines:ENGINES",
        keys: Keys | None = None,
    ) -> None:
        self._keys = keys
        self._store = Store(store.absolute())
        self._catalogue = Catalogue(engines)
        self._trainer = Trainer(Jobs(self._store), at_once=jobs, engines=engines)

    @cached_property
    def rooms(self) -> Rooms:
        """What the handlers of requests work with: those of the API and of the library page."""
        from tunedmodels.service.api.generate import adapter_reader  # noqa: PLC0415  # the same
        from tunedmodels.service.api.request import Rooms  # noqa: PLC0415  # not before it is needed

        return Rooms(
            store=self._store,
            sharing=Sharing(self._store.database),
            catalogue=self._catalogue,
            adapter=adapter_reader(self._store.files),
            wake=self._trainer.wake,
            keys=self._keys,
        )

    @cached_property
    def app(self) -> Starlette:
        """The application, for a server or for an in-process transport; it needs no lifespan."""
        return self.application()

    def application(
        self, *, beside: Sequence[BaseRoute] = (), around: Sequence[Middleware] = ()
    ) -> Starlette:
        """Return an application with routes beside the API and middleware around its routes."""
        from tunedmodels.service.api.app import make_app  # noqa: PLC0415  # not before it is needed

        return make_app(self.rooms, beside=beside, around=around)

    @property
    def store(self) -> Store:
        """What the service keeps."""
        return self._store

    def start(self) -> None:
        """Go on with unfinished jobs, and begin new ones as they come.

        Raises StoreError when the store cannot be read.
        """
        self._store.sweep()
        self._trainer.start()

    def check(self) -> None:
        """Raise StoreError when jobs cannot go on, so that nobody waits for them in vain."""
        self._trainer.check()

    def close(self) -> None:
        """Let the workers write their checkpoints and leave, and close the store."""
        self._trainer.close()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
