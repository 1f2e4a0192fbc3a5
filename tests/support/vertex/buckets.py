"""Objects in buckets: generations, preconditions, checksums, and resumable uploads."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import google_crc32c

from tests.support.vertex.errors import PRECONDITION_FAILED, ServiceError

CHUNK = 256 * 1024
_SETTABLE = (
    "cacheControl", "contentDisposition", "contentEncoding", "contentLanguage", "contentType",
    "customTime", "metadata", "storageClass",
)  # fmt: skip


class NotModified(Exception):  # noqa: N818  # 304 is not an error
    """`ifGenerationNotMatch` names the current generation."""


@dataclass
class ResumableUpload:
    """A resumable upload; `stored` is the object when the upload is complete."""

    bucket: str
    document: dict[str, Any]
    query: dict[str, str]
    data: bytearray = field(default_factory=bytearray)
    stored: StoredObject | None = None


@dataclass
class StoredObject:
    """An object: its data and metadata."""

    data: bytes
    document: dict[str, Any]

    @property
    def generation(self) -> str:
        return str(self.document["generation"])


class Buckets:
    """All buckets of the project; `objects` maps (bucket, name) to the live object."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.locations: dict[str, str] = {}
        self.objects: dict[tuple[str, str], StoredObject] = {}
        self.uploads: dict[str, ResumableUpload] = {}
        self.written: list[str] = []
        self.requester_pays: set[str] = set()
        self._generations = itertools.count(1795331304000001, 997)
        self._ids = itertools.count(1)

    def create_bucket(self, bucket: str, location: str = "US-CENTRAL1") -> None:
        """Create a bucket without a request."""
        self.locations[bucket] = location

    def put(self, bucket: str, name: str, data: bytes, **metadata: str) -> StoredObject:
        """Write an object without a request."""
        return self.write(bucket, {"name": name, "metadata": metadata}, data, {})

    def require_bucket(self, bucket: str) -> None:
        if bucket not in self.locations:
            raise ServiceError(404, "The specified bucket does not exist.")

    def write(
        self, bucket: str, document: dict[str, Any], data: bytes, query: dict[str, str]
    ) -> StoredObject:
        """Write an object, or raise ServiceError and keep the existing one."""
        self.require_bucket(bucket)
        name = document.get("name") or query.get("name")
        if not name:
            raise ServiceError(400, "Required object name is missing.")
        self._check_conditions(bucket, str(name), query)
        sums = {"md5Hash": md5(data), "crc32c": crc32c(data)}
        for key, actual in sums.items():
            if document.get(key, actual) != actual:
                raise ServiceError(
                    400,
                    f"Provided {key} hash {document[key]!r} doesn't match calculated hash "
                    f"{actual!r}.",
                )
        generation, time = str(next(self._generations)), _timestamp(self.now())
        settable = {key: document[key] for key in _SETTABLE if document.get(key)}
        complete = {
            "kind": "storage#object",
            "id": f"{bucket}/{name}/{generation}",
            "name": name,
            "bucket": bucket,
            "generation": generation,
            "metageneration": "1",
            "contentType": "application/octet-stream",
            "storageClass": "STANDARD",
            "size": str(len(data)),
            **sums,
            "etag": base64.b64encode(generation.encode()).decode(),
            "timeCreated": time,
            "updated": time,
            **settable,
        }
        self.objects[bucket, str(name)] = StoredObject(data, complete)
        self.written.append(f"gs://{bucket}/{name}")
        return self.objects[bucket, str(name)]

    def read(self, bucket: str, name: str, query: dict[str, str]) -> StoredObject:
        """The object, if it meets the conditions of the request."""
        self.require_bucket(bucket)
        stored = self.objects.get((bucket, name))
        generation = query.get("generation")
        if stored is None or (generation and generation != stored.generation):
            raise ServiceError(404, f"No such object: {bucket}/{name}")
        self._check_conditions(bucket, name, query)
        return stored

    def delete(self, bucket: str, name: str, query: dict[str, str]) -> None:
        """Delete an object; without versioning it cannot be restored."""
        self.read(bucket, name, query)
        del self.objects[bucket, name]

    def patch(
        self, bucket: str, name: str, query: dict[str, str], changes: dict[str, Any]
    ) -> StoredObject:
        """Change the metadata of an object; null removes a key of `metadata`."""
        stored = self.read(bucket, name, query)
        document = dict(stored.document)
        for key, value in changes.items():
            if key == "metadata":
                merged = {**document.get("metadata", {}), **value}
                document["metadata"] = {k: v for k, v in merged.items() if v is not None}
            elif key in _SETTABLE:
                document[key] = value
        document["metageneration"] = str(int(document["metageneration"]) + 1)
        document["updated"] = _timestamp(self.now())
        self.objects[bucket, name] = StoredObject(stored.data, document)
        return self.objects[bucket, name]

    def list_page(self, bucket: str, query: dict[str, str], limit: int) -> dict[str, Any]:
        """Objects by prefix, sorted by name; a page token is the last name of the page."""
        self.require_bucket(bucket)
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        after = base64.b64decode(query.get("pageToken", "")).decode()
        size = min(int(query.get("maxResults", "1000")), limit)
        entries: dict[str, StoredObject | None] = {}
        for (owner, name), stored in sorted(self.objects.items()):
            if owner != bucket or not name.startswith(prefix):
                continue
            head, cut, _ = name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            entries |= {prefix + head + cut: None} if cut else {name: stored}
        names = [name for name in entries if name > after]
        listed = names[:size]
        page: dict[str, Any] = {"kind": "storage#objects"}
        if items := [entry.document for name in listed if (entry := entries[name])]:
            page["items"] = items
        if prefixes := [name for name in listed if entries[name] is None]:
            page["prefixes"] = prefixes
        if len(names) > size:
            page["nextPageToken"] = base64.b64encode(listed[-1].encode()).decode()
        return page

    def open_upload(self, bucket: str, document: dict[str, Any], query: dict[str, str]) -> str:
        """Open a resumable upload; its conditions are checked now and at the end."""
        self.require_bucket(bucket)
        name = document.get("name") or query.get("name", "")
        self._check_conditions(bucket, name, query)
        upload_id = f"upload-{next(self._ids)}"
        self.uploads[upload_id] = ResumableUpload(bucket, {**document, "name": name}, query)
        return upload_id

    def receive_part(self, upload_id: str, chunk: bytes, content_range: str) -> StoredObject | int:
        """Store a chunk; returns the object after the last one, else the number of stored bytes."""
        upload = self.uploads.get(upload_id)
        if upload is None:
            raise ServiceError(404, "No such upload.")
        if upload.stored is not None:
            return upload.stored
        span, _, total = content_range.removeprefix("bytes ").partition("/")
        if span != "*":
            first = int(span.partition("-")[0])
            if first > len(upload.data):
                raise ServiceError(400, f"The chunk at {first} is not contiguous.")
            if total == "*" and len(chunk) % CHUNK:
                raise ServiceError(400, f"The size of a chunk must be a multiple of {CHUNK}.")
            upload.data[first:] = chunk
        if total in ("*", "") or len(upload.data) < int(total):
            return len(upload.data)
        upload.stored = self.write(upload.bucket, upload.document, bytes(upload.data), upload.query)
        return upload.stored

    def _check_conditions(self, bucket: str, name: str, query: dict[str, str]) -> None:
        stored = self.objects.get((bucket, name))
        generation = stored.generation if stored else "0"
        metageneration = stored.document["metageneration"] if stored else None
        expected = query.get("ifGenerationMatch", generation)
        expected_meta = query.get("ifMetagenerationMatch", metageneration)
        if expected != generation or expected_meta != metageneration:
            raise ServiceError(412, PRECONDITION_FAILED)
        if query.get("ifGenerationNotMatch") == generation:
            raise NotModified


def md5(data: bytes) -> str:
    """The MD5 in base64."""
    digest = hashlib.md5(data, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def crc32c(data: bytes) -> str:
    """The CRC32C in base64, as four big-endian bytes."""
    value: int = google_crc32c.value(data)
    return base64.b64encode(value.to_bytes(4, "big")).decode()


def _timestamp(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03}Z"
