"""The wheel contains the whole package, with the starter project and the type marker."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from tests.support.paths import ROOT


def test_the_wheel_contains_the_whole_package_and_nothing_else(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    tracked = subprocess.run(
        ["git", "ls-files", "tunedmodels"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert {"tunedmodels/py.typed", "tunedmodels/cli/starter/tone.yaml"} <= names
    assert set(tracked.stdout.split()) <= names
    assert {name.split("/")[0] for name in names} == {"tunedmodels"}
