"""List the models of a project, and generate with, promote or cancel one of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from tunedmodels.apply.clock import Clock
from tunedmodels.apply.context import SETTLE_DELAYS_S
from tunedmodels.datasets.examples import prompt
from tunedmodels.desired import preamble_digest
from tunedmodels.errors import ChangedError, RefusedError, TunedModelsError
from tunedmodels.observed import (
    ModelState,
    ModelVersions,
    ObservedModel,
    next_promotion_time,
)
from tunedmodels.operations.connect import connect
from tunedmodels.operations.curves import with_whole_curves
from tunedmodels.operations.plan import observe
from tunedmodels.ownership import Ownership, Versions
from tunedmodels.plan import reasons, safety
from tunedmodels.plan.promotion import has_served, is_used
from tunedmodels.project.project import Project
from tunedmodels.providers.provider import Edit, Provider
from tunedmodels.stamp import MANUAL, GateRecord, Stamp, parse_gate_record
from tunedmodels.text import suggest


async def list_models(project: Project, providers: Mapping[str, Provider]) -> list[ModelVersions]:
    """Return the versions of every declared or live name, sorted by name."""
    ownership = project.ownership
    versions = ownership.versions(await observe(providers))
    if ownership.is_promoting:
        declared_names = {model.name for model in project.declared}
        versions = _used_versions(versions, declared_names, ownership)
    relevant = {name: _without_old_failures(group) for name, group in versions.items()}
    live = {name: group for name, group in relevant.items() if group}
    declared = {model.name for model in project.declared}
    return [
        ModelVersions(name, tuple(live.get(name, ())), is_declared=name in declared)
        for name in sorted(declared | live.keys())
    ]


async def read_models(project: Project) -> list[ModelVersions]:
    """Return the same as `list_models`, with providers opened for this call only."""
    async with connect(project) as providers:
        return await list_models(project, providers)


async def read_model(project: Project, name: str) -> ModelVersions:
    """Return the versions of one name, with their whole loss curves. Raises TunedModelsError."""
    model = find_model(await read_models(project), name)
    return replace(model, versions=tuple(await with_whole_curves(project, model.versions)))


def _used_versions(versions: Versions, declared: Collection[str], ownership: Ownership) -> Versions:
    """Return the versions that an environment uses, and those that it can promote."""
    kept = {
        name: [
            model
            for model in group
            if is_used(model, ownership.environment) or (name in declared and has_served(model))
        ]
        for name, group in versions.items()
    }
    return defaultdict(list, {name: group for name, group in kept.items() if group})


def find_model(models: Sequence[ModelVersions], name: str) -> ModelVersions:
    """Return the model `name`. Raises TunedModelsError that suggests the nearest name."""
    for model in models:
        if model.name == name:
            return model
    raise TunedModelsError(
        f"Unknown model {name!r}: it is neither declared nor live",
        cure=suggest(name, [model.name for model in models]) or "To list all: tunedmodels status",
    )


def ready_version(model: ModelVersions, version: str | None) -> ObservedModel:
    """Return the version with an id or its last 8 digits, or the serving version for None.

    Raises TunedModelsError unless it is READY: a cancelled or half-trained model is never called.
    """
    if version is None:
        if model.serving is None:
            raise TunedModelsError(
                f"{model.name} has no serving version yet",
                cure="To train what is declared: tunedmodels apply",
            )
        return model.serving
    for existing in model.versions:
        if existing.model_id in (version, f"{model.name}-{version}"):
            if existing.state is not ModelState.READY:
                raise TunedModelsError(
                    f"{existing.model_id} is {existing.state}, not ready",
                    cure=f"To see its versions: tunedmodels show {model.name}",
                )
            return existing
    ids = ", ".join(existing.model_id for existing in model.versions) or "none"
    raise TunedModelsError(
        f"{model.name} has no version {version!r}", cure=f"Existing versions: {ids}."
    )


@dataclass(frozen=True, slots=True)
class PromoteResult:
    """The result of a manual promotion."""

    model_id: str
    """The serving version."""
    previous_id: str
    """The former serving version; empty if there was none."""
    overruled_gate: GateRecord | None = None
    """The decision of the gate that this promotion overrules."""


async def promote(project: Project, name: str, version: str | None) -> PromoteResult:
    """Make a ready version the serving one, in one atomic request.

    Without `version` the newest ready version that does not serve is promoted, unless its gate
    rejected it: to overrule a gate, the user must name the version. Raises RefusedError for a
    version that must not begin to serve because it was not trained on everything that was declared.
    """
    project.require_lineage()
    async with connect(project) as providers:
        model = find_model(await list_models(project, providers), name)
        previous = model.serving
        if version is None:
            version = _next_version(model).model_id
        chosen = ready_version(model, version)
        stamp = chosen.stamp
        assert stamp is not None  # noqa: S101 - a version of a name has our stamp
        if chosen is not previous and _is_blocked(chosen):
            message = f"{chosen.model_id} was {chosen.blocked_reason}"
            raise RefusedError(message, cure=reasons.CURE_BLOCKED)
        if chosen is not previous:
            # MANUAL lets a later apply explain why it returns to the declared version.
            time = next_promotion_time(datetime.now(UTC), model.versions)
            promoted = stamp.promoted_at(time, promoted_by=MANUAL, promoted_commit=project.commit())
            await _write_promotion(project, providers[chosen.provider], chosen, promoted)
        return PromoteResult(
            model_id=chosen.model_id,
            previous_id=previous.model_id if previous else "",
            overruled_gate=parse_gate_record(stamp.gate_record) if stamp.is_rejected else None,
        )


async def _write_promotion(
    project: Project, provider: Provider, chosen: ObservedModel, promoted: Stamp
) -> None:
    """Write a promotion, unless another process has changed the version since it was read."""
    ownership = project.ownership
    current = await provider.get(chosen.model_id)
    claimed = ownership.claim(current) if current else None
    changed = f"{chosen.model_id} was changed by another process"
    if claimed is None or claimed.stamp != chosen.stamp:
        raise RefusedError(changed, cure=f"To see it: tunedmodels show {promoted.name}")
    if ownership.is_promoting and not claimed.etag:
        raise RefusedError(safety.NO_ETAGS.message, cure=safety.NO_ETAGS.cure)
    stored = ownership.stored(claimed, promoted)
    edit = Edit.of_stamp(claimed, stored)
    try:
        await provider.update(chosen.model_id, edit, etag=claimed.etag)
    except ChangedError as error:
        after = await provider.get(chosen.model_id)  # the response may have been lost
        if after is None or after.stamp != stored:
            raise RefusedError(changed, cure=f"Run it again: {error.message}") from error


def _next_version(model: ModelVersions) -> ObservedModel:
    """Return the newest ready version that can replace the serving one."""
    others = [
        version
        for version in model.versions
        if version.state is ModelState.READY and version is not model.serving
    ]
    others = [version for version in others if not _is_blocked(version)] or others
    allowed = [version for version in others if not (version.stamp and version.stamp.is_rejected)]
    if allowed:
        return max(allowed, key=_created)
    cure = f"To see its versions: tunedmodels show {model.name}"
    if not others:
        raise TunedModelsError(f"{model.name} has no other ready version", cure=cure)
    rejected = max(others, key=_created).model_id
    raise TunedModelsError(
        f"The gate of {model.name} rejected every other ready version",
        cure=f"{cure}\nTo overrule its gate: tunedmodels promote {model.name} {rejected}",
    )


async def cancel(project: Project, name: str, *, clock: Clock) -> dict[str, ModelState]:
    """Stop the running jobs of a name, and return the new state of each version by its id.

    The model of a cancelled job is deleted (F15). A job that does not stop within seconds is left
    to the service. A version that was READY before the cancel request took effect is kept: it is
    complete, and another process may have promoted it.
    """
    if project.ownership.is_promoting:
        home = project.ownership.training_environment
        raise RefusedError(
            f"Environment {project.acting_environment} trains nothing",
            cure=f"tunedmodels cancel {name} --env {home}",
        )
    project.require_lineage()
    async with connect(project) as providers:
        model = find_model(await list_models(project, providers), name)
        states = {}
        for version in model.versions:
            if version.state.is_running:
                provider = providers[version.provider]
                await provider.cancel(version.model_id)
                state = await _wait_until_stopped(provider, version.model_id, clock)
                if state in (ModelState.CANCELLED, ModelState.FAILED):
                    await provider.delete(version.model_id)
                states[version.model_id] = state
        return states


async def _wait_until_stopped(provider: Provider, model_id: str, clock: Clock) -> ModelState:
    """Return the state of a model when its job has stopped, or after about 13 s."""
    observed = await provider.get(model_id)
    for delay_s in SETTLE_DELAYS_S:
        if observed is None or not observed.state.is_running:
            break
        await clock.sleep(delay_s)
        observed = await provider.get(model_id)
    return observed.state if observed else ModelState.CANCELLED


def _is_blocked(version: ObservedModel) -> bool:
    """Return whether a version must not begin to serve; one that served before never is."""
    return bool(version.blocked_reason) and version.promoted is None


async def generate(
    project: Project, name: str, text: str, version: str | None
) -> AsyncIterator[str]:
    """Send a prompt to a model, with the preamble of its dataset (F5), and yield the answer.

    Raises TunedModelsError when the version was trained with another preamble than the declared
    one.
    """
    async with connect(project) as providers:
        model = find_model(await list_models(project, providers), name)
        chosen = ready_version(model, version)
        dataset = next(
            (declared.spec.dataset for declared in project.declared if declared.name == name), None
        )
        preamble = dataset.preamble if dataset else ""
        as_system = dataset is not None and dataset.preamble_as == "systemInstruction"
        declared_digest = preamble_digest(preamble, as_system=as_system)
        if chosen.stamp and chosen.stamp.preamble != declared_digest:
            raise TunedModelsError(
                f"{chosen.model_id} was trained with another preamble than the declared one",
                cure="To train a version with the declared preamble: tunedmodels apply",
            )
        provider = providers[chosen.provider]
        system = ""
        if as_system:
            system, preamble = preamble, ""
        async for piece in provider.generate(
            chosen.resource, prompt(preamble, text), system=system
        ):
            yield piece


def _without_old_failures(versions: Sequence[ObservedModel]) -> list[ObservedModel]:
    """Leave out the records of jobs that failed before the newest version was created."""
    newest = max(map(_created, versions))
    return [v for v in versions if not v.is_job_record or _created(v) == newest]


def _created(version: ObservedModel) -> float:
    return version.created.timestamp() if version.created else 0.0
