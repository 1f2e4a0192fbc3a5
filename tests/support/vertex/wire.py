"""Requests as the services read them, and their responses."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from tests.support.vertex.cloud import LoopbackCloud
from tests.support.vertex.discovery import ApiMethod, MethodMatch, discovery
from tests.support.vertex.names import location_of


@dataclass
class Response:
    """A response of a service."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(
        cls, document: Any, status: int = 200, headers: dict[str, str] | None = None
    ) -> Response:
        """A response with a JSON body."""
        content_type = {"content-type": "application/json; charset=UTF-8"}
        return cls(status, json.dumps(document).encode(), content_type | (headers or {}))


@dataclass
class Request:
    """One request; `host` is the name of the service, from the path or the header.

    A loopback address serves all hosts, so `http://127.0.0.1:PORT/us-central1-aiplatform.googleapis.com`
    replaces `https://us-central1-aiplatform.googleapis.com`.
    """

    verb: str
    host: str
    root: str
    raw_path: str
    query_list: list[tuple[str, str]]
    headers: dict[str, str]
    data: bytes

    @classmethod
    def from_asgi(cls, scope: dict[str, Any], data: bytes) -> Request:
        """Parse an ASGI request."""
        headers = {key.decode().lower(): value.decode() for key, value in scope["headers"]}
        raw = scope["raw_path"].decode()
        host = headers.get("host", "")
        root = f"{scope['scheme']}://{host}"
        first, _, rest = raw.lstrip("/").partition("/")
        if first.endswith(".googleapis.com"):
            host, root, raw = first, f"{root}/{first}", f"/{rest}"
        query = parse_qsl(scope["query_string"].decode(), keep_blank_values=True)
        return cls(scope["method"], host, root, raw, query, headers, data)

    @property
    def query(self) -> dict[str, str]:
        return dict(self.query_list)

    @property
    def is_storage(self) -> bool:
        return self.raw_path.startswith(("/storage/", "/upload/storage/", "/download/storage/"))

    @property
    def is_upload(self) -> bool:
        return self.raw_path.startswith("/upload/")

    @property
    def version(self) -> str:
        return self.raw_path.split("/")[1]

    @property
    def location(self) -> str | None:
        """The location that the host serves."""
        return location_of(self.host)

    def match(self) -> MethodMatch | None:
        """The called method, or None if it does not exist."""
        if self.is_storage:
            path = self.raw_path.removeprefix("/upload").removeprefix("/download")
            verb = "POST" if self.is_upload and "upload_id" in self.query else self.verb
            return discovery("storage.v1").match(verb, path)
        if self.version == "v3":
            return discovery("cloudresourcemanager.v3").match(self.verb, self.raw_path)
        if self.version not in ("v1", "v1beta1"):
            return None
        return discovery(f"aiplatform.{self.version}").match(self.verb, self.raw_path)


@dataclass
class Call:
    """A request to an existing method, with its parsed body."""

    cloud: LoopbackCloud
    request: Request
    method: ApiMethod
    path: dict[str, str]
    body: Any

    @property
    def query(self) -> dict[str, str]:
        return self.request.query

    @property
    def resource(self) -> str:
        """The name of the resource: the path without version and custom verb."""
        name = unquote(self.request.raw_path).lstrip("/").partition("/")[2]
        head, slash, last = name.rpartition("/")
        return head + slash + last.partition(":")[0]
