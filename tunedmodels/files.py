"""Files that a command writes: whole, or not at all."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from tunedmodels.errors import TunedModelsError

_FULL = "Free some space, then run it again."
_CLOSED = "Make it writable, or name another place."
_CURES = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EACCES: _CLOSED,
    errno.EPERM: _CLOSED,
    errno.EROFS: _CLOSED,
}


def disk_cure(error: OSError) -> str:
    """Say what helps against what the disk said."""
    return _CURES.get(error.errno or 0, "Check the disk and its permissions, then run it again.")


def write_whole(file: Path, content: bytes) -> None:
    """Write a file so that nobody ever reads half of it.

    A link stays one: what it leads to is written. A device or a pipe (`/dev/stdout`) is written to
    and never replaced. Raises TunedModelsError, leaving what was there.
    """
    whole = file.resolve()
    half = whole.with_name(f".{file.name}.{os.getpid()}")
    try:
        if file.exists() and not file.is_file():
            file.write_bytes(content)
            return
        half.write_bytes(content)
        half.replace(whole)
    except FileNotFoundError:
        cure = f"Make it first:\n    mkdir -p {file.parent}"
        raise TunedModelsError(f"{file}: there is no such folder", cure=cure) from None
    except OSError as error:
        words = f"{file} cannot be written: {error.strerror or error}"
        raise TunedModelsError(words, cure=disk_cure(error)) from error
    finally:
        with suppress(OSError):
            half.unlink()
