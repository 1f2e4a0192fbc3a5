"""The library as `serve` puts it together: what passes beside it, is logged, stays shut."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.support.embedded_service import PATH, client, service
from tests.support.web_client import KEYS, Visitor, create, library, visited
from tunedmodels.service.access_log import AccessLog
from tunedmodels.service.server import assembled

KEY = "key-of-the-owner"


async def test_api_health_and_metrics_pass_beside_the_library(tmp_path: Path) -> None:
    with service(tmp_path / "store") as opened:
        transport = httpx.ASGITransport(assembled(opened, is_open=False).app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            await create(http, "a")
            assert "<h1>Library</h1>" in (await http.get("/")).text
            http.cookies.clear()
            for path, kind, words in (
                ("/healthz", "application/json", '"status":"ok"'),
                ("/metrics", "text/plain", 'route="/"'),
                (PATH, "application/json", '"tunedModels/a"'),
                ("/v1beta/models", "application/json", '"models/counting-001"'),
            ):
                answer = await http.get(path)
                assert answer.status_code == 200, path
                assert answer.headers["content-type"].startswith(kind), path
                assert words in answer.text, path
                assert "set-cookie" not in answer.headers, "only pages know visitors"


async def test_the_access_log_names_pages_by_template_and_their_visitor_and_no_key(
    tmp_path: Path,
) -> None:
    file = tmp_path / "access.log"
    with service(tmp_path / "store", keys=KEYS) as opened, AccessLog(file) as log:
        async with client(opened, key=KEY) as api:
            await create(api, "a")
        made = assembled(opened, is_open=True, log=log)
        async with Visitor(made) as visitor:
            await visitor.sign_in(KEY)
            await visitor.get("/models/a")
            await visitor.send("/models/a/ask", {"question": "what-was-asked"}, status=200)
            made.close()
            await visitor.get("/events?id=a")
            metrics = await visitor.get("/metrics")
    text = file.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line["method"], line.get("route"), line.get("user")) for line in lines] == [
        ("GET", "/sign-in", None),
        ("POST", "/sign-in", None),
        ("GET", "/models/{id}", "ana@example.com"),
        ("POST", "/models/{id}/ask", "ana@example.com"),
        ("GET", "/events", "ana@example.com"),
        ("GET", "/metrics", None),
    ]
    for secret in (KEY, "what-was-asked", visitor.http.cookies.get("tunedmodels-page") or "cookie"):
        assert secret not in text
        assert secret not in metrics


@pytest.mark.parametrize(
    "name",
    ["../app.py", "..%2fapp.py", "%2e%2e/%2e%2e/app.py", "..%5capp.py", "%2fetc%2fpasswd",
     "library.css%00", "library.css/", "templates/layout.html", ""],
)  # fmt: skip
async def test_only_the_three_static_files_are_given_away(tmp_path: Path, name: str) -> None:
    async with visited(tmp_path / "store") as (visitor, _):
        answer = await visitor.http.get(f"/static/{name}")
        assert answer.status_code == 404
        assert "import" not in answer.text


@pytest.mark.parametrize("after", ["/a\r\nset-cookie: x=1", "/a%0d%0aset-cookie:%20x=1", "/\u2028"])
async def test_where_to_go_after_signing_in_adds_no_header(tmp_path: Path, after: str) -> None:
    with service(tmp_path / "store", keys=KEYS) as opened:
        async with Visitor(library(opened)) as visitor:
            await visitor.get("/sign-in")
            await visitor.send("/sign-in", {"key": KEY, "after": after})
            assert set(visitor.http.cookies) == {"tunedmodels-page"}


async def test_an_address_of_a_form_that_is_opened_again_leads_to_its_page(tmp_path: Path) -> None:
    async with visited(tmp_path / "store") as (visitor, api):
        await create(api, "a")
        await visitor.get("/models/a")
        wrong = {"grantee_type": "USER", "email_address": "nobody", "role": "READER"}
        await visitor.send("/models/a/permissions", wrong, status=400)
        for path in ("/models/a/permissions", "/models/a/words"):
            answer = await visitor.http.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, "/models/a")


@pytest.mark.parametrize("path", ["/models/a/b/c", "/models/", "/models/none/words"])
async def test_below_the_pages_of_models_even_nothing_is_a_page(tmp_path: Path, path: str) -> None:
    async with visited(tmp_path / "store") as (visitor, _):
        assert "There is nothing here" in await visitor.get(path, status=404)
