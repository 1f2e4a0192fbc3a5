"""tunedModels.patch: which fields may change, and how a mask is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from starlette.responses import Response

from tunedmodels.service.access import called, found
from tunedmodels.service.api import responses
from tunedmodels.service.api.base_models import TEMPERATURE, TOP_P
from tunedmodels.service.api.messages import TunedModel
from tunedmodels.service.api.request import Call, Rooms, answer
from tunedmodels.service.api.validation import word_violations
from tunedmodels.service.bodies import mask, parse
from tunedmodels.service.errors import Violation, invalid
from tunedmodels.service.records import Model, Role

# Field of the message: column, and its value from the message. A field that is named in the mask
# and missing in the body is cleared.
_MUTABLE: dict[str, tuple[str, Callable[[TunedModel], object]]] = {
    "display_name": ("display_name", lambda body: body.display_name or ""),
    "description": ("description", lambda body: body.description or ""),
    "temperature": (
        "temperature",
        lambda body: TEMPERATURE if body.temperature is None else body.temperature,
    ),
    "top_p": ("top_p", lambda body: TOP_P if body.top_p is None else body.top_p),
    "top_k": ("top_k", lambda body: body.top_k),
    "reader_project_numbers": (
        "readers",
        lambda body: json.dumps(body.reader_project_numbers or []),
    ),
}
# Clients that send back what they read name these too, down to `create_time.seconds`; and the
# `tuning_task` as a whole, which differs whenever there is a new snapshot.
_OUTPUT_ONLY = (
    "name",
    "state",
    "create_time",
    "update_time",
    "tuning_task.start_time",
    "tuning_task.complete_time",
    "tuning_task.snapshots",
)
_IMMUTABLE = (
    "base_model",
    "tuned_model_source",
    "tuning_task.hyperparameters",
    "tuning_task.training_data",
)


def patch(rooms: Rooms, call: Call) -> Response:
    """Change the fields of the mask; without a mask, the fields that are there."""
    stored = called(rooms, call, Role.WRITER)
    body = parse(call.body, TunedModel, at="tuned_model")
    if paths := mask(call.query):
        fields = _masked(paths)
    else:
        fields = [field for field in _MUTABLE if getattr(body, field) is not None]
        _refuse(_changed(body, stored))
    if violations := list(word_violations(body)):
        raise invalid(violations)
    values = {_MUTABLE[field][0]: _MUTABLE[field][1](body) for field in fields}
    model, curve = rooms.store.edit(stored, values) or (None, "")
    return answer(responses.tuned_model(found(model, stored.id), curve))


def _masked(paths: Sequence[str]) -> list[str]:
    """Return the mutable fields of a mask; `*` is all of them."""
    fields: list[str] = []
    immutable: list[str] = []
    for path in paths:
        if path == "*":
            fields.extend(_MUTABLE)
        elif path in _MUTABLE:
            fields.append(path)
        elif _is_in(path, _IMMUTABLE):
            immutable.append(path)
        elif path != "tuning_task" and not _is_in(path, _OUTPUT_ONLY):
            words = f"Invalid update_mask: TunedModel has no field {path[:80]!r}."
            raise invalid([Violation("update_mask", words)])
    _refuse(immutable)
    return fields


def _is_in(path: str, parents: Sequence[str]) -> bool:
    return any(path == parent or path.startswith(f"{parent}.") for parent in parents)


def _changed(body: TunedModel, stored: Model) -> list[str]:
    """Return the immutable fields of a body that are not as stored; to send them back is fine."""
    source = body.tuned_model_source
    task = body.tuning_task
    settings = task.hyperparameters if task else None
    pairs: list[tuple[str, object, object]] = [
        ("base_model", body.base_model, stored.base_model),
        ("tuned_model_source", source.tuned_model if source else None, stored.source),
        ("tuning_task.training_data", task.training_data if task else None, None),
    ]
    if settings:
        pairs += [
            (f"tuning_task.hyperparameters.{field}", getattr(settings, field), value)
            for field, value in (
                ("epoch_count", stored.epoch_count),
                ("batch_size", stored.batch_size),
                ("learning_rate", stored.learning_rate),
                ("learning_rate_multiplier", None),
            )
        ]
    return [path for path, sent, there in pairs if sent is not None and sent != there]


def _refuse(paths: Sequence[str]) -> None:
    if paths:
        raise invalid(
            [
                Violation(f"tuned_model.{path}", f"{path} cannot be changed after creation.")
                for path in paths
            ]
        )
