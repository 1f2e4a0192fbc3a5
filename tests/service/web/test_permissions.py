"""The library with keys: sign-in, sign-out, and the permissions of the API on every page."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.embedded_service import PATH, body, client, create, service, train_all
from tests.support.web_client import CALLERS, KEYS, Visitor, form, rows, web_library
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.identity import ApiKeys
from tunedmodels.service.web.app import WebLibrary
from tunedmodels.service.web.session import Sessions

Visitors = dict[str, Visitor]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[EmbeddedService]:
    with service(tmp_path / "store", keys=KEYS) as embedded:
        yield embedded


@pytest.fixture
def pages(opened: EmbeddedService) -> WebLibrary:
    return web_library(opened)


@pytest.fixture
async def visitors(
    opened: EmbeddedService, pages: WebLibrary, tmp_path: Path
) -> AsyncIterator[Visitors]:
    """All visitors, signed in, with two models of the owner that a writer and a reader share."""
    async with client(opened, key="key-of-the-owner") as api:
        await create(api, "shared", body(displayName="Shared"))
        train_all(tmp_path / "store")
        await create(api, "running", body(displayName="Running"))
        for name in ("shared", "running"):
            for role, email in (("WRITER", "bo@example.com"), ("READER", "cy@example.com")):
                permission = {"granteeType": "USER", "emailAddress": email, "role": role}
                await api.post(f"{PATH}/{name}/permissions", json=permission)
    async with AsyncExitStack() as stack:
        signed_in = {}
        for key in CALLERS:
            visitor = await stack.enter_async_context(Visitor(pages))
            await visitor.sign_in(key)
            signed_in[key.rpartition("-")[2]] = visitor
        yield signed_in


@pytest.mark.parametrize("path", ["/", "/tune", "/models/shared", "/models/shared/delete"])
async def test_without_a_session_every_page_redirects_to_the_sign_in(
    pages: WebLibrary, path: str
) -> None:
    async with Visitor(pages) as visitor:
        answer = await visitor.http.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/sign-in?after={path}"
        page = await visitor.get(answer.headers["location"])
        assert 'type="password"' in page
        assert await visitor.send("/sign-in", {"key": "key-of-a-reader", "after": path}) == path


@pytest.mark.parametrize(
    "after",
    ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nb", "javascript:x"],
)
async def test_the_target_after_a_sign_in_is_on_this_server(pages: WebLibrary, after: str) -> None:
    async with Visitor(pages) as visitor:
        await visitor.get("/sign-in")
        assert await visitor.send("/sign-in", {"key": "key-of-a-reader", "after": after}) == "/"


async def test_an_invalid_key_is_rejected_and_never_repeated(pages: WebLibrary) -> None:
    async with Visitor(pages) as visitor:
        await visitor.get("/sign-in")
        page = await visitor.send("/sign-in", {"key": "a-wrong-secret", "after": "/"}, status=400)
        assert "This key is not valid" in page
        assert "a-wrong-secret" not in page
        assert (await visitor.http.get("/")).status_code == 303


async def test_a_sign_in_sets_a_new_cookie_without_access_for_scripts_and_other_sites(
    pages: WebLibrary,
) -> None:
    async with Visitor(pages) as visitor:
        before = (await visitor.http.get("/sign-in")).headers["set-cookie"]
        await visitor.get("/sign-in")
        token = visitor.hidden(re.compile(r'form_token" value="(\w+)"'))
        fields = {"form_token": token, "key": "key-of-a-reader", "after": "/"}
        after = (await visitor.http.post("/sign-in", data=fields)).headers["set-cookie"]
        for cookie in (before, after):
            assert "HttpOnly" in cookie
            assert "SameSite=strict" in cookie
        assert before.split(";")[0] != after.split(";")[0]
        assert "key-of-a-reader" not in after
        page = await visitor.get("/")
        assert "key-of-a-reader" not in page
        assert "cy@example.com" in page


async def test_a_link_on_another_site_does_not_end_the_session(visitors: Visitors) -> None:
    reader = visitors["reader"]
    jar = dict(reader.http.cookies)
    reader.http.cookies.clear()
    for path in ("/models/shared", "/sign-in"):
        answer = await reader.http.get(path, headers={"sec-fetch-site": "cross-site"})
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers
        assert '<meta http-equiv="refresh" content="0">' in answer.text
    for name, value in jar.items():
        reader.http.cookies.set(name, value)
    await reader.get("/models/shared")


async def test_a_sign_out_ends_the_session_on_every_page(visitors: Visitors) -> None:
    owner = visitors["owner"]
    await owner.get("/")
    assert await owner.send("/sign-out") == "/sign-in"
    assert (await owner.http.get("/models/shared")).status_code == 303
    events = await owner.http.get("/events?id=running")
    assert "Waiting" not in events.text


def test_a_sign_in_lasts_twelve_hours() -> None:
    now = [0.0]
    sessions = Sessions(ApiKeys(dict(KEYS._callers)), now_s=lambda: now[0])
    session_id = sessions.sign_in("key-of-a-reader")
    now[0] = 12 * 3600 - 1
    assert sessions.caller(session_id) == CALLERS["key-of-a-reader"]
    now[0] += 1
    assert sessions.caller(session_id) is None


def test_the_oldest_of_a_hundred_sessions_of_a_user_is_removed_first() -> None:
    sessions = Sessions(KEYS)
    other = sessions.sign_in("key-of-a-writer")
    ids = [sessions.sign_in("key-of-a-reader") for _ in range(101)]
    assert sessions.caller(ids[0]) is None
    assert all(sessions.caller(each) for each in ids[1:])
    assert sessions.caller(other) == CALLERS["key-of-a-writer"]


# fmt: off
VISIBLE = [  # role     what the page of the model contains
    ("owner",    {"Ask it": True,  "/delete": True,  "Sharing": True,  "Show the first": True}),
    ("writer",   {"Ask it": True,  "/delete": False, "Sharing": True,  "Show the first": True}),
    ("reader",   {"Ask it": True,  "/delete": False, "Sharing": False, "Show the first": False}),
]
ALLOWED = [  # the action                         status for owner, writer, reader, stranger
    ("GET",  "/models/shared",                    (200, 200, 200, 403)),
    ("GET",  "/models/shared/ask",                (200, 200, 200, 403)),
    ("POST", "/models/shared/ask",                (200, 200, 200, 403)),
    ("GET",  "/tune?like=shared",                 (200, 200, 200, 403)),
    ("GET",  "/models/running/cancel",            (200, 200, 403, 403)),
    ("POST", "/models/shared/words",              (303, 303, 403, 403)),
    ("POST", "/models/shared/permissions",        (303, 303, 403, 403)),
    ("POST", "/models/shared/permissions/none/remove", (404, 404, 403, 403)),
    ("GET",  "/models/shared/delete",             (200, 403, 403, 403)),
    ("GET",  "/models/none",                      (404, 404, 404, 404)),
]
# fmt: on


@pytest.mark.parametrize(("role", "expected"), VISIBLE, ids=lambda value: value)
async def test_a_page_offers_only_the_allowed_actions(
    visitors: Visitors, role: str, expected: dict[str, bool]
) -> None:
    page = await visitors[role].get("/models/shared")
    assert {text: text in page for text in expected} == expected
    assert "key-of" not in page


@pytest.mark.parametrize(("method", "path", "statuses"), ALLOWED)
async def test_each_page_requires_its_role(
    visitors: Visitors, method: str, path: str, statuses: tuple[int, ...]
) -> None:
    for (role, visitor), status in zip(visitors.items(), statuses, strict=True):
        if method == "GET":
            await visitor.get(path, status)
            continue
        await visitor.get("/tune")
        fields = {"question": "I", "grantee_type": "USER", "role": "READER"}
        await visitor.send(path, {**fields, "email_address": f"{role}@example.com"}, status=status)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/models/running/cancel", {"owner", "writer"}), ("/models/running/delete", {"owner"})],
)
async def test_cancel_and_delete_require_their_role(
    visitors: Visitors, opened: EmbeddedService, path: str, allowed: set[str]
) -> None:
    for role in ("stranger", "reader", "writer", "owner"):
        visitor = visitors[role]
        await visitor.get("/tune")
        await visitor.send(path, status=303 if role in allowed else 403)
        model = opened.context.store.get("running")
        if role not in allowed:
            assert model
            assert model.state == "CREATING"
    assert model is None or model.state == "FAILED"


async def test_examples_are_shown_to_writers_only(visitors: Visitors) -> None:
    for role, is_shown in (("owner", True), ("writer", True), ("reader", False)):
        page = await visitors[role].get("/tune?like=shared")
        assert ("input 1" in page) is is_shown, role
        assert 'value="Shared"' in page


async def test_the_list_contains_only_models_on_which_the_visitor_has_a_role(
    visitors: Visitors,
) -> None:
    for role, listed in (("owner", 2), ("reader", 2), ("stranger", 0)):
        page = await visitors[role].get("/")
        assert len(re.findall(r'class="title"', page)) == listed, role


async def test_events_contain_nothing_for_a_stranger(
    visitors: Visitors, opened: EmbeddedService
) -> None:
    events = (await visitors["stranger"].http.get("/events?id=running&id=none")).text
    assert events.count("event: gone") == 2
    assert "progress" not in events
    opened.context.store.cancel(opened.context.store.get("running"))  # type: ignore[arg-type]  # it exists
    events = (await visitors["reader"].http.get("/events?id=running")).text
    assert '"label":"Cancelled"' in events
    assert events.endswith("event: end\ndata: {}\n\n")


async def test_a_created_model_is_owned_by_the_visitor(
    visitors: Visitors, opened: EmbeddedService
) -> None:
    writer = visitors["writer"]
    await writer.get("/tune")
    path = await writer.send("/tune", form(rows(), action="tune", display_name="Mine"))
    assert "bo@example.com" in await writer.get(path)
    await visitors["owner"].get(path, status=403)
