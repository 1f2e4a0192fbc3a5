"""The fields in which a desired model and a live version differ.

Two kinds: mutable fields are updated in place, a change of any training input needs a new version.
This is the only module that uses deepdiff, for values that are not scalars.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any

from pydantic import JsonValue

from tunedmodels.desired import Desired
from tunedmodels.model_fields import MANIFEST_PATHS, field_hashes, hashes_by_field
from tunedmodels.observed import ObservedModel, UsedHyperparameters
from tunedmodels.plan.plan import FieldChange
from tunedmodels.schema.tuned_model import Hyperparameters

# F10: the values that the service uses for unset fields.
_DEFAULT_EPOCH_COUNT = 5
_DEFAULT_BATCH_SIZE = 4
_DEFAULT_LEARNING_RATE = 0.001

# A service may store floats in 32 bits and return 0.699999988 for 0.7.
_RELATIVE_TOLERANCE = 1e-6


def mutable_changes(desired: Desired, observed: ObservedModel) -> tuple[FieldChange, ...]:
    """Return the fields that an update in place would change.

    Fields without a desired value are not managed. A field is marked as drift if its live value is
    not the one that was last applied, according to the hashes in the stamp.
    """
    stamp, lifecycle = observed.stamp, desired.lifecycle
    before: dict[str, Any] = {
        "lifecycle": {
            "protect": bool(stamp and stamp.protect),
            "onRemoval": "retain" if stamp and stamp.retain else "delete",
        },
    }
    after: dict[str, Any] = {
        "lifecycle": {"protect": lifecycle.protect, "onRemoval": lifecycle.on_removal},
    }
    for name, value in desired.fields.values().items():
        path, live = MANIFEST_PATHS[name], getattr(observed.fields, name)
        if isinstance(value, Mapping):
            if live is not None:  # None: the service does not have this field
                after[path] = dict(value)
                before[path] = {key: live.get(key) for key in value}
        elif isinstance(value, tuple):
            after[path], before[path] = sorted(set(value)), sorted(set(live or ()))
        else:
            after[path], before[path] = value, _without_rounding(live, value)
    changes = changed_leaves(before, after)
    applied = hashes_by_field(stamp.field_hashes) if changes and stamp else {}
    if not applied:
        return changes
    current = hashes_by_field(field_hashes(observed.fields))
    return tuple(
        change.model_copy(update={"drift": True})
        if change.path in applied and applied[change.path] != current.get(change.path)
        else change
        for change in changes
    )


def input_changes(desired: Desired, observed: ObservedModel) -> tuple[FieldChange, ...]:
    """Return the training inputs of a desired model that differ from those of a live version.

    Datasets are compared by digest and preambles by the first digits of their digest, since a live
    model contains neither; an unset hyperparameter has the default of the API. Values that the
    service does not report are left out, so the result may be empty although the fingerprints
    differ.
    """
    inputs, stamp = desired.inputs, observed.stamp
    source = "tunedModel" if desired.parent else "baseModel"
    before: dict[str, Any] = {"provider": observed.provider, source: observed.source}
    after: dict[str, Any] = {"provider": desired.provider, source: inputs.source}
    if stamp:
        before |= {"dataset": stamp.dataset, "preamble": stamp.preamble or None}
        after |= {"dataset": inputs.dataset.digest, "preamble": desired.preamble_digest or None}
    used, declared = _hyperparameters(observed.used, inputs.hyperparameters)
    before["hyperparameters"], after["hyperparameters"] = used, declared
    return changed_leaves(before, after, forces_replacement=True)


def changed_leaves(
    before: Mapping[str, Any], after: Mapping[str, Any], *, forces_replacement: bool = False
) -> tuple[FieldChange, ...]:
    """Return the leaves in which two nested mappings differ, by path; a list is one leaf."""
    return tuple(
        FieldChange(
            path=".".join(path),
            before=_value_at(before, path),
            after=_value_at(after, path),
            forces_replacement=forces_replacement,
        )
        for path in sorted(_changed_paths(before, after))
    )


def _changed_paths(
    before: Mapping[str, Any], after: Mapping[str, Any], parents: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    """Yield the paths of the leaves that differ; deepdiff compares only what is not a scalar."""
    if before == after:
        return  # one microsecond; deepdiff takes a thousand
    if before.keys() != after.keys():
        yield from ((*parents, *path) for path in _deep_paths(before, after))
        return
    for key, old in before.items():
        new, path = after[key], (*parents, key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _changed_paths(old, new, path)
        elif old != new:
            has_parts = isinstance(old, list) and isinstance(new, list)
            inner = _deep_paths(old, new) if has_parts else {()}
            yield from ((*path, *part) for part in inner)


def _deep_paths(before: object, after: object) -> set[tuple[str, ...]]:
    """Return the paths in which two mappings or lists differ, up to the first index of a list."""
    from deepdiff import DeepDiff  # noqa: PLC0415  # half of a start-up, needed for few plans

    found = DeepDiff(before, after, view="tree", ignore_numeric_type_changes=True)
    return {
        tuple(_key_path(item.path(output_format="list")))
        for items in found.values()
        for item in items
    }


def _key_path(path: list[Any]) -> Iterator[str]:
    return takewhile(lambda part: isinstance(part, str), path)


def _value_at(values: Mapping[str, Any], path: tuple[str, ...]) -> JsonValue:
    value: Any = values
    for part in path:
        value = value.get(part)
    return value  # type: ignore[no-any-return]  # all leaves are JSON values


def _hyperparameters(
    used: UsedHyperparameters, declared: Hyperparameters
) -> tuple[dict[str, Any], dict[str, Any]]:
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for path, value, live, default in (
        ("epochCount", declared.epoch_count, used.epoch_count, _DEFAULT_EPOCH_COUNT),
        ("batchSize", declared.batch_size, used.batch_size, _DEFAULT_BATCH_SIZE),
    ):
        if live is not None:
            before[path], after[path] = live, value or default
    for path, optional, live_optional in (
        ("adapterSize", declared.adapter_size, used.adapter_size),
        ("beta", declared.beta, used.beta),
    ):
        if optional is not None or live_optional is not None:
            before[path], after[path] = live_optional, optional
    live_rate = used.learning_rate_multiplier or used.learning_rate
    if live_rate is None:
        return before, after
    # The two exclude each other: a change from one to the other removes one field and adds one.
    multiplier = declared.learning_rate_multiplier
    rate = multiplier or declared.learning_rate or _DEFAULT_LEARNING_RATE
    before[_rate_path(used.learning_rate_multiplier)] = _without_rounding(live_rate, rate)
    after[_rate_path(multiplier)] = rate
    return before, after


def _rate_path(multiplier: float | None) -> str:
    return "learningRate" if multiplier is None else "learningRateMultiplier"


def _without_rounding(live: Any, desired: Any) -> Any:  # noqa: ANN401  # the value of any field
    """Return the live value, or the desired one if only rounding distinguishes them."""
    are_numbers = isinstance(live, int | float) and isinstance(desired, int | float)
    if are_numbers and math.isclose(live, desired, rel_tol=_RELATIVE_TOLERANCE):
        return desired
    return live
