"""Paths of this repository that tests read."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]  #: the root of the repository
GOLDEN = ROOT / "tests" / "golden"  #: expected outputs; GOLDEN=write updates them
