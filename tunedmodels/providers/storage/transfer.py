"""Large objects in parts: what broke off goes on from the last byte that the service has.

Source: Cloud Storage, resumable uploads. A session is opened once, under the condition that the
object is not there; its parts carry `Content-Range`, and 308 says how many bytes are kept. The
address of the session is an answer's `Location`: of it only the query is taken, so that no answer
leads our token somewhere else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final
from urllib.parse import parse_qsl, quote, urlsplit

import google_crc32c

from tunedmodels.errors import NotFoundError, OutcomeUnknownError, ProviderError, UnavailableError
from tunedmodels.providers.http import Answer
from tunedmodels.providers.storage.bucket import (
    PRECONDITION_FAILED,
    Bucket,
    ConflictError,
    encoded,
    read_object,
)
from tunedmodels.wire import storage as wire
from tunedmodels.wire import vertex

UPLOAD_PART: Final = 32 * wire.CHUNK  # 8 MiB: what a lost connection costs at most
WRITE_S: Final = 300.0  # for one part, over a slow line
MOST_RESUMES: Final = 10  # in a row, without a byte more

_RESUME: Final = 308
_ANSWERS: Final = frozenset({_RESUME, PRECONDITION_FAILED})
_KEPT = re.compile(r"bytes=0-(\d+)")

OnSent = Callable[[int, int], None]  # bytes that are there, and bytes in all


async def upload(
    bucket: Bucket, about: wire.NewObject, data: IO[bytes], size: int, *, on_sent: OnSent
) -> wire.Object:
    """Write `size` bytes to an object that is not there yet.

    The service checks them against `about.crc32c`. Raises ConflictError when it is there by now.
    """
    session = await _open(bucket, about)
    kept = resumes = 0
    while True:
        data.seek(kept)
        part = data.read(UPLOAD_PART)
        end = kept + len(part)
        total = str(size) if end == size else "*"
        try:
            answer = await _put(bucket, session, part, f"bytes {kept}-{end - 1}/{total}")
        except OutcomeUnknownError as error:
            resumes += 1
            if resumes > MOST_RESUMES:
                raise UnavailableError(
                    f"The upload of {bucket.uri(about.name)} does not get further: {error.message}",
                    cure="Nothing was begun. Apply again.",
                ) from error
            answer = await _put(bucket, session, b"", f"bytes */{size}")
        if answer.status == PRECONDITION_FAILED:
            raise ConflictError
        if answer.status != _RESUME:
            on_sent(size, size)
            return read_object(answer.body)
        before, kept = kept, _kept(answer, size)
        if kept > before:
            resumes = 0
            on_sent(kept, size)


async def _open(bucket: Bucket, about: wire.NewObject) -> dict[str, str]:
    answer = await bucket.http.ask(
        "POST",
        bucket.upload_path,
        params={"uploadType": "resumable", "ifGenerationMatch": "0"},
        content=vertex.encode(about),
        headers={"x-upload-content-type": about.content_type},
        also=frozenset({PRECONDITION_FAILED}),
        repeatable=True,  # a second session is never used, and ends by itself
    )
    if answer.status == PRECONDITION_FAILED:
        raise ConflictError
    query = dict(parse_qsl(urlsplit(answer.headers.get("location", "")).query))
    if "upload_id" not in query:
        raise ProviderError("Cloud Storage opened an upload and did not say where it goes on.")
    return query


async def _put(bucket: Bucket, session: dict[str, str], part: bytes, span: str) -> Answer:
    return await bucket.http.ask(
        "PUT",
        bucket.upload_path,
        params=session,
        content=part,
        headers={"content-range": span, "content-type": "application/octet-stream"},
        also=_ANSWERS,
        read_s=WRITE_S,
        repeatable=not part,  # where a part broke off, it is asked how much of it is there
    )


def _kept(answer: Answer, size: int) -> int:
    """Return how many bytes the service has; it names none where it has none."""
    said = answer.headers.get("range", "")
    found = _KEPT.fullmatch(said)
    kept = int(found[1]) + 1 if found else 0
    if (said and not found) or kept > size:
        raise ProviderError(f"Cloud Storage keeps {said!r} of an upload of {size:,} bytes.")
    return kept


# FOLDED
# Copies of objects of Cloud Storage, each of one generation, so that nobody changes it meanwhile.
#
# A copy is named by its generation: what was fetched once is not fetched again. It comes in
# parts, so that a lost connection costs one of them, and counts only once its checksum is right.
DOWNLOAD_PART: Final = 32 * 1024 * 1024
READ_S: Final = 300.0  # for one part, over a slow line


async def fetch(bucket: Bucket, path: str, folder: Path) -> Path:
    """Return a file in `folder` that holds the object as it is now. Raises NotFoundError."""
    there = await bucket.look(path)
    if there is None:
        raise NotFoundError(
            f"{bucket.uri(path)} does not exist.", cure="Check the path, or upload it."
        )
    # The ending says the format.
    file = folder / f"{there.generation}{Path(path).suffix}"
    if file.exists():
        return file
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  # a moment, and nobody else waits
    half = file.with_name(f".{file.name}.{os.getpid()}")
    url = f"storage/v1/b/{quote(bucket.name, safe='')}/o/{quote(path, safe='')}"
    crc = kept = 0
    try:
        with half.open("wb") as opened:
            while kept < there.size:
                answer = await bucket.http.ask(
                    "GET",
                    url,
                    params={"alt": "media", "generation": there.generation},
                    headers={"range": f"bytes={kept}-{min(kept + DOWNLOAD_PART, there.size) - 1}"},
                    read_s=READ_S,
                    repeatable=True,
                )
                part = answer.body
                crc = google_crc32c.extend(crc, part)
                kept += opened.write(part)
                if not part:
                    break
        if kept != there.size or encoded(crc) != there.crc32c:
            raise UnavailableError(f"{bucket.uri(path)} did not arrive whole.", cure="Try again.")
        half.replace(file)
    finally:
        half.unlink(missing_ok=True)
    for old in folder.iterdir():  # noqa: ASYNC240  # the same
        if old != file:
            old.unlink(missing_ok=True)  # an earlier generation
    return file
