"""Deleting a tuned model at Vertex AI: the endpoints and the model that its job created.

The endpoints are deleted first, those of checkpoints included, since a deployed model cannot be
deleted. Each step checks the current state, so that an interrupted deletion can be repeated. The
job remains, since the API cannot delete jobs, and so does the data in the bucket.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from tunedmodels.errors import InvalidArgumentError, NotFoundError, ProviderError, UnavailableError
from tunedmodels.providers.errors import VERTEX
from tunedmodels.providers.http import Http
from tunedmodels.providers.response import confirm, decode_message, decode_page
from tunedmodels.providers.vertex import names
from tunedmodels.providers.vertex.read import JobReader
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

        async def is_deleted() -> bool:
            current = await self._reader.endpoint(name)
            if current is None or not others:
                return current is None
            return not any(_is_deployment_of(model, each) for each in current.deployed_models)

        await self._confirm(is_deleted, name)

    async def _delete_model(self, name: str) -> None:
        model = names.without_version(name)
        versions = await self._versions(name)
        if versions is None:
            return
        if len(versions) > 1:  # another user tuned the model further: those versions remain
            await self._run_operation("DELETE", f"{name}:deleteVersion")
        else:
            await self._run_operation("DELETE", model)

        async def is_deleted() -> bool:
            remaining = await self._versions(name)
            return remaining is None or len(remaining) < len(versions)

        await self._confirm(is_deleted, model)

    async def _versions(self, name: str) -> Sequence[wire.Model] | None:
        """Return the versions of a model, or None when it does not exist."""
        client = self._client(names.location_of(name))
        path = f"v1/{names.without_version(name)}:listVersions"
        try:
            body = await client.request_body("GET", path, is_idempotent=True)
        except NotFoundError:
            return None
        return decode_page(body, wire.ModelPage, VERTEX).entries

    async def _confirm(self, is_deleted: Callable[[], Awaitable[bool]], resource: str) -> None:
        client = self._client(names.location_of(resource))
        call = f"The deletion of {resource}"
        await confirm(is_deleted, call, VERTEX, is_local=client.is_local)

    async def _run_operation(self, method: str, resource: str, body: bytes | None = None) -> None:
        """Start an operation and wait until it is done; do nothing if the resource is gone."""
        client = self._client(names.location_of(resource))
        try:
            response = await client.request_body(
                method, f"v1/{resource}", content=body, is_idempotent=True
            )
            operation = _decode_operation(response)
            pause_s = INITIAL_PAUSE_S
            for _ in range(MAX_POLLS):
                if operation.done:
                    break
                await self._sleep(pause_s)
                pause_s = min(pause_s * 2, MAX_PAUSE_S)
                response = await client.request_body(
                    "GET", f"v1/{operation.name}", is_idempotent=True
                )
                operation = _decode_operation(response)
        except NotFoundError:
            return
        if not operation.done:
            raise UnavailableError(
                f"{resource} is still being deleted.", cure="Apply again in a few minutes."
            )
        if operation.error:
            raise ProviderError(f"{resource}: {status.printable_line(operation.error.text)}")


def _decode_operation(body: bytes) -> wire.Operation:
    operation = decode_message(body, wire.Operation, VERTEX)
    if not operation.name:
        raise ProviderError(
            "The response is not an operation of Vertex AI: it has no name.",
            cure=VERTEX.endpoint_cure,
        )
    return operation


def _is_deployment_of(model: str, deployed: wire.DeployedModel) -> bool:
    """Whether this version of the model is deployed, rather than a version tuned from it."""
    version = model.partition("@")[2]
    deployed_version = deployed.model_version_id or deployed.model.partition("@")[2]
    is_same = not deployed_version or not version or deployed_version == version
    return is_same and names.location_and_id(deployed.model) == names.location_and_id(model)
