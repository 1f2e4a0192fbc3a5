"""From the bytes of a YAML file to its text, or to one clear fault."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MAX_BYTES: Final = 10_000_000  # 25,000 manifests of 15 lines

# Longest first: the mark of UTF-32 begins like that of UTF-16.
_MARKS: Final = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
# Compiled when it is needed, which is almost never: a set of Unicode ranges takes long.
_UNPRINTABLE: Final = "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a file as YAML; line 0 means the whole file."""

    line: int
    code: str
    message: str
    cure: str = ""
    path: tuple[str, ...] = ()


class FaultError(Exception):
    """Carries the one fault after which nothing more of a file can be read."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def decode(raw: bytes) -> str:
    """Return the text of a file, without its byte order mark.

    Raises FaultError when the file is too large or not UTF-8.
    """
    if len(raw) > MAX_BYTES:
        message = f"is larger than {MAX_BYTES // 1_000_000} MB"
        raise FaultError(Fault(0, "too-large", message, "split it into several files"))
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            cure = f"save it as UTF-8, for example: iconv -f {encoding} -t UTF-8 FILE"
            raise FaultError(Fault(1, "wrong-encoding", f"is {encoding}, not UTF-8", cure))
    try:
        return raw.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        message = f"is not UTF-8: byte 0x{raw[error.start]:02x} at column {column}"
        cure = "save it as UTF-8, for example: iconv -f LATIN1 -t UTF-8 FILE"
        raise FaultError(Fault(line, "wrong-encoding", message, cure)) from None


def unprintable(text: str) -> Fault:
    """Say where the character is that YAML does not allow."""
    found = re.search(_UNPRINTABLE, text)
    if not found:  # a parser that refuses more than the pattern knows
        return Fault(0, "not-text", "holds a character that YAML does not allow")
    line = text.count("\n", 0, found.start()) + 1
    if found[0] == "\0":
        cure = "save it as UTF-8 text"
        return Fault(line, "not-text", "holds a NUL byte, so it is binary or UTF-16", cure)
    message = f"holds the control character U+{ord(found[0]):04X}, which YAML does not allow"
    return Fault(line, "not-text", message, "remove it, or write it as an escape in double quotes")
