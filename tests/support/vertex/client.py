"""A client of the loopback cloud, and datasets and jobs for tests."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from tests.support.vertex.cloud import PROJECT, LoopbackCloud
from tests.support.vertex.service import LoopbackApp

REGION = "us-central1"
REGION_HOST = f"{REGION}-aiplatform.googleapis.com"
PARENT = f"projects/{PROJECT}/locations/{REGION}"
TRAINING_URI = "gs://data/train.jsonl"
HOUR_S = 3600.0


def turn(role: str, text: str) -> dict[str, Any]:
    """A Content with one part."""
    return {"role": role, "parts": [{"text": text}]}


def jsonl(*rows: Any) -> bytes:
    """The rows as JSONL."""
    return b"\n".join(json.dumps(row).encode() for row in rows)


def examples(count: int = 20) -> bytes:
    """A dataset with the answer `a1` to `q1`."""
    return jsonl(
        *({"contents": [turn("user", f"q{n}"), turn("model", f"a{n}")]} for n in range(count))
    )


def preferences(count: int = 20) -> bytes:
    """The same dataset as preferences."""
    return jsonl(
        *(
            {
                "contents": [turn("user", f"q{n}")],
                "completions": [
                    {"score": 1, "completion": turn("model", f"a{n}")},
                    {"score": 0, "completion": turn("model", "no")},
                ],
            }
            for n in range(count)
        )
    )


def job_body(**fields: Any) -> dict[str, Any]:
    """The body of a create with two epochs over `TRAINING_URI`."""
    spec = {"trainingDatasetUri": TRAINING_URI, "hyperParameters": {"epochCount": "2"}}
    return {"baseModel": "regional-model", "supervisedTuningSpec": spec, **fields}


class LoopbackClient:
    """A client with a token, in this process or at the URL of a loopback server."""

    def __init__(self, cloud: LoopbackCloud, *, token: str = "", url: str = "") -> None:
        self.cloud = cloud
        self.token = token or cloud.identity.issue()
        self.url = url
        self.http = httpx.AsyncClient(
            transport=None if url else httpx.ASGITransport(LoopbackApp(cloud)), trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.http.aclose()

    async def send(
        self, verb: str, path: str, body: Any = None, *, host: str = REGION_HOST, **options: Any
    ) -> httpx.Response:
        """Send a request to a host of Google; `options` are those of httpx."""
        root = f"{self.url}/{host}" if self.url else f"https://{host}"
        headers = {"authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        if body is not None:
            options["json"] = body
        return await self.http.request(verb, f"{root}/{path}", headers=headers, **options)

    async def call(self, verb: str, path: str, body: Any = None, **options: Any) -> Any:
        """The JSON of a response that must be a success."""
        response = await self.send(verb, path, body, **options)
        assert response.status_code == 200, response.text
        return response.json()

    async def expect_error(
        self, verb: str, path: str, body: Any = None, **options: Any
    ) -> dict[str, Any]:
        """The `error` of a response that must be a failure."""
        response = await self.send(verb, path, body, **options)
        assert response.status_code >= 400, response.text
        error: dict[str, Any] = response.json()["error"]
        return error

    async def create_job(self, **fields: Any) -> str:
        """Start a job and return its path."""
        document = await self.call("POST", f"v1/{PARENT}/tuningJobs", job_body(**fields))
        return f"v1/{document['name']}"

    async def train(self, **fields: Any) -> dict[str, Any]:
        """Start a job, let it end, and return its result."""
        path = await self.create_job(**fields)
        self.cloud.advance(HOUR_S)
        result: dict[str, Any] = (await self.call("GET", path))["tunedModel"]
        return result

    async def send_object_request(self, verb: str, name: str, **options: Any) -> httpx.Response:
        """Send a request for an object of the bucket `data`."""
        path = f"storage/v1/b/data/o/{quote(name, safe='')}"
        return await self.send(verb, path, host="storage.googleapis.com", **options)

    async def upload_object(self, name: str, data: bytes, **query: str) -> httpx.Response:
        """Write an object of the bucket `data` in one request."""
        return await self.send(
            "POST",
            "upload/storage/v1/b/data/o",
            host="storage.googleapis.com",
            params={"uploadType": "media", "name": name, **query},
            content=data,
        )
