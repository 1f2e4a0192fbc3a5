"""The live models of a project, by name; and what may be asked of one of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches

from tunedmodels.apply.clock import Clock
from tunedmodels.apply.context import LOOKS
from tunedmodels.datasets.examples import prompt
from tunedmodels.desired import preamble_mark
from tunedmodels.errors import RefusedError, TunedModelsError
from tunedmodels.observed import ModelState, Named, ObservedModel, next_mark
from tunedmodels.operations.connect import connect
from tunedmodels.operations.plan import observe
from tunedmodels.plan import reasons
from tunedmodels.project.project import Project
from tunedmodels.providers.provider import Edit, Provider
from tunedmodels.stamp import HAND, GateMark, gate_mark


async def names(project: Project, providers: Mapping[str, Provider]) -> list[Named]:
    """Return every name that is declared or live, in the order of the alphabet."""
    versions: dict[str, list[ObservedModel]] = defaultdict(list)
    for model in await observe(providers):
        if model.stamp and model.stamp.project == project.name:
            versions[model.stamp.name].append(model)
    versions = {name: live for name, all_ in versions.items() if (live := _telling(all_))}
    declared = {model.name for model in project.declared}
    return [
        Named(name, tuple(versions.get(name, ())), is_declared=name in declared)
        for name in sorted(declared | versions.keys())
    ]


async def all_names(project: Project) -> list[Named]:
    """Open the providers, look, and close them again."""
    async with connect(project) as providers:
        return await names(project, providers)


def pick(models: Sequence[Named], name: str) -> Named:
    """Return one name. Raises TunedModelsError with the nearest name there is."""
    for model in models:
        if model.name == name:
            return model
    near = get_close_matches(name, [model.name for model in models], n=1)
    raise TunedModelsError(
        f"There is no model {name!r}, neither declared nor live",
        cure=f"Did you mean {near[0]}?" if near else "To see all: tunedmodels status",
    )


def ready(model: Named, version: str | None) -> ObservedModel:
    """Return the version that was asked for, or the one that serves.

    Raises TunedModelsError unless it is READY: a cancelled or half-trained model is never asked.
    """
    if version is None:
        if model.serving is None:
            raise TunedModelsError(
                f"Nothing serves {model.name} yet",
                cure="To train what is declared: tunedmodels apply",
            )
        return model.serving
    for there in model.versions:
        if there.model_id in (version, f"{model.name}-{version}"):
            if there.state is not ModelState.READY:
                raise TunedModelsError(
                    f"{there.model_id} is {there.state}, not ready",
                    cure=f"To see its versions: tunedmodels show {model.name}",
                )
            return there
    known = ", ".join(there.model_id for there in model.versions) or "none"
    raise TunedModelsError(
        f"{model.name} has no version {version!r}", cure=f"Its versions: {known}"
    )


@dataclass(frozen=True, slots=True)
class Promoted:
    """Which version serves now, and which did; `overruled` is the gate's mark on a rejected one."""

    model_id: str
    former: str
    overruled: GateMark | None = None


async def promote(project: Project, name: str, version: str | None) -> Promoted:
    """Make a ready version serve; one atomic request.

    Without `version` the newest ready one that does not serve is taken, and none that its gate
    rejected: whoever overrules a gate says which version they mean. Raises RefusedError for one
    that must not begin to serve, since it was not trained on all that was declared.
    """
    async with connect(project) as providers:
        model = pick(await names(project, providers), name)
        former = model.serving
        if version is None:
            version = _next(model).model_id
        chosen = ready(model, version)
        stamp = chosen.stamp
        assert stamp is not None  # noqa: S101 - a named version has our stamp
        if chosen is not former and _is_objected(chosen):
            words = f"{chosen.model_id} was {chosen.objection}"
            raise RefusedError(words, cure=reasons.CURE_OBJECTION)
        if chosen is not former:
            # An apply that goes back to what is declared can then say why it has to.
            mark = next_mark(datetime.now(UTC), model.versions)
            by_hand = stamp.promoted_at(mark, by=HAND, head=project.commit())
            edit = Edit(description=chosen.description, stamp=by_hand)
            await providers[chosen.provider].update(chosen.model_id, edit)
        return Promoted(
            model_id=chosen.model_id,
            former=former.model_id if former else "",
            overruled=gate_mark(stamp.gate) if stamp.is_rejected else None,
        )


def _next(model: Named) -> ObservedModel:
    """Return the newest ready version that could serve instead."""
    others = [
        there
        for there in model.versions
        if there.state is ModelState.READY and there is not model.serving
    ]
    others = [there for there in others if not _is_objected(there)] or others
    free = [there for there in others if not (there.stamp and there.stamp.is_rejected)]
    if free:
        return max(free, key=_newest)
    cure = f"To see its versions: tunedmodels show {model.name}"
    if not others:
        raise TunedModelsError(f"{model.name} has no other ready version", cure=cure)
    rejected = max(others, key=_newest).model_id
    raise TunedModelsError(
        f"{model.name} has no other ready version but what its gate keeps from serving",
        cure=f"{cure}\nTo overrule its gate: tunedmodels promote {model.name} {rejected}",
    )


async def cancel(project: Project, name: str, *, clock: Clock) -> dict[str, ModelState]:
    """Stop the running jobs of a name; return by id how they are now.

    What a job leaves that was cancelled is deleted (F15). It is waited for a moment; one that is at
    work still after that is left to the service, and one that was READY before the cancel reached
    it is no cancelled model: somebody may have made it serve by now.
    """
    async with connect(project) as providers:
        model = pick(await names(project, providers), name)
        stopped = {}
        for version in model.versions:
            if version.state.is_running:
                provider = providers[version.provider]
                await provider.cancel(version.model_id)
                state = await _settled(provider, version.model_id, clock)
                if state in (ModelState.CANCELLED, ModelState.FAILED):
                    await provider.delete(version.model_id)
                stopped[version.model_id] = state
        return stopped


async def _settled(provider: Provider, model_id: str, clock: Clock) -> ModelState:
    """Return the state of a model once its job has stopped, or after about 13 s."""
    live = await provider.get(model_id)
    for pause_s in LOOKS:
        if live is None or not live.state.is_running:
            break
        await clock.sleep(pause_s)
        live = await provider.get(model_id)
    return live.state if live else ModelState.CANCELLED


def _is_objected(version: ObservedModel) -> bool:
    """Whether it must not begin to serve; going back to what served before is never held up."""
    return bool(version.objection) and version.promoted is None


async def generate(
    project: Project, name: str, text: str, version: str | None
) -> AsyncIterator[str]:
    """Ask a model, with the preamble that its examples had (F5), and yield the answer.

    Raises TunedModelsError when the version was trained with a preamble that is not declared now.
    """
    async with connect(project) as providers:
        model = pick(await names(project, providers), name)
        chosen = ready(model, version)
        dataset = next(
            (there.spec.dataset for there in project.declared if there.name == name), None
        )
        preamble = dataset.preamble if dataset else ""
        as_system = dataset is not None and dataset.preamble_as == "systemInstruction"
        mark = preamble_mark(preamble, as_system=as_system)
        if chosen.stamp and chosen.stamp.preamble != mark:
            raise TunedModelsError(
                f"{chosen.model_id} was trained with another preamble than is declared now",
                cure="Bring the declared one to life with: tunedmodels apply",
            )
        provider = providers[chosen.provider]
        system = ""
        if as_system:
            system, preamble = preamble, ""
        async for piece in provider.generate(
            chosen.resource, prompt(preamble, text), system=system
        ):
            yield piece


def _telling(versions: Sequence[ObservedModel]) -> list[ObservedModel]:
    """Leave out the records of jobs that failed before the newest version there is."""
    newest = max(map(_newest, versions))
    return [each for each in versions if not each.is_record or _newest(each) == newest]


def _newest(version: ObservedModel) -> float:
    return version.created.timestamp() if version.created else 0.0
