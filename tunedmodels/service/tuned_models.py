"""tunedModels get, list and delete, and their operations."""

from __future__ import annotations

from starlette.responses import Response

from tunedmodels.service import shapes
from tunedmodels.service.calls import (
    Call,
    Rooms,
    answer,
    found,
    page_size,
    page_start,
    page_token,
)
from tunedmodels.service.errors import ApiError, Status, Violation, invalid
from tunedmodels.service.records import Model

_PAGE_SIZE = 10
_MOST_PER_PAGE = 1000
_MOST_WORDS = 50
# Everything here belongs to whoever asks, and is shared with nobody.
_OPERATORS = {"owner:me": True, "writers:me": True, "readers:me": True, "readers:everyone": False}


def get(rooms: Rooms, call: Call) -> Response:
    """Answer with one model."""
    return answer(shapes.tuned_model(*_with_curve(rooms, call)))


def list_(rooms: Rooms, call: Call) -> Response:
    """Answer with a page of models, oldest first: what is created meanwhile comes at the end."""
    size = page_size(call, default=_PAGE_SIZE, most=_MOST_PER_PAGE)
    selection = call.query.get("filter", "")
    after = page_start(call, selection)
    words = _words(selection)
    if words is None:
        return answer(shapes.TunedModelsPage())
    # One more than is shown tells whether there is another page.
    entries = rooms.store.page(after=after, size=size + 1, words=words)
    shown = entries[:size]
    token = page_token(shown[-1][0].seq, selection) if len(entries) > size else ""
    models = [shapes.tuned_model(model, curve) for model, curve in shown]
    return answer(shapes.TunedModelsPage(models, token))


def delete(rooms: Rooms, call: Call) -> Response:
    """Delete a model; if it is still being created, its job stops."""
    if not rooms.store.remove(call.model_id):
        found(None, call.model_id)
    return answer({})


def get_operation(rooms: Rooms, call: Call) -> Response:
    """Answer with the job of a model."""
    model, curve = _with_curve(rooms, call)
    _check_operation(model, call)
    return answer(shapes.operation(model, curve))


def list_operations(rooms: Rooms, call: Call) -> Response:
    """Answer with the one operation that a model has."""
    return answer(shapes.OperationsPage([shapes.operation(*_with_curve(rooms, call))]))


def cancel_operation(rooms: Rooms, call: Call) -> Response:
    """End a job between two steps; the model stays, FAILED, and is never served (F15)."""
    model = found(rooms.store.get(call.model_id), call.model_id)
    _check_operation(model, call)
    rooms.store.cancel(model)
    return answer({})


def _with_curve(rooms: Rooms, call: Call) -> tuple[Model, str]:
    model, curve = rooms.store.get_with_curve(call.model_id) or (None, "")
    return found(model, call.model_id), curve


def _check_operation(model: Model, call: Call) -> None:
    if call.path["operation"] != model.operation:
        name = f"{model.name}/operations/{call.path['operation']}"
        raise ApiError(Status.NOT_FOUND, f"Operation {name} does not exist.")


def _words(selection: str) -> list[str] | None:
    """Read a filter: operators, and words that must all be there; None means nothing matches."""
    words = []
    for word in selection.split():
        if (matches := _OPERATORS.get(word)) is not None:
            if not matches:
                return None
        elif word.startswith(("owner:", "writers:", "readers:")):
            known = ", ".join(_OPERATORS)
            raise invalid([Violation("filter", f"Invalid filter {word!r}; known are {known}.")])
        else:
            words.append(word.strip('"'))
    if len(words) > _MOST_WORDS:
        refusal = f"filter has {len(words)} words; at most {_MOST_WORDS} are allowed."
        raise invalid([Violation("filter", refusal)])
    return words
