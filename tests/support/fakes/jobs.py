"""A service that counts created jobs, and can lose its responses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum

import httpx

from tests.support.fakes.script import error_response, ok_response


class Fault(StrEnum):
    """The fate of one request."""

    NONE = "none"
    NEVER_LEFT = "never left"
    REFUSED = "refused with 429"
    LOST_BEFORE = "503 before anything was done"
    LOST_AFTER = "done, and the answer was lost"


class FakeJobService(httpx.AsyncBaseTransport):
    """Create and get with Google's rules about ids; `faults` apply to the requests in turn."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = list(faults)
        self.started: list[str] = []
        self.models: dict[str, dict[str, object]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        fault = self.faults.pop(0) if self.faults else Fault.NONE
        match fault:
            case Fault.NEVER_LEFT:
                raise httpx.ConnectError("refused")
            case Fault.REFUSED:
                return error_response(429, "Slowly.", status="RESOURCE_EXHAUSTED")
            case Fault.LOST_BEFORE:
                return error_response(503, "Overloaded.", status="UNAVAILABLE")
            case Fault.LOST_AFTER:
                self._do(request)
                raise httpx.ReadError("gone")
            case Fault.NONE:
                return self._do(request)

    def _do(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            model = self.models.get(request.url.path.rpartition("/")[2])
            return ok_response(model) if model else error_response(404, "Gone.", status="NOT_FOUND")
        model_id = request.url.params["tunedModelId"]
        if model_id in self.models:
            return error_response(409, "Taken.", status="ALREADY_EXISTS")
        self.started.append(model_id)
        sent = json.loads(request.content)
        name = f"tunedModels/{model_id}"
        kept = {key: sent[key] for key in ("baseModel", "description")}
        self.models[model_id] = {**kept, "name": name, "state": "CREATING"}
        return ok_response({"name": f"{name}/operations/x", "metadata": {"tunedModel": name}})
