"""Adapters on disk: a saved adapter is read back unchanged, and any other file is rejected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tunedmodels.engines import adapters
from tunedmodels.engines.engine import Adapter

BASE = "models/embedded-label-001"


def example_adapter() -> Adapter:
    return Adapter(
        base_model=BASE,
        arrays={
            "weights": np.arange(12, dtype=np.float32).reshape(3, 4).T,
            "rate": np.array(0.1),
            "none": np.zeros((0, 3), np.int32),
        },
        notes={"classes": '["größer", "\\ud83d"]', "steps": "7"},
    )


def assert_equal(actual: Adapter, expected: Adapter) -> None:
    assert (actual.base_model, dict(actual.notes)) == (expected.base_model, dict(expected.notes))
    assert set(actual.arrays) == set(expected.arrays)
    for name, array in actual.arrays.items():
        assert array.dtype == expected.arrays[name].dtype
        assert np.array_equal(array, expected.arrays[name])
        assert array.shape == expected.arrays[name].shape


def test_a_saved_adapter_is_read_back_unchanged(tmp_path: Path) -> None:
    adapters.save(tmp_path / "a.safetensors", example_adapter())
    assert_equal(adapters.load(tmp_path / "a.safetensors", BASE), example_adapter())


def test_equal_adapters_are_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        adapters.save(tmp_path / name, example_adapter())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_adapter_of_another_base_model_is_rejected_with_its_name(tmp_path: Path) -> None:
    adapters.save(tmp_path / "a", example_adapter())
    with pytest.raises(
        ValueError, match=r"belongs to the base model models/embedded-label-001 and"
    ):
        adapters.load(tmp_path / "a", "models/other")


def test_every_flipped_bit_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "a"
    adapters.save(path, example_adapter())
    whole = path.read_bytes()
    for offset in range(len(whole)):
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1 :])
        try:
            read = adapters.load(path, BASE)
        except ValueError:
            continue
        assert_equal(read, example_adapter())  # for example a space of the padding


@pytest.mark.parametrize("kept", [0, 5, 60, -1])
def test_a_truncated_file_is_rejected_with_a_cure(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "a"
    adapters.save(path, example_adapter())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match="restore the file or train the model again"):
        adapters.load(path, BASE)


def test_a_safetensors_file_of_another_program_is_rejected(tmp_path: Path) -> None:
    save_file({"weights": np.zeros(3)}, tmp_path / "a")
    with pytest.raises(ValueError, match="does not contain readable parameters"):
        adapters.load(tmp_path / "a", BASE)


def test_a_missing_file_raises_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        adapters.load(tmp_path / "a", BASE)


def test_a_failed_save_leaves_the_former_file_and_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    adapters.save(path, example_adapter())

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        adapters.save(path, Adapter(base_model=BASE, arrays={}))
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == [path]
    assert_equal(adapters.load(path, BASE), example_adapter())
