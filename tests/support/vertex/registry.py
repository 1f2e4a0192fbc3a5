"""The results of tuning jobs: models with versions, endpoints, and operations on them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.support.vertex.clock import timestamp
from tests.support.vertex.errors import ServiceError
from tests.support.vertex.identity import PROJECT_NUMBER
from tests.support.vertex.names import ResourceName

_TYPE = "type.googleapis.com/google.cloud.aiplatform"


@dataclass
class Model:
    """A model of the registry; `versions` has one document per number, `learned` the answers."""

    location: str
    id: str
    versions: dict[str, dict[str, Any]] = field(default_factory=dict)
    learned: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"projects/{PROJECT_NUMBER}/locations/{self.location}/models/{self.id}"

    def version(self, key: str) -> dict[str, Any]:
        """A version by number or alias; the default version for an empty key."""
        for number, document in self.versions.items():
            if key == number or (key or "default") in document["versionAliases"]:
                return document
        raise ServiceError(404, f"The Model {self.name}@{key} is not found.")


@dataclass
class Endpoint:
    """An endpoint; its location may differ from that of its model."""

    location: str
    id: str
    document: dict[str, Any]

    @property
    def name(self) -> str:
        return f"projects/{PROJECT_NUMBER}/locations/{self.location}/endpoints/{self.id}"


@dataclass
class Operation:
    """A delayed change; `execute` makes it at the end, or raises ServiceError."""

    name: str
    kind: str
    created: datetime
    ends: datetime
    execute: Callable[[], None]
    is_done: bool = False
    error: ServiceError | None = None


class ModelRegistry:
    """Models, endpoints and operations of the project."""

    def __init__(self, now: Callable[[], datetime], *, operation_s: float) -> None:
        self.now = now
        self.operation_s = operation_s
        self.models: dict[str, Model] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.operations: dict[str, Operation] = {}
        self._numbers = itertools.count(4982013113894174720, 65_539)

    def number(self) -> str:
        """A new id, as the server assigns them."""
        return str(next(self._numbers))

    def model(self, full: str) -> Model:
        """The model of a resource name, without regard to its version."""
        name = ResourceName.parse(full, "models")
        existing = self.models.get(name.id)
        if existing is None or existing.location != name.location:
            raise ServiceError(404, f"The Model does not exist: {full}")
        return existing

    def endpoint(self, full: str) -> Endpoint:
        """The endpoint of a resource name."""
        name = ResourceName.parse(full, "endpoints")
        existing = self.endpoints.get(name.id)
        if existing is None or existing.location != name.location:
            raise ServiceError(404, f"Endpoint `{full}` is not found.")
        return existing

    def add_version(
        self, parent: Model | None, location: str, document: dict[str, Any], learned: dict[str, str]
    ) -> tuple[Model, str]:
        """Create a model, or the next version of one, which becomes the default version."""
        model = parent or Model(location, self.number())
        self.models[model.id] = model
        number = str(max(map(int, model.versions), default=0) + 1)
        for version in model.versions.values():
            version["versionAliases"] = [a for a in version["versionAliases"] if a != "default"]
        time = timestamp(self.now())
        first = next(iter(model.versions.values()), {"createTime": time})
        model.versions[number] = {
            "name": model.name,
            "versionId": number,
            "versionAliases": ["default"],
            "createTime": first["createTime"],
            "updateTime": time,
            "versionCreateTime": time,
            "versionUpdateTime": time,
            "etag": f"AMEw9{model.id}{number}",
            "modelSourceInfo": {"sourceType": "GENIE"},
            **document,
        }
        model.learned[number] = learned
        return model, number

    def deploy(
        self, model: Model, version: str, location: str, checkpoint: str, labels: dict[str, str]
    ) -> Endpoint:
        """Create an endpoint for a version of a model, or for one of its checkpoints."""
        time, deployed_id = timestamp(self.now()), self.number()
        display = model.versions[version].get("displayName", "")
        endpoint = Endpoint(location, self.number(), {})
        deployed = {
            "id": deployed_id,
            "model": f"{model.name}@{version}",
            "modelVersionId": version,
            "displayName": display,
            "createTime": time,
            **({"checkpointId": checkpoint} if checkpoint else {}),
        }
        endpoint.document = {
            "name": endpoint.name,
            "displayName": display,
            "deployedModels": [deployed],
            "trafficSplit": {deployed_id: 100},
            "labels": labels,
            "createTime": time,
            "updateTime": time,
            "etag": f"AMEw9{endpoint.id}",
        }
        self.endpoints[endpoint.id] = endpoint
        return endpoint

    def deployments(self, model: Model, version: str = "") -> list[dict[str, str]]:
        """The deployments of a model, as in `Model.deployedModels`."""
        return [
            {"endpoint": endpoint.name, "deployedModelId": deployed["id"]}
            for endpoint in self.endpoints.values()
            for deployed in endpoint.document.get("deployedModels", [])
            if deployed["model"].partition("@")[0] == model.name
            and version in ("", deployed["modelVersionId"])
        ]

    def model_document(self, model: Model, version: str = "") -> dict[str, Any]:
        """The document of a version with its deployments."""
        document = dict(model.version(version))
        if deployed := self.deployments(model, document["versionId"]):
            document["deployedModels"] = deployed
        return document

    def start_operation(self, resource: str, kind: str, execute: Callable[[], None]) -> Operation:
        """Start an operation on a resource."""
        name = f"{resource.partition('@')[0]}/operations/{self.number()}"
        ends = self.now() + timedelta(seconds=self.operation_s)
        self.operations[name] = Operation(name, kind, self.now(), ends, execute)
        self.tick()
        return self.operations[name]

    def tick(self) -> None:
        """End all operations that are due."""
        for operation in list(self.operations.values()):
            if operation.is_done or operation.ends > self.now():
                continue
            operation.is_done = True
            try:
                operation.execute()
            except ServiceError as error:
                operation.error = error

    def undeploy(self, endpoint: Endpoint, body: dict[str, Any]) -> Operation:
        """Undeploy a model from its endpoint, unless it gets traffic that others could get."""
        deployed = {entry["id"]: entry for entry in endpoint.document.get("deployedModels", [])}
        deployed_id = body.get("deployedModelId", "")
        if deployed_id not in deployed:
            raise ServiceError(
                404, f"DeployedModel {deployed_id!r} is not found on {endpoint.name}."
            )
        split = body.get("trafficSplit") or endpoint.document.get("trafficSplit", {})
        if len(deployed) > 1 and split.get(deployed_id):
            raise ServiceError(
                400,
                f"DeployedModel {deployed_id} has traffic assigned to it.",
                status="FAILED_PRECONDITION",
            )

        def execute() -> None:
            remaining = [
                entry for entry in endpoint.document["deployedModels"] if entry["id"] != deployed_id
            ]
            endpoint.document["deployedModels"] = remaining
            endpoint.document["trafficSplit"] = split if remaining else {}
            if not remaining:
                del endpoint.document["deployedModels"], endpoint.document["trafficSplit"]

        return self.start_operation(endpoint.name, "UndeployModel", execute)

    def delete_endpoint(self, endpoint: Endpoint) -> Operation:
        """Delete an endpoint without deployed models."""
        if deployed := endpoint.document.get("deployedModels"):
            ids = ", ".join(entry["id"] for entry in deployed)
            message = f"Endpoint {endpoint.name} has deployed or being-deployed DeployedModel(s): "
            raise ServiceError(400, message + ids, status="FAILED_PRECONDITION")
        return self.start_operation(
            endpoint.name, "Delete", lambda: self._remove(self.endpoints, endpoint)
        )

    def delete_model(self, model: Model) -> Operation:
        """Delete a model with all its versions if none is deployed."""
        self._require_undeployed(model, "")
        return self.start_operation(model.name, "Delete", lambda: self._remove(self.models, model))

    def delete_version(self, model: Model, key: str) -> Operation:
        """Delete a version that is not the only or the default one."""
        number = model.version(key)["versionId"]
        if len(model.versions) == 1 or "default" in model.versions[number]["versionAliases"]:
            message = f"The version {number} of {model.name} is its only or its default one."
            raise ServiceError(400, message, status="FAILED_PRECONDITION")
        self._require_undeployed(model, number)
        return self.start_operation(model.name, "Delete", lambda: _pop(model.versions, number))

    def _require_undeployed(self, model: Model, version: str) -> None:
        if existing := self.deployments(model, version):
            endpoints = ", ".join(entry["endpoint"] for entry in existing)
            message = (
                f"The Model {model.name} is deployed at the following Endpoint(s): {endpoints}."
            )
            raise ServiceError(400, message, status="FAILED_PRECONDITION")

    @staticmethod
    def _remove(resources: dict[str, Any], resource: Model | Endpoint) -> None:
        _pop(resources, resource.id)

    def operation(self, name: str, version: str) -> dict[str, Any]:
        """The document of an operation."""
        existing = self.operations.get(name)
        if existing is None:
            raise ServiceError(404, f"Operation {name} is not found.")
        time = timestamp(existing.ends if existing.is_done else existing.created)
        generic = {"createTime": timestamp(existing.created), "updateTime": time}
        document: dict[str, Any] = {
            "name": name,
            "metadata": {
                "@type": f"{_TYPE}.{version}.{existing.kind}OperationMetadata",
                "genericMetadata": generic,
            },
        }
        if not existing.is_done:
            return document
        if existing.error is not None:
            error = {"code": 9, "message": existing.error.message}
            return {**document, "done": True, "error": error}
        response_type = (
            "type.googleapis.com/google.protobuf.Empty"
            if existing.kind == "Delete"
            else f"{_TYPE}.{version}.{existing.kind}Response"
        )
        return {**document, "done": True, "response": {"@type": response_type}}


def _pop(resources: dict[str, Any], key: str) -> None:
    if resources.pop(key, None) is None:
        raise ServiceError(404, f"{key} is not found.")
