"""The engines of the embedded service: one module or package per engine, behind one contract.

`ENGINES` is the table of base models. Reading it does not import numpy, since `models.list` and
`validate` only need the names; an engine imports its numeric modules when it is first used. To add
an engine, add its module and one line here; `tests/contract/test_engine.py` must pass for it.
"""

from __future__ import annotations

from collections.abc import Mapping

from tunedmodels.engines.engine import Engine
from tunedmodels.engines.label import LabelEngine
from tunedmodels.engines.text import TextEngine

_ALL: tuple[Engine, ...] = (LabelEngine(), TextEngine())

ENGINES: Mapping[str, Engine] = {engine.base_model: engine for engine in _ALL}
