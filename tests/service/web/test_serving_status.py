"""What serves, what a gate refused, and who promoted what, in words on every page."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from tests.support.embedded_service import PATH, body, train_all
from tests.support.web_client import Visitor, create, visited
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.service.web.model_view import standing
from tunedmodels.stamp import Stamp, write

Both = tuple[Visitor, httpx.AsyncClient]
STAMP = Stamp("demo", "tone", "f" * 64, "d" * 64, 4, commit="c" * 40, score="macroF1:0.963")
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
REFUSED = replace(STAMP, gate="refused:b43d6a6285cd:01234567")


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    """A name whose first version serves and whose second one was refused."""
    async with visited(tmp_path / "store") as (visitor, api):
        passed = replace(STAMP, gate="passed:b43d6a6285cd").promoted_at(NOON, head="e" * 40)
        await create(api, "tone-1", body(description=write("", passed)))
        await create(api, "tone-2", body(description=write("", REFUSED)))
        train_all(tmp_path / "store")
        yield visitor, api


def marks(page: str) -> list[tuple[str, str]]:
    """Which models a page marks how."""
    rows = re.findall(r"<tr.*?</tr>", page, re.DOTALL)
    ids = [re.findall(r"tone-\d", row) for row in rows]
    chips = [re.findall(r'class="place (\w+)"', row) for row in rows]
    return [(name[0], chip[0]) for name, chip in zip(ids, chips, strict=True) if chip]


async def test_list_and_page_mark_what_serves_and_what_was_refused(both: Both) -> None:
    visitor, _ = both
    for path in ("/", "/models/tone-1", "/models/tone-2"):
        page = await visitor.get(path)
        assert marks(page) == [("tone-2", "refused"), ("tone-1", "serves")], path
        assert page.count("macroF1 0.963") >= 2, path


async def test_a_refused_version_says_so_first_and_what_serves_instead(both: Both) -> None:
    page = await both[0].get("/models/tone-2")
    words = "Its gate refused it at macroF1 0.963, so it was not promoted. tone-1 serves."
    assert page.index(words) < page.index("<h2")
    assert "refused it, beside tone-01234567" in page
    assert "<dt>Promoted</dt><dd>never</dd>" in page


async def test_a_promotion_is_told_with_its_time_its_author_and_its_commit(both: Both) -> None:
    page = await both[0].get("/models/tone-1")
    assert "<dd>2026-01-02 12:00 UTC, by apply from commit eeeeeeeeeeee</dd>" in page
    assert "trained from commit cccccccccccc." in page


async def test_a_filter_does_not_make_a_former_version_look_like_the_serving_one(
    both: Both,
) -> None:
    visitor, api = both
    later = REFUSED.promoted_at(NOON.replace(hour=13), by="hand")
    words = {"description": write("", later)}
    mask = {"updateMask": "description"}
    await api.patch(f"{PATH}/tone-2", params=mask, json=words)
    assert marks(await visitor.get("/?filter=tone-1")) == []
    assert marks(await visitor.get("/?filter=tone-2")) == [("tone-2", "serves")]
    assert "refused it, beside tone-01234567; overruled by hand" in await visitor.get(
        "/models/tone-2"
    )


async def test_every_version_of_a_name_can_be_reached(tmp_path: Path) -> None:
    async with visited(tmp_path / "store") as (visitor, api):
        for n in range(12):
            await create(api, f"v-{n}", body(displayName="Often"))
        page = await visitor.get("/models/v-11")
        assert "and 4 older versions" in page
        (link,) = re.findall(r'href="(/models/v-11\?versions=all)#versions">show all 12', page)
        page = await visitor.get(link)
        assert all(f'href="/models/v-{n}"' in page for n in range(11))
        assert "older version" not in page


def seen(stamp: Stamp | None) -> ObservedModel:
    """A ready model as the page sees it."""
    names = ("embedded", "tone-2", "tunedModels/tone-2")
    return ObservedModel(*names, ModelState.READY, "models/counting-001", stamp=stamp)


def test_an_undecided_version_is_no_refused_one() -> None:
    undecided = replace(STAMP, gate="inconclusive:b43d6a6285cd", score="")
    found = standing(seen(undecided), serving_id="")
    assert found.mark == "undecided"
    assert found.verdict == (
        "Its gate could not decide, so it was not promoted. No version serves."
    )


def test_of_a_model_without_a_stamp_nothing_is_claimed() -> None:
    found = standing(seen(None), serving_id="")
    assert (found.mark, found.score, found.gate, found.promoted, found.verdict) == ("",) * 5
