"""Deleting a tuned model at Vertex AI: the endpoints and the model that its job created.

The endpoints are deleted first, those of checkpoints included, since a deployed model cannot be
deleted. Each step checks the current state, so that an interrupted deletion can be repeated. The
job remains, since the API cannot delete jobs, and so does the data in the bucket.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from tunedmodels.errors import InvalidArgumentError, NotFoundError, ProviderError, UnavailableError
from tunedmodels.providers.http import Http
from tunedmodels.providers.vertex import names
from tunedmodels.providers.vertex.read import JobReader, decode_response
from tunedmodels.wire import status
from tunedmodels.wire import vertex as wire

INITIAL_PAUSE_S: Final = 0.5
MAX_PAUSE_S: Final = 5.0
MAX_POLLS: Final = 120  # about ten minutes; the service usually needs seconds

Sleep = Callable[[float], Awaitable[None]]


class ResultDeleter:
    """Deletes the results of jobs; `client` returns the client for a location."""

    def __init__(self, reader: JobReader, client: Callable[[str], Http], sleep: Sleep) -> None:
        self._reader = reader
        self._client = client
        self._sleep = sleep

    async def delete(self, result: wire.TunedModel) -> None:
        """Undeploy and delete every endpoint of a result, then its model, where they exist."""
        endpoints = [result.endpoint, *(point.endpoint for point in result.checkpoints)]
        for name in dict.fromkeys(filter(None, endpoints)):
            await self._delete_endpoint(name, result.model)
        await self._delete_model(result.model)

    async def _delete_endpoint(self, name: str, model: str) -> None:
        endpoint = await self._reader.endpoint(name)
        if endpoint is None:
            return
        ours: list[wire.DeployedModel] = []
        others: list[wire.DeployedModel] = []
        for deployed in endpoint.deployed_models:
            (ours if _is_deployment_of(model, deployed) else others).append(deployed)
        for deployed in ours:
            if others and endpoint.traffic_split.get(deployed.id):
                raise InvalidArgumentError(
                    f"{name} sends traffic to {names.without_version(model)} and to other models.",
                    cure="Move that traffic to another model in the console, then apply again.",
                )
            split = endpoint.traffic_split if others else {}
            body = wire.encode(wire.UndeployModelRequest(deployed.id, split))
            await self._run_operation("POST", f"{name}:undeployModel", body)
        if not others:
            await self._run_operation("DELETE", name)

    async def _delete_model(self, name: str) -> None:
        model = names.without_version(name)
        client = self._client(names.location_of(name))
        path = f"v1/{model}:listVersions"
        try:
            body = await client.request_body("GET", path, is_idempotent=True)
        except NotFoundError:
            return
        versions = decode_response(body, wire.ModelPage).entries
        if len(versions) > 1:  # another user tuned the model further: those versions remain
            await self._run_operation("DELETE", f"{name}:deleteVersion")
        else:
            await self._run_operation("DELETE", model)

    async def _run_operation(self, method: str, resource: str, body: bytes | None = None) -> None:
        """Start an operation and wait until it is done; do nothing if the resource is gone."""
        client = self._client(names.location_of(resource))
        try:
            response = await client.request_body(
                method, f"v1/{resource}", content=body, is_idempotent=True
            )
            operation = decode_response(response, wire.Operation)
            pause_s = INITIAL_PAUSE_S
            for _ in range(MAX_POLLS):
                if operation.done:
                    break
                await self._sleep(pause_s)
                pause_s = min(pause_s * 2, MAX_PAUSE_S)
                response = await client.request_body(
                    "GET", f"v1/{operation.name}", is_idempotent=True
                )
                operation = decode_response(response, wire.Operation)
        except NotFoundError:
            return
        if not operation.done:
            raise UnavailableError(
                f"{resource} is still being deleted.", cure="Apply again in a few minutes."
            )
        if operation.error:
            raise ProviderError(f"{resource}: {status.printable_line(operation.error.text)}")


def _is_deployment_of(model: str, deployed: wire.DeployedModel) -> bool:
    """Whether this version of the model is deployed, rather than a version tuned from it."""
    version = model.partition("@")[2]
    deployed_version = deployed.model_version_id or deployed.model.partition("@")[2]
    is_same = not deployed_version or not version or deployed_version == version
    return is_same and names.location_and_id(deployed.model) == names.location_and_id(model)
