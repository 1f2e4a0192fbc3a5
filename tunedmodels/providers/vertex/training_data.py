"""Training data as Vertex AI reads it: JSONL of `contents`, in the bucket under its own digest.

What was uploaded once is never uploaded again, and nobody can change it under a job: its name is
the SHA-256 of its bytes. Source: the guide to supervised tuning and that to preference tuning.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO, Final

import google_crc32c
import msgspec

from tunedmodels.datasets.examples import Example, Preference, prompt
from tunedmodels.errors import OutcomeUnknownError, ProviderError, UnavailableError
from tunedmodels.providers.provider import OnUpload
from tunedmodels.providers.storage.bucket import Bucket, ConflictError, encoded
from tunedmodels.providers.storage.transfer import UPLOAD_PART, upload
from tunedmodels.wire import storage as wire

KIND: Final = "application/jsonl"


class _Part(msgspec.Struct):
    text: str


class _Turn(msgspec.Struct):
    role: str
    parts: list[_Part]


class _Completion(msgspec.Struct):
    score: int
    completion: _Turn


class _Row(msgspec.Struct, rename="camel", omit_defaults=True):
    contents: list[_Turn]
    system_instruction: _Turn | None = None
    completions: list[_Completion] | None = None


@dataclass(frozen=True, slots=True)
class Converted:
    """The bytes to upload: their SHA-256 in hex, their CRC32C as Cloud Storage writes it."""

    data: IO[bytes]
    sha256: str
    crc32c: str
    size: int


async def put(
    bucket: Bucket,
    examples: Sequence[Example],
    *,
    preamble: str,
    as_system: bool,
    on_upload: OnUpload | None = None,
) -> str:
    """Return the URI of the examples in the bucket, after uploading them where they are missing.

    `as_system` makes the preamble the system instruction, else it begins every input.
    """
    with _converted() as opened:
        # In a thread: a gigabyte of examples must not keep the lock from being renewed.
        made = await asyncio.to_thread(_convert, opened, examples, preamble, as_system=as_system)
        path = bucket.path(f"datasets/{made.sha256}.jsonl")
        uri = bucket.uri(path)
        there = await bucket.look(path)
        if there is None:
            there = await _written(bucket, path, made, on_upload)
    if (there.size, there.crc32c) != (made.size, made.crc32c):
        raise ProviderError(
            f"{uri} does not hold what its name says: {there.size:,} bytes with the checksum "
            f"{there.crc32c} instead of {made.size:,} with {made.crc32c}.",
            cure=f"Somebody wrote over it. Delete it, and apply again:\n"
            f"    gcloud storage rm {uri}",
        )
    return uri


async def _written(
    bucket: Bucket, path: str, made: Converted, on_upload: OnUpload | None
) -> wire.Object:
    uri = bucket.uri(path)

    def tell(sent: int, total: int) -> None:
        if on_upload:
            on_upload(uri, sent, total)

    about = {"sha256": made.sha256}
    try:
        if made.size > UPLOAD_PART:
            new = wire.NewObject(path, content_type=KIND, crc32c=made.crc32c, metadata=about)
            return await upload(bucket, new, made.data, made.size, on_sent=tell)
        made.data.seek(0)
        written = await bucket.write(path, made.data.read(), generation="0", kind=KIND, about=about)
        tell(made.size, made.size)
    except (ConflictError, OutcomeUnknownError) as error:
        # Somebody else was faster with the same bytes, or our own answer was lost.
        there = await bucket.look(path)
        if there is None:
            raise UnavailableError(
                f"{uri} was not written.", cure="Nothing was begun. Apply again."
            ) from error
        return there
    return written


@contextmanager
def _converted() -> Iterator[IO[bytes]]:
    with SpooledTemporaryFile(max_size=UPLOAD_PART) as opened:
        yield opened


def _convert(
    opened: IO[bytes], examples: Sequence[Example], preamble: str, *, as_system: bool
) -> Converted:
    sha256 = hashlib.sha256()
    encoder = msgspec.json.Encoder()
    crc = size = 0
    for example in examples:
        line = encoder.encode(_row(example, preamble, as_system=as_system)) + b"\n"
        sha256.update(line)
        crc = google_crc32c.extend(crc, line)
        size += opened.write(line)
    return Converted(opened, sha256.hexdigest(), encoded(crc), size)


def _row(example: Example, preamble: str, *, as_system: bool) -> _Row:
    text = example.text_input if as_system else prompt(preamble, example.text_input)
    system = _turn("system", preamble) if as_system and preamble else None
    user, better = _turn("user", text), _turn("model", example.output)
    if not isinstance(example, Preference):
        return _Row([user, better], system)
    worse = _turn("model", example.rejected)
    return _Row([user], system, [_Completion(1, better), _Completion(0, worse)])


def _turn(role: str, text: str) -> _Turn:
    return _Turn(role, [_Part(text)])
