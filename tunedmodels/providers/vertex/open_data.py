"""Training data of open models: JSONL of `messages` in the bucket, named by its digest.

Source: the page "Supervised fine-tuning for open models", turn-based chat format.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from tempfile import SpooledTemporaryFile
from typing import IO, Final

import google_crc32c
import msgspec

from tunedmodels.datasets.examples import Example, prompt
from tunedmodels.errors import OutcomeUnknownError, ProviderError, UnavailableError
from tunedmodels.providers.provider import OnUpload
from tunedmodels.providers.storage.bucket import Bucket, ConflictError, encode_crc32c
from tunedmodels.providers.storage.transfer import UPLOAD_PART_BYTES, upload
from tunedmodels.wire import storage as wire

CONTENT_TYPE: Final = "application/jsonl"


class _Message(msgspec.Struct):
    role: str
    content: str


class _Row(msgspec.Struct):
    messages: list[_Message]


async def upload_messages(
    bucket: Bucket,
    examples: Sequence[Example],
    *,
    preamble: str,
    as_system: bool,
    on_upload: OnUpload | None = None,
) -> str:
    """Return the URI of the examples in the bucket; upload them if they are missing.

    With `as_system` the preamble is the system message; otherwise it begins every prompt.
    """
    with SpooledTemporaryFile(max_size=UPLOAD_PART_BYTES) as file:
        sha256, crc32c, size = await asyncio.to_thread(
            _encode, file, examples, preamble, as_system=as_system
        )
        path = bucket.path(f"datasets/{sha256}.jsonl")
        uri = bucket.uri(path)
        stored = await bucket.stat(path)
        if stored is None:
            new = wire.NewObject(
                path, content_type=CONTENT_TYPE, crc32c=crc32c, metadata={"sha256": sha256}
            )
            on_sent = _progress(uri, on_upload)
            try:
                stored = await upload(bucket, new, file, size, on_sent=on_sent)
            except (ConflictError, OutcomeUnknownError) as error:
                # Another process wrote the same bytes first, or the response was lost.
                stored = await bucket.stat(path)
                if stored is None:
                    raise UnavailableError(
                        f"{uri} was not written.", cure="No job was started. Apply again."
                    ) from error
    if (stored.size, stored.crc32c) != (size, crc32c):
        raise ProviderError(
            f"The content of {uri} does not match its name.",
            cure=f"The object was overwritten. Delete it, and apply again:\n"
            f"    gcloud storage rm {uri}",
        )
    return uri


def _encode(
    file: IO[bytes], examples: Sequence[Example], preamble: str, *, as_system: bool
) -> tuple[str, str, int]:
    """Write the rows, and return their SHA-256 (hex), their CRC32C, and their size in bytes."""
    sha256 = hashlib.sha256()
    encoder = msgspec.json.Encoder()
    crc = size = 0
    for example in examples:
        line = encoder.encode(_row(example, preamble, as_system=as_system)) + b"\n"
        sha256.update(line)
        crc = google_crc32c.extend(crc, line)
        size += file.write(line)
    return sha256.hexdigest(), encode_crc32c(crc), size


def _row(example: Example, preamble: str, *, as_system: bool) -> _Row:
    text = example.text_input if as_system else prompt(preamble, example.text_input)
    system = [_Message("system", preamble)] if as_system and preamble else []
    return _Row([*system, _Message("user", text), _Message("assistant", example.output)])


def _progress(uri: str, on_upload: OnUpload | None) -> Callable[[int, int], None]:
    def on_sent(sent: int, total: int) -> None:
        if on_upload:
            on_upload(uri, sent, total)

    return on_sent
