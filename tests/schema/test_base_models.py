"""The catalog of base models: sources, dates, and overrides of a project."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
import yaml

from tests.support.paths import ROOT
from tunedmodels.datasets.tokens import RELATIVE_ERROR
from tunedmodels.schema.base_models import (
    BaseModelCatalog,
    BaseModelInfo,
    Price,
    SourcedFact,
    is_open_model,
    read_bundled,
    strip_prefix,
)
from tunedmodels.schema.project import ProjectSpec

CHANGELOG = ROOT / "CHANGELOG.md"
MAX_AGE = timedelta(days=120)  # at a release; an outdated price costs users money
RELEASE = re.compile(r"^## \[\d[^\]]*\] - (\d{4}-\d\d-\d\d)$", re.MULTILINE)


def facts() -> list[tuple[str, SourcedFact]]:
    """Return every fact of the bundled file that has its own source, with a name."""
    bundled = read_bundled()
    named: list[tuple[str, SourcedFact]] = [
        (kind, info.price) for kind, info in bundled.providers.items()
    ]
    for row in bundled.base_models:
        parts: dict[str, SourcedFact | None] = {
            "": row,
            " price": row.price,
            " retirement": row.retirement,
            " inference": row.inference,
        }
        name = f"{row.provider} {row.name}"
        named += [(f"{name}{suffix}", part) for suffix, part in parts.items() if part]
    return named


def stale(released: date) -> list[str]:
    """Return the facts that are too old at a release."""
    return [name for name, fact in facts() if fact.as_of and released - fact.as_of > MAX_AGE]


@pytest.mark.parametrize(("name", "fact"), facts(), ids=[name for name, _ in facts()])
def test_every_fact_has_a_source_and_a_date(name: str, fact: SourcedFact) -> None:
    assert fact.source, name
    assert fact.as_of, name


def test_no_fact_is_too_old_at_the_latest_release() -> None:
    # Compared with the release, not with the clock, so that an unchanged branch stays green.
    for released in RELEASE.findall(CHANGELOG.read_text(encoding="utf-8"))[:1]:
        assert stale(date.fromisoformat(released)) == []


def test_a_release_long_after_the_last_lookup_is_detected() -> None:
    newest = max(fact.as_of for _, fact in facts() if fact.as_of)
    assert len(stale(newest + MAX_AGE + timedelta(days=1))) == len(facts())
    assert RELEASE.findall("## [Unreleased]\n\n## [1.2.0] - 2027-01-31\n") == ["2027-01-31"]


def test_no_base_model_has_two_entries() -> None:
    rows = read_bundled().base_models
    assert len({(row.provider, row.name) for row in rows}) == len(rows)


def test_prices_from_third_parties_are_marked_unofficial() -> None:
    priced = [row.price for row in read_bundled().base_models if row.price]
    read_by_others = [price for price in priced if "third part" in price.source]
    assert read_by_others
    assert {price.certainty for price in read_by_others} == {"unofficial"}
    assert all(price in read_by_others or price.certainty != "unofficial" for price in priced)


def test_an_entry_of_the_project_overrides_a_bundled_one_field_by_field() -> None:
    override = BaseModelInfo(
        name="gemini-3.5-flash", provider="vertex", price=Price(usd_per_million_tokens=4)
    )
    info = BaseModelCatalog([override]).get("vertex", "models/gemini-3.5-flash")
    assert info
    assert info.price == override.price
    assert info.adapter_sizes == (1, 2, 4, 8, 16)
    assert info.source == "spec.baseModels of the Project"


def test_an_entry_of_the_project_adds_a_base_model() -> None:
    addition = BaseModelInfo(name="gemini-9", provider="vertex", tunable=True)
    catalog = BaseModelCatalog([addition])
    assert catalog.get("vertex", "models/gemini-9") == addition
    assert "gemini-9" in catalog.names("vertex")
    assert BaseModelCatalog().get("vertex", "models/gemini-9") is None


@pytest.mark.parametrize(
    ("provider", "base", "usd"),
    [
        ("embedded", "models/embedded-label-001", 0),
        ("gemini", "models/unknown", 0),
        ("vertex", "models/gemini-3.5-flash", 10),
        ("vertex", "google/gemma3@gemma-3-27b-it", 6.83),
        ("vertex", "models/gemini-3.5-flash-lite", None),
        ("vertex", "models/unknown", None),
    ],
)
def test_the_price_is_that_of_the_base_model_or_else_of_the_provider(
    provider: str, base: str, usd: float | None
) -> None:
    price = BaseModelCatalog().price(provider, base)  # type: ignore[arg-type]  # one of the three types
    assert (price.usd_per_million_tokens if price else None) == usd


@pytest.mark.parametrize("base", ["models/x", "publishers/google/models/x", "x"])
def test_strip_prefix_removes_every_prefix_of_a_base_model(base: str) -> None:
    assert strip_prefix(base) == "x"
    assert not is_open_model(base)


@pytest.mark.parametrize("base", ["qwen/qwen3@qwen3-4b", "publishers/qwen/models/qwen3@qwen3-4b"])
def test_an_open_model_keeps_its_publisher(base: str) -> None:
    assert strip_prefix(base) == "qwen/qwen3@qwen3-4b"
    assert is_open_model(base)


def page_table() -> list[str]:
    """Return the lines of the table in the page, from the bundled file."""
    lines = [
        "| base model | tuned in | answers from | adapter sizes | tokens | retires | $ per 1M |",
        "|---|---|---|---|--:|---|--:|",
    ]
    for row in read_bundled().base_models:
        if row.provider != "vertex" or not row.tunable:
            continue
        price = BaseModelCatalog().price(row.provider, row.name)
        tokens = row.dataset and row.dataset.max_tokens_per_example
        retires = row.retirement
        cells = [
            f"`{row.name}`",
            ", ".join(row.tune_in or ()) or "unknown",
            ", ".join(row.serve_from or ()),
            ", ".join(map(str, row.adapter_sizes or ())),
            f"{tokens:,}" if tokens else "",
            retires.text if retires else "",
            f"{price.usd_per_million_tokens:.2f} ({price.as_of})" if price else "unknown",
        ]
        lines.append(f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |"))
    return lines


def test_the_providers_page_shows_the_bundled_base_models() -> None:
    page = (CHANGELOG.parent / "docs/providers.md").read_text(encoding="utf-8")
    _, _, below = page.partition("<!-- base models -->\n")
    assert below.partition("\n<!-- end -->")[0].splitlines() == page_table()


def test_the_example_of_the_providers_page_is_valid_for_a_project() -> None:
    page = (CHANGELOG.parent / "docs/providers.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(spec:\n  baseModels:\n.*?)```", page, re.DOTALL)
    rows = ProjectSpec.model_validate(yaml.safe_load(example)["spec"]).base_models
    assert BaseModelCatalog(rows).price("vertex", "models/gemini-3.5-flash") == rows[0].price


def test_the_providers_page_names_the_error_that_plans_show() -> None:
    page = (CHANGELOG.parent / "docs/providers.md").read_text(encoding="utf-8")
    assert f"(+/- {round(100 * RELATIVE_ERROR)} %)" in page
    shown = (CHANGELOG.parent / "tests/golden/plan/cost.txt").read_text(encoding="utf-8")
    assert "551,690 training tokens, about $2.38 of the $10.00 limit" in page
    assert "551,690 training tokens, about $2.38 of the $10.00 limit" in shown
