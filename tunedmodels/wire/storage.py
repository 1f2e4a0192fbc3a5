"""Messages of the Cloud Storage JSON API that datasets and the lock need.

Source: the v1 discovery document of storage.googleapis.com. int64 is a string; `crc32c` is the
checksum in base64, as four big-endian bytes; custom metadata is text.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from tunedmodels.wire.gemini import ApiMessage

CHUNK = 256 * 1024  # bytes; each part of a resumable upload except the last is a multiple of it


class Object(ApiMessage):
    """The metadata of an object. Every write changes `generation`."""

    name: str = ""
    generation: str = ""
    size: int = 0
    crc32c: str = ""
    updated: datetime | None = None
    content_type: str = ""
    metadata: dict[str, str] = msgspec.field(default_factory=dict)


class NewObject(ApiMessage):
    """The metadata of an object to write; the service rejects data with another checksum."""

    name: str
    content_type: str = ""
    crc32c: str = ""
    metadata: dict[str, str] = msgspec.field(default_factory=dict)


class ObjectPage(ApiMessage):
    """The response of objects.list."""

    items: list[Object] = msgspec.field(default_factory=list)
    next_page_token: str = ""
