"""The loopback service: checks requests and responses against the discovery documents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
from starlette.types import Receive, Scope, Send

from tests.support.embedded_service import serve_in_thread
from tests.support.vertex import projects_api, storage_api, vertex_api
from tests.support.vertex.buckets import NotModified
from tests.support.vertex.cloud import LoopbackCloud, RecordedRequest
from tests.support.vertex.connection import reset_connection, send_complete, send_truncated
from tests.support.vertex.errors import ServiceError
from tests.support.vertex.faults import Fault, PlannedFault
from tests.support.vertex.identity import Token
from tests.support.vertex.wire import Call, Request, Response

_PERMISSIONS = {
    "generateContent": "endpoints.predict",
    "streamGenerateContent": "endpoints.predict",
    "countTokens": "endpoints.predict",
    "undeployModel": "endpoints.undeploy",
    "patch": "models.update",
    "deleteVersion": "models.delete",
    "listVersions": "models.list",
    "mergeVersionAliases": "models.update",
}
REQUESTER_PAYS = "Bucket is a requester pays bucket but no user project provided."
# Methods without a permission of their own.
_UNCHECKED_METHODS = ("operations.get", "buckets.testIamPermissions", "projects.testIamPermissions")


class LoopbackApp:
    """The ASGI application of a LoopbackCloud."""

    def __init__(self, cloud: LoopbackCloud) -> None:
        self.cloud = cloud

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        data = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None  # an incomplete request of a process that has ended
            data += message.get("body", b"")
            more = message.get("more_body", False)
        request = Request.from_asgi(dict(scope), data)
        match = request.match()
        name = match.method.name if match else f"{request.verb} {request.raw_path}"
        recorded = RecordedRequest(
            name, request.host, request.raw_path, request.query, request.headers, None
        )
        self.cloud.requests.append(recorded)
        self.cloud.advance(self.cloud.seconds_per_request)
        self.cloud.faults.on_request(name)
        planned = self.cloud.faults.next_fault(name)
        fault = planned.fault if planned else None
        if fault is Fault.LOST_BEFORE:
            return await reset_connection(receive, send)
        if planned is not None and fault is Fault.SLOW:
            await anyio.sleep(planned.delay_s)
        response = self._respond(request, recorded, planned)
        recorded.status = response.status
        self.cloud.faults.on_response(name)
        if fault is Fault.LOST_AFTER:
            return await reset_connection(receive, send)
        if fault is Fault.TRUNCATED:
            return await send_truncated(response, receive, send)
        return await send_complete(response, send)

    def _respond(
        self, request: Request, recorded: RecordedRequest, planned: PlannedFault | None
    ) -> Response:
        is_storage = request.is_storage
        try:
            if planned is not None and planned.fault is Fault.REJECTED:
                raise planned.error
            response = self._execute(request, recorded)
            if planned is not None and planned.fault is Fault.FAILED_AFTER:
                raise planned.error
        except ServiceError as error:
            document = error.document(is_storage=is_storage)
            return Response.json(document, error.code, error.headers)
        except NotModified:
            return Response(304)
        return response

    def _execute(self, request: Request, recorded: RecordedRequest) -> Response:
        """Validate a request, execute it, and validate the response."""
        cloud = self.cloud
        cloud.tick()
        match = request.match()
        if match is None:
            self._violation(f"{request.verb} {request.raw_path}: not a method of the API")
            raise ServiceError(404, "Method not found.")
        name = match.method.name
        token = cloud.identity.authenticate(request.headers.get("authorization", ""))
        call = Call(cloud, request, match.method, match.path, None)
        if not (request.is_upload or not request.data):
            call.body = recorded.body = self._json(name, request.data)
        self._check(call, token)
        methods: dict[str, Any] = {
            **storage_api.METHODS,
            **vertex_api.METHODS,
            **projects_api.METHODS,
        }
        if name not in methods:
            self._violation(f"{name}: not supported by the loopback service")
            raise ServiceError(501, "Not implemented.")
        result = methods[name](call)
        response = result if isinstance(result, Response) else Response.json(result)
        if response.headers.get("content-type", "").startswith("application/json"):
            if call.query.get("alt") != "media":
                for violation in match.method.response_violations(json.loads(response.body)):
                    self._violation(f"{name}, in the response of the loopback service: {violation}")
            if name.endswith(".streamGenerateContent"):
                response = _stream(response, call.query)
        return response

    def _check(self, call: Call, token: Token) -> None:
        """Raise an error for a request that must not be executed."""
        cloud, request, name = self.cloud, call.request, call.method.name
        for violation in call.method.query_violations(request.query_list):
            self._violation(f"{name}: {violation}")
        permission = _PERMISSIONS.get(name.partition(".")[2], name)
        if request.is_storage:
            permission = {
                "objects.insert": "objects.create",
                "objects.patch": "objects.update",
            }.get(name, name)
        cloud.identity.authorize(
            token,
            method_id=str(call.method.declaration["id"]),
            scopes=call.method.declaration.get("scopes", []),
            permission="" if name in _UNCHECKED_METHODS else f"{_service(request)}.{permission}",
            resource=call.resource,
        )
        if not request.is_storage:
            self._check_location(call)
        elif (
            call.path.get("bucket") in cloud.buckets.requester_pays
            and call.query.get("userProject") not in cloud.project_ids
        ):
            raise ServiceError(400, REQUESTER_PAYS)
        violations = [] if request.is_upload else list(call.method.request_violations(call.body))
        for violation in violations:
            self._violation(f"{name}: {violation}")
        for violation in violations:
            field, _, message = violation.partition(": ")
            if message.startswith("no such field"):
                message = (
                    f'Invalid JSON payload received. Unknown name "{field}": Cannot find field.'
                )
                raise ServiceError(400, message)
            if not message.startswith(("output only", "null")):  # these fields are ignored
                raise ServiceError(400, f"Invalid value at '{field}': {message}")
        call.body = call.method.normalize(call.body)

    def _check_location(self, call: Call) -> None:
        """Check that the host serves the location, and that the project exists."""
        location, host = call.path.get("location"), call.request.location
        if host is not None and location is not None and host != location:
            self._violation(f"{call.method.name}: {location} is not served by {call.request.host}")
            raise ServiceError(400, "Invalid resource field value in the request.")
        if call.path.get("project") not in self.cloud.project_ids:
            project = call.path.get("project")
            raise ServiceError(403, f"Permission denied on resource project {project}.")

    def _json(self, name: str, data: bytes) -> Any:
        try:
            return json.loads(data)
        except ValueError:
            self._violation(f"{name}: the body is not JSON")
            raise ServiceError(400, "Invalid JSON payload received.") from None

    def _violation(self, message: str) -> None:
        self.cloud.violations.append(message)


def _service(request: Request) -> str:
    if request.is_storage:
        return "storage"
    return "resourcemanager" if request.version == "v3" else "aiplatform"


def _stream(response: Response, query: dict[str, str]) -> Response:
    """A response with one message, as server-sent events or as an array."""
    if query.get("alt") == "sse":
        return Response(
            200, b"data: " + response.body + b"\r\n\r\n", {"content-type": "text/event-stream"}
        )
    return Response(200, b"[" + response.body + b"]", response.headers)


@contextmanager
def loopback(cloud: LoopbackCloud) -> Iterator[str]:
    """Serve a cloud on a port of this machine; yield its URL."""
    with serve_in_thread(LoopbackApp(cloud)) as url:
        yield url
