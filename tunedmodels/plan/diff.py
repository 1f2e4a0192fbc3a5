"""Which fields differ between what is declared and what is live: the only room that knows deepdiff.

Two kinds: mutable fields are written to a live model, all others need a new version.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any

from pydantic import JsonValue

from tunedmodels.desired import Desired
from tunedmodels.observed import ObservedModel, UsedHyperparameters
from tunedmodels.plan.plan import FieldChange
from tunedmodels.schema.tuned_model import Hyperparameters
from tunedmodels.stamp import marks_by_field, word_marks

# F10: what the service takes for an unset field.
_DEFAULT_EPOCH_COUNT = 5
_DEFAULT_BATCH_SIZE = 4
_DEFAULT_LEARNING_RATE = 0.001

# A service may keep floats in 32 bits and answer 0.699999988 for 0.7.
_SAME = 1e-6


def mutable_fields(want: Desired, there: ObservedModel) -> tuple[FieldChange, ...]:
    """Return the fields that an update in place would change.

    What the manifest leaves out is not managed; a description is, since the stamp shares its place.
    A field whose live value is not the one that was last applied, as far as the stamp remembers, is
    marked as drift.
    """
    after: dict[str, Any] = {
        "description": want.description,
        "lifecycle": {"protect": want.lifecycle.protect, "onRemoval": want.lifecycle.on_removal},
    }
    retain = bool(there.stamp and there.stamp.retain)
    before: dict[str, Any] = {
        "description": there.description,
        "lifecycle": {
            "protect": bool(there.stamp and there.stamp.protect),
            "onRemoval": "retain" if retain else "delete",
        },
    }
    if want.display_name:
        after["displayName"], before["displayName"] = want.display_name, there.display_name
    for path, value, live in (
        ("temperature", want.temperature, there.temperature),
        ("topP", want.top_p, there.top_p),
        ("topK", want.top_k, there.top_k),
    ):
        if value is not None:
            after[path], before[path] = value, _settled(live, value)
    if want.reader_project_numbers is not None:
        after["readerProjectNumbers"] = sorted(set(want.reader_project_numbers))
        before["readerProjectNumbers"] = sorted(set(there.reader_project_numbers))
    if want.labels and there.labels is not None:
        after["labels"] = dict(want.labels)
        before["labels"] = {key: there.labels.get(key) for key in want.labels}
    fields = differing(before, after)
    applied = marks_by_field(there.stamp.words) if fields and there.stamp else {}
    if not applied:
        return fields
    found = marks_by_field(word_marks(there))
    return tuple(
        field.model_copy(update={"drift": True})
        if field.path in applied and applied[field.path] != found.get(field.path)
        else field
        for field in fields
    )


def fixed_fields(want: Desired, there: ObservedModel) -> tuple[FieldChange, ...]:
    """Return the fields in which `there` was trained otherwise than `want` is declared.

    Datasets stand as digests and preambles as the first digits of theirs, since a live model holds
    neither; an unset hyperparameter stands for the default of the API. What the service does not
    say is left out, so that nothing may differ although the fingerprints do.
    """
    source = "tunedModel" if want.parent else "baseModel"
    before: dict[str, Any] = {"provider": there.provider, source: there.source}
    after: dict[str, Any] = {"provider": want.provider, source: want.source}
    if there.stamp:
        before |= {"dataset": there.stamp.dataset, "preamble": there.stamp.preamble or None}
        after |= {"dataset": want.dataset.digest, "preamble": want.preamble_mark or None}
    used, wanted = _hyperparameters(there.used, want.hyperparameters)
    before["hyperparameters"], after["hyperparameters"] = used, wanted
    return differing(before, after, forces_replacement=True)


def differing(
    before: Mapping[str, Any], after: Mapping[str, Any], *, forces_replacement: bool = False
) -> tuple[FieldChange, ...]:
    """Return the leaves in which two nested mappings differ, by path; a list is one leaf."""
    if before == after:
        return ()  # comparing takes a microsecond, deepdiff a thousand of them
    from deepdiff import DeepDiff  # noqa: PLC0415  # half of a start-up, needed for few plans

    found = DeepDiff(before, after, view="tree", ignore_numeric_type_changes=True)
    paths = {
        tuple(_names(item.path(output_format="list"))) for kind in found.values() for item in kind
    }
    return tuple(
        FieldChange(
            path=".".join(path),
            before=_at(before, path),
            after=_at(after, path),
            forces_replacement=forces_replacement,
        )
        for path in sorted(paths)
    )


def _names(path: list[Any]) -> Iterator[str]:
    return takewhile(lambda part: isinstance(part, str), path)


def _at(values: Mapping[str, Any], path: tuple[str, ...]) -> JsonValue:
    value: Any = values
    for part in path:
        value = value.get(part)
    return value  # type: ignore[no-any-return]  # the leaves are what the two mappings hold


def _hyperparameters(
    used: UsedHyperparameters, want: Hyperparameters
) -> tuple[dict[str, Any], dict[str, Any]]:
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for path, value, live, default in (
        ("epochCount", want.epoch_count, used.epoch_count, _DEFAULT_EPOCH_COUNT),
        ("batchSize", want.batch_size, used.batch_size, _DEFAULT_BATCH_SIZE),
    ):
        if live is not None:
            before[path], after[path] = live, value or default
    for path, chosen, there in (
        ("adapterSize", want.adapter_size, used.adapter_size),
        ("beta", want.beta, used.beta),
    ):
        if chosen is not None or there is not None:
            before[path], after[path] = there, chosen
    rate = used.learning_rate_multiplier or used.learning_rate
    if rate is None:
        return before, after
    # The two exclude each other: going from one to the other is one field less and one more.
    scaled = want.learning_rate_multiplier
    wanted = scaled or want.learning_rate or _DEFAULT_LEARNING_RATE
    before[_rate(used.learning_rate_multiplier)] = _settled(rate, wanted)
    after[_rate(scaled)] = wanted
    return before, after


def _rate(multiplier: float | None) -> str:
    return "learningRate" if multiplier is None else "learningRateMultiplier"


def _settled(live: float | None, wanted: float) -> float | None:
    return wanted if live is not None and math.isclose(live, wanted, rel_tol=_SAME) else live
