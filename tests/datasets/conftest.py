"""The fixture that writes dataset files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.dataset_files import WriteFile


@pytest.fixture
def write(tmp_path: Path) -> WriteFile:
    """Write a file with a name and a content, and return its path."""

    def write_file(name: str, content: str | bytes) -> Path:
        file = tmp_path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    return write_file
