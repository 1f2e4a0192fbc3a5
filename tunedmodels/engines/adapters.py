"""Adapters on disk: one safetensors file each, that names its base and can tell if it is whole.

safetensors holds arrays and strings and runs no code when it is read, as a pickle would. It has no
checksum, so a flipped bit would be a silent change of the model: the metadata carries a SHA-256.
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

# One key, because safetensors writes several in an order that changes from run to run: equal
# adapters are equal files.
_KEY = "tunedmodels"


def save(path: Path, adapter: Adapter) -> None:
    """Write the adapter to `path`: after a crash, the former file is there or the new one, whole.

    Raises OSError when the disk does not take it; `path` is then as it was.
    """
    arrays = {name: np.asarray(array, order="C") for name, array in adapter.arrays.items()}
    about = {
        "baseModel": adapter.base_model,
        "notes": dict(adapter.notes),
        "sha256": _digest(adapter.base_model, arrays, adapter.notes),
    }
    content = to_bytes(arrays, metadata={_KEY: json.dumps(about, sort_keys=True)})
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
    _sync_folder(path.parent)


def load(path: Path, base_model: str) -> Adapter:
    """Read an adapter of `base_model` back, equal to what was saved.

    Raises FileNotFoundError, and ValueError in words when the file is damaged, is no adapter of
    ours, or belongs to another base.
    """
    try:
        # The library takes the path as it is, and reports a missing file in several ways.
        path.stat()
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {})[_KEY])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
        base, notes, expected = str(about["baseModel"]), about["notes"], about["sha256"]
        actual = _digest(base, arrays, notes)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} holds no learned parameters that can be read ({_words(error)}); "
            "restore the file or train the model again"
        ) from error
    if actual != expected:
        raise ValueError(
            f"{path} is damaged: its content does not fit its checksum; "
            "restore the file or train the model again"
        )
    if base != base_model:
        raise ValueError(f"{path} belongs to the base {base} and means nothing on {base_model}")
    return Adapter(base_model=base, arrays=arrays, notes=notes)


def _digest(base_model: str, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, str]) -> str:
    """Hash everything an adapter says, whatever the order of its names."""
    shapes = {name: [array.dtype.str, array.shape] for name, array in arrays.items()}
    said = json.dumps([base_model, dict(notes), shapes], sort_keys=True)
    digest = hashlib.sha256(said.encode())
    for name in sorted(arrays):
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def _words(error: Exception) -> str:
    return f"{_KEY} metadata is missing" if isinstance(error, KeyError) else str(error)


def _sync_folder(folder: Path) -> None:
    # A rename is on disk only when its folder is.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
