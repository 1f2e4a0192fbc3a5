"""Adapters on disk: what was saved comes back, and nothing else is taken for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tunedmodels.engines import adapters
from tunedmodels.engines.engine import Adapter

BASE = "models/embedded-label-001"


def learned() -> Adapter:
    return Adapter(
        base_model=BASE,
        arrays={
            "weights": np.arange(12, dtype=np.float32).reshape(3, 4).T,
            "rate": np.array(0.1),
            "none": np.zeros((0, 3), np.int32),
        },
        notes={"classes": '["größer", "\\ud83d"]', "steps": "7"},
    )


def assert_same(one: Adapter, other: Adapter) -> None:
    assert (one.base_model, dict(one.notes)) == (other.base_model, dict(other.notes))
    assert set(one.arrays) == set(other.arrays)
    for name, array in one.arrays.items():
        assert array.dtype == other.arrays[name].dtype
        assert np.array_equal(array, other.arrays[name])
        assert array.shape == other.arrays[name].shape


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    adapters.save(tmp_path / "a.safetensors", learned())
    assert_same(adapters.load(tmp_path / "a.safetensors", BASE), learned())


def test_equal_adapters_are_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        adapters.save(tmp_path / name, learned())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_another_base_is_refused_by_name(tmp_path: Path) -> None:
    adapters.save(tmp_path / "a", learned())
    with pytest.raises(ValueError, match=r"belongs to the base models/embedded-label-001 and"):
        adapters.load(tmp_path / "a", "models/other")


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    adapters.save(path, learned())
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            read = adapters.load(path, BASE)
        except ValueError:
            continue
        assert_same(read, learned())  # a space of the padding, say


@pytest.mark.parametrize("kept", [0, 5, 60, -1])
def test_a_torn_file_is_refused_in_words(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "a"
    adapters.save(path, learned())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match="restore the file or train the model again"):
        adapters.load(path, BASE)


def test_a_safetensors_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    save_file({"weights": np.zeros(3)}, tmp_path / "a")
    with pytest.raises(ValueError, match="no learned parameters that can be read"):
        adapters.load(tmp_path / "a", BASE)


def test_a_missing_file_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        adapters.load(tmp_path / "a", BASE)


def test_a_failed_save_leaves_the_former_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    adapters.save(path, learned())

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        adapters.save(path, Adapter(base_model=BASE, arrays={}))
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == [path]
    assert_same(adapters.load(path, BASE), learned())
