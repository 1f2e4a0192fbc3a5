"""Adopt a live model that has no stamp.

The service reports the base model and the hyperparameters of a tuned model; they must equal the
declared ones. It never reports the examples. The stamp of an adopted model is therefore marked
`unverified`, and every view of the model shows the mark until another version is trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tunedmodels.desired import Desired
from tunedmodels.errors import RefusedError, TunedModelsError
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.operations.connect import connect
from tunedmodels.plan.diff import input_changes
from tunedmodels.plan.reasons import former_project
from tunedmodels.project.project import Project
from tunedmodels.project.resolve import resolve
from tunedmodels.providers.provider import Edit
from tunedmodels.text import suggest


@dataclass(frozen=True, slots=True)
class Adoption:
    """A live model, and the declaration of which it becomes a version."""

    desired: Desired
    observed: ObservedModel


async def find_candidate(
    project: Project, name: str, model_id: str | None, *, use_cache: bool
) -> Adoption:
    """Return the model to adopt: the one with the declared id, or with `model_id`.

    It has no stamp, or it is our version under a name that is not declared any more. Raises
    RefusedError for a model that has an owner or was trained with other values than declared, and
    TunedModelsError when there is nothing to adopt.
    """
    desired = _declared(resolve(project, use_cache=use_cache).desired_or_raise(), name)
    if desired.sweep:
        raise RefusedError(
            f"{name} declares a sweep, and a live model does not say which candidate it is.",
            cure=f"Replace the sweep in {desired.sweep.location} by hyperparameters, then adopt.",
        )
    async with connect(project) as providers:
        models = await providers[desired.provider].observe()
    wanted_id = model_id or desired.model_id
    existing = next((m for m in models if wanted_id in (m.model_id, m.resource)), None)
    if existing is None:
        raise TunedModelsError(
            f"Provider {desired.provider} has no model {wanted_id}",
            cure=_list_unstamped(name, models),
        )
    existing = _require_adoptable(project, desired, existing)
    differences = [
        f"{field.path} is {field.before}, declared is {field.after}"
        for field in input_changes(desired, existing)
    ]
    if differences:
        raise RefusedError(
            f"{existing.model_id} was not trained as {name} is declared: {'; '.join(differences)}.",
            cure="Declare the values it was trained with, or run tunedmodels apply to train"
            " a new version.",
        )
    return Adoption(desired, existing)


async def adopt(project: Project, adoption: Adoption) -> None:
    """Stamp the model in one request that keeps its description.

    Raises RefusedError when the model was deleted or stamped since it was found.
    """
    desired = adoption.desired
    project.require_lineage()
    async with connect(project) as providers:
        provider = providers[desired.provider]
        existing = await provider.get(adoption.observed.model_id)
        if existing is None:
            raise RefusedError(
                f"{adoption.observed.model_id} no longer exists.",
                cure="To see the current state: tunedmodels plan",
            )
        claimed = _require_adoptable(project, desired, existing)
        if claimed.stamp:  # ours under a former name: its training is proved
            stamp = replace(claimed.stamp, name=desired.name)
        else:
            # The field hashes stay empty: no apply has written the mutable fields yet.
            stamp = replace(desired.stamp(), field_hashes="", unverified=True)
        edit = Edit.of_stamp(existing, stamp)
        await provider.update(existing.model_id, edit, etag=existing.etag)


def _declared(models: Iterable[Desired], name: str) -> Desired:
    by_name = {desired.name: desired for desired in models}
    if name not in by_name:
        raise TunedModelsError(
            f"Unknown TunedModel {name!r}",
            cure=suggest(name, by_name)
            or "Declare it first. To write manifests for live models: tunedmodels init --from-live",
        )
    return by_name[name]


def _require_adoptable(
    project: Project, desired: Desired, existing: ObservedModel
) -> ObservedModel:
    """Return a model that may be adopted, as the environment sees it. Raises RefusedError."""
    name, ownership = desired.name, project.ownership
    if ownership.is_promoting:
        home = ownership.training_environment
        raise RefusedError(
            f"Environment {ownership.environment} owns no versions; it promotes those of {home}.",
            cure=f"tunedmodels adopt {name} {existing.model_id} --env {home}",
        )
    if existing.stamp:
        claimed = ownership.with_desired([desired]).claim(existing)
        stamp = (claimed.stamp if claimed else None) or existing.stamp
        declared = {model.name for model in project.declared}
        if claimed and stamp.name not in declared and stamp.fingerprint == desired.fingerprint:
            return claimed
        owner = f"{stamp.name} of project {stamp.project}"
        is_ours = claimed is not None and stamp.name == name
        raise RefusedError(
            f"{existing.model_id} already has the stamp of {owner}.",
            cure="There is nothing to adopt."
            if is_ours
            else "A stamped model is never taken from its owner; rename the manifest, or take over"
            f" a former identity of this project: add `{former_project(stamp)}` to its metadata.",
        )
    if existing.state in (ModelState.FAILED, ModelState.CANCELLED):
        raise RefusedError(
            f"{existing.model_id} is {existing.state} and cannot be used.",
            cure="Delete it yourself; the next apply then trains what is declared.",
        )
    return existing


def _list_unstamped(name: str, models: Sequence[ObservedModel]) -> str:
    ids = [model.model_id for model in models if model.stamp is None]
    if not ids:
        return "Every model there has a stamp: there is nothing to adopt."
    listed = ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if ids[5:] else "")
    return f"Models without a stamp: {listed}. To adopt one: tunedmodels adopt {name} ID"
