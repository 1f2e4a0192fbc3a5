"""docs/embedded-models.md: its tables have the columns and rows of the benchmarks.

The figures are those of one run.
"""

from __future__ import annotations

import re

import pytest

from benchmarks import engine, text_engine
from benchmarks.tables import Table
from tests.support.paths import ROOT
from tunedmodels.engines import ENGINES

PAGE = ROOT / "docs/embedded-models.md"
TABLES: dict[str, Table] = dict(
    zip(
        ("named", "unseen", "long", "labels", "ablations"), text_engine.tables(seeds=1), strict=True
    )
)
TABLES["label-epochs"] = engine.table(ENGINES["models/embedded-label-001"])


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_the_page_has_the_columns_and_rows_of_a_benchmark(name: str) -> None:
    _, _, below = PAGE.read_text(encoding="utf-8").partition(f"<!-- printed: {name} -->\n")
    head, line, *rows = below.split("\n\n")[0].splitlines()
    assert f"{head}\n{line}" == TABLES[name].markdown_head
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == list(TABLES[name].rows)
    for row in rows:
        assert row.count(" | ") == head.count(" | ")
        assert re.search(r"\d\.\d", row)


def test_the_page_names_every_base_model_and_contains_every_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"<!-- printed: (\S+) -->", page)) == set(TABLES)
    assert all(f"`{base}`" in page for base in ENGINES)
