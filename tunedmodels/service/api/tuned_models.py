"""The tuned models and their operations: create, get, list, patch, delete and cancel."""

from __future__ import annotations

import json
import re
import secrets
import string
from collections.abc import Callable, Sequence

from starlette.responses import Response

from tunedmodels.datasets.examples import canonical_form
from tunedmodels.service.api import responses
from tunedmodels.service.api.base_models import TEMPERATURE, TOP_P
from tunedmodels.service.api.messages import TunedModel, parse_message, update_mask
from tunedmodels.service.api.permissions import (
    authorize,
    authorize_model,
    require_model,
    require_role,
)
from tunedmodels.service.api.request import (
    ApiRequest,
    ServiceContext,
    json_response,
    page_size,
    page_start,
    page_token,
)
from tunedmodels.service.api.validation import mutable_field_violations, validate_create
from tunedmodels.service.errors import ApiError, ApiStatus, Violation, invalid_argument
from tunedmodels.service.identity import Caller
from tunedmodels.service.list_filter import parse_filter
from tunedmodels.service.records import (
    AccessRole,
    NewModel,
    StoredModel,
    TunedModelState,
    timestamp,
)

_PAGE_SIZE = 10
_MAX_PAGE_SIZE = 1000
_ID_CHARACTERS = string.ascii_lowercase + string.digits
_SUFFIX_LENGTH = 12  # of operation ids, and at the end of generated model ids
_MAX_PREFIX_LENGTH = 40 - 1 - _SUFFIX_LENGTH

# Mutable fields of the message: the column, and its value in a message. A field that the mask
# contains and the body lacks gets its default value.
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
# Ignored in a mask. Clients that send back a message they received also put these fields into the
# mask, down to `create_time.seconds`, and `tuning_task` as a whole, which differs after each step.
_OUTPUT_ONLY = (
    "name",
    "state",
    "create_time",
    "update_time",
    "tuning_task.start_time",
    "tuning_task.complete_time",
    "tuning_task.snapshots",
)
_SNAPSHOTS = ("tuningTask", "snapshots")
_OPERATION_SNAPSHOTS = (("metadata", "snapshots"), ("response", *_SNAPSHOTS))
_IMMUTABLE = (
    "base_model",
    "tuned_model_source",
    "tuning_task.hyperparameters",
    "tuning_task.training_data",
)


def create(context: ServiceContext, request: ApiRequest) -> Response:
    """Store a model with a queued job, and respond with its operation at once."""
    body = parse_message(request.body, TunedModel, at="tuned_model")
    requested_id = request.query.get("tuned_model_id", "")
    job = validate_create(body, requested_id)
    base_model, source = _resolve_source(context, request.caller, body)
    time = timestamp()
    model = NewModel(
        id=requested_id or generate_id(body.display_name or ""),
        operation=_random_suffix(),
        base_model=base_model,
        source=source.name if source else "",
        source_seq=source.seq if source else None,
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
    stored = context.store.add(model, canonical_form(job.examples), owner=request.caller.email)
    if stored is None:
        message = f"Tuned model tunedModels/{model.id} already exists."
        raise ApiError(ApiStatus.ALREADY_EXISTS, message)
    context.wake_workers()
    return json_response(responses.operation(stored, ""))


def get(context: ServiceContext, request: ApiRequest) -> Response:
    """Respond with one model."""
    curve_limit = request.curve_limit(_SNAPSHOTS)
    model, curve = _authorize_with_curve(context, request, curve_limit)
    return json_response(responses.tuned_model(model, curve), etag=model.etag)


def list_(context: ServiceContext, request: ApiRequest) -> Response:
    """Respond with a page of models, oldest first, so that new models are on the last page."""
    size = page_size(request, default=_PAGE_SIZE, maximum=_MAX_PAGE_SIZE)
    text = request.query.get("filter", "")
    after = page_start(request, text)
    page = context.store.list_page(
        after=after,
        size=size,
        model_filter=parse_filter(text),
        caller=request.caller,
        curve_limit=request.curve_limit(("tunedModels", *_SNAPSHOTS)),
    )
    token = page_token(page.entries[-1][0].seq, text) if page.has_more else ""
    models = [responses.tuned_model(model, curve) for model, curve in page.entries]
    return json_response(responses.TunedModelPageResponse(models, token))


def patch(context: ServiceContext, request: ApiRequest) -> Response:
    """Change the fields of the mask; without a mask, the fields that the body contains."""
    stored = authorize(context, request, AccessRole.WRITER)
    body = parse_message(request.body, TunedModel, at="tuned_model")
    if paths := update_mask(request.query):
        fields = _masked_fields(paths)
    else:
        fields = [field for field in _MUTABLE if getattr(body, field) is not None]
        _reject_immutable(_immutable_changes(body, stored))
    if violations := list(mutable_field_violations(body)):
        raise invalid_argument(violations)
    values = {_MUTABLE[field][0]: _MUTABLE[field][1](body) for field in fields}
    condition = _condition(request, stored)
    updated, curve = context.store.update(stored, values, update_time=condition) or (None, "")
    if updated is None and condition and context.store.get(stored.id):
        raise _changed(stored)
    model = require_model(updated, stored.id)
    return json_response(responses.tuned_model(model, curve), etag=model.etag)


def delete(context: ServiceContext, request: ApiRequest) -> Response:
    """Delete a model, and stop its job if it is unfinished."""
    stored = authorize(context, request, AccessRole.OWNER)
    if not context.store.delete(stored, update_time=_condition(request, stored)):
        if context.store.get(stored.id):
            raise _changed(stored)
        require_model(None, stored.id)
    return json_response({})


def _condition(request: ApiRequest, stored: StoredModel) -> str:
    """Return the update time that the model must have, from If-Match; empty without one.

    Raises ApiError (412) if the model has changed since the client read it.
    """
    tags = [tag.strip() for tag in request.if_match.split(",") if tag.strip()]
    if not tags or "*" in tags:
        return ""
    if stored.etag not in tags:
        raise _changed(stored)
    return stored.update_time


def _changed(stored: StoredModel) -> ApiError:
    message = f"{stored.name} was changed since it was read; read it again."
    return ApiError(ApiStatus.ABORTED, message)


def get_operation(context: ServiceContext, request: ApiRequest) -> Response:
    """Respond with the operation of a model's job."""
    curve_limit = request.curve_limit(*_OPERATION_SNAPSHOTS)
    model, curve = _authorize_with_curve(context, request, curve_limit)
    _require_operation(model, request)
    return json_response(responses.operation(model, curve))


def list_operations(context: ServiceContext, request: ApiRequest) -> Response:
    """Respond with the only operation of a model."""
    curve_limit = request.curve_limit(*(("operations", *path) for path in _OPERATION_SNAPSHOTS))
    operation = responses.operation(*_authorize_with_curve(context, request, curve_limit))
    return json_response(responses.OperationPageResponse([operation]))


def cancel_operation(context: ServiceContext, request: ApiRequest) -> Response:
    """Cancel a job between two steps. Its model stays, FAILED, and is never served (F15)."""
    model = authorize(context, request, AccessRole.WRITER)
    _require_operation(model, request)
    context.store.cancel(model)
    return json_response({})


def generate_id(display_name: str, suffix: str = "") -> str:
    """Return an id from the words of a display name and a random suffix, as the hosted API does.

    A caller that may repeat a create request passes its own `suffix` of 12 lower-case letters and
    digits, so that both requests have the same id.
    """
    suffix = suffix or _random_suffix()
    words = re.sub(r"[^a-z0-9\s]", "", display_name.lower()).split()
    prefix = "-".join(words).lstrip(string.digits + "-")[:_MAX_PREFIX_LENGTH].rstrip("-")
    if prefix:
        return f"{prefix}-{suffix}"
    return secrets.choice(string.ascii_lowercase) + suffix


def _random_suffix() -> str:
    return "".join(secrets.choice(_ID_CHARACTERS) for _ in range(_SUFFIX_LENGTH))


def _resolve_source(
    context: ServiceContext, caller: Caller, body: TunedModel
) -> tuple[str, StoredModel | None]:
    """Return the base model, and the tuned model to continue from if the body names one."""
    source_name = body.tuned_model_source and body.tuned_model_source.tuned_model
    if not source_name:
        base_model = body.base_model or ""
        context.catalog.get(base_model, method="createTunedModel")
        return base_model, None
    source_id = source_name.removeprefix("tunedModels/")
    source = authorize_model(context, caller, source_id, AccessRole.READER)
    if source.state != TunedModelState.ACTIVE:
        message = f"Cannot continue from {source.name}: its state is {source.state}, not ACTIVE."
        raise ApiError(ApiStatus.FAILED_PRECONDITION, message)
    context.catalog.get(source.base_model, method="createTunedModel")
    return source.base_model, source


def _authorize_with_curve(
    context: ServiceContext, request: ApiRequest, curve_limit: int | None
) -> tuple[StoredModel, str]:
    found = context.store.get_with_curve(request.model_id, curve_limit=curve_limit)
    stored, curve = found or (None, "")
    model = require_model(stored, request.model_id)
    require_role(context, request.caller, model, AccessRole.READER)
    return model, curve


def _require_operation(model: StoredModel, request: ApiRequest) -> None:
    if request.path["operation"] != model.operation:
        name = f"{model.name}/operations/{request.path['operation']}"
        raise ApiError(ApiStatus.NOT_FOUND, f"Operation {name} does not exist.")


def _masked_fields(paths: Sequence[str]) -> list[str]:
    """Return the mutable fields of a mask; `*` selects all of them."""
    fields: list[str] = []
    immutable: list[str] = []
    for path in paths:
        if path == "*":
            fields.extend(_MUTABLE)
        elif path in _MUTABLE:
            fields.append(path)
        elif _is_within(path, _IMMUTABLE):
            immutable.append(path)
        elif path != "tuning_task" and not _is_within(path, _OUTPUT_ONLY):
            message = f"Invalid update_mask: TunedModel has no field {path[:80]!r}."
            raise invalid_argument([Violation("update_mask", message)])
    _reject_immutable(immutable)
    return fields


def _is_within(path: str, parents: Sequence[str]) -> bool:
    return any(path == parent or path.startswith(f"{parent}.") for parent in parents)


def _immutable_changes(body: TunedModel, stored: StoredModel) -> list[str]:
    """Return the immutable fields of a body that differ from the stored model."""
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
    return [path for path, sent, existing in pairs if sent is not None and sent != existing]


def _reject_immutable(paths: Sequence[str]) -> None:
    if paths:
        raise invalid_argument(
            [
                Violation(f"tuned_model.{path}", f"{path} cannot be changed after creation.")
                for path in paths
            ]
        )
