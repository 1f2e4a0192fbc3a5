"""Write the identity of a version in place: move it to a new name or project, or end its use."""

from __future__ import annotations

from tunedmodels.apply import preconditions
from tunedmodels.apply.context import ApplyContext, event_key
from tunedmodels.events import Ending, Succeeded
from tunedmodels.plan.plan import Change
from tunedmodels.plan.promotion import is_used
from tunedmodels.plan.version import LiveVersion
from tunedmodels.providers.provider import Edit


async def move(context: ApplyContext, change: Change) -> Ending:
    """Write the current identity into the stamp of a version that has a former one."""
    version = preconditions.require_before(change)

    async def write_identity() -> None:
        model = preconditions.require_unchanged(
            version,
            await context.get(version.provider, version.model_id),
            context.ownership,
            change.name,
        )
        if context.ownership.is_moved(model):
            edit = Edit.of_stamp(model, preconditions.require_stamp(model))
            await context.update("move", change.name, model, edit)

    async with context.request_slots:
        await context.decide_again(write_identity)
    return Succeeded(*event_key(change))


async def release(context: ApplyContext, change: Change) -> Ending:
    """Remove the line of this environment from a version that another one trained."""
    version = preconditions.require_before(change)
    async with context.request_slots:
        versions = await context.observe_versions(change.name)
        preconditions.require_not_serving(version, versions)
        await release_version(context, change, version)
    return Succeeded(*event_key(change))


async def release_version(context: ApplyContext, change: Change, version: LiveVersion) -> None:
    """Remove the line of this environment, if it is there."""

    async def remove_line() -> None:
        model = await context.get(version.provider, version.model_id)
        if model is None or not is_used(model, context.ownership.environment):
            return  # it was released, or deleted, already
        preconditions.require_unchanged(version, model, context.ownership, change.name)
        await context.remove_use("release", change.name, model)

    await context.decide_again(remove_line)
