"""A cache of parsed YAML files between runs, since parsing is the largest part of a plan.

Only files without problems are cached, so that every message is made from the text itself. See
`cache_file` for when an entry is valid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from tunedmodels import __version__
from tunedmodels.cache_file import CacheFile, Identity
from tunedmodels.manifests.yaml_parser import YamlDocument

RULES = 1  # increase it with every change of the values that the parser returns

_decode = msgspec.msgpack.Decoder(tuple[str, list[tuple[msgspec.Raw, int]]]).decode
_decode_value = msgspec.msgpack.Decoder().decode


class ReadingCache:
    """The cache in `file`; the caller saves it with `save`."""

    def __init__(self, file: Path, *, key: bytes = b"") -> None:
        self._cache = CacheFile(file, rules=f"{__version__}/{RULES}", key=key)

    def read(
        self, path: str, parse: Callable[[], tuple[Sequence[YamlDocument], bool]]
    ) -> Sequence[YamlDocument]:
        """Return the documents of a file, from the cache or from `parse`.

        `parse` also returns whether the file has problems; then it is not cached.
        """
        cache = self._cache
        begun_ns = cache.now_ns()
        identity = cache.identify([path])
        if identity is None:
            return parse()[0]
        if (documents := self._find(identity)) is not None:
            return documents
        parsed, has_problems = parse()
        if not has_problems and cache.is_unchanged([path], identity, begun_ns):
            content = (identity.proof, [(each.value, each.line) for each in parsed])
            # A number of more than 64 bits, or text that is not Unicode, cannot be encoded.
            with suppress(OverflowError, UnicodeEncodeError):
                cache.put(identity.name, msgspec.msgpack.encode(content))
        return parsed

    def save(self) -> None:
        """Write new entries to the file."""
        self._cache.save()

    def _find(self, identity: Identity) -> list[YamlDocument] | None:
        raw = self._cache.get(identity.name)
        if raw is None:
            return None
        try:
            proof, documents = _decode(raw)
            if proof != identity.proof:
                return None
            return [YamlDocument(_decode_value(value), line) for value, line in documents]
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
