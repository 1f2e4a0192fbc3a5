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

from tests.support.vertex.errors import PRECONDITION, Refused

CHUNK = 256 * 1024
_SETTABLE = (
    "cacheControl", "contentDisposition", "contentEncoding", "contentLanguage", "contentType",
    "customTime", "metadata", "storageClass",
)  # fmt: skip


class NotModified(Exception):  # noqa: N818  # 304 is an answer without a body, not an error
    """`ifGenerationNotMatch` named the generation that is there."""


@dataclass
class Upload:
    """A resumable upload; `stored` is the object, once it is whole."""

    bucket: str
    document: dict[str, Any]
    query: dict[str, str]
    data: bytearray = field(default_factory=bytearray)
    stored: Stored | None = None


@dataclass
class Stored:
    """An object: its bytes and what is said about them."""

    data: bytes
    document: dict[str, Any]

    @property
    def generation(self) -> str:
        return str(self.document["generation"])


class Buckets:
    """All buckets of the project; `objects` maps (bucket, name) to what is live."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.locations: dict[str, str] = {}
        self.objects: dict[tuple[str, str], Stored] = {}
        self.uploads: dict[str, Upload] = {}
        self.written: list[str] = []
        self._generations = itertools.count(1795331304000001, 997)
        self._ids = itertools.count(1)

    def make(self, bucket: str, location: str = "US-CENTRAL1") -> None:
        """Make a bucket, as its owner did before."""
        self.locations[bucket] = location

    def put(self, bucket: str, name: str, data: bytes, **metadata: str) -> Stored:
        """Put an object there without a request."""
        return self.write(bucket, {"name": name, "metadata": metadata}, data, {})

    def must_exist(self, bucket: str) -> None:
        if bucket not in self.locations:
            raise Refused(404, "The specified bucket does not exist.")

    def write(
        self, bucket: str, document: dict[str, Any], data: bytes, query: dict[str, str]
    ) -> Stored:
        """Write an object whole, or refuse and leave what was there."""
        self.must_exist(bucket)
        name = document.get("name") or query.get("name")
        if not name:
            raise Refused(400, "Required object name is missing.")
        self._check(bucket, str(name), query)
        sums = {"md5Hash": md5(data), "crc32c": crc32c(data)}
        for key, actual in sums.items():
            if document.get(key, actual) != actual:
                raise Refused(
                    400,
                    f"Provided {key} hash {document[key]!r} doesn't match calculated hash "
                    f"{actual!r}.",
                )
        generation, time = str(next(self._generations)), _text(self.now())
        about = {key: document[key] for key in _SETTABLE if document.get(key)}
        whole = {
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
            **about,
        }
        self.objects[bucket, str(name)] = Stored(data, whole)
        self.written.append(f"gs://{bucket}/{name}")
        return self.objects[bucket, str(name)]

    def read(self, bucket: str, name: str, query: dict[str, str]) -> Stored:
        """The object, if it is there as the request wants it."""
        self.must_exist(bucket)
        found = self.objects.get((bucket, name))
        wanted = query.get("generation")
        if found is None or (wanted and wanted != found.generation):
            raise Refused(404, f"No such object: {bucket}/{name}")
        self._check(bucket, name, query)
        return found

    def delete(self, bucket: str, name: str, query: dict[str, str]) -> None:
        """Remove an object; versioning is off, so it is gone."""
        self.read(bucket, name, query)
        del self.objects[bucket, name]

    def patch(
        self, bucket: str, name: str, query: dict[str, str], changes: dict[str, Any]
    ) -> Stored:
        """Change what is said about an object; null takes a key of `metadata` away."""
        found = self.read(bucket, name, query)
        about = dict(found.document)
        for key, value in changes.items():
            if key == "metadata":
                merged = {**about.get("metadata", {}), **value}
                about["metadata"] = {k: v for k, v in merged.items() if v is not None}
            elif key in _SETTABLE:
                about[key] = value
        about["metageneration"] = str(int(about["metageneration"]) + 1)
        about["updated"] = _text(self.now())
        self.objects[bucket, name] = Stored(found.data, about)
        return self.objects[bucket, name]

    def page(self, bucket: str, query: dict[str, str], limit: int) -> dict[str, Any]:
        """Objects by prefix, in the order of their names; a token is the last name given."""
        self.must_exist(bucket)
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        after = base64.b64decode(query.get("pageToken", "")).decode()
        size = min(int(query.get("maxResults", "1000")), limit)
        entries: dict[str, Stored | None] = {}
        for (of, name), found in sorted(self.objects.items()):
            if of != bucket or not name.startswith(prefix):
                continue
            head, cut, _ = name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            entries |= {prefix + head + cut: None} if cut else {name: found}
        names = [name for name in entries if name > after]
        given = names[:size]
        answer: dict[str, Any] = {"kind": "storage#objects"}
        if items := [stored.document for name in given if (stored := entries[name])]:
            answer["items"] = items
        if prefixes := [name for name in given if entries[name] is None]:
            answer["prefixes"] = prefixes
        if len(names) > size:
            answer["nextPageToken"] = base64.b64encode(given[-1].encode()).decode()
        return answer

    def begin(self, bucket: str, document: dict[str, Any], query: dict[str, str]) -> str:
        """Open a resumable upload; its preconditions are checked now and at the end."""
        self.must_exist(bucket)
        name = document.get("name") or query.get("name", "")
        self._check(bucket, name, query)
        upload_id = f"upload-{next(self._ids)}"
        self.uploads[upload_id] = Upload(bucket, {**document, "name": name}, query)
        return upload_id

    def proceed(self, upload_id: str, chunk: bytes, content_range: str) -> Stored | int:
        """Take a chunk: the object when it was the last, else how many bytes are kept."""
        upload = self.uploads.get(upload_id)
        if upload is None:
            raise Refused(404, "No such upload.")
        if upload.stored is not None:
            return upload.stored
        span, _, total = content_range.removeprefix("bytes ").partition("/")
        if span != "*":
            first = int(span.partition("-")[0])
            if first > len(upload.data):
                raise Refused(400, f"The chunk begins at {first}, after a gap.")
            if total == "*" and len(chunk) % CHUNK:
                raise Refused(400, f"A chunk that is not the last is a multiple of {CHUNK}.")
            upload.data[first:] = chunk
        if total in ("*", "") or len(upload.data) < int(total):
            return len(upload.data)
        upload.stored = self.write(upload.bucket, upload.document, bytes(upload.data), upload.query)
        return upload.stored

    def _check(self, bucket: str, name: str, query: dict[str, str]) -> None:
        live = self.objects.get((bucket, name))
        generation = live.generation if live else "0"
        metageneration = live.document["metageneration"] if live else None
        wanted = query.get("ifGenerationMatch", generation)
        meta = query.get("ifMetagenerationMatch", metageneration)
        if wanted != generation or meta != metageneration:
            raise Refused(412, PRECONDITION)
        if query.get("ifGenerationNotMatch") == generation:
            raise NotModified


def md5(data: bytes) -> str:
    """MD5 in base64, as the API writes it."""
    digest = hashlib.md5(data, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def crc32c(data: bytes) -> str:
    """CRC-32C in base64, its bytes from the highest."""
    value: int = google_crc32c.value(data)
    return base64.b64encode(value.to_bytes(4, "big")).decode()


def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03}Z"
