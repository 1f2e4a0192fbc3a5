"""Objects in a bucket of Cloud Storage, by the conditions under which they are written.

Every write names the generation that it replaces, 0 for none. So a write may be repeated: the
second one meets a precondition that no longer holds, and a look at the object says whose it is.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from typing import Final
from urllib.parse import quote

import google_crc32c
import msgspec

from tunedmodels.errors import NotFoundError, OutcomeUnknownError, ProviderError, UnavailableError
from tunedmodels.providers.errors import STORAGE
from tunedmodels.providers.http import Http, Transport
from tunedmodels.providers.identity import Identity
from tunedmodels.providers.retry import OnRetry
from tunedmodels.wire import storage as wire
from tunedmodels.wire import vertex

HOSTED: Final = "https://storage.googleapis.com"
PRECONDITION_FAILED: Final = 412
JSON: Final = "application/json"


class ConflictError(Exception):
    """Somebody else wrote the object: its generation is not the one that was expected."""


class Bucket:
    """One bucket, and the folder in it that is ours. `name` and `prefix` make up every URI."""

    def __init__(
        self,
        name: str,
        prefix: str,
        identity: Identity,
        *,
        endpoint: str = HOSTED,
        transport: Transport | None = None,
        on_retry: OnRetry | None = None,
    ) -> None:
        self.name = name
        self.prefix = prefix
        self.http = Http(
            endpoint, identity, manners=STORAGE, transport=transport, on_retry=on_retry
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self.http.aclose()

    def path(self, name: str) -> str:
        """Return the whole name of an object of ours."""
        return f"{self.prefix}/{name}"

    def uri(self, path: str) -> str:
        """Return `gs://BUCKET/PATH`."""
        return f"gs://{self.name}/{path}"

    async def look(self, path: str) -> wire.Object | None:
        """Return what is said of an object, or None where there is none."""
        try:
            answer = await self.http.send("GET", self._object(path), repeatable=True)
        except NotFoundError as error:
            await self._must_exist(error)
            return None
        return read_object(answer)

    async def write(
        self, path: str, data: bytes, *, generation: str, kind: str, about: dict[str, str]
    ) -> wire.Object:
        """Write an object where its generation is `generation`, "0" for one that is not there.

        `about` is its custom metadata. Raises ConflictError when it is another one, and
        OutcomeUnknownError when nobody can say: then `look` tells.
        """
        body, boundary = _multipart(
            wire.NewObject(path, content_type=kind, crc32c=checksum(data), metadata=about), data
        )
        params = {"uploadType": "multipart", "ifGenerationMatch": generation}
        try:
            answer = await self.http.ask(
                "POST",
                self.upload_path,
                params=params,
                content=body,
                headers={"content-type": f"multipart/related; boundary={boundary}"},
                also=frozenset({PRECONDITION_FAILED}),
                repeatable=True,
            )
        except UnavailableError as error:
            if not error.sent:
                raise
            raise OutcomeUnknownError(
                f"{self.uri(path)} may or may not have been written: {error.message}"
            ) from error
        if answer.status == PRECONDITION_FAILED:
            raise ConflictError
        return read_object(answer.body)

    async def delete(self, path: str, *, generation: str) -> None:
        """Delete an object where it still is of this generation; no harm where it is not."""
        await self.http.ask(
            "DELETE",
            self._object(path),
            params={"ifGenerationMatch": generation},
            also=frozenset({404, PRECONDITION_FAILED}),
            repeatable=True,
        )

    @property
    def upload_path(self) -> str:
        """Where objects are written, in every manner."""
        return f"upload/storage/v1/b/{quote(self.name, safe='')}/o"

    def _object(self, path: str) -> str:
        return f"storage/v1/b/{quote(self.name, safe='')}/o/{quote(path, safe='')}"

    async def _must_exist(self, error: NotFoundError) -> None:
        """Tell an object that is missing from a bucket that is."""
        if "bucket" not in error.message.lower():
            return
        raise NotFoundError(
            f"There is no bucket {self.name}, or it may not be seen: {error.message}",
            cure="Create it in the location of the provider, or name another one:\n"
            f"    gcloud storage buckets create gs://{self.name} --location=LOCATION",
        ) from error


def checksum(data: bytes) -> str:
    """Return the CRC32C as Cloud Storage writes it: its four bytes, highest first, in base64."""
    return encoded(google_crc32c.value(data))


def encoded(crc32c: int) -> str:
    """Return a CRC32C as Cloud Storage writes it."""
    return b64encode(crc32c.to_bytes(4, "big")).decode()


def read_object(body: bytes) -> wire.Object:
    """Read what is said of an object. Raises ProviderError when it is none."""
    try:
        return vertex.decode(body, wire.Object)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProviderError(
            f"The answer is not one of Cloud Storage: {error}.", cure=STORAGE.endpoint_cure
        ) from error


def _multipart(about: wire.NewObject, data: bytes) -> tuple[bytes, str]:
    boundary = secrets.token_hex(16)  # 128 random bits: no data holds them
    kind = about.content_type or JSON
    head = f"--{boundary}\r\ncontent-type: {JSON}\r\n\r\n".encode() + vertex.encode(about)
    body = f"\r\n--{boundary}\r\ncontent-type: {kind}\r\n\r\n".encode() + data
    return head + body + f"\r\n--{boundary}--\r\n".encode(), boundary
