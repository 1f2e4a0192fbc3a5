"""Files in other encodings and compressed files, read as bytes of UTF-8."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, cast

from tunedmodels.datasets.problems import ProblemCollector

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

GZIP_MAGIC: Final = b"\x1f\x8b"
UTF8_BOM: Final = b"\xef\xbb\xbf"

_BOMS: Final = (  # UTF-32 first, since its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MAX_ASCII: Final = 0x7F
_PART: Final = 64 * 1024
# Bytes that Windows-1252 does not define, and the usual letters of older encodings.
_UNDEFINED_1252: Final = frozenset(b"\x81\x8d\x8f\x90\x9d")

GZIP_ERRORS: Final = (gzip.BadGzipFile, EOFError, zlib.error)


def is_known_encoding(name: str) -> bool:
    """Return whether Python can decode text in an encoding of this name."""
    try:
        return bool(codecs.lookup(name)._is_text_encoding)  # noqa: SLF001  # as open() does
    except LookupError:
        return False


def guess_encoding(text: bytes) -> str | None:
    """Return the encoding of text that is not UTF-8, or None for UTF-8 or a few wrong bytes."""
    for bom, name in _BOMS:
        if text.startswith(bom):
            return name
    if b"\0" in text:
        return _guess_utf16(text)
    wrong = first_wrong_byte(text)
    if wrong is None or _has_utf8(text):
        return None
    return guess_8bit_encoding(text)


def guess_8bit_encoding(text: bytes) -> str:
    """Return the most probable encoding of one byte per character, or of Japanese or Chinese."""
    high = bytes(byte for byte in text if byte >= 0x80)  # noqa: PLR2004  # beyond ASCII
    # Letters of Windows-1252 stand alone between ASCII letters; in these, they come in pairs.
    words = _runs(text)
    if words and sum(map(len, words)) / len(words) > 2.5:  # noqa: PLR2004  # measured on samples
        for name in ("shift_jis", "gb18030", "windows-1251"):
            try:
                decoded = text[: text.rfind(b"\n") + 1 or None].decode(name)
            except UnicodeDecodeError:
                continue
            if _is_plausible(decoded, name):
                return name
    if not _UNDEFINED_1252.isdisjoint(high):
        return "mac-roman" if b"\x8a" in high or b"\x8e" in high else "iso-8859-1"
    return "windows-1252"


def first_wrong_byte(text: bytes) -> int | None:
    """Return the offset of the first byte that is not UTF-8; a cut character at the end is."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(text)
    except UnicodeDecodeError as error:
        return error.start
    return None


def open_utf8(file: Path, encoding: str | None = None) -> IO[bytes]:
    """Open a file, decompressed and as UTF-8.

    Errors of gzip are `GZIP_ERRORS`; a byte that is wrong in `encoding` becomes U+FFFD.
    """
    opened: IO[bytes] = file.open("rb", buffering=0)
    if is_compressed(opened):
        opened.close()
        return _as_utf8(cast("IO[bytes]", gzip.GzipFile(file)), encoding)
    return _as_utf8(opened, encoding)


def _as_utf8(opened: IO[bytes], encoding: str | None) -> IO[bytes]:
    if encoding and codecs.lookup(encoding).name != "utf-8":
        return cast("IO[bytes]", _Utf8(opened, encoding))
    return opened


def is_compressed(opened: IO[bytes]) -> bool:
    """Return whether a file is compressed with gzip, and rewind it."""
    magic = opened.read(len(GZIP_MAGIC))
    opened.seek(0)
    return magic == GZIP_MAGIC


def report_gzip(problems: ProblemCollector) -> None:
    """Report a damaged file of gzip."""
    problems.error(
        0, "damaged", "is compressed with gzip and damaged or cut off", "Copy the file again."
    )


class _Utf8(io.RawIOBase):
    """A stream of bytes in an encoding, read as UTF-8."""

    def __init__(self, opened: IO[bytes], encoding: str) -> None:
        self._opened = opened
        self._decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        self._rest = b""
        self._is_at_end = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        while not self._rest and not self._is_at_end:
            part = self._opened.read(_PART)
            self._is_at_end = not part
            self._rest = self._decoder.decode(part, final=not part).encode("utf-8", "replace")
        size = min(len(view), len(self._rest))
        view[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    def close(self) -> None:
        self._opened.close()
        super().close()


def _guess_utf16(text: bytes) -> str | None:
    """Recognise UTF-16 without a mark by the zeros in half of its bytes."""
    even, odd = text[::2], text[1::2]
    for zeros, others, name in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        letters = sum(0 < byte < 0x80 for byte in others)  # noqa: PLR2004  # ASCII
        if zeros.count(0) * 2 > len(zeros) and letters * 2 > len(others):
            return name
    return None


def _has_utf8(text: bytes) -> bool:
    """Return whether text is UTF-8 with a few wrong bytes, and not in another encoding."""
    decoded = text.decode("utf-8", "replace")
    wrong = decoded.count("\ufffd")
    beyond_ascii = sum(char > "\x7f" for char in decoded)
    return beyond_ascii - wrong >= wrong


def _runs(text: bytes) -> list[bytes]:
    ascii_as_space = bytes(0x20 if byte <= _MAX_ASCII else byte for byte in range(256))
    return text.translate(ascii_as_space).split()


def _is_plausible(decoded: str, name: str) -> bool:
    letters = [char for char in decoded if ord(char) > _MAX_ASCII]
    if name == "windows-1251":
        expected = sum("\u0410" <= char <= "\u044f" for char in letters)
    elif name == "shift_jis":
        expected = sum("\u3040" <= char <= "\u30ff" for char in letters) * 3
    else:
        expected = sum(
            "\u4e00" <= char <= "\u9fff"
            or "\u3000" <= char <= "\u303f"
            or "\uff00" <= char <= "\uffef"
            for char in letters
        )
    return expected > 0.8 * len(letters)
