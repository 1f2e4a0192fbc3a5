"""The datasets that models were trained on, kept by digest, so that a plan can show what changed.

`<digest>.jsonl.gz` is the canonical form, packed: its name is the SHA-256 of what it holds. A file
that does not keep this promise counts as absent.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterable
from pathlib import Path
from tempfile import NamedTemporaryFile

import msgspec

from tunedmodels.datasets.examples import Example, canonical


class Archive:
    """Datasets in a folder of their own, which is made when the first one comes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, digest: str, examples: Iterable[Example]) -> None:
        """Keep a dataset; one that is there and sound is left as it is.

        Raises ValueError when `digest` is not that of `examples`, and OSError when the disk does
        not take it; what was there before is untouched then.
        """
        if self.get(digest) is not None:
            return
        written = canonical(examples)
        if hashlib.sha256(written).hexdigest() != digest:
            raise ValueError(f"these examples do not have the digest {digest}")
        self._directory.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=self._directory, prefix=".", delete=False) as half:
            try:
                half.write(gzip.compress(written, compresslevel=6, mtime=0))
                half.close()
                Path(half.name).replace(self._file(digest))
            except BaseException:
                Path(half.name).unlink(missing_ok=True)
                raise

    def get(self, digest: str) -> list[Example] | None:
        """Return a dataset, or None where it is absent or damaged."""
        try:
            written = gzip.decompress(self._file(digest).read_bytes())
            if hashlib.sha256(written).hexdigest() != digest:
                return None
            return msgspec.json.Decoder(Example).decode_lines(written)
        except (OSError, EOFError, zlib.error, msgspec.DecodeError):
            return None

    def _file(self, digest: str) -> Path:
        return self._directory / f"{digest}.jsonl.gz"
