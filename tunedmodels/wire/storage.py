"""The shapes of the Cloud Storage JSON API that datasets and the lock need.

Source: the v1 discovery document of storage.googleapis.com. int64 is a string; `crc32c` is the
checksum in base64 of its four bytes, highest first; custom metadata is text.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from tunedmodels.wire.gemini import Shape

CHUNK = 256 * 1024  # bytes; each part of a resumable upload but the last is a multiple of it


class Object(Shape):
    """An object of a bucket. `generation` is another one with every write."""

    name: str = ""
    generation: str = ""
    size: int = 0
    crc32c: str = ""
    updated: datetime | None = None
    content_type: str = ""
    metadata: dict[str, str] = msgspec.field(default_factory=dict)


class NewObject(Shape):
    """What is said of an object that is to be written; the service refuses other contents."""

    name: str
    content_type: str = ""
    crc32c: str = ""
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
