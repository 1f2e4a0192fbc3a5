"""The provider types and how each is opened. A new type needs one module and one line in PROVIDERS.

The module of a provider is imported when a provider of its type is opened, since httpx and
google-auth are slow to import.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunedmodels.providers.provider import OnUpload, Provider
from tunedmodels.providers.retry import OnRetry
from tunedmodels.schema.base_models import BaseModelCatalog
from tunedmodels.schema.project import AnyProvider, GeminiSettings, VertexSettings

if TYPE_CHECKING:
    from tunedmodels.providers.http import AsgiApp


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """The values from which a provider is opened."""

    name: str
    """The name of the provider in manifests."""
    settings: AnyProvider
    project: str
    """The owner in the stamps of our models."""
    environ: Mapping[str, str]
    app: AsgiApp | None = None
    """The embedded service as an ASGI application."""
    on_retry: OnRetry | None = None
    on_upload: OnUpload | None = None
    base_models: BaseModelCatalog | None = None
    """Facts about base models; None: the bundled ones."""
    scope: str = ""
    """Part of the name of locks: the lineage and the environment, empty without both."""
    former_projects: Sequence[str] = ()
    """Former names of the project."""


def open_provider(
    name: str,
    settings: AnyProvider,
    *,
    project: str,
    environ: Mapping[str, str],
    embedded_app: AsgiApp | None = None,
    on_retry: OnRetry | None = None,
    on_upload: OnUpload | None = None,
    base_models: BaseModelCatalog | None = None,
    scope: str = "",
    former_projects: Sequence[str] = (),
) -> Provider:
    """Return the provider for `settings`, to be used as an async context manager.

    `project` is the owner in the stamps. Credentials come from `environ`. A missing credential
    raises with the first call, so that a project may declare a provider that no model uses yet.
    """
    context = ProviderContext(
        name,
        settings,
        project,
        environ,
        embedded_app,
        on_retry,
        on_upload,
        base_models,
        scope,
        former_projects,
    )
    return PROVIDERS[settings.type](context)


def _embedded(context: ProviderContext) -> Provider:
    from tunedmodels.providers.gemini import provider  # noqa: PLC0415  # start-up: imports httpx

    if context.app is None:
        raise ValueError("the embedded provider needs the application of the embedded service")
    return provider.embedded_provider(
        context.name, project=context.project, app=context.app, on_retry=context.on_retry
    )


def _gemini(context: ProviderContext) -> Provider:
    from tunedmodels.providers.auth.google import gemini_identity  # noqa: PLC0415  # start-up
    from tunedmodels.providers.gemini import provider  # noqa: PLC0415  # start-up: imports httpx

    if not isinstance(context.settings, GeminiSettings):
        raise TypeError("a gemini provider needs gemini settings")
    return provider.GeminiProvider(
        context.name,
        project=context.project,
        endpoint=context.settings.endpoint,
        credentials=gemini_identity(context.environ, context.settings.endpoint),
        on_retry=context.on_retry,
        owners=context.settings.owners,
    )


def _vertex(context: ProviderContext) -> Provider:
    from tunedmodels.providers.auth.adc import universe_domain  # noqa: PLC0415  # start-up
    from tunedmodels.providers.auth.google import vertex_identity  # noqa: PLC0415  # start-up
    from tunedmodels.providers.vertex.provider import VertexProvider  # noqa: PLC0415  # start-up

    if not isinstance(context.settings, VertexSettings):
        raise TypeError("a vertex provider needs vertex settings")
    return VertexProvider(
        context.name,
        project=context.project,
        settings=context.settings,
        identity=vertex_identity(context.environ),
        base_models=context.base_models,
        domain=universe_domain(context.environ),
        on_retry=context.on_retry,
        on_upload=context.on_upload,
        scope=context.scope,
        former_projects=context.former_projects,
    )


PROVIDERS: Mapping[str, Callable[[ProviderContext], Provider]] = {
    "embedded": _embedded,
    "gemini": _gemini,
    "vertex": _vertex,
}
