"""The locks in the places of a project: who holds them, and taking them away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tunedmodels.operations.connect import connect
from tunedmodels.project.project import Project
from tunedmodels.providers.provider import Holder


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
