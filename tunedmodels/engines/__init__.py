"""What really learns inside the embedded service: one file per engine, behind one contract.

`ENGINES` is the table of base models. Reading it imports no numpy, since `models.list` and
`validate` only want names; an engine imports what it computes with when it first works. A new
engine is one file, one line here, and `tests/contract/test_engine.py` passing for it.
"""

from __future__ import annotations

from collections.abc import Mapping

from tunedmodels.engines.engine import Engine
from tunedmodels.engines.label import LabelEngine
from tunedmodels.engines.text import TextEngine

_ALL: tuple[Engine, ...] = (LabelEngine(), TextEngine())

ENGINES: Mapping[str, Engine] = {engine.base_model: engine for engine in _ALL}
