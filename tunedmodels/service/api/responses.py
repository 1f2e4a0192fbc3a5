"""What the service answers with: the messages of the API in proto3 JSON.

Fields with their default value are left out, enums go by name, 64-bit integers are strings, and
floats have the fewest digits that give the same 32 bits. `trainingData` and
`learningRateMultiplier` are never sent: Google's older Python client breaks on either.
"""

from __future__ import annotations

import json
import struct

import msgspec

from tunedmodels.service.records import Model, Permission, State, now

_TYPES = "type.googleapis.com/google.ai.generativelanguage.v1beta"
_FLOAT = struct.Struct("<f")
_LARGEST_FLOAT = 3.4028234663852886e38


class Shape(msgspec.Struct, omit_defaults=True, rename="camel"):
    """A message: lowerCamel names, nothing that has its default value.

    msgspec compares with the default by identity, so a float that may be left out defaults to None.
    """


class HyperparametersShape(Shape):
    """The effective hyperparameters; each is `optional` in the proto, so each is always sent."""

    epoch_count: int
    batch_size: int
    learning_rate: float


class TuningTaskShape(Shape):
    """How the model came to be."""

    hyperparameters: HyperparametersShape
    start_time: str = ""
    complete_time: str = ""
    snapshots: msgspec.Raw | None = None


class TunedModelSourceShape(Shape):
    """The tuned model that training went on from."""

    tuned_model: str
    base_model: str


class TunedModelShape(Shape):
    """A TunedModel; exactly one of `base_model` and `tuned_model_source` is set."""

    name: str
    state: str
    create_time: str
    update_time: str
    tuning_task: TuningTaskShape
    temperature: float
    top_p: float
    top_k: int | None = None
    base_model: str = ""
    tuned_model_source: TunedModelSourceShape | None = None
    display_name: str = ""
    description: str = ""
    reader_project_numbers: tuple[str, ...] = ()


class MetadataShape(Shape):
    """CreateTunedModelMetadata. The `v1beta` type on every path: no client can parse `v1`."""

    type_: str = msgspec.field(name="@type")
    total_steps: int
    tuned_model: str
    completed_steps: int = 0
    completed_percent: float | None = None
    snapshots: msgspec.Raw | None = None


class RpcStatusShape(Shape):
    """A google.rpc.Status."""

    code: int
    message: str


class OperationShape(Shape):
    """A google.longrunning.Operation; `response` or `error` is set when it is done."""

    name: str
    metadata: MetadataShape
    done: bool = False
    response: msgspec.Raw | None = None
    error: RpcStatusShape | None = None


class TunedModelsPage(Shape):
    """The answer to tunedModels.list."""

    tuned_models: list[TunedModelShape] = []
    next_page_token: str = ""


class OperationsPage(Shape):
    """The answer to operations.list."""

    operations: list[OperationShape] = []


class PermissionShape(Shape):
    """A Permission."""

    name: str
    grantee_type: str
    role: str
    email_address: str = ""


class PermissionsPage(Shape):
    """The answer to permissions.list."""

    permissions: list[PermissionShape] = []
    next_page_token: str = ""


encode = msgspec.json.Encoder().encode


def tuned_model(model: Model, curve: str) -> TunedModelShape:
    """Say a stored model in the words of the API. `curve` is its snapshots as `{..},{..}`."""
    continues = TunedModelSourceShape(model.source, model.base_model) if model.source else None
    return TunedModelShape(
        name=model.name,
        base_model="" if continues else model.base_model,
        tuned_model_source=continues,
        display_name=model.display_name,
        description=model.description,
        state=model.state,
        create_time=model.create_time,
        update_time=model.update_time,
        temperature=model.temperature,
        top_p=model.top_p,
        top_k=model.top_k,
        reader_project_numbers=tuple(str(number) for number in json.loads(model.readers)),
        tuning_task=TuningTaskShape(
            start_time=model.start_time,
            complete_time=model.complete_time,
            snapshots=_list(curve),
            hyperparameters=HyperparametersShape(
                model.epoch_count, model.batch_size, model.learning_rate
            ),
        ),
    )


def operation(model: Model, curve: str) -> OperationShape:
    """Say the job of a stored model in the words of the API."""
    response, error = None, None
    if model.state == State.ACTIVE:
        answer = encode(tuned_model(model, curve))
        response = msgspec.Raw(b'{"@type":"%s.TunedModel",%s' % (_TYPES.encode(), answer[1:]))
    elif model.state == State.FAILED:
        error = RpcStatusShape(model.error_code, model.error_message)
    return OperationShape(
        name=f"{model.name}/operations/{model.operation}",
        metadata=MetadataShape(
            type_=f"{_TYPES}.CreateTunedModelMetadata",
            total_steps=model.total_steps,
            completed_steps=model.completed_steps,
            completed_percent=float32(100 * model.completed_steps / model.total_steps) or None,
            tuned_model=model.name,
            snapshots=_list(curve),
        ),
        done=model.state != State.CREATING,
        response=response,
        error=error,
    )


def permission(model: Model, stored: Permission) -> PermissionShape:
    """Say a permission of a model in the words of the API."""
    return PermissionShape(
        name=f"{model.name}/permissions/{stored.id}",
        grantee_type=stored.grantee_type,
        role=stored.role.name,
        email_address=stored.email_address,
    )


class SnapshotShape(Shape):
    """A TuningSnapshot. A loss that is no number is sent as a string, as proto3 JSON wants it."""

    step: int
    epoch: int = 0
    mean_loss: float | str | None = None
    compute_time: str = ""


def snapshot(step: int, epoch: int, mean_loss: float) -> bytes:
    """Say one step, taken now, in the words of the API."""
    return encode(SnapshotShape(step, epoch, _loss(mean_loss) or None, now(digits=9)))


def _loss(value: float) -> float | str:
    if value != value:  # noqa: PLR0124  # the one value that differs from itself
        return "NaN"
    if abs(value) > _LARGEST_FLOAT:
        return "Infinity" if value > 0 else "-Infinity"
    return float32(value)


def _list(curve: str) -> msgspec.Raw | None:
    return msgspec.Raw(f"[{curve}]".encode()) if curve else None


def float32(value: float) -> float:
    """Return the number with the fewest digits that is the same 32-bit float as `value`.

    Raises OverflowError when 32 bits cannot hold it.
    """
    (exact,) = _FLOAT.unpack(_FLOAT.pack(value))
    tries = (float(f"{exact:.{digits}g}") for digits in range(1, 9))
    same = (short for short in tries if _FLOAT.unpack(_FLOAT.pack(short)) == (exact,))
    return next(same, float(f"{exact:.9g}"))
