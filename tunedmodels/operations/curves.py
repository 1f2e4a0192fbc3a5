"""Read the whole loss curves of live models, of which a list contains only short ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from tunedmodels.aio import gather
from tunedmodels.observed import ObservedModel
from tunedmodels.operations.connect import connect
from tunedmodels.project.project import Project
from tunedmodels.providers.provider import Provider


async def with_whole_curves(
    project: Project, models: Iterable[ObservedModel]
) -> list[ObservedModel]:
    """Return the same models with their whole curves. Connects only if one of them is partial."""
    listed = list(models)
    if not any(model.has_partial_curve for model in listed):
        return listed
    async with connect(project) as providers:
        return await gather(_with_whole_curve(providers, model) for model in listed)


async def _with_whole_curve(
    providers: Mapping[str, Provider], model: ObservedModel
) -> ObservedModel:
    if not model.has_partial_curve:
        return model
    return replace(model, curve=await providers[model.provider].curve(model))
