"""Objects in a bucket of Cloud Storage, written with preconditions.

Each write names the generation that it replaces, 0 for none. So a write is idempotent: the
precondition of a repeated write fails, and the metadata of the object says which process wrote it.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Mapping
from typing import Final, TypeVar
from urllib.parse import quote

import google_crc32c

from tunedmodels.errors import (
    InvalidArgumentError,
    NotFoundError,
    OutcomeUnknownError,
    ProviderError,
    UnavailableError,
)
from tunedmodels.providers.errors import STORAGE
from tunedmodels.providers.http import READ_TIMEOUT_S, Http, HttpResponse, Transport
from tunedmodels.providers.identity import Identity
from tunedmodels.providers.response import confirm, decode_message
from tunedmodels.providers.retry import OnRetry
from tunedmodels.wire import storage as wire
from tunedmodels.wire import vertex

T = TypeVar("T")

STORAGE_ENDPOINT: Final = "https://storage.googleapis.com"
NO_CONTENT: Final = 204
NO_OBJECT: Final = 404
PRECONDITION_FAILED: Final = 412
JSON: Final = "application/json"


_REQUESTER_PAYS: Final = "requester pays"  # in the message of a 400 without userProject


def is_requester_pays(error: ProviderError) -> bool:
    """Whether a request failed because it names no project to which it is billed."""
    return isinstance(error, InvalidArgumentError) and _REQUESTER_PAYS in error.message.lower()


class ConflictError(Exception):
    """Another process wrote the object: its generation is not the expected one."""


class Bucket:
    """One bucket, and the folder `prefix` in it that contains our objects.

    `project` is billed for the requests if the requester pays for this bucket.
    """

    def __init__(
        self,
        name: str,
        prefix: str,
        identity: Identity,
        *,
        endpoint: str = STORAGE_ENDPOINT,
        project: str = "",
        transport: Transport | None = None,
        on_retry: OnRetry | None = None,
    ) -> None:
        self.name = name
        self.prefix = prefix
        self._project = project
        self._billed_project = ""
        self.http = Http(
            endpoint, identity, error_mapping=STORAGE, transport=transport, on_retry=on_retry
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self.http.aclose()

    async def request(
        self,
        method: str,
        path: str,
        *,
        is_idempotent: bool,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        extra_success: frozenset[int] = frozenset(),
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> HttpResponse:
        """Send a request; name the project to bill if the bucket requires that.

        A request that names none is rejected and changes nothing, so that it is sent again.
        """
        for is_last in (False, True):
            billed = {"userProject": self._billed_project} if self._billed_project else {}
            try:
                return await self.http.request(
                    method,
                    path,
                    params={**(params or {}), **billed} or None,
                    content=content,
                    headers=headers or {},
                    extra_success=extra_success,
                    read_timeout_s=read_timeout_s,
                    is_idempotent=is_idempotent,
                )
            except InvalidArgumentError as error:
                if is_last or billed or not (self._project and is_requester_pays(error)):
                    raise
                self._billed_project = self._project
        raise AssertionError("unreachable: the last attempt returns or raises")

    def path(self, name: str) -> str:
        """Return the path of an object in our folder."""
        return f"{self.prefix}/{name}"

    def uri(self, path: str) -> str:
        """Return `gs://BUCKET/PATH`."""
        return f"gs://{self.name}/{path}"

    def object_url(self, path: str) -> str:
        """Return the request path of an object."""
        return f"storage/v1/b/{quote(self.name, safe='')}/o/{quote(path, safe='')}"

    @property
    def upload_url(self) -> str:
        """The request path of uploads of every kind."""
        return f"upload/storage/v1/b/{quote(self.name, safe='')}/o"

    async def stat(self, path: str) -> wire.Object | None:
        """Return the metadata of an object, or None when it does not exist."""
        try:
            response = await self.request("GET", self.object_url(path), is_idempotent=True)
        except NotFoundError as error:
            self._raise_if_bucket_is_missing(error)
            return None
        return decode_object(response.body)

    async def read(self, path: str, *, generation: str) -> bytes:
        """Return the data of one generation of a small object. Raises NotFoundError."""
        response = await self.request(
            "GET",
            self.object_url(path),
            params={"alt": "media", "generation": generation},
            is_idempotent=True,
        )
        return response.body

    async def list(self, prefix: str, *, limit: int | None = None) -> list[wire.Object]:
        """Return the objects whose paths begin with `prefix`, at most `limit` of them.

        Raises NotFoundError when the bucket does not exist.
        """
        path = f"storage/v1/b/{quote(self.name, safe='')}/o"
        objects: list[wire.Object] = []
        token = ""
        while limit is None or len(objects) < limit:
            params = {"prefix": prefix, **({"pageToken": token} if token else {})}
            if limit is not None:
                params["maxResults"] = str(limit)
            response = await self.request("GET", path, params=params, is_idempotent=True)
            page = decode_page(response.body)
            objects += page.items
            if page.next_page_token in ("", token):
                break
            token = page.next_page_token
        return objects

    async def write(
        self,
        path: str,
        data: bytes,
        *,
        generation: str,
        content_type: str,
        metadata: dict[str, str],
    ) -> wire.Object:
        """Write an object if its generation is `generation`; "0" if it must not exist.

        `metadata` is its custom metadata. Raises ConflictError when the generation differs, and
        OutcomeUnknownError when the response was lost: `stat` then shows the outcome.
        """
        body, boundary = _multipart(
            wire.NewObject(
                path,
                content_type=content_type,
                crc32c=encode_checksum(data),
                metadata=metadata,
            ),
            data,
        )
        params = {"uploadType": "multipart", "ifGenerationMatch": generation}
        try:
            response = await self.request(
                "POST",
                self.upload_url,
                params=params,
                content=body,
                headers={"content-type": f"multipart/related; boundary={boundary}"},
                extra_success=frozenset({PRECONDITION_FAILED}),
                is_idempotent=True,
            )
        except UnavailableError as error:
            if not error.was_sent:
                raise
            raise OutcomeUnknownError(
                f"{self.uri(path)} may or may not have been written: {error.message}"
            ) from error
        if response.status == PRECONDITION_FAILED:
            raise ConflictError
        try:
            return decode_object(response.body)
        except ProviderError as error:
            raise OutcomeUnknownError(
                f"{self.uri(path)} may or may not have been written: {error.message}",
                cure=error.cure,
            ) from error

    async def delete(self, path: str, *, generation: str) -> None:
        """Delete an object if it exists with this generation; otherwise do nothing.

        Raises OutcomeUnknownError when the service does not confirm the deletion.
        """
        response = await self.request(
            "DELETE",
            self.object_url(path),
            params={"ifGenerationMatch": generation},
            extra_success=frozenset({NO_OBJECT, PRECONDITION_FAILED}),
            is_idempotent=True,
        )
        if response.status in (NO_CONTENT, NO_OBJECT, PRECONDITION_FAILED):
            return

        async def is_deleted() -> bool:
            existing = await self.stat(path)
            return existing is None or existing.generation != generation

        call = f"The deletion of {self.uri(path)}"
        await confirm(is_deleted, call, STORAGE, is_local=self.http.is_local)

    def _raise_if_bucket_is_missing(self, error: NotFoundError) -> None:
        """Raise NotFoundError when the 404 is about the bucket instead of the object."""
        if "bucket" not in error.message.lower():
            return
        raise NotFoundError(
            f"The bucket {self.name} does not exist or is not visible: {error.message}",
            cure="Create it in the location of the provider, or set another bucket:\n"
            f"    gcloud storage buckets create gs://{self.name} --location=LOCATION",
        ) from error


def encode_checksum(data: bytes) -> str:
    """Return the CRC32C of the data in the format of Cloud Storage."""
    return encode_crc32c(google_crc32c.value(data))


def encode_crc32c(crc32c: int) -> str:
    """Return a CRC32C in the format of Cloud Storage: four big-endian bytes in base64."""
    return b64encode(crc32c.to_bytes(4, "big")).decode()


def decode_object(body: bytes) -> wire.Object:
    """Return the object metadata of a response. Raises ProviderError when it is malformed."""
    written = decode_message(body, wire.Object, STORAGE)
    if not written.generation:
        raise ProviderError(
            "The response is not an object of Cloud Storage: it has no generation.",
            cure=STORAGE.endpoint_cure,
        )
    return written


def decode_page(body: bytes) -> wire.ObjectPage:
    """Return a page of objects. Raises ProviderError when it is malformed."""
    return decode_message(body, wire.ObjectPage, STORAGE)


def _multipart(new: wire.NewObject, data: bytes) -> tuple[bytes, str]:
    boundary = secrets.token_hex(16)  # 128 random bits do not occur in the data
    content_type = new.content_type or JSON
    head = f"--{boundary}\r\ncontent-type: {JSON}\r\n\r\n".encode() + vertex.encode(new)
    body = f"\r\n--{boundary}\r\ncontent-type: {content_type}\r\n\r\n".encode() + data
    return head + body + f"\r\n--{boundary}--\r\n".encode(), boundary
