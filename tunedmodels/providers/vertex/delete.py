"""What it means to delete a tuned model at Vertex AI: to take apart all that its job made.

The endpoints first, of the checkpoints too, since no model can go that is deployed; then the model.
Each step looks before it acts, so that whoever was interrupted begins again. The job stays, for
there is no way to delete one, and so does the data in the bucket.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from tunedmodels.errors import InvalidArgumentError, NotFoundError, ProviderError, UnavailableError
from tunedmodels.providers.http import Http
from tunedmodels.providers.vertex import names
from tunedmodels.providers.vertex.read import Reader, read
from tunedmodels.wire import status
from tunedmodels.wire import vertex as wire

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 5.0
LOOKS: Final = 120  # some ten minutes; the service mostly needs seconds

Sleep = Callable[[float], Awaitable[None]]


class Remover:
    """Deletes what jobs made; `http` has a client by location."""

    def __init__(self, reader: Reader, http: Callable[[str], Http], sleep: Sleep) -> None:
        self._reader = reader
        self._http = http
        self._sleep = sleep

    async def remove(self, made: wire.Result) -> None:
        """Undeploy and delete every endpoint of a result, then its model; what is gone is fine."""
        names = [made.endpoint, *(checkpoint.endpoint for checkpoint in made.checkpoints)]
        for name in dict.fromkeys(filter(None, names)):
            await self._endpoint(name, made.model)
        await self._model(made.model)

    async def _endpoint(self, name: str, model: str) -> None:
        endpoint = await self._reader.endpoint(name)
        if endpoint is None:
            return
        ours: list[wire.DeployedModel] = []
        others: list[wire.DeployedModel] = []
        for deployed in endpoint.deployed_models:
            (ours if _is_of(model, deployed) else others).append(deployed)
        for deployed in ours:
            if others and endpoint.traffic_split.get(deployed.id):
                raise InvalidArgumentError(
                    f"{name} sends traffic to {names.unversioned(model)} and to other models.",
                    cure="Say in the console where that traffic is to go, then apply again.",
                )
            left = endpoint.traffic_split if others else {}
            body = wire.encode(wire.Undeploy(deployed.id, left))
            await self._order("POST", f"{name}:undeployModel", body)
        if not others:
            await self._order("DELETE", name)

    async def _model(self, name: str) -> None:
        model = names.unversioned(name)
        client = self._http(names.location(name))
        path = f"v1/{model}:listVersions"
        try:
            found = read(await client.send("GET", path, repeatable=True), wire.ModelPage)
        except NotFoundError:
            return
        if len(found.entries) > 1:  # somebody tuned on under the same name: theirs stays
            await self._order("DELETE", f"{name}:deleteVersion")
        else:
            await self._order("DELETE", model)

    async def _order(self, method: str, resource: str, body: bytes | None = None) -> None:
        """Send an order and wait until it is carried out; no harm where it was before."""
        client = self._http(names.location(resource))
        try:
            answer = await client.send(method, f"v1/{resource}", content=body, repeatable=True)
            operation = read(answer, wire.Operation)
            pause_s = FIRST_PAUSE_S
            for _ in range(LOOKS):
                if operation.done:
                    break
                await self._sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
                answer = await client.send("GET", f"v1/{operation.name}", repeatable=True)
                operation = read(answer, wire.Operation)
        except NotFoundError:
            return
        if not operation.done:
            raise UnavailableError(
                f"{resource} is still being deleted.", cure="Apply again in a few minutes."
            )
        if operation.error:
            raise ProviderError(f"{resource}: {status.plain(operation.error.words)}")


def _is_of(model: str, deployed: wire.DeployedModel) -> bool:
    """Whether what is deployed is this version of a model, and not one that others tuned on it."""
    wanted = model.partition("@")[2]
    version = deployed.model_version_id or deployed.model.partition("@")[2]
    is_same = not version or not wanted or version == wanted
    return is_same and names.short(deployed.model) == names.short(model)
