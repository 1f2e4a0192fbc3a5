"""Removes known secrets from text of others, in every form in which a service may repeat them."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote

from tunedmodels.text import printable

REPLACEMENT: Final = "[secret]"
MIN_SECRET_CHARS: Final = 4
"""A shorter text occurs in ordinary words, and is not a secret that protects anything."""
MIN_BINARY_CHARS: Final = 16
"""In whole responses only secrets of at least this length are replaced, as keys and tokens are."""

_MIN_ENCODED_CHARS: Final = 8
# The first characters of a base64 text that also depend on 0, 1 or 2 bytes before the secret.
_FOREIGN_CHARS: Final = (0, 2, 3)


class Scrubber:
    """Replaces secrets: literally, encoded for a URL, and in base64 at any offset.

    The header of Basic authentication is the base64 of `user:password`.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        known = {secret for secret in secrets if len(secret) >= MIN_SECRET_CHARS}
        self._pattern = _pattern(form for secret in known for form in _forms(secret))
        long = {secret for secret in known if len(secret) >= MIN_BINARY_CHARS}
        self._long = [form.encode() for secret in long for form in _forms(secret)]

    def scrub(self, text: str) -> str:
        """Return the text without secrets."""
        return self._pattern.sub(REPLACEMENT, text) if self._pattern else text

    def scrub_line(self, text: str) -> str:
        """Return the text without secrets and control characters; line ends remain."""
        return printable(self.scrub(text), keep_newlines=True)

    def scrub_body(self, body: bytes) -> bytes:
        """Return a response without the secrets that are long enough to be nothing else."""
        for form in self._long:
            if form in body:
                body = body.replace(form, REPLACEMENT.encode())
        return body


def _pattern(forms: Iterable[str]) -> re.Pattern[str] | None:
    # Longest first: a secret that contains another one must not remain in part.
    ordered = sorted(set(forms), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, ordered))) if ordered else None


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield quote(secret, safe="")
    raw = secret.encode(errors="surrogateescape")
    for offset, foreign in enumerate(_FOREIGN_CHARS):
        encoded = b64encode(b"\0" * offset + raw).decode().rstrip("=")
        is_last_shared = (offset + len(raw)) % 3 != 0
        part = encoded[foreign : len(encoded) - is_last_shared]
        if len(part) >= _MIN_ENCODED_CHARS:
            yield part
            yield part.replace("+", "-").replace("/", "_")
