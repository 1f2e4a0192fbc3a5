"""Someone with a token who asks a cloud, and the data and jobs that tests begin with."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from tests.support.vertex.cloud import PROJECT, Cloud
from tests.support.vertex.service import Service

REGION = "us-central1"
AT_REGION = f"{REGION}-aiplatform.googleapis.com"
PARENT = f"projects/{PROJECT}/locations/{REGION}"
TRAIN = "gs://data/train.jsonl"
HOUR = 3600.0


def turn(role: str, text: str) -> dict[str, Any]:
    """A Content of one part."""
    return {"role": role, "parts": [{"text": text}]}


def lines(*rows: Any) -> bytes:
    """JSONL."""
    return b"\n".join(json.dumps(row).encode() for row in rows)


def examples(count: int = 20) -> bytes:
    """A dataset that teaches to answer `q1` with `a1`."""
    return lines(
        *({"contents": [turn("user", f"q{n}"), turn("model", f"a{n}")]} for n in range(count))
    )


def preferences(count: int = 20) -> bytes:
    """The same by preference."""
    return lines(
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


def job(**fields: Any) -> dict[str, Any]:
    """The body of a create, of two epochs over `TRAIN`."""
    spec = {"trainingDatasetUri": TRAIN, "hyperParameters": {"epochCount": "2"}}
    return {"baseModel": "gemini-2.5-flash", "supervisedTuningSpec": spec, **fields}


class Asker:
    """A client with a token, in this process or at the URL of a loopback server."""

    def __init__(self, cloud: Cloud, *, token: str = "", url: str = "") -> None:
        self.cloud = cloud
        self.token = token or cloud.identity.issue()
        self.url = url
        self.http = httpx.AsyncClient(
            transport=None if url else httpx.ASGITransport(Service(cloud)), trust_env=False
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
        self, verb: str, path: str, body: Any = None, *, host: str = AT_REGION, **more: Any
    ) -> httpx.Response:
        """Send a request to a host of Google's; `more` goes to httpx."""
        root = f"{self.url}/{host}" if self.url else f"https://{host}"
        headers = {"authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        if body is not None:
            more["json"] = body
        return await self.http.request(verb, f"{root}/{path}", headers=headers, **more)

    async def ask(self, verb: str, path: str, body: Any = None, **more: Any) -> Any:
        """The JSON of an answer that must be a success."""
        answer = await self.send(verb, path, body, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def refused(self, verb: str, path: str, body: Any = None, **more: Any) -> dict[str, Any]:
        """The `error` of an answer that must be none."""
        answer = await self.send(verb, path, body, **more)
        assert answer.status_code >= 400, answer.text
        error: dict[str, Any] = answer.json()["error"]
        return error

    async def create(self, **fields: Any) -> str:
        """Start a job and return its path."""
        document = await self.ask("POST", f"v1/{PARENT}/tuningJobs", job(**fields))
        return f"v1/{document['name']}"

    async def tuned(self, **fields: Any) -> dict[str, Any]:
        """What a job has made that was started and has ended."""
        path = await self.create(**fields)
        self.cloud.advance(HOUR)
        ended = await self.ask("GET", path)
        made: dict[str, Any] = ended["tunedModel"]
        return made

    async def object(self, verb: str, name: str, **more: Any) -> httpx.Response:
        """Ask for an object of the bucket `data`."""
        path = f"storage/v1/b/data/o/{quote(name, safe='')}"
        return await self.send(verb, path, host="storage.googleapis.com", **more)

    async def upload(self, name: str, data: bytes, **query: str) -> httpx.Response:
        """Write an object of the bucket `data` in one request."""
        return await self.send(
            "POST",
            "upload/storage/v1/b/data/o",
            host="storage.googleapis.com",
            params={"uploadType": "media", "name": name, **query},
            content=data,
        )
