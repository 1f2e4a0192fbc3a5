"""Copies of objects of Cloud Storage, each of one generation, so that nobody changes it meanwhile.

A copy is named by its generation: what was fetched once is not fetched again. It comes in parts, so
that a lost connection costs one of them, and counts only once its checksum is right.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from urllib.parse import quote

import google_crc32c

from tunedmodels.errors import NotFoundError, UnavailableError
from tunedmodels.providers.storage.bucket import Bucket, encoded

PART: Final = 32 * 1024 * 1024
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
                    headers={"range": f"bytes={kept}-{min(kept + PART, there.size) - 1}"},
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
