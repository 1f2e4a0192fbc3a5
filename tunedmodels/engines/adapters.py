"""Adapters on disk: one safetensors file each, with the name of its base model and a checksum.

A safetensors file contains arrays and strings; unlike a pickle, it runs no code when it is read. It
has no checksum, so a flipped bit would change the model silently: the metadata contains a SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from tunedmodels.engines.engine import Adapter

# A single key, because safetensors writes several in an order that changes from run to run, and
# equal adapters must be equal files.
_KEY = "tunedmodels"


def save(path: Path, adapter: Adapter) -> None:
    """Write the adapter to `path`; after a crash, `path` is either the former or the new file.

    Raises OSError when the disk fails; `path` is then unchanged.
    """
    arrays = {name: np.asarray(array, order="C") for name, array in adapter.arrays.items()}
    metadata = {
        "baseModel": adapter.base_model,
        "notes": dict(adapter.notes),
        "sha256": _digest(adapter.base_model, arrays, adapter.notes),
    }
    content = to_bytes(arrays, metadata={_KEY: json.dumps(metadata, sort_keys=True)})
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def load(path: Path, base_model: str) -> Adapter:
    """Return the adapter of `base_model` that was saved in `path`.

    Raises FileNotFoundError, and ValueError when the file is damaged, is not an adapter, or belongs
    to another base model.
    """
    try:
        # The library reports a missing file in several ways; stat raises FileNotFoundError.
        path.stat()
        with safe_open(path, framework="numpy") as file:
            metadata = json.loads((file.metadata() or {})[_KEY])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
        base, notes, expected = str(metadata["baseModel"]), metadata["notes"], metadata["sha256"]
        actual = _digest(base, arrays, notes)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} does not contain readable parameters ({_describe_error(error)}); "
            "restore the file or train the model again"
        ) from error
    if actual != expected:
        raise ValueError(
            f"{path} is damaged: its content does not match its checksum; "
            "restore the file or train the model again"
        )
    if base != base_model:
        raise ValueError(
            f"{path} belongs to the base model {base} and cannot be used with {base_model}"
        )
    return Adapter(base_model=base, arrays=arrays, notes=notes)


def _digest(base_model: str, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, str]) -> str:
    """Return the digest of all contents of an adapter, independent of the order of its names."""
    shapes = {name: [array.dtype.str, array.shape] for name, array in arrays.items()}
    header = json.dumps([base_model, dict(notes), shapes], sort_keys=True)
    digest = hashlib.sha256(header.encode())
    for name in sorted(arrays):
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def _describe_error(error: Exception) -> str:
    return f"{_KEY} metadata is missing" if isinstance(error, KeyError) else str(error)


def _sync_directory(directory: Path) -> None:
    # A rename is durable only after its directory is synced.
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
