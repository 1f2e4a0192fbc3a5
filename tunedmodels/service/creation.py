"""tunedModels.create: a checked request becomes a stored model with a job that waits."""

from __future__ import annotations

import json
import re
import secrets
import string

from starlette.responses import Response

from tunedmodels.datasets.examples import canonical
from tunedmodels.service.access import reached
from tunedmodels.service.api import responses, validation
from tunedmodels.service.api.base_models import TEMPERATURE, TOP_P
from tunedmodels.service.api.messages import TunedModel
from tunedmodels.service.api.request import Call, Rooms, answer
from tunedmodels.service.bodies import parse
from tunedmodels.service.errors import ApiError, Status
from tunedmodels.service.identity import Caller
from tunedmodels.service.records import Model, NewModel, Role, State

_RANDOM = string.ascii_lowercase + string.digits
_RANDOM_LENGTH = 12  # of operations, and at the end of generated ids
_LONGEST_WORDS = 40 - 1 - _RANDOM_LENGTH


def create(rooms: Rooms, call: Call) -> Response:
    """Start a job and answer with its operation at once."""
    body = parse(call.body, TunedModel, at="tuned_model")
    wanted_id = call.query.get("tuned_model_id", "")
    job = validation.job(body, wanted_id)
    base_model, parent = _source(rooms, call.caller, body)
    time = responses.now()
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
