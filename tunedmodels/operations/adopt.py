"""Taking over a live model that bears no stamp: what can be proved, and what only is believed.

The service tells the base model and the hyperparameters of a tuned model, and these must be the
declared ones. It never tells the examples. So the stamp of an adopted model says `unverified`, and
everybody who shows the model says it too, until another version is trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from tunedmodels.desired import Desired
from tunedmodels.errors import RefusedError, TunedModelsError
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.operations.connect import connect
from tunedmodels.plan.diff import fixed_fields
from tunedmodels.project.project import Project
from tunedmodels.project.resolve import survey
from tunedmodels.providers.provider import Edit


@dataclass(frozen=True, slots=True)
class Adoption:
    """A live model, and the declaration that it is to be a version of."""

    want: Desired
    live: ObservedModel


async def candidate(
    project: Project, name: str, model_id: str | None, *, use_cache: bool
) -> Adoption:
    """Return the model to adopt: the one with the declared id, or with `model_id`.

    Raises RefusedError for a model that belongs to somebody, or was trained otherwise than
    declared, and TunedModelsError where there is nothing to adopt.
    """
    want = _declared(survey(project, use_cache=use_cache).checked(), name)
    if want.sweep:
        raise RefusedError(
            f"{name} declares a sweep, and which of its candidates the model is, nobody can tell.",
            cure=f"Pin hyperparameters in place of the sweep in {want.sweep.place}, then adopt.",
        )
    async with connect(project) as providers:
        there = await providers[want.provider].observe()
    sought = model_id or want.model_id
    live = next((m for m in there if sought in (m.model_id, m.resource)), None)
    if live is None:
        raise TunedModelsError(
            f"provider {want.provider} has no model {sought}", cure=_unstamped(name, there)
        )
    _require_free(project, name, live)
    differing = [f"{f.path} is {f.before}, declared is {f.after}" for f in fixed_fields(want, live)]
    if differing:
        raise RefusedError(
            f"{live.model_id} was trained otherwise than {name} is declared: "
            f"{'; '.join(differing)}.",
            cure="Declare it as it was trained, or let apply train what is declared.",
        )
    return Adoption(want, live)


async def adopt(project: Project, adoption: Adoption) -> None:
    """Stamp the model, in one request that leaves its own words as they are.

    Raises RefusedError when somebody else was faster.
    """
    want = adoption.want
    async with connect(project) as providers:
        provider = providers[want.provider]
        live = await provider.get(adoption.live.model_id)
        if live is None:
            raise RefusedError(f"{adoption.live.model_id} is gone.", cure="Look: tunedmodels plan")
        _require_free(project, want.name, live)
        # What its words were when they were last applied is not known: no apply has been there.
        stamp = replace(want.stamp(), words="", unverified=True)
        await provider.update(live.model_id, Edit(description=live.description, stamp=stamp))


def _declared(wants: Iterable[Desired], name: str) -> Desired:
    by_name = {want.name: want for want in wants}
    if name not in by_name:
        near = get_close_matches(name, by_name, n=1)
        raise TunedModelsError(
            f"no TunedModel is called {name!r}",
            cure=f"Did you mean {near[0]}?"
            if near
            else "Declare it first; `tunedmodels init --from-live` writes what is known of it.",
        )
    return by_name[name]


def _require_free(project: Project, name: str, live: ObservedModel) -> None:
    if live.stamp:
        owner = f"{live.stamp.name} of project {live.stamp.project}"
        is_ours = (live.stamp.project, live.stamp.name) == (project.name, name)
        raise RefusedError(
            f"{live.model_id} bears the stamp of {owner} already.",
            cure="There is nothing to adopt."
            if is_ours
            else "What bears a stamp is never taken from its owner; rename the manifest.",
        )
    if live.state in (ModelState.FAILED, ModelState.CANCELLED):
        raise RefusedError(
            f"{live.model_id} is {live.state}, and nothing can be done with it.",
            cure="Delete it yourself; the next apply then trains what is declared.",
        )


def _unstamped(name: str, there: Sequence[ObservedModel]) -> str:
    ids = [model.model_id for model in there if model.stamp is None]
    if not ids:
        return "There is no model without a stamp: nothing to adopt."
    some = ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if ids[5:] else "")
    return f"Without a stamp there are: {some}. To name one: tunedmodels adopt {name} ID"
