"""What a caller may do with a model: read, then write, then own; each role holds the former.

A reader sees a model and asks it. A writer also changes it, cancels its job and shares it. Its
owner also deletes it and gives it away.
"""

from __future__ import annotations

from tunedmodels.service.api.request import Call, Rooms
from tunedmodels.service.errors import ApiError, Status
from tunedmodels.service.identity import Caller
from tunedmodels.service.records import Model, Role


def found(model: Model | None, model_id: str) -> Model:
    """Return the model, or raise ApiError (NOT_FOUND) in Google's words."""
    if model is None:
        raise ApiError(Status.NOT_FOUND, f"Tuned model tunedModels/{model_id} does not exist.")
    return model


def check(rooms: Rooms, caller: Caller, model: Model, needed: Role) -> None:
    """Raise ApiError (PERMISSION_DENIED) in Google's words unless the caller has that role."""
    role = rooms.sharing.role(model.seq, caller)
    if role is not None and role <= needed:
        return
    words = f"You do not have permission to access tuned model {model.name}"
    if role is not None:
        words += f" like this: it takes the role {needed.name}, and yours is {role.name}"
    raise ApiError(Status.PERMISSION_DENIED, words)


def reached(rooms: Rooms, caller: Caller, model_id: str, needed: Role) -> Model:
    """Return a model, for a caller of that role at least. Raises ApiError."""
    model = found(rooms.store.get(model_id), model_id)
    check(rooms, caller, model, needed)
    return model


def called(rooms: Rooms, call: Call, needed: Role) -> Model:
    """Return the model in the path of a call, for a caller of that role at least."""
    return reached(rooms, call.caller, call.model_id, needed)
