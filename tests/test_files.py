"""Atomic writes: a complete file, or the former one."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tunedmodels.errors import TunedModelsError
from tunedmodels.files import open_atomic, write_atomic, write_output


def test_a_file_is_replaced_when_the_block_succeeds(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(b"former")
    with open_atomic(file) as opened:
        opened.write(b"new")
        assert file.read_bytes() == b"former"
    assert file.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_is_unchanged_when_the_block_fails(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(b"former")

    def interrupted_write() -> None:
        with open_atomic(file) as opened:
            opened.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted_write()
    assert file.read_bytes() == b"former"
    assert list(tmp_path.iterdir()) == [file]


def test_the_permissions_follow_the_mode_and_the_umask(tmp_path: Path) -> None:
    umask = os.umask(0o022)
    try:
        write_atomic(tmp_path / "public", b"")
        write_atomic(tmp_path / "private", b"", mode=0o600)
    finally:
        os.umask(umask)
    assert (tmp_path / "public").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o600


def test_an_output_keeps_a_link_and_writes_its_target(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.json"
    link.symlink_to("real/target.json")
    write_output(link, b"new")
    assert link.is_symlink()
    assert (tmp_path / "real" / "target.json").read_bytes() == b"new"


def test_an_output_to_a_device_is_written_and_not_replaced() -> None:
    write_output(Path(os.devnull), b"discarded")
    assert not Path(os.devnull).is_file()


def test_a_missing_directory_is_an_error_with_the_command_that_creates_it(tmp_path: Path) -> None:
    with pytest.raises(TunedModelsError, match="the directory does not exist") as caught:
        write_output(tmp_path / "missing" / "a.json", b"")
    assert caught.value.cure == f"Create it first:\n    mkdir -p {tmp_path}/missing"


@pytest.mark.parametrize(
    ("code", "cure"),
    [
        (errno.ENOSPC, "Free some space, then run the command again."),
        (errno.EROFS, "Make it writable, or write to another path."),
        (errno.EIO, "Check the disk and its permissions, then run the command again."),
    ],
)
def test_an_error_of_the_disk_has_a_cure_and_leaves_the_former_file(
    code: int, cure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    file = tmp_path / "a.json"
    file.write_bytes(b"former")
    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(TunedModelsError, match=os.strerror(code)) as caught:
        write_output(file, b"new")
    assert caught.value.cure == cure
    assert file.read_bytes() == b"former"
