"""Every kind of provider and how it is opened: a new kind is one file and one line in PROVIDERS.

Nothing heavy is imported before a provider is really opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunedmodels.providers.provider import OnUpload, Provider
from tunedmodels.providers.retry import OnRetry
from tunedmodels.schema.project import AnyProvider, GeminiSettings, VertexSettings

if TYPE_CHECKING:
    from tunedmodels.providers.http import AsgiApp


@dataclass(frozen=True, slots=True)
class Opening:
    """All that a factory may need. `app` is the embedded service as an ASGI application."""

    name: str
    settings: AnyProvider
    project: str
    environ: Mapping[str, str]
    app: AsgiApp | None = None
    on_retry: OnRetry | None = None
    on_upload: OnUpload | None = None


def open_provider(
    name: str,
    settings: AnyProvider,
    *,
    project: str,
    environ: Mapping[str, str],
    embedded_app: AsgiApp | None = None,
    on_retry: OnRetry | None = None,
    on_upload: OnUpload | None = None,
) -> Provider:
    """Return the provider for `settings`, to be used as an async context manager.

    `project` is the owner in the stamps. Credentials come from `environ`; that one is missing shows
    with the first call, so that a project may name a provider that nobody uses today.
    """
    opening = Opening(name, settings, project, environ, embedded_app, on_retry, on_upload)
    return PROVIDERS[settings.type](opening)


def _embedded(opening: Opening) -> Provider:
    from tunedmodels.providers.gemini import provider  # noqa: PLC0415  # httpx is heavy

    if opening.app is None:
        raise ValueError("the embedded provider needs the application of the embedded service")
    return provider.in_process(
        opening.name, project=opening.project, app=opening.app, on_retry=opening.on_retry
    )


def _gemini(opening: Opening) -> Provider:
    from tunedmodels.providers.auth.google import gemini_identity  # noqa: PLC0415  # goes with it
    from tunedmodels.providers.gemini import provider  # noqa: PLC0415  # httpx is heavy

    if not isinstance(opening.settings, GeminiSettings):
        raise TypeError("a gemini provider needs gemini settings")
    return provider.GeminiProvider(
        opening.name,
        project=opening.project,
        endpoint=opening.settings.endpoint,
        credentials=gemini_identity(opening.environ, opening.settings.endpoint),
        on_retry=opening.on_retry,
    )


def _vertex(opening: Opening) -> Provider:
    from tunedmodels.providers.auth.google import vertex_identity  # noqa: PLC0415  # httpx is heavy
    from tunedmodels.providers.vertex.provider import VertexProvider  # noqa: PLC0415  # the same

    if not isinstance(opening.settings, VertexSettings):
        raise TypeError("a vertex provider needs vertex settings")
    return VertexProvider(
        opening.name,
        project=opening.project,
        settings=opening.settings,
        identity=vertex_identity(opening.environ),
        on_retry=opening.on_retry,
        on_upload=opening.on_upload,
    )


PROVIDERS: Mapping[str, Callable[[Opening], Provider]] = {
    "embedded": _embedded,
    "gemini": _gemini,
    "vertex": _vertex,
}
