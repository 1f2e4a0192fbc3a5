"""Uploads and downloads of large objects in parts, so that a lost connection costs one part.

Source: Cloud Storage, resumable uploads. A session is opened once, with the condition that the
object does not exist. Its parts carry `Content-Range`, and the status 308 says how many bytes are
stored. The address of the session is the `Location` of a response: only its query is used, so that
no response can direct our token to another host.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final
from urllib.parse import parse_qsl, urlsplit

import google_crc32c

from tunedmodels.errors import NotFoundError, OutcomeUnknownError, ProviderError, UnavailableError
from tunedmodels.files import open_atomic
from tunedmodels.providers.http import HttpResponse
from tunedmodels.providers.storage.bucket import (
    PRECONDITION_FAILED,
    Bucket,
    ConflictError,
    decode_object,
    encode_crc32c,
)
from tunedmodels.wire import storage as wire
from tunedmodels.wire import vertex

UPLOAD_PART_BYTES: Final = 32 * wire.CHUNK  # 8 MiB
DOWNLOAD_PART_BYTES: Final = 32 * 1024 * 1024
WRITE_TIMEOUT_S: Final = 300.0  # for one part, over a slow connection
READ_TIMEOUT_S: Final = 300.0  # for one part, over a slow connection
MAX_RESUMES: Final = 10  # in a row without progress

_RESUME: Final = 308
_EXTRA_SUCCESS: Final = frozenset({_RESUME, PRECONDITION_FAILED})
_STORED_RANGE: Final = re.compile(r"bytes=0-(\d+)")

OnSent = Callable[[int, int], None]
"""Called with the number of stored bytes, and of bytes in total."""


async def upload(
    bucket: Bucket, new: wire.NewObject, data: IO[bytes], size: int, *, on_sent: OnSent
) -> wire.Object:
    """Write `size` bytes to a new object; the service compares them with `new.crc32c`.

    Raises ConflictError when the object exists by then.
    """
    session = await _open_session(bucket, new)
    stored = resumes = 0
    while True:
        data.seek(stored)
        part = data.read(UPLOAD_PART_BYTES)
        end = stored + len(part)
        total = str(size) if end == size else "*"
        try:
            response = await _send_part(bucket, session, part, f"bytes {stored}-{end - 1}/{total}")
        except OutcomeUnknownError as error:
            resumes += 1
            if resumes > MAX_RESUMES:
                raise UnavailableError(
                    f"The upload of {bucket.uri(new.name)} makes no progress: {error.message}",
                    cure="No job was started. Apply again.",
                ) from error
            response = await _send_part(bucket, session, b"", f"bytes */{size}")
        if response.status == PRECONDITION_FAILED:
            raise ConflictError
        if response.status != _RESUME:
            on_sent(size, size)
            return decode_object(response.body)
        before, stored = stored, _stored_bytes(response, size)
        if stored > before:
            resumes = 0
            on_sent(stored, size)


async def _open_session(bucket: Bucket, new: wire.NewObject) -> dict[str, str]:
    response = await bucket.request(
        "POST",
        bucket.upload_url,
        params={"uploadType": "resumable", "ifGenerationMatch": "0"},
        content=vertex.encode(new),
        headers={"x-upload-content-type": new.content_type},
        extra_success=frozenset({PRECONDITION_FAILED}),
        is_idempotent=True,  # a second session is never used and expires
    )
    if response.status == PRECONDITION_FAILED:
        raise ConflictError
    query = dict(parse_qsl(urlsplit(response.headers.get("location", "")).query))
    if "upload_id" not in query:
        raise ProviderError("Cloud Storage opened an upload without an upload id.")
    return query


async def _send_part(
    bucket: Bucket, session: dict[str, str], part: bytes, content_range: str
) -> HttpResponse:
    return await bucket.request(
        "PUT",
        bucket.upload_url,
        params=session,
        content=part,
        headers={"content-range": content_range, "content-type": "application/octet-stream"},
        extra_success=_EXTRA_SUCCESS,
        read_timeout_s=WRITE_TIMEOUT_S,
        is_idempotent=not part,  # after a lost part, `upload` asks how much of it is stored
    )


def _stored_bytes(response: HttpResponse, size: int) -> int:
    """Return how many bytes the service has stored; without any, it sends no range."""
    header = response.headers.get("range", "")
    match = _STORED_RANGE.fullmatch(header)
    stored = int(match[1]) + 1 if match else 0
    if (header and not match) or stored > size:
        raise ProviderError(
            f"Cloud Storage reports {header!r} as stored of an upload of {size:,} bytes."
        )
    return stored


async def download(bucket: Bucket, path: str, folder: Path) -> Path:
    """Return a file in `folder` with the current content of the object.

    The file is named by the generation of the object, so that a generation is downloaded once and
    no other process changes it meanwhile. Raises NotFoundError, and UnavailableError when the
    checksum differs.
    """
    existing = await bucket.stat(path)
    if existing is None:
        raise NotFoundError(
            f"{bucket.uri(path)} does not exist.", cure="Check the path, or upload it."
        )
    # The suffix determines the format.
    file = folder / f"{existing.generation}{Path(path).suffix}"
    if file.exists():
        return file
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  # short
    with open_atomic(file) as opened:
        await _download_parts(bucket, path, existing, opened)
    for other in folder.iterdir():  # noqa: ASYNC240  # short
        if other != file:
            other.unlink(missing_ok=True)  # an earlier generation
    return file


async def _download_parts(
    bucket: Bucket, path: str, existing: wire.Object, file: IO[bytes]
) -> None:
    crc = received = 0
    while received < existing.size:
        end = min(received + DOWNLOAD_PART_BYTES, existing.size)
        response = await bucket.request(
            "GET",
            bucket.object_url(path),
            params={"alt": "media", "generation": existing.generation},
            headers={"range": f"bytes={received}-{end - 1}"},
            read_timeout_s=READ_TIMEOUT_S,
            is_idempotent=True,
        )
        part = response.body
        crc = google_crc32c.extend(crc, part)
        received += file.write(part)
        if not part:
            break
    if received != existing.size or encode_crc32c(crc) != existing.crc32c:
        raise UnavailableError(
            f"The download of {bucket.uri(path)} is incomplete or damaged.",
            cure="Try again.",
        )
