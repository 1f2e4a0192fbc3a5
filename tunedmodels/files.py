"""Files that are written completely or not at all."""

from __future__ import annotations

import codecs
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from tunedmodels.errors import RefusedError, TunedModelsError

_FREE_SPACE = "Free some space, then run the command again."
_MAKE_WRITABLE = "Make it writable, or write to another path."
_CURES = {
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EACCES: _MAKE_WRITABLE,
    errno.EPERM: _MAKE_WRITABLE,
    errno.EROFS: _MAKE_WRITABLE,
}


def disk_cure(error: OSError) -> str:
    """Return the cure for an error that the operating system reported for a file."""
    default = "Check the disk and its permissions, then run the command again."
    return _CURES.get(error.errno or 0, default)


@contextmanager
def open_atomic(file: Path, *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Open a temporary sibling of `file`; replace `file` with it when the block succeeds.

    A reader sees the former content or the new one, never a part. When the block or the disk fails,
    `file` is unchanged and the sibling is removed. `mode` are the permissions, before the umask.
    """
    sibling = file.with_name(f".{file.name}.{os.urandom(4).hex()}")
    try:
        # Path.open has no `opener`, which sets the mode at creation.
        with open(sibling, "xb", opener=lambda path, flags: os.open(path, flags, mode)) as opened:
            yield opened
        sibling.replace(file)
    except BaseException:
        with suppress(OSError):
            sibling.unlink()
        raise


def write_atomic(file: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Write a file through a temporary sibling, as `open_atomic` does. Raises OSError."""
    with open_atomic(file, mode=mode) as opened:
        opened.write(content)


def read_text(file: Path, kind: str, *, cure: str, missing_cure: str = "") -> str:
    """Return the text of a file that this program wrote, without a byte order mark.

    `kind` names it in messages, and `cure` says how to write it again; `missing_cure` replaces it
    when there is no such file. Raises TunedModelsError when it cannot be read, and RefusedError
    when it is not text in UTF-8.
    """
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        message = f"The {kind} {file} does not exist"
        raise TunedModelsError(message, cure=missing_cure or cure) from None
    except IsADirectoryError:
        raise TunedModelsError(f"{file} is a directory, not a {kind}", cure=cure) from None
    except OSError as error:
        message = f"The {kind} {file} cannot be read: {error.strerror or error}"
        raise TunedModelsError(message, cure="Make it readable for your user.") from None
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise RefusedError(
            f"the {kind} is UTF-16, as a redirection in PowerShell writes it, not UTF-8.", cure=cure
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RefusedError(
            f"the {kind} is not text in UTF-8: its byte {error.start:,} is wrong.", cure=cure
        ) from None


def write_output(file: Path, content: bytes) -> None:
    """Write a file that the user named.

    A symbolic link is kept and its target is written. A device or a pipe (`/dev/stdout`) is written
    to and never replaced. Raises TunedModelsError; the former content is then unchanged.
    """
    try:
        if file.exists() and not file.is_file():
            file.write_bytes(content)
        else:
            write_atomic(file.resolve(), content)
    except FileNotFoundError:
        cure = f"Create it first:\n    mkdir -p {file.parent}"
        raise TunedModelsError(f"{file}: the directory does not exist", cure=cure) from None
    except OSError as error:
        message = f"{file} cannot be written: {error.strerror or error}"
        raise TunedModelsError(message, cure=disk_cure(error)) from error
