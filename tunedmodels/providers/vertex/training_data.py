"""Training data in the format of Vertex AI: JSONL of `contents` in the bucket, named by its digest.

The name of an object is the SHA-256 of its bytes. So the same data is uploaded once, and nothing
changes it while a job reads it. Source: the guides to supervised tuning and to preference tuning.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Final

import google_crc32c
import msgspec

from tunedmodels.datasets.examples import (
    Conversation,
    ConversationPreference,
    Example,
    Preference,
    conversation_row,
    prompt,
)
from tunedmodels.errors import OutcomeUnknownError, ProviderError, UnavailableError
from tunedmodels.providers.provider import OnUpload
from tunedmodels.providers.storage.bucket import Bucket, ConflictError, encode_crc32c
from tunedmodels.providers.storage.transfer import UPLOAD_PART_BYTES, upload
from tunedmodels.wire import storage as wire

CONTENT_TYPE: Final = "application/jsonl"


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
class EncodedDataset:
    """The bytes to upload."""

    data: IO[bytes]
    sha256: str
    """In hex."""
    crc32c: str
    """In the format of Cloud Storage."""
    size: int


async def upload_examples(
    bucket: Bucket,
    examples: Sequence[Example],
    *,
    preamble: str,
    as_system: bool,
    on_upload: OnUpload | None = None,
) -> str:
    """Return the URI of the examples in the bucket; upload them if they are missing.

    With `as_system` the preamble is the system instruction; otherwise it begins every input.
    """
    with SpooledTemporaryFile(max_size=UPLOAD_PART_BYTES) as file:
        # In a thread, since a gigabyte of examples must not delay the renewal of the lock.
        dataset = await asyncio.to_thread(_encode, file, examples, preamble, as_system=as_system)
        path = bucket.path(f"datasets/{dataset.sha256}.jsonl")
        uri = bucket.uri(path)
        stored = await bucket.stat(path)
        if stored is None:
            stored = await _upload(bucket, path, dataset, on_upload)
    if (stored.size, stored.crc32c) != (dataset.size, dataset.crc32c):
        raise ProviderError(
            f"The content of {uri} does not match its name: {stored.size:,} bytes with the "
            f"checksum {stored.crc32c} instead of {dataset.size:,} with {dataset.crc32c}.",
            cure="The object was overwritten. Delete it, and apply again:\n"
            f"    gcloud storage rm {uri}",
        )
    return uri


async def _upload(
    bucket: Bucket, path: str, dataset: EncodedDataset, on_upload: OnUpload | None
) -> wire.Object:
    uri = bucket.uri(path)

    def on_sent(sent: int, total: int) -> None:
        if on_upload:
            on_upload(uri, sent, total)

    metadata = {"sha256": dataset.sha256}
    try:
        if dataset.size > UPLOAD_PART_BYTES:
            new = wire.NewObject(
                path, content_type=CONTENT_TYPE, crc32c=dataset.crc32c, metadata=metadata
            )
            return await upload(bucket, new, dataset.data, dataset.size, on_sent=on_sent)
        dataset.data.seek(0)
        written = await bucket.write(
            path,
            dataset.data.read(),
            generation="0",
            content_type=CONTENT_TYPE,
            metadata=metadata,
        )
        on_sent(dataset.size, dataset.size)
    except (ConflictError, OutcomeUnknownError) as error:
        # Another process wrote the same bytes first, or the response to our write was lost.
        stored = await bucket.stat(path)
        if stored is None:
            raise UnavailableError(
                f"{uri} was not written.", cure="No job was started. Apply again."
            ) from error
        return stored
    return written


def _encode(
    file: IO[bytes], examples: Sequence[Example], preamble: str, *, as_system: bool
) -> EncodedDataset:
    sha256 = hashlib.sha256()
    encoder = msgspec.json.Encoder()
    crc = size = 0
    for example in examples:
        row: _Row | dict[str, Any]
        if isinstance(example, Conversation | ConversationPreference):
            row = conversation_row(example, preamble, as_system=as_system)
        else:
            row = _row(example, preamble, as_system=as_system)
        line = encoder.encode(row) + b"\n"
        sha256.update(line)
        crc = google_crc32c.extend(crc, line)
        size += file.write(line)
    return EncodedDataset(file, sha256.hexdigest(), encode_crc32c(crc), size)


def _row(example: Example, preamble: str, *, as_system: bool) -> _Row:
    text = example.text_input if as_system else prompt(preamble, example.text_input)
    system = _turn("system", preamble) if as_system and preamble else None
    user, preferred = _turn("user", text), _turn("model", example.output)
    if not isinstance(example, Preference):
        return _Row([user, preferred], system)
    rejected = _turn("model", example.rejected)
    return _Row([user], system, [_Completion(1, preferred), _Completion(0, rejected)])


def _turn(role: str, text: str) -> _Turn:
    return _Turn(role, [_Part(text)])
