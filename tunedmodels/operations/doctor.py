"""A checkup of this machine and of every provider of a project; nothing is changed anywhere."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

from tunedmodels import __version__
from tunedmodels.errors import ProviderError, StoreError, TunedModelsError
from tunedmodels.project.project import Project
from tunedmodels.providers.doctor.findings import Checkup, Notes
from tunedmodels.schema.base_models import BaseModels
from tunedmodels.schema.project import AnyProvider, EmbeddedSettings, GeminiSettings

_PACKAGES = ("google-auth", "httpx", "msgspec", "numpy", "pydantic", "safetensors", "starlette")
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
_LITTLE = 1024**3  # bytes; a store with a thousand models and their examples takes less
_NOTHING = 32 * 1024**2  # bytes; SQLite needs room beside its file to write at all


async def check_up(
    project: Project, chosen: str | None, environ: Mapping[str, str]
) -> list[Checkup]:
    """Return what was found of the machine, then of each provider: all that are used, or one.

    Raises TunedModelsError when there is no provider of that name.
    """
    providers = project.providers if chosen is None else {chosen: _chosen(project, chosen)}
    found = [Checkup("machine", platform.platform(terse=True), tuple(_machine(environ).findings))]
    for name, settings in providers.items():
        notes = await _look(project, name, settings, environ)
        found.append(Checkup(name, _about(settings), tuple(notes.findings)))
    return found


def _chosen(project: Project, name: str) -> AnyProvider:
    known = project.manifest.providers()
    if name in known:
        return known[name]
    near = get_close_matches(name, known, n=1)
    raise TunedModelsError(
        f"There is no provider {name!r}.",
        cure=f"Did you mean {near[0]}?" if near else f"There are: {', '.join(sorted(known))}.",
    )


def _about(settings: AnyProvider) -> str:
    match settings:
        case EmbeddedSettings():
            return "embedded"
        case GeminiSettings():
            return f"gemini at {settings.endpoint}"
        case _:
            return f"vertex: {settings.project}, {settings.location}, gs://{settings.bucket}"


async def _look(
    project: Project, name: str, settings: AnyProvider, environ: Mapping[str, str]
) -> Notes:
    bases = sorted(
        {
            declared.spec.base_model
            for declared in project.declared
            if project.provider_of(declared) == name and declared.spec.base_model
        }
    )
    match settings:
        case EmbeddedSettings():
            return await _embedded(project, name, settings, bases)
        case GeminiSettings():
            from tunedmodels.providers.doctor import gemini

            return await gemini.look(settings.endpoint, environ, bases)
        case _:
            from tunedmodels.providers.doctor import vertex

            table = BaseModels(project.manifest.spec.base_models)
            rows = [(base, table.find("vertex", base)) for base in bases]
            return await vertex.look(settings, environ, rows)


def _machine(environ: Mapping[str, str]) -> Notes:
    notes = Notes()
    notes.well("version", f"tunedmodels {__version__} on Python {platform.python_version()}")
    notes.well("packages", ", ".join(f"{name} {_version(name)}" for name in _PACKAGES))
    for name in _PROXIES:
        if proxy := environ.get(name):
            # Without its user name and password.
            where = urlsplit(proxy)
            shown = f"{where.hostname}:{where.port}" if where.port else where.hostname or "?"
            notes.well("proxy", f"{name}: other machines are asked through {shown}")
            break
    return notes


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "is missing"


async def _embedded(
    project: Project, name: str, settings: EmbeddedSettings, bases: list[str]
) -> Notes:
    from tunedmodels.providers.registry import open_provider
    from tunedmodels.service.embedded import EmbeddedService

    notes = Notes()
    store = project.store_of(name)
    _look_at_disk(store, notes)
    try:
        with EmbeddedService(store, jobs=settings.jobs) as service:
            provider = open_provider(
                name, settings, project=project.name, environ={}, embedded_app=service.app
            )
            async with provider:
                models = await provider.observe()
                tunable = {each.name for each in await provider.base_models() if each.is_tunable}
    except (ProviderError, StoreError) as error:
        notes.refused("tuned-models", error)
        return notes
    notes.well("tuned-models", f"{len(models)} in the store")
    for base in bases:
        if base in tunable:
            notes.well("base-model", f"{base} can be tuned here")
        else:
            cure = f"Name one of these in `baseModel`: {', '.join(sorted(tunable))}."
            notes.failed("base-model", f"{base} cannot be tuned here.", cure)
    return notes


def _look_at_disk(store: Path, notes: Notes) -> None:
    """Note whether the store can be written, without writing: a question leaves nothing behind."""
    there = store
    while not there.exists():
        there = there.parent
    if os.access(there, os.W_OK | os.X_OK):
        notes.well("store", f"{store} can be written")
    else:
        notes.failed(
            "store", f"{there} cannot be written.", f"Make it yours:\n    sudo chown $USER {there}"
        )
    free = shutil.disk_usage(there).free
    words = f"{free / 1024**3:,.1f} GiB free"
    if free > _LITTLE:
        notes.well("disk", words)
    elif free > _NOTHING:
        notes.warn("disk", f"only {words}", "Free some space before the next apply.")
    else:
        notes.failed("disk", f"only {words}: nothing can be stored.", "Free some space.")
