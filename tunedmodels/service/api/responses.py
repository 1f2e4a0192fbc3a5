"""Response messages of the API in proto3 JSON.

Fields with their default value are omitted, enums are names, 64-bit integers are strings, and
floats have the fewest digits that give the same 32 bits. Responses never contain `trainingData`
or `learningRateMultiplier`: Google's older Python client fails on either.

`wire/gemini.py` has the messages of the client, which accept any order and any subset of fields.
Here the order of the fields is the order in the JSON.
"""

from __future__ import annotations

import json
import struct

import msgspec

from tunedmodels.service.records import StoredModel, StoredPermission, TunedModelState, timestamp

_TYPES = "type.googleapis.com/google.ai.generativelanguage.v1beta"
_FLOAT = struct.Struct("<f")
_MAX_FLOAT32 = 3.4028234663852886e38


class ResponseMessage(msgspec.Struct, omit_defaults=True, rename="camel"):
    """A message in a response: lowerCamel names, without fields that have their default value.

    msgspec compares with the default by identity, so a float that can be omitted defaults to None.
    """


class HyperparametersResponse(ResponseMessage):
    """The effective hyperparameters. Each is `optional` in the proto, so each is always sent."""

    epoch_count: int
    batch_size: int
    learning_rate: float


class TuningTaskResponse(ResponseMessage):
    """The job that trains the model."""

    hyperparameters: HyperparametersResponse
    start_time: str = ""
    complete_time: str = ""
    snapshots: msgspec.Raw | None = None


class TunedModelSourceResponse(ResponseMessage):
    """The tuned model from which training continued."""

    tuned_model: str
    base_model: str


class TunedModelResponse(ResponseMessage):
    """A TunedModel; exactly one of `base_model` and `tuned_model_source` is set."""

    name: str
    state: str
    create_time: str
    update_time: str
    tuning_task: TuningTaskResponse
    temperature: float
    top_p: float
    top_k: int | None = None
    base_model: str = ""
    tuned_model_source: TunedModelSourceResponse | None = None
    display_name: str = ""
    description: str = ""
    reader_project_numbers: tuple[str, ...] = ()


class OperationMetadataResponse(ResponseMessage):
    """CreateTunedModelMetadata. `@type` names `v1beta` on every path: clients cannot parse `v1`."""

    type_: str = msgspec.field(name="@type")
    total_steps: int
    tuned_model: str
    completed_steps: int = 0
    completed_percent: float | None = None
    snapshots: msgspec.Raw | None = None


class RpcStatusResponse(ResponseMessage):
    """A google.rpc.Status."""

    code: int
    message: str


class OperationResponse(ResponseMessage):
    """A google.longrunning.Operation. `response` or `error` is set if it is done."""

    name: str
    metadata: OperationMetadataResponse
    done: bool = False
    response: msgspec.Raw | None = None
    error: RpcStatusResponse | None = None


class TunedModelPageResponse(ResponseMessage):
    """The response to tunedModels.list."""

    tuned_models: list[TunedModelResponse] = []
    next_page_token: str = ""


class OperationPageResponse(ResponseMessage):
    """The response to operations.list."""

    operations: list[OperationResponse] = []


class PermissionResponse(ResponseMessage):
    """A Permission."""

    name: str
    grantee_type: str
    role: str
    email_address: str = ""


class PermissionPageResponse(ResponseMessage):
    """The response to permissions.list."""

    permissions: list[PermissionResponse] = []
    next_page_token: str = ""


class SnapshotResponse(ResponseMessage):
    """A TuningSnapshot. A loss that is not a number is a string, as proto3 JSON requires."""

    step: int
    epoch: int = 0
    mean_loss: float | str | None = None
    compute_time: str = ""


encode = msgspec.json.Encoder().encode


def tuned_model(model: StoredModel, curve: str) -> TunedModelResponse:
    """Return the message of a stored model. `curve` contains its snapshots as `{..},{..}`."""
    source = TunedModelSourceResponse(model.source, model.base_model) if model.source else None
    return TunedModelResponse(
        name=model.name,
        base_model="" if source else model.base_model,
        tuned_model_source=source,
        display_name=model.display_name,
        description=model.description,
        state=model.state,
        create_time=model.create_time,
        update_time=model.update_time,
        temperature=model.temperature,
        top_p=model.top_p,
        top_k=model.top_k,
        reader_project_numbers=tuple(str(number) for number in json.loads(model.readers)),
        tuning_task=TuningTaskResponse(
            start_time=model.start_time,
            complete_time=model.complete_time,
            snapshots=_json_array(curve),
            hyperparameters=HyperparametersResponse(
                model.epoch_count, model.batch_size, model.learning_rate
            ),
        ),
    )


def operation(model: StoredModel, curve: str) -> OperationResponse:
    """Return the operation of a stored model."""
    response, error = None, None
    if model.state == TunedModelState.ACTIVE:
        message = encode(tuned_model(model, curve))
        response = msgspec.Raw(b'{"@type":"%s.TunedModel",%s' % (_TYPES.encode(), message[1:]))
    elif model.state == TunedModelState.FAILED:
        error = RpcStatusResponse(model.error_code, model.error_message)
    return OperationResponse(
        name=f"{model.name}/operations/{model.operation}",
        metadata=OperationMetadataResponse(
            type_=f"{_TYPES}.CreateTunedModelMetadata",
            total_steps=model.total_steps,
            completed_steps=model.completed_steps,
            completed_percent=float32(100 * model.completed_steps / model.total_steps) or None,
            tuned_model=model.name,
            snapshots=_json_array(curve),
        ),
        done=model.state != TunedModelState.CREATING,
        response=response,
        error=error,
    )


def permission(model: StoredModel, stored: StoredPermission) -> PermissionResponse:
    """Return the message of a permission."""
    return PermissionResponse(
        name=f"{model.name}/permissions/{stored.id}",
        grantee_type=stored.grantee_type,
        role=stored.role.name,
        email_address=stored.email_address,
    )


def snapshot(step: int, epoch: int, mean_loss: float) -> bytes:
    """Return the encoded snapshot of a step that was completed now."""
    return encode(
        SnapshotResponse(step, epoch, _loss_value(mean_loss) or None, timestamp(digits=9))
    )


def _loss_value(value: float) -> float | str:
    if value != value:  # noqa: PLR0124  # only NaN differs from itself
        return "NaN"
    if abs(value) > _MAX_FLOAT32:
        return "Infinity" if value > 0 else "-Infinity"
    return float32(value)


def _json_array(curve: str) -> msgspec.Raw | None:
    return msgspec.Raw(f"[{curve}]".encode()) if curve else None


def float32(value: float) -> float:
    """Return the number with the fewest digits that is the same 32-bit float as `value`.

    Raises OverflowError if the value exceeds the range of a 32-bit float.
    """
    (exact,) = _FLOAT.unpack(_FLOAT.pack(value))
    candidates = (float(f"{exact:.{digits}g}") for digits in range(1, 9))
    equal = (short for short in candidates if _FLOAT.unpack(_FLOAT.pack(short)) == (exact,))
    return next(equal, float(f"{exact:.9g}"))
