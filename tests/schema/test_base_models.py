"""The table of base models: sourced, dated, and corrected by a project field by field."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
import yaml

from tests.support.paths import ROOT
from tunedmodels.datasets.tokens import ERROR
from tunedmodels.schema.base_models import (
    BaseModelRow,
    BaseModels,
    Price,
    Sourced,
    bare,
    read_bundled,
)
from tunedmodels.schema.project import ProjectSpec

CHANGELOG = ROOT / "CHANGELOG.md"
OLDEST = timedelta(days=90)  # at a release; what was true a season ago may cost somebody money
RELEASE = re.compile(r"^## \[\d[^\]]*\] - (\d{4}-\d\d-\d\d)$", re.MULTILINE)


def facts() -> list[tuple[str, Sourced]]:
    """Every fact of the bundled file with a source of its own, and where it stands."""
    bundled = read_bundled()
    found: list[tuple[str, Sourced]] = [(k, row.price) for k, row in bundled.providers.items()]
    for row in bundled.base_models:
        parts: dict[str, Sourced | None] = {
            "": row,
            " price": row.price,
            " retirement": row.retirement,
            " inference": row.inference,
        }
        found += [(f"{row.provider} {row.name}{k}", part) for k, part in parts.items() if part]
    return found


def stale(released: date) -> list[str]:
    """The facts that nobody looked up for too long when something was released."""
    return [name for name, fact in facts() if fact.as_of and released - fact.as_of > OLDEST]


@pytest.mark.parametrize(("name", "fact"), facts(), ids=[name for name, _ in facts()])
def test_no_fact_lacks_its_source_and_its_date(name: str, fact: Sourced) -> None:
    assert fact.source, name
    assert fact.as_of, name


def test_no_fact_is_too_old_at_the_latest_release() -> None:
    # By the release and not by today's clock: a branch that nobody touches stays green.
    for released in RELEASE.findall(CHANGELOG.read_text(encoding="utf-8"))[:1]:
        assert stale(date.fromisoformat(released)) == []


def test_a_release_long_after_the_last_look_would_be_noticed() -> None:
    newest = max(fact.as_of for _, fact in facts() if fact.as_of)
    assert len(stale(newest + OLDEST + timedelta(days=1))) == len(facts())
    assert RELEASE.findall("## [Unreleased]\n\n## [1.2.0] - 2027-01-31\n") == ["2027-01-31"]


def test_nothing_stands_twice_in_the_table() -> None:
    rows = read_bundled().base_models
    assert len({(row.provider, row.name) for row in rows}) == len(rows)


def test_a_price_that_is_read_by_others_is_marked_so() -> None:
    priced = [row.price for row in read_bundled().base_models if row.price]
    assert priced
    assert {price.certainty for price in priced} == {"unofficial"}


def test_a_row_of_the_project_corrects_a_bundled_one_field_by_field() -> None:
    mine = BaseModelRow(
        name="gemini-2.5-flash", provider="vertex", price=Price(usd_per_million_tokens=4)
    )
    row = BaseModels([mine]).find("vertex", "models/gemini-2.5-flash")
    assert row
    assert row.price == mine.price
    assert row.adapter_sizes == (1, 2, 4, 8, 16)
    assert row.source == "spec.baseModels of the Project"


def test_a_row_of_the_project_adds_a_base_model() -> None:
    mine = BaseModelRow(name="gemini-9", provider="vertex", tunable=True)
    table = BaseModels([mine])
    assert table.find("vertex", "models/gemini-9") == mine
    assert "gemini-9" in table.names("vertex")
    assert BaseModels().find("vertex", "models/gemini-9") is None


@pytest.mark.parametrize(
    ("provider", "base", "usd"),
    [
        ("embedded", "models/embedded-label-001", 0),
        ("gemini", "models/nobody-knows", 0),
        ("vertex", "models/gemini-2.5-pro", 25),
        ("vertex", "models/gemini-3.5-flash-lite", None),
        ("vertex", "models/nobody-knows", None),
    ],
)
def test_training_costs_what_the_row_says_else_what_holds_for_the_provider(
    provider: str, base: str, usd: float | None
) -> None:
    price = BaseModels().price(provider, base)  # type: ignore[arg-type]  # one of the three types
    assert (price.usd_per_million_tokens if price else None) == usd


@pytest.mark.parametrize("base", ["models/x", "publishers/google/models/x", "x"])
def test_a_base_model_has_one_name_whatever_stands_before_it(base: str) -> None:
    assert bare(base) == "x"


def page_table() -> list[str]:
    """The table of the page, from the bundled file."""
    lines = [
        "| base model | tuned in | answers from | adapter sizes | tokens | retires | $ per 1M |",
        "|---|---|---|---|--:|---|--:|",
    ]
    for row in read_bundled().base_models:
        if row.provider != "vertex":
            continue
        price = BaseModels().price(row.provider, row.name)
        tokens = row.dataset and row.dataset.max_tokens_per_example
        retires = row.retirement
        cells = [
            f"`{row.name}`",
            ", ".join(row.tune_in or ()) or "unknown",
            ", ".join(row.serve_from or ()),
            ", ".join(map(str, row.adapter_sizes or ())),
            f"{tokens:,}" if tokens else "",
            f"{retires.date} ({retires.certainty})" if retires else "",
            f"{price.usd_per_million_tokens:.2f} ({price.as_of})" if price else "unknown",
        ]
        lines.append(f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |"))
    return lines


def test_the_page_on_providers_shows_the_table() -> None:
    page = (CHANGELOG.parent / "docs/providers.md").read_text(encoding="utf-8")
    _, _, below = page.partition("<!-- base models -->\n")
    assert below.partition("\n<!-- end -->")[0].splitlines() == page_table()


def test_the_row_of_the_page_is_one_that_a_project_may_write() -> None:
    page = (CHANGELOG.parent / "docs/providers.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(spec:\n  baseModels:\n.*?)```", page, re.DOTALL)
    rows = ProjectSpec.model_validate(yaml.safe_load(example)["spec"]).base_models
    assert BaseModels(rows).price("vertex", "models/gemini-2.5-flash") == rows[0].price


def test_the_error_that_the_page_names_is_the_one_that_plans_say() -> None:
    page = (CHANGELOG.parent / "docs/providers.md").read_text(encoding="utf-8")
    assert f"(+/- {round(100 * ERROR)} %)" in page
    shown = (CHANGELOG.parent / "tests/golden/plan/cost.txt").read_text(encoding="utf-8")
    assert "551,690 training tokens, about $2.38 of the $10.00 limit" in page
    assert "551,690 training tokens, about $2.38 of the $10.00 limit" in shown
