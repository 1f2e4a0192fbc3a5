"""tunedModels get, list and delete, and their operations."""

from __future__ import annotations

import json
import re
import secrets
import string
from collections.abc import Callable, Sequence

from starlette.responses import Response

from tunedmodels.datasets.examples import canonical
from tunedmodels.service.api import responses, validation
from tunedmodels.service.api.base_models import TEMPERATURE, TOP_P
from tunedmodels.service.api.messages import TunedModel, mask, parse
from tunedmodels.service.api.permissions import called, check, found, reached
from tunedmodels.service.api.request import Call, Rooms, answer, page_size, page_start, page_token
from tunedmodels.service.api.validation import word_violations
from tunedmodels.service.errors import ApiError, Status, Violation, invalid
from tunedmodels.service.identity import Caller
from tunedmodels.service.list_filter import selection
from tunedmodels.service.records import Model, NewModel, Role, State, now

_PAGE_SIZE = 10
_MOST_PER_PAGE = 1000


def get(rooms: Rooms, call: Call) -> Response:
    """Answer with one model."""
    return answer(responses.tuned_model(*_with_curve(rooms, call)))


def list_(rooms: Rooms, call: Call) -> Response:
    """Answer with a page of models, oldest first: what is created meanwhile comes at the end."""
    size = page_size(call, default=_PAGE_SIZE, most=_MOST_PER_PAGE)
    text = call.query.get("filter", "")
    after = page_start(call, text)
    # One more than is shown tells whether there is another page.
    entries = rooms.store.page(
        after=after, size=size + 1, selected=selection(text), caller=call.caller
    )
    shown = entries[:size]
    token = page_token(shown[-1][0].seq, text) if len(entries) > size else ""
    models = [responses.tuned_model(model, curve) for model, curve in shown]
    return answer(responses.TunedModelsPage(models, token))


def delete(rooms: Rooms, call: Call) -> Response:
    """Delete a model; if it is still being created, its job stops."""
    rooms.store.remove(called(rooms, call, Role.OWNER))
    return answer({})


def get_operation(rooms: Rooms, call: Call) -> Response:
    """Answer with the job of a model."""
    model, curve = _with_curve(rooms, call)
    _check_operation(model, call)
    return answer(responses.operation(model, curve))


def list_operations(rooms: Rooms, call: Call) -> Response:
    """Answer with the one operation that a model has."""
    return answer(responses.OperationsPage([responses.operation(*_with_curve(rooms, call))]))


def cancel_operation(rooms: Rooms, call: Call) -> Response:
    """End a job between two steps; the model stays, FAILED, and is never served (F15)."""
    model = called(rooms, call, Role.WRITER)
    _check_operation(model, call)
    rooms.store.cancel(model)
    return answer({})


def _with_curve(rooms: Rooms, call: Call) -> tuple[Model, str]:
    stored, curve = rooms.store.get_with_curve(call.model_id) or (None, "")
    model = found(stored, call.model_id)
    check(rooms, call.caller, model, Role.READER)
    return model, curve


def _check_operation(model: Model, call: Call) -> None:
    if call.path["operation"] != model.operation:
        name = f"{model.name}/operations/{call.path['operation']}"
        raise ApiError(Status.NOT_FOUND, f"Operation {name} does not exist.")


# FOLDED
# tunedModels.create: a checked request becomes a stored model with a job that waits.
_RANDOM = string.ascii_lowercase + string.digits
_RANDOM_LENGTH = 12  # of operations, and at the end of generated ids
_LONGEST_WORDS = 40 - 1 - _RANDOM_LENGTH


def create(rooms: Rooms, call: Call) -> Response:
    """Start a job and answer with its operation at once."""
    body = parse(call.body, TunedModel, at="tuned_model")
    wanted_id = call.query.get("tuned_model_id", "")
    job = validation.job(body, wanted_id)
    base_model, parent = _source(rooms, call.caller, body)
    time = now()
    model = NewModel(
        id=wanted_id or generated_id(body.display_name or ""),
        operation=_random(),
        base_model=base_model,
        source=parent.name if parent else "",
        source_seq=parent.seq if parent else None,
        display_name=body.display_name or "",
        description=body.description or "",
        temperature=TEMPERATURE if body.temperature is None else body.temperature,
        top_p=TOP_P if body.top_p is None else body.top_p,
        top_k=body.top_k,
        readers=json.dumps(body.reader_project_numbers or []),
        epoch_count=job.epoch_count,
        batch_size=job.batch_size,
        learning_rate=job.learning_rate,
        total_steps=job.total_steps,
        create_time=time,
        update_time=time,
    )
    stored = rooms.store.add(model, canonical(job.examples), owner=call.caller.email)
    if stored is None:
        words = f"Tuned model tunedModels/{model.id} already exists."
        raise ApiError(Status.ALREADY_EXISTS, words)
    rooms.wake()
    return answer(responses.operation(stored, ""))


def generated_id(display_name: str, end: str = "") -> str:
    """Return an id made of the words of a display name and a random end, as the API makes them.

    `end` is 12 lower-case letters and digits, for whoever asks twice and means one model.
    """
    end = end or _random()
    words = re.sub(r"[^a-z0-9\s]", "", display_name.lower()).split()
    readable = "-".join(words).lstrip(string.digits + "-")[:_LONGEST_WORDS].rstrip("-")
    if readable:
        return f"{readable}-{end}"
    return secrets.choice(string.ascii_lowercase) + end


def _source(rooms: Rooms, caller: Caller, body: TunedModel) -> tuple[str, Model | None]:
    """Return the base model to train on, and the tuned model to continue from, if one is named."""
    continues = body.tuned_model_source and body.tuned_model_source.tuned_model
    if not continues:
        base_model = body.base_model or ""
        rooms.catalogue.engine(base_model, method="createTunedModel")
        return base_model, None
    parent_id = continues.removeprefix("tunedModels/")
    parent = reached(rooms, caller, parent_id, Role.READER)
    if parent.state != State.ACTIVE:
        words = f"{parent.name} cannot be continued from: its state is {parent.state}, not ACTIVE."
        raise ApiError(Status.FAILED_PRECONDITION, words)
    rooms.catalogue.engine(parent.base_model, method="createTunedModel")
    return parent.base_model, parent


def _random() -> str:
    return "".join(secrets.choice(_RANDOM) for _ in range(_RANDOM_LENGTH))


# FOLDED
# tunedModels.patch: which fields may change, and how a mask is read.
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
