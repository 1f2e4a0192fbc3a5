"""The live versions of one name, sorted by what the plan asks: which serves, and which may go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel, serving
from tunedmodels.plan.change import Version, Wanted

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class History:
    """The versions of one name, on all providers.

    `exact` is the declared version, if it exists; `serves` answers for the name. Of the others,
    `ready` are sorted by how much they are worth keeping (newest promoted first, then newest),
    `running` and `broken` (failed or cancelled) by id. Of what is only a record, nothing counts but
    the failure of the declared version, and that a job of it `was_cancelled`.
    """

    exact: ObservedModel | None
    serves: ObservedModel | None
    ready: tuple[ObservedModel, ...]
    running: tuple[ObservedModel, ...]
    broken: tuple[ObservedModel, ...]
    was_cancelled: bool = False

    @property
    def latest(self) -> ObservedModel | None:
        """The version that a new one would replace: the serving one, else the newest other."""
        if self.serves:
            return self.serves
        others = (*self.ready, *self.running, *self.broken)
        return max(others, key=_worth, default=None)

    def beyond(self, keep: int) -> tuple[ObservedModel, ...]:
        """Return the ready versions that `keep` does not cover, oldest first."""
        return self.ready[keep:][::-1]

    def version(self, model: ObservedModel) -> Version:
        """Return what a plan says of one of these models."""
        return version(model, serves=model is self.serves)


def history(
    models: Sequence[ObservedModel], *, provider: str = "", fingerprint: str = ""
) -> History:
    """Sort the versions of one name; without a fingerprint none of them is the declared one."""
    exact = None
    was_cancelled = False
    for model in models:
        if model.provider != provider or model.fingerprint != fingerprint:
            continue
        if model.is_record and model.state is ModelState.CANCELLED:
            was_cancelled = True
        elif exact is None or _rank(model) > _rank(exact):
            exact = model
    there = (model for model in models if model is not exact and not model.is_record)
    others = sorted(there, key=_worth, reverse=True)
    return History(
        exact=exact,
        serves=serving(list(models)),
        ready=tuple(model for model in others if model.state is ModelState.READY),
        running=tuple(sorted((m for m in others if m.state.is_running), key=_place)),
        broken=tuple(sorted((m for m in others if _is_broken(m)), key=_place)),
        was_cancelled=was_cancelled,
    )


def version(model: ObservedModel, *, serves: bool) -> Version:
    """Return what a plan rests on, of a model of ours."""
    stamp = model.stamp
    return Version(
        provider=model.provider,
        model_id=model.model_id,
        state=model.state,
        fingerprint=model.fingerprint,
        dataset=stamp.dataset if stamp else "",
        examples=stamp.examples if stamp else None,
        promoted=_written(model.promoted),
        serves=serves,
        attempt=stamp.attempt if stamp else 1,
        unverified=bool(stamp and stamp.unverified),
    )


def wanted(want: Desired, model_id: str) -> Wanted:
    """Return what a plan would send; `model_id` is the live version's where there is one."""
    return Wanted(
        provider=want.provider,
        model_id=model_id,
        fingerprint=want.fingerprint,
        source=want.source,
        parent=want.parent,
        dataset=want.dataset.digest,
        dataset_path=want.dataset.written,
        examples=want.dataset.examples,
        preamble=want.preamble,
        preamble_as="" if want.preamble_as == "input" else want.preamble_as,
        method="" if want.method == "supervised" else want.method,
        validation=want.validation.digest if want.validation else "",
        validation_path=want.validation.written if want.validation else "",
        service_account=want.service_account,
        encryption_key=want.encryption_key,
        last_checkpoint_only=want.last_checkpoint_only,
        hyperparameters=want.hyperparameters.model_dump(exclude_none=True, by_alias=True),
        display_name=want.display_name,
        description=want.description,
        temperature=want.temperature,
        top_p=want.top_p,
        top_k=want.top_k,
        reader_project_numbers=want.reader_project_numbers,
        protect=want.lifecycle.protect,
        retain=want.lifecycle.on_removal == "retain",
        timeout_s=want.lifecycle.timeout_s,
    )


def _written(promoted: datetime | None) -> str:
    if promoted is None:
        return ""
    return promoted.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _is_broken(model: ObservedModel) -> bool:
    return model.state in (ModelState.FAILED, ModelState.CANCELLED)


def _worth(model: ObservedModel) -> tuple[bool, datetime, datetime, str, str]:
    # Ids settle ties, as they do for the serving version: without that, equal plans would differ.
    ready = model.state is ModelState.READY
    promoted = model.promoted or _NEVER
    created = _NEVER if model.promoted else model.created or _NEVER
    return ready, promoted, created, model.model_id, model.provider


def _rank(model: ObservedModel) -> tuple[bool, bool, datetime, datetime, str, str]:
    # A service with ids of its own may hold one fingerprint twice: take what is of most use.
    return not _is_broken(model), *_worth(model)


def _place(model: ObservedModel) -> tuple[str, str]:
    return model.provider, model.model_id
