"""tunedModels get, list and delete, and their operations."""

from __future__ import annotations

from starlette.responses import Response

from tunedmodels.service.access import called, check, found
from tunedmodels.service.api import responses
from tunedmodels.service.api.request import Call, Rooms, answer, page_size, page_start, page_token
from tunedmodels.service.errors import ApiError, Status
from tunedmodels.service.list_filter import selection
from tunedmodels.service.records import Model, Role

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
