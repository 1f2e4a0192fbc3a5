"""Serving versions, gate decisions and promotions on every page."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from tests.support.embedded_service import PATH, body, train_all
from tests.support.web_client import Visitor, create, open_visitor
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.service.web.model_view import serving_status
from tunedmodels.stamp import Stamp, format_description

Clients = tuple[Visitor, httpx.AsyncClient]
STAMP = Stamp("demo", "tone", "f" * 64, "d" * 64, 4, commit="c" * 40, score="macroF1:0.963")
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
REFUSED = replace(STAMP, gate_record="refused:b43d6a6285cd:01234567")


@pytest.fixture
async def clients(tmp_path: Path) -> AsyncIterator[Clients]:
    """A name whose first version serves and whose second one its gate refused."""
    async with open_visitor(tmp_path / "store") as (visitor, api):
        passed = replace(STAMP, gate_record="passed:b43d6a6285cd").promoted_at(
            NOON, promoted_commit="e" * 40
        )
        await create(api, "tone-1", body(description=format_description("", passed)))
        await create(api, "tone-2", body(description=format_description("", REFUSED)))
        train_all(tmp_path / "store")
        yield visitor, api


def labels(page: str) -> list[tuple[str, str]]:
    """Return the models with a label, as (id, label)."""
    rows = re.findall(r"<tr.*?</tr>", page, re.DOTALL)
    ids = [re.findall(r"tone-\d", row) for row in rows]
    texts = [re.findall(r'class="place (\w+)"', row) for row in rows]
    return [(name[0], text[0]) for name, text in zip(ids, texts, strict=True) if text]


async def test_list_and_page_label_the_serving_and_the_refused_version(clients: Clients) -> None:
    visitor, _ = clients
    for path in ("/", "/models/tone-1", "/models/tone-2"):
        page = await visitor.get(path)
        assert labels(page) == [("tone-2", "refused"), ("tone-1", "serves")], path
        assert page.count("macroF1 0.963") >= 2, path


async def test_a_refused_version_begins_with_the_verdict_and_the_serving_version(
    clients: Clients,
) -> None:
    page = await clients[0].get("/models/tone-2")
    verdict = "Its gate refused it at macroF1 0.963, so it was not promoted. tone-1 serves."
    assert page.index(verdict) < page.index("<h2")
    assert "refused it, compared with tone-01234567" in page
    assert "<dt>Promoted</dt><dd>never</dd>" in page


async def test_a_promotion_has_its_time_its_author_and_its_commit(clients: Clients) -> None:
    page = await clients[0].get("/models/tone-1")
    assert "<dd>2026-01-02 12:00 UTC, by apply from commit eeeeeeeeeeee</dd>" in page
    assert "trained from commit cccccccccccc." in page


async def test_a_filter_does_not_label_a_former_version_as_serving(
    clients: Clients,
) -> None:
    visitor, api = clients
    later = REFUSED.promoted_at(NOON.replace(hour=13), promoted_by="hand")
    change = {"description": format_description("", later)}
    mask = {"updateMask": "description"}
    await api.patch(f"{PATH}/tone-2", params=mask, json=change)
    assert labels(await visitor.get("/?filter=tone-1")) == []
    assert labels(await visitor.get("/?filter=tone-2")) == [("tone-2", "serves")]
    assert "refused it, compared with tone-01234567; overruled manually" in await visitor.get(
        "/models/tone-2"
    )


async def test_every_version_of_a_name_can_be_reached(tmp_path: Path) -> None:
    async with open_visitor(tmp_path / "store") as (visitor, api):
        for n in range(12):
            await create(api, f"v-{n}", body(displayName="Often"))
        page = await visitor.get("/models/v-11")
        assert "and 4 older versions" in page
        (link,) = re.findall(r'href="(/models/v-11\?versions=all)#versions">show all 12', page)
        page = await visitor.get(link)
        assert all(f'href="/models/v-{n}"' in page for n in range(11))
        assert "older version" not in page


def observed(stamp: Stamp | None) -> ObservedModel:
    """Return a ready model."""
    names = ("embedded", "tone-2", "tunedModels/tone-2")
    return ObservedModel(*names, ModelState.READY, "models/counting-001", stamp=stamp)


def test_an_undecided_version_is_not_labelled_as_refused() -> None:
    undecided = replace(STAMP, gate_record="inconclusive:b43d6a6285cd", score="")
    status = serving_status(observed(undecided), serving_id="")
    assert status.label == "undecided"
    assert status.verdict == (
        "Its gate could not decide, so it was not promoted. No version serves."
    )


def test_a_model_without_a_stamp_has_an_empty_status() -> None:
    status = serving_status(observed(None), serving_id="")
    assert (status.label, status.score, status.gate, status.promoted, status.verdict) == ("",) * 5
