"""An archive of the datasets that models were trained on, so that a plan can show what changed.

`<digest>.jsonl.gz` is the compressed canonical form of a dataset, named by the SHA-256 of its
content. A file whose content has another digest counts as absent.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from tunedmodels.datasets.examples import Example, canonical_form, decode_canonical
from tunedmodels.files import write_atomic


class Archive:
    """Datasets by digest, in one directory that the first `put` creates."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, digest: str, examples: Iterable[Example]) -> None:
        """Store a dataset, unless an undamaged copy exists.

        Raises ValueError when `digest` is not the digest of `examples`, and OSError when the disk
        fails; the archive is then unchanged.
        """
        if self.get(digest) is not None:
            return
        content = canonical_form(examples)
        if hashlib.sha256(content).hexdigest() != digest:
            raise ValueError(f"these examples do not have the digest {digest}")
        self._directory.mkdir(parents=True, exist_ok=True)
        compressed = gzip.compress(content, compresslevel=6, mtime=0)
        write_atomic(self._file(digest), compressed, mode=0o600)

    def get(self, digest: str) -> list[Example] | None:
        """Return a dataset, or None when it is absent or damaged."""
        try:
            content = gzip.decompress(self._file(digest).read_bytes())
            if hashlib.sha256(content).hexdigest() != digest:
                return None
            return decode_canonical(content)
        except (OSError, EOFError, zlib.error, msgspec.DecodeError):
            return None

    def _file(self, digest: str) -> Path:
        return self._directory / f"{digest}.jsonl.gz"
