"""What a tuning job leaves behind: models with versions, endpoints, and operations on them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.support.vertex.clock import text
from tests.support.vertex.errors import Refused
from tests.support.vertex.identity import NUMBER
from tests.support.vertex.names import Name

_TYPE = "type.googleapis.com/google.cloud.aiplatform"


@dataclass
class Model:
    """A model of the registry: one document per version, in the order of their numbers."""

    location: str
    id: str
    versions: dict[str, dict[str, Any]] = field(default_factory=dict)
    learned: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"projects/{NUMBER}/locations/{self.location}/models/{self.id}"

    def version(self, wanted: str) -> dict[str, Any]:
        """A version by number or alias; the default one without either."""
        for number, document in self.versions.items():
            if wanted == number or (wanted or "default") in document["versionAliases"]:
                return document
        raise Refused(404, f"The Model {self.name}@{wanted} is not found.")


@dataclass
class Endpoint:
    """An endpoint, in a location that need not be that of its model."""

    location: str
    id: str
    document: dict[str, Any]

    @property
    def name(self) -> str:
        return f"projects/{NUMBER}/locations/{self.location}/endpoints/{self.id}"


@dataclass
class Operation:
    """A change that takes its time; `act` does it at the end, or raises Refused."""

    name: str
    kind: str
    created: datetime
    ends: datetime
    act: Callable[[], None]
    is_done: bool = False
    error: Refused | None = None


class Registry:
    """Models, endpoints and operations of the project."""

    def __init__(self, now: Callable[[], datetime], *, operation_s: float) -> None:
        self.now = now
        self.operation_s = operation_s
        self.models: dict[str, Model] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.operations: dict[str, Operation] = {}
        self._numbers = itertools.count(4982013113894174720, 65_539)

    def number(self) -> str:
        """An id, as the server gives them."""
        return str(next(self._numbers))

    def model(self, full: str) -> Model:
        """The model of a resource name, whichever version that names."""
        name = Name.parse(full, "models")
        found = self.models.get(name.id)
        if found is None or found.location != name.location:
            raise Refused(404, f"The Model does not exist: {full}")
        return found

    def endpoint(self, full: str) -> Endpoint:
        """The endpoint of a resource name, where it is."""
        name = Name.parse(full, "endpoints")
        found = self.endpoints.get(name.id)
        if found is None or found.location != name.location:
            raise Refused(404, f"Endpoint `{full}` is not found.")
        return found

    def add_version(
        self, parent: Model | None, location: str, document: dict[str, Any], learned: dict[str, str]
    ) -> tuple[Model, str]:
        """Make a model, or the next version of one; the newest becomes the default one."""
        model = parent or Model(location, self.number())
        self.models[model.id] = model
        number = str(max(map(int, model.versions), default=0) + 1)
        for version in model.versions.values():
            version["versionAliases"] = [a for a in version["versionAliases"] if a != "default"]
        time = text(self.now())
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
        """Give a version of a model, or a checkpoint of it, an endpoint of its own."""
        time, deployed_id = text(self.now()), self.number()
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
        """Where a model is deployed, as `Model.deployedModels` says it."""
        return [
            {"endpoint": endpoint.name, "deployedModelId": deployed["id"]}
            for endpoint in self.endpoints.values()
            for deployed in endpoint.document.get("deployedModels", [])
            if deployed["model"].partition("@")[0] == model.name
            and version in ("", deployed["modelVersionId"])
        ]

    def described(self, model: Model, version: str = "") -> dict[str, Any]:
        """A version's document with its deployments."""
        document = dict(model.version(version))
        if deployed := self.deployments(model, document["versionId"]):
            document["deployedModels"] = deployed
        return document

    def start(self, of: str, kind: str, act: Callable[[], None]) -> Operation:
        """Begin an operation on a resource."""
        name = f"{of.partition('@')[0]}/operations/{self.number()}"
        ends = self.now() + timedelta(seconds=self.operation_s)
        self.operations[name] = Operation(name, kind, self.now(), ends, act)
        self.tick()
        return self.operations[name]

    def tick(self) -> None:
        """End every operation whose time has come."""
        for operation in list(self.operations.values()):
            if operation.is_done or operation.ends > self.now():
                continue
            operation.is_done = True
            try:
                operation.act()
            except Refused as refused:
                operation.error = refused

    def undeploy(self, endpoint: Endpoint, body: dict[str, Any]) -> Operation:
        """Take a deployed model from its endpoint, if its traffic allows that."""
        deployed = {one["id"]: one for one in endpoint.document.get("deployedModels", [])}
        wanted = body.get("deployedModelId", "")
        if wanted not in deployed:
            raise Refused(404, f"DeployedModel {wanted!r} is not found on {endpoint.name}.")
        split = body.get("trafficSplit") or endpoint.document.get("trafficSplit", {})
        if len(deployed) > 1 and split.get(wanted):
            raise Refused(
                400,
                f"DeployedModel {wanted} has traffic assigned to it.",
                status="FAILED_PRECONDITION",
            )

        def act() -> None:
            left = [one for one in endpoint.document["deployedModels"] if one["id"] != wanted]
            endpoint.document["deployedModels"] = left
            endpoint.document["trafficSplit"] = split if left else {}
            if not left:
                del endpoint.document["deployedModels"], endpoint.document["trafficSplit"]

        return self.start(endpoint.name, "UndeployModel", act)

    def delete_endpoint(self, endpoint: Endpoint) -> Operation:
        """Delete an endpoint on which nothing is deployed."""
        if deployed := endpoint.document.get("deployedModels"):
            ids = ", ".join(one["id"] for one in deployed)
            words = f"Endpoint {endpoint.name} has deployed or being-deployed DeployedModel(s): "
            raise Refused(400, words + ids, status="FAILED_PRECONDITION")
        return self.start(endpoint.name, "Delete", lambda: self._forget(self.endpoints, endpoint))

    def delete_model(self, model: Model) -> Operation:
        """Delete a model with all its versions, none of which may be deployed."""
        self._must_be_idle(model, "")
        return self.start(model.name, "Delete", lambda: self._forget(self.models, model))

    def delete_version(self, model: Model, wanted: str) -> Operation:
        """Delete one version of several, and not the default one."""
        number = model.version(wanted)["versionId"]
        if len(model.versions) == 1 or "default" in model.versions[number]["versionAliases"]:
            words = f"The version {number} of {model.name} is its only or its default one."
            raise Refused(400, words, status="FAILED_PRECONDITION")
        self._must_be_idle(model, number)
        return self.start(model.name, "Delete", lambda: _pop(model.versions, number))

    def _must_be_idle(self, model: Model, version: str) -> None:
        if found := self.deployments(model, version):
            where = ", ".join(one["endpoint"] for one in found)
            words = f"The Model {model.name} is deployed at the following Endpoint(s): {where}."
            raise Refused(400, words, status="FAILED_PRECONDITION")

    @staticmethod
    def _forget(things: dict[str, Any], thing: Model | Endpoint) -> None:
        _pop(things, thing.id)

    def operation(self, name: str, version: str) -> dict[str, Any]:
        """An operation, as its resource's API shows it."""
        found = self.operations.get(name)
        if found is None:
            raise Refused(404, f"Operation {name} is not found.")
        time = text(found.ends if found.is_done else found.created)
        generic = {"createTime": text(found.created), "updateTime": time}
        shown: dict[str, Any] = {
            "name": name,
            "metadata": {
                "@type": f"{_TYPE}.{version}.{found.kind}OperationMetadata",
                "genericMetadata": generic,
            },
        }
        if not found.is_done:
            return shown
        if found.error is not None:
            error = {"code": 9, "message": found.error.message}
            return {**shown, "done": True, "error": error}
        answer = (
            "type.googleapis.com/google.protobuf.Empty"
            if found.kind == "Delete"
            else f"{_TYPE}.{version}.{found.kind}Response"
        )
        return {**shown, "done": True, "response": {"@type": answer}}


def _pop(things: dict[str, Any], key: str) -> None:
    if things.pop(key, None) is None:
        raise Refused(404, f"{key} is not found.")
