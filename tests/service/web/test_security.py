"""The library as part of `serve`: other routes, the access log, static files, redirects."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.support.embedded_service import PATH, client, service
from tests.support.web_client import KEYS, Visitor, create, open_visitor, web_library
from tunedmodels.service.access_log import AccessLog
from tunedmodels.service.server import build_app

KEY = "key-of-the-owner"


async def test_api_health_and_metrics_work_together_with_the_library(tmp_path: Path) -> None:
    with service(tmp_path / "store") as opened:
        transport = httpx.ASGITransport(build_app(opened, is_public=False).app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            await create(http, "a")
            assert "<h1>Library</h1>" in (await http.get("/")).text
            http.cookies.clear()
            for path, media_type, text in (
                ("/healthz", "application/json", '"status":"ok"'),
                ("/metrics", "text/plain", 'route="/"'),
                (PATH, "application/json", '"tunedModels/a"'),
                ("/v1beta/models", "application/json", '"models/counting-001"'),
            ):
                answer = await http.get(path)
                assert answer.status_code == 200, path
                assert answer.headers["content-type"].startswith(media_type), path
                assert text in answer.text, path
                assert "set-cookie" not in answer.headers, "only pages set a cookie"


async def test_the_access_log_has_routes_and_users_and_no_secrets(
    tmp_path: Path,
) -> None:
    file = tmp_path / "access.log"
    with service(tmp_path / "store", keys=KEYS) as opened, AccessLog(file) as log:
        async with client(opened, key=KEY) as api:
            await create(api, "a")
        built = build_app(opened, is_public=True, log=log)
        async with Visitor(built) as visitor:
            await visitor.sign_in(KEY)
            await visitor.get("/models/a")
            await visitor.send("/models/a/ask", {"question": "what-was-asked"}, status=200)
            built.close()
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
async def test_only_the_three_static_files_are_served(tmp_path: Path, name: str) -> None:
    async with open_visitor(tmp_path / "store") as (visitor, _):
        answer = await visitor.http.get(f"/static/{name}")
        assert answer.status_code == 404
        assert "import" not in answer.text


@pytest.mark.parametrize("after", ["/a\r\nset-cookie: x=1", "/a%0d%0aset-cookie:%20x=1", "/\u2028"])
async def test_the_target_after_a_sign_in_cannot_add_a_header(tmp_path: Path, after: str) -> None:
    with service(tmp_path / "store", keys=KEYS) as opened:
        async with Visitor(web_library(opened)) as visitor:
            await visitor.get("/sign-in")
            await visitor.send("/sign-in", {"key": KEY, "after": after})
            assert set(visitor.http.cookies) == {"tunedmodels-page"}


async def test_opening_the_address_of_a_form_redirects_to_its_page(tmp_path: Path) -> None:
    async with open_visitor(tmp_path / "store") as (visitor, api):
        await create(api, "a")
        await visitor.get("/models/a")
        invalid = {"grantee_type": "USER", "email_address": "no-address", "role": "READER"}
        await visitor.send("/models/a/permissions", invalid, status=400)
        for path in ("/models/a/permissions", "/models/a/words"):
            answer = await visitor.http.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, "/models/a")


@pytest.mark.parametrize("path", ["/models/a/b/c", "/models/", "/models/none/words"])
async def test_unknown_paths_below_models_are_error_pages(tmp_path: Path, path: str) -> None:
    async with open_visitor(tmp_path / "store") as (visitor, _):
        assert "<h1>Not found</h1>" in await visitor.get(path, status=404)
