"""The content and the headers of the pages, from the real application."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.support.embedded_service import PATH, body, service, train_all
from tests.support.web_client import HOSTILE, Visitor, create, open_visitor, web_library
from tunedmodels.evaluation.chart_svg import draw_curve
from tunedmodels.evaluation.curves import read_curve
from tunedmodels.observed import LossPoint
from tunedmodels.service.records import group_key
from tunedmodels.stamp import Stamp, format_description

Clients = tuple[Visitor, httpx.AsyncClient]
STAMP = Stamp("demo", "tone", "f" * 64, "d" * 64, 4, commit="c" * 40, preamble="12345678")


@pytest.fixture
async def clients(tmp_path: Path) -> AsyncIterator[Clients]:
    async with open_visitor(tmp_path / "store") as opened:
        yield opened


async def test_an_empty_library_shows_how_to_start(clients: Clients, tmp_path: Path) -> None:
    page = await clients[0].get("/")
    assert "No models yet" in page
    assert 'href="/tune"' in page
    assert not (tmp_path / "store").exists(), "a read creates nothing"


async def test_the_list_shows_state_progress_epoch_and_last_loss(
    clients: Clients, tmp_path: Path
) -> None:
    visitor, api = clients
    await create(api, "done", body(displayName="Done one", hyperparameters={"epochCount": 3}))
    train_all(tmp_path / "store")
    await create(api, "waits")
    page = await visitor.get("/")
    done = page[page.index("Done one") :]
    assert ">Ready</span>" in done
    assert "<progress" not in done, "only running jobs have a progress bar"
    assert re.search(r">3</span> / 3</td>\s*<td[^>]*>0\.\d+</td>", done)
    assert 'data-running="waits"' in page
    assert "<progress" in page
    assert ">Waiting</span>" in page


async def test_versions_of_one_name_are_grouped_and_the_serving_one_is_labelled(
    clients: Clients, tmp_path: Path
) -> None:
    visitor, api = clients
    stamp = format_description("", STAMP)
    promoted = stamp.replace("]", " promoted=2026-01-02T03:04:05Z]")
    await create(api, "tone-1", body(description=promoted))
    await create(api, "other", body(displayName="Other"))
    await create(api, "tone-2", body(description=stamp))
    train_all(tmp_path / "store")
    page = await visitor.get("/")
    assert page.count("<tbody>") == 2
    assert re.findall(r'href="/models/([\w-]+)"', page) == ["tone-2", "tone-1", "other"]
    assert page.count('class="place serves"') == 1
    assert page.index("tone-1") < page.index('class="place serves"') < page.index("other")


async def test_a_model_shows_its_curve_settings_data_and_stamp(
    clients: Clients, tmp_path: Path
) -> None:
    visitor, api = clients
    model = body(
        description=format_description("For support requests.", STAMP),
        hyperparameters={"epochCount": 4},
    )
    await create(api, "tone-1", model)
    train_all(tmp_path / "store")
    page = await visitor.get("/models/tone-1")
    for text in (
        '<polyline class="steps"',
        '<polyline class="means"',
        "<dt>Epochs</dt><dd>4</dd>",
        "<dt>Batch size</dt><dd>4</dd>",
        "<dt>Learning rate</dt><dd>0.001</dd>",
        "4 training examples",
        "input 3",
        "Version of tone in the project demo, trained from commit cccccccccccc.",
        "Every training input had a preamble",
        "For support requests.",
    ):
        assert text in page
    assert "[tunedmodels" not in page, "the stamp is shown as sentences"


async def test_the_best_epoch_is_marked_and_can_be_used_to_tune_again(tmp_path: Path) -> None:
    with service(tmp_path / "store") as opened:
        async with (
            Visitor(web_library(opened)) as visitor,
            httpx.AsyncClient(
                transport=httpx.ASGITransport(opened.app), base_url="http://localhost"
            ) as api,
        ):
            await create(api, "level", body(hyperparameters={"epochCount": 8}))
            losses = [mean for mean in (1.0, 0.4, *[0.1] * 6) for _ in range(4)]
            curve = ",".join(
                f'{{"step":{n},"epoch":{n // 4},"meanLoss":{loss}}}'
                for n, loss in enumerate(losses, 1)
            )
            with opened.context.store.database.write_transaction() as connection:
                connection.execute("INSERT INTO curves VALUES (1, 32, ?)", (curve,))
                connection.execute("UPDATE models SET state = 'ACTIVE', completed_steps = 32")
            page = await visitor.get("/models/level")
            assert "best: 4 epochs" in page
            assert "levels off after epoch 3" in page
            again = await visitor.get("/tune?like=level&epochs=3")
            assert 'name="epoch_count" inputmode="numeric" value="3"' in again
            assert '{"text_input":"input 1","output":"yes"}' in again


def test_a_long_curve_starts_at_the_loss_of_the_untuned_model() -> None:
    points = [LossPoint(n, n // 75, 3.4 if n == 1 else 0.001) for n in range(1, 4501)]
    drawing = draw_curve(points, read_curve(points))
    assert drawing is not None
    first, *rest = (point.split(",") for point in drawing.steps.split())
    assert float(first[1]) == pytest.approx(drawing.untuned, abs=0.1)
    assert float(first[1]) > drawing.frame[1], "inside the picture"
    assert len(rest) <= 400
    assert drawing.y_ticks[-1].label == "4"


async def test_a_failed_and_a_cancelled_model_show_the_reason(
    clients: Clients, tmp_path: Path
) -> None:
    visitor, api = clients
    operation = await create(api, "stopped")
    await api.post(f"/v1/{operation['name']}:cancel")
    await create(api, "broken", body("refuse", hyperparameters={"epochCount": 3}))
    train_all(tmp_path / "store")
    assert "A cancelled model cannot answer" in await visitor.get("/models/stopped")
    assert "this cannot be learned" in await visitor.get("/models/broken")
    assert ">Cancelled</span>" in await visitor.get("/?state=failed")


async def test_foreign_text_is_escaped(clients: Clients, tmp_path: Path) -> None:
    visitor, api = clients
    hostile = body(HOSTILE, displayName=HOSTILE[:40], description=HOSTILE)
    await create(api, "hostile", hostile)
    train_all(tmp_path / "store")
    for path in ("/", "/models/hostile", "/models/hostile/delete", "/models/hostile/ask",
                 "/tune?like=hostile", f"/?filter={HOSTILE}", "/models/%3Cscript%3E"):  # fmt: skip
        answer = await visitor.http.get(path)
        assert not re.search(r"<script(?! src=\"/static/)", answer.text), path
        assert "alert(" in answer.text or "%3C" in path, path
        shown = re.sub(r"<textarea.*?</textarea>|<input[^>]*>", "", answer.text, flags=re.DOTALL)
        assert "\u202e" not in shown, path


async def test_every_response_has_the_security_headers(clients: Clients) -> None:
    visitor, api = clients
    await create(api, "a")
    paths = ("/", "/tune", "/models/a", "/models/none", "/events?id=none",
             "/static/library.css", "/static/none")  # fmt: skip
    for path in paths:
        headers = (await visitor.http.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy, path
        assert "frame-ancestors 'none'" in policy, path
        assert "unsafe" not in policy, path
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["referrer-policy"] == "same-origin", path


async def test_no_page_has_inline_scripts_or_styles(clients: Clients, tmp_path: Path) -> None:
    visitor, api = clients
    await create(api, "a", body(hyperparameters={"epochCount": 3}))
    train_all(tmp_path / "store")
    for path in ("/", "/tune", "/models/a", "/models/a/ask", "/models/a/delete", "/models/none"):
        text = (await visitor.http.get(path)).text
        assert not re.search(r"\sstyle=|\son\w+=|<style|javascript:", text), path


async def test_static_files_are_cached_and_pages_are_not(clients: Clients) -> None:
    visitor, _ = clients
    page = await visitor.http.get("/")
    assert page.headers["cache-control"] == "no-store"
    for address in re.findall(r'"(/static/[^"]+)"', page.text):
        answer = await visitor.http.get(address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]


async def test_other_paths_are_passed_to_the_api(clients: Clients) -> None:
    visitor, _ = clients
    assert (await visitor.http.get(PATH)).json() == {}
    answer = await visitor.http.get("/no/such/path")
    assert answer.status_code == 404
    assert answer.json()["error"]["status"] == "NOT_FOUND"


async def test_a_thousand_models_give_a_small_page(tmp_path: Path) -> None:
    with service(tmp_path / "store") as opened:
        async with (
            Visitor(web_library(opened)) as visitor,
            httpx.AsyncClient(
                transport=httpx.ASGITransport(opened.app), base_url="http://localhost"
            ) as api,
        ):
            await create(api, "first", body(displayName="One name"))
            _copy_rows(opened.context.store.folder / "embedded.db")
            page = await visitor.get("/")
            assert "1,000 models of 501 names" in page
            assert len(re.findall(r'class="state"', page)) <= 100
            assert len(page) < 100_000
            assert "and 496 older versions" in page
            assert "Page 1 of 21" in page
            assert "Name 1<" in await visitor.get("/?page=99")
            found = await visitor.get("/?filter=copy-777")
            assert "1 model of 1 name" in found


def _copy_rows(database: Path) -> None:
    """Copy one model 999 times, half of the copies with the same name."""
    with sqlite3.connect(database) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(models)")]
        changed = ("seq", "id", "display_name", "state", "group_key")
        kept = ", ".join(column for column in columns if column not in changed)
        connection.create_function("group_key", 3, group_key)
        connection.execute(
            f"INSERT INTO models (id, display_name, state, {kept})"  # noqa: S608  # columns
            " WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999)"
            " SELECT 'copy-' || i, CASE WHEN i % 2 THEN 'Name ' || i ELSE 'One name' END,"
            f" 'FAILED', {kept} FROM models, n"
        )
        connection.execute("UPDATE models SET group_key = group_key(id, display_name, description)")
    connection.close()


async def test_an_invalid_filter_is_an_error_page(clients: Clients) -> None:
    visitor, api = clients
    await create(api, "a")
    page = await visitor.get("/?filter=owner:other", status=400)
    assert "Invalid filter 'owner:other'; known are owner:me" in page


@pytest.mark.parametrize("path", ["/models/none", "/models/none/ask", "/tune?like=none"])
async def test_an_unknown_model_is_an_error_page(clients: Clients, path: str) -> None:
    page = await clients[0].get(path, status=404)
    assert "<h1>Not found</h1>" in page
