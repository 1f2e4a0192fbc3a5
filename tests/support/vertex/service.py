"""The loopback service: checks every request against discovery, answers it, checks the answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import httpx
from starlette.types import Receive, Scope, Send

from tests.support.embedded_service import listening
from tests.support.vertex import projects_api, storage_api, vertex_api
from tests.support.vertex.buckets import NotModified
from tests.support.vertex.cloud import Cloud, Seen
from tests.support.vertex.connection import cut, send_half, send_whole
from tests.support.vertex.errors import Refused
from tests.support.vertex.faults import Fault, Planned
from tests.support.vertex.identity import Token
from tests.support.vertex.wire import Answer, Call, Request

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
# Whoever reads an operation may read what it is about.
_FREE = ("operations.get", "buckets.testIamPermissions", "projects.testIamPermissions")


class Service:
    """An ASGI application in front of a Cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        data = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None  # half a request, of a process that is gone
            data += message.get("body", b"")
            more = message.get("more_body", False)
        request = Request.read(dict(scope), data)
        matched = request.matched()
        name = matched.method.name if matched else f"{request.verb} {request.raw_path}"
        seen = Seen(name, request.host, request.raw_path, request.query, request.headers, None)
        self.cloud.seen.append(seen)
        self.cloud.advance(self.cloud.pace_s)
        self.cloud.faults.before(name)
        planned = self.cloud.faults.take(name)
        fault = planned.fault if planned else None
        if fault is Fault.LOST_BEFORE:
            return await cut(receive, send)
        if planned is not None and fault is Fault.SLOW:
            await anyio.sleep(planned.seconds)
        answer = self._answer(request, seen, planned)
        seen.status = answer.status
        self.cloud.faults.after(name)
        if fault is Fault.LOST_AFTER:
            return await cut(receive, send)
        if fault is Fault.CUT:
            return await send_half(answer, receive, send)
        return await send_whole(answer, send)

    def _answer(self, request: Request, seen: Seen, planned: Planned | None) -> Answer:
        of_storage = request.is_of_storage
        try:
            if planned is not None and planned.fault is Fault.REFUSED:
                raise planned.refusal
            answer = self._done(request, seen)
            if planned is not None and planned.fault is Fault.REFUSED_AFTER:
                raise planned.refusal
        except Refused as refused:
            document = refused.document(of_storage=of_storage)
            return Answer.of(document, refused.code, refused.headers)
        except NotModified:
            return Answer(304)
        return answer

    def _done(self, request: Request, seen: Seen) -> Answer:
        """Check a request, do it, and check the answer."""
        cloud = self.cloud
        cloud.tick()
        matched = request.matched()
        if matched is None:
            self._violation(f"{request.verb} {request.raw_path}: no method of the API")
            raise Refused(404, "Method not found.")
        name = matched.method.name
        token = cloud.identity.who(request.headers.get("authorization", ""))
        call = Call(cloud, request, matched.method, matched.path, None)
        if not (request.is_upload or not request.data):
            call.body = seen.body = self._json(name, request.data)
        self._check(call, token)
        methods: dict[str, Any] = {
            **storage_api.METHODS,
            **vertex_api.METHODS,
            **projects_api.METHODS,
        }
        if name not in methods:
            self._violation(f"{name}: this fake does not know it")
            raise Refused(501, "Not implemented.")
        result = methods[name](call)
        answer = result if isinstance(result, Answer) else Answer.of(result)
        if answer.headers.get("content-type", "").startswith("application/json"):
            if call.query.get("alt") != "media":
                for wrong in matched.method.wrong_answer(json.loads(answer.body)):
                    self._violation(f"{name}, in this fake's answer: {wrong}")
            if name == "endpoints.streamGenerateContent":
                answer = _streamed(answer, call.query)
        return answer

    def _check(self, call: Call, token: Token) -> None:
        """Everything that can be said against a request before it is done."""
        cloud, request, name = self.cloud, call.request, call.method.name
        for wrong in call.method.wrong_query(request.query_list):
            self._violation(f"{name}: {wrong}")
        permission = _PERMISSIONS.get(name.partition(".")[2], name)
        if request.is_of_storage:
            permission = {
                "objects.insert": "objects.create",
                "objects.patch": "objects.update",
            }.get(name, name)
        cloud.identity.check(
            token,
            method_id=str(call.method.declared["id"]),
            scopes=call.method.declared.get("scopes", []),
            permission="" if name in _FREE else f"{_service(request)}.{permission}",
            resource=call.resource,
        )
        if not request.is_of_storage:
            self._check_place(call)
        wrongs = [] if request.is_upload else list(call.method.wrong_request(call.body))
        for wrong in wrongs:
            self._violation(f"{name}: {wrong}")
        for wrong in wrongs:
            field, _, words = wrong.partition(": ")
            if words.startswith("no such field"):
                words = f'Invalid JSON payload received. Unknown name "{field}": Cannot find field.'
                raise Refused(400, words)
            if not words.startswith(("output only", "null")):  # which are read and left aside
                raise Refused(400, f"Invalid value at '{field}': {words}")
        call.body = call.method.read(call.body)

    def _check_place(self, call: Call) -> None:
        """A location is asked at its own host, and only this project is known."""
        location, host = call.path.get("location"), call.request.location
        if host is not None and location is not None and host != location:
            self._violation(f"{call.method.name}: {location} was asked at {call.request.host}")
            raise Refused(400, "Invalid resource field value in the request.")
        if call.path.get("project") not in self.cloud.project_ids:
            project = call.path.get("project")
            raise Refused(403, f"Permission denied on resource project {project}.")

    def _json(self, name: str, data: bytes) -> Any:
        try:
            return json.loads(data)
        except ValueError:
            self._violation(f"{name}: the body is no JSON")
            raise Refused(400, "Invalid JSON payload received.") from None

    def _violation(self, words: str) -> None:
        self.cloud.violations.append(words)


def _service(request: Request) -> str:
    if request.is_of_storage:
        return "storage"
    return "resourcemanager" if request.version == "v3" else "aiplatform"


def _streamed(answer: Answer, query: dict[str, str]) -> Answer:
    """One piece, as server-sent events or as an array."""
    if query.get("alt") == "sse":
        return Answer(
            200, b"data: " + answer.body + b"\r\n\r\n", {"content-type": "text/event-stream"}
        )
    return Answer(200, b"[" + answer.body + b"]", answer.headers)


def client(cloud: Cloud) -> httpx.AsyncClient:
    """A client of the cloud in this process, which may ask every host of Google's."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(Service(cloud)))


@contextmanager
def loopback(cloud: Cloud) -> Iterator[str]:
    """Serve a cloud on a port of this machine; yields its URL."""
    with listening(Service(cloud)) as url:
        yield url
