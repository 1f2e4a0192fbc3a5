"""How versions leave: jobs that are cancelled, and versions that are deleted or retire.

Every step looks again before it acts. What serves is deleted only where the plan says so, and a
former version retires only once its successor is seen to answer in its place.
"""

from __future__ import annotations

from collections.abc import Awaitable

from tunedmodels.apply import preconditions
from tunedmodels.apply.context import Run, about, ending_of
from tunedmodels.errors import RefusedError
from tunedmodels.events import Ending, StillRunning, Succeeded
from tunedmodels.observed import ModelState
from tunedmodels.plan.plan import Action, Change, Version, Wanted
from tunedmodels.providers.provider import Provider


async def cancel(run: Run, change: Change) -> Ending:
    """Cancel a job, then delete its model: what it would answer is unpredictable (F15)."""
    version = preconditions.before(change)
    provider = run.provider(version.provider)
    async with run.starts:
        if not await _stop_job(run, change, version, provider):
            return Succeeded(*about(change))
    settled = await run.look(
        provider,
        version.model_id,
        lambda model: run.stop.requested or model is None or not model.state.is_running,
    )
    if settled is not None and settled.state.is_running:
        return StillRunning(
            change.name,
            version.model_id,
            "asked to stop and still at work; the next apply looks again",
        )
    if settled is not None and settled.state is ModelState.READY:
        raise RefusedError(
            f"{version.model_id} was ready before the cancel reached it, and is kept",
            cure=preconditions.CURE,
        )
    async with run.starts:
        await run.send(
            "delete", change.name, version.model_id, lambda: provider.delete(version.model_id)
        )
    return Succeeded(*about(change))


async def _stop_job(run: Run, change: Change, version: Version, provider: Provider) -> bool:
    """Cancel a job that still runs; return whether there is a model to delete after that."""
    preconditions.not_declared_again(change, version, run.desired)
    live = await provider.get(version.model_id)
    if live is None:
        return False
    preconditions.still_running(version, live, run.project, change.name)
    if live.state.is_running:
        await run.send(
            "cancel", change.name, version.model_id, lambda: provider.cancel(version.model_id)
        )
    return True


async def delete(run: Run, change: Change) -> Ending:
    """Delete a version, which may serve only if the plan said so."""
    version = preconditions.before(change)
    async with run.starts:
        preconditions.not_serving(version, await run.versions(change.name))
        await _delete(run, change, version)
    return Succeeded(*about(change))


async def _delete(run: Run, change: Change, version: Version) -> None:
    preconditions.not_declared_again(change, version, run.desired)
    provider = run.provider(version.provider)
    live = await provider.get(version.model_id)
    if live is None:
        return  # what was to be done is done
    preconditions.unchanged(version, live, run.project, change.name)
    await run.send(
        "delete", change.name, version.model_id, lambda: provider.delete(version.model_id)
    )


async def retire(run: Run, change: Change, version: Version, wanted: Wanted) -> None:
    """Delete one former version; if that is not to be, say so: the promotion stands."""

    async def leave() -> None:
        preconditions.replaced(version, wanted, await run.versions(change.name))
        await _delete(run, change, version)

    await _leaving(run, (change.name, version.model_id, Action.DELETE), leave())


async def discard(run: Run, change: Change, loser: Wanted) -> None:
    """Delete a candidate that its sweep did not choose, unless it serves or served after all."""

    async def leave() -> None:
        provider = run.provider(loser.provider)
        live = await provider.get(loser.model_id)
        if live is None or live.is_record or live.promoted or live.state.is_running:
            return  # what serves, served or is trained again is for the next plan to see
        preconditions.exact(live, loser, run.project, change.name)
        await run.send(
            "delete", change.name, loser.model_id, lambda: provider.delete(loser.model_id)
        )

    await _leaving(run, (change.name, loser.model_id, Action.DELETE), leave())


async def _leaving(run: Run, said: tuple[str, str, Action], work: Awaitable[None]) -> None:
    ending = await ending_of(said, work)
    if ending:
        run.emit(ending)
