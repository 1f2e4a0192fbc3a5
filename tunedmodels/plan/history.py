"""The live versions of one name, sorted by what the plan asks: which serves, and which may go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel, serving
from tunedmodels.plan.plan import Leaving, Version, Wanted
from tunedmodels.schema.tuned_model import Lifecycle

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class History:
    """The versions of one name, on all providers.

    `exact` is the declared version, if it exists; `serves` answers for the name. Of the others,
    `ready` are sorted by how much they are worth keeping (newest promoted first, then newest),
    `running`, `broken` (failed or cancelled), `rejected` (by a gate) and `lost` (in a sweep) by id.
    `stopped` says by place when a version that once served gave way to its successor. Of what is
    only a record, nothing counts but the failure of the declared version, and that a job of it
    `was_cancelled`.
    """

    exact: ObservedModel | None
    serves: ObservedModel | None
    ready: tuple[ObservedModel, ...]
    running: tuple[ObservedModel, ...]
    broken: tuple[ObservedModel, ...]
    rejected: tuple[ObservedModel, ...] = ()
    lost: tuple[ObservedModel, ...] = ()
    stopped: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    was_cancelled: bool = False

    @property
    def latest(self) -> ObservedModel | None:
        """The version that a new one would replace: the serving one, else the newest other."""
        if self.serves:
            return self.serves
        others = (*self.ready, *self.rejected, *self.lost, *self.running, *self.broken)
        return max(others, key=_worth, default=None)

    def beyond(self, keep: int) -> tuple[ObservedModel, ...]:
        """Return the ready versions that `keep` does not cover, oldest first."""
        return self.ready[keep:][::-1]

    def beside_the_serving(self, keep: int) -> tuple[ObservedModel, ...]:
        """Return what `keep` does not cover as long as the declared version does not serve."""
        others = tuple(model for model in self.ready if model is not self.serves)
        return others[keep:][::-1]

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
    ready = [model for model in others if model.state is ModelState.READY]
    rejected = sorted(filter(_is_rejected, ready), key=_place)
    lost = sorted((m for m in ready if _has_lost(m) and m not in rejected), key=_place)
    return History(
        exact=exact,
        serves=serving(list(models)),
        ready=tuple(model for model in ready if model not in rejected and model not in lost),
        running=tuple(sorted((m for m in others if m.state.is_running), key=_place)),
        broken=tuple(sorted((m for m in others if _is_broken(m)), key=_place)),
        rejected=tuple(rejected),
        lost=tuple(lost),
        stopped=_stopped(models),
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
        promoted=written(model.promoted),
        serves=serves,
        attempt=stamp.attempt if stamp else 1,
        unverified=bool(stamp and stamp.unverified),
        rejected=_is_rejected(model),
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
        labels=dict(want.labels),
        protect=want.lifecycle.protect,
        retain=want.lifecycle.on_removal == "retain",
        timeout_s=want.lifecycle.timeout_s,
    )


def written(time: datetime | None) -> str:
    """Return a moment as a plan holds it, in UTC, or nothing."""
    if time is None:
        return ""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _stopped(models: Sequence[ObservedModel]) -> Mapping[tuple[str, str], datetime]:
    """Return when each version gave way: the mark of the one that was promoted after it says so."""
    promoted = [(m.promoted, m.model_id, m.provider, m) for m in models if m.promoted]
    in_order = sorted(promoted, key=lambda entry: entry[:3])
    return {_place(former[3]): later[0] for former, later in pairwise(in_order)}


def _is_rejected(model: ObservedModel) -> bool:
    return model.stamp is not None and model.stamp.is_rejected


def _has_lost(model: ObservedModel) -> bool:
    return model.stamp is not None and model.stamp.has_lost


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


# FOLDED
# Which former versions of a name go: those that neither `keep` nor `grace` covers.
#
# Grace counts from the moment at which a version gave way to its successor, whose promotion mark
# says so. Nothing is remembered and nothing waits: the first plan after that moment lets it go.
@dataclass(frozen=True, slots=True)
class Retirement:
    """The former versions of one name, at the moment `now`; without one, nobody's grace is over.

    `is_held` says that the declared version does not come to serve, so that `keep` counts from the
    one that does.
    """

    past: History
    lifecycle: Lifecycle
    now: datetime | None
    is_held: bool

    @property
    def is_timed(self) -> bool:
        """Whether a version goes or stays because of the time."""
        return any(self._until(m) for m in self._uncovered() if m is not self.past.serves)

    def due(self) -> Iterator[ObservedModel]:
        """Yield what may go now, or as soon as the declared version serves; the oldest first."""
        return (model for model in self._uncovered() if self._is_due(model))

    def leaving(self, name: str) -> Iterator[Leaving]:
        """Yield what goes with a later apply."""
        for model in self._uncovered():
            if self.lifecycle.grace and not self._is_due(model):
                until = None if model is self.past.serves else self._until(model)
                yield Leaving(
                    name=name,
                    model_id=model.model_id,
                    grace=self.lifecycle.grace,
                    until=written(until),
                )

    def _uncovered(self) -> tuple[ObservedModel, ...]:
        keep = self.lifecycle.keep
        return self.past.beside_the_serving(keep) if self.is_held else self.past.beyond(keep)

    def _is_due(self, model: ObservedModel) -> bool:
        if model is self.past.serves:
            return not self.lifecycle.grace
        until = self._until(model)
        return until is None or (self.now is not None and self.now >= until)

    def _until(self, model: ObservedModel) -> datetime | None:
        """Return when its grace is over; one that never served has none, as nobody misses it."""
        stopped = self.past.stopped.get((model.provider, model.model_id))
        if stopped is None or not self.lifecycle.grace:
            return None
        return stopped + timedelta(seconds=self.lifecycle.grace_s)
