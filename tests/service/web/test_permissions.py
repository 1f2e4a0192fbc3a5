"""The library with keys: signing in and out, and the permissions of the API on every page."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.embedded_service import PATH, body, client, create, service, train_all
from tests.support.web_client import CALLERS, KEYS, Visitor, form, library, rows
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.identity import Keys
from tunedmodels.service.web.app import Library
from tunedmodels.service.web.session import Visits

Visitors = dict[str, Visitor]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[EmbeddedService]:
    with service(tmp_path / "store", keys=KEYS) as one:
        yield one


@pytest.fixture
def pages(opened: EmbeddedService) -> Library:
    return library(opened)


@pytest.fixture
async def visitors(
    opened: EmbeddedService, pages: Library, tmp_path: Path
) -> AsyncIterator[Visitors]:
    """Everybody, signed in; `shared` is the owner's, and a writer and a reader may come."""
    async with client(opened, key="key-of-the-owner") as api:
        await create(api, "shared", body(displayName="Shared"))
        train_all(tmp_path / "store")
        await create(api, "running", body(displayName="Running"))
        for name in ("shared", "running"):
            for role, email in (("WRITER", "bo@example.com"), ("READER", "cy@example.com")):
                who = {"granteeType": "USER", "emailAddress": email, "role": role}
                await api.post(f"{PATH}/{name}/permissions", json=who)
    async with AsyncExitStack() as stack:
        everybody = {}
        for key in CALLERS:
            visitor = await stack.enter_async_context(Visitor(pages))
            await visitor.sign_in(key)
            everybody[key.rpartition("-")[2]] = visitor
        yield everybody


@pytest.mark.parametrize("path", ["/", "/tune", "/models/shared", "/models/shared/delete"])
async def test_who_did_not_sign_in_is_asked_for_a_key_first(pages: Library, path: str) -> None:
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
async def test_signing_in_leads_nowhere_else(pages: Library, after: str) -> None:
    async with Visitor(pages) as visitor:
        await visitor.get("/sign-in")
        assert await visitor.send("/sign-in", {"key": "key-of-a-reader", "after": after}) == "/"


async def test_a_wrong_key_is_refused_and_repeated_nowhere(pages: Library) -> None:
    async with Visitor(pages) as visitor:
        await visitor.get("/sign-in")
        page = await visitor.send("/sign-in", {"key": "a-wrong-secret", "after": "/"}, status=400)
        assert "No such key is known here" in page
        assert "a-wrong-secret" not in page
        assert (await visitor.http.get("/")).status_code == 303


async def test_the_cookie_is_fresh_and_neither_a_script_nor_another_site_has_it(
    pages: Library,
) -> None:
    async with Visitor(pages) as visitor:
        before = (await visitor.http.get("/sign-in")).headers["set-cookie"]
        await visitor.get("/sign-in")
        token = visitor.hidden(re.compile(r'form_token" value="(\w+)"'))
        sent = {"form_token": token, "key": "key-of-a-reader", "after": "/"}
        after = (await visitor.http.post("/sign-in", data=sent)).headers["set-cookie"]
        for cookie in (before, after):
            assert "HttpOnly" in cookie
            assert "SameSite=strict" in cookie
        assert before.split(";")[0] != after.split(";")[0]
        assert "key-of-a-reader" not in after
        page = await visitor.get("/")
        assert "key-of-a-reader" not in page
        assert "cy@example.com" in page


async def test_a_link_on_another_site_does_not_sign_anybody_out(visitors: Visitors) -> None:
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


async def test_who_signs_out_is_out_everywhere(visitors: Visitors) -> None:
    owner = visitors["owner"]
    await owner.get("/")
    assert await owner.send("/sign-out") == "/sign-in"
    assert (await owner.http.get("/models/shared")).status_code == 303
    events = await owner.http.get("/events?id=running")
    assert "Waiting" not in events.text


def test_a_sign_in_lasts_twelve_hours() -> None:
    now = [0.0]
    visits = Visits(Keys(dict(KEYS._callers)), now_s=lambda: now[0])
    name = visits.sign_in("key-of-a-reader")
    now[0] = 12 * 3600 - 1
    assert visits.caller(name) == CALLERS["key-of-a-reader"]
    now[0] += 1
    assert visits.caller(name) is None


def test_the_oldest_of_a_thousand_visitors_goes_first() -> None:
    visits = Visits(KEYS)
    names = [visits.sign_in("key-of-a-reader") for _ in range(1001)]
    assert visits.caller(names[0]) is None
    assert visits.caller(names[1]) is not None


# fmt: off
SEEN = [  # who        what the page of the model has
    ("owner",    {"Ask it": True,  "/delete": True,  "Sharing": True,  "Show the first": True}),
    ("writer",   {"Ask it": True,  "/delete": False, "Sharing": True,  "Show the first": True}),
    ("reader",   {"Ask it": True,  "/delete": False, "Sharing": False, "Show the first": False}),
]
ALLOWED = [  # the action                         who may: owner, writer, reader, stranger
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


@pytest.mark.parametrize(("who", "there"), SEEN, ids=lambda value: value)
async def test_a_page_offers_only_what_its_visitor_may_do(
    visitors: Visitors, who: str, there: dict[str, bool]
) -> None:
    page = await visitors[who].get("/models/shared")
    assert {words: words in page for words in there} == there
    assert "key-of" not in page


@pytest.mark.parametrize(("method", "path", "statuses"), ALLOWED)
async def test_each_page_is_open_from_its_role_on(
    visitors: Visitors, method: str, path: str, statuses: tuple[int, ...]
) -> None:
    for (who, visitor), status in zip(visitors.items(), statuses, strict=True):
        if method == "GET":
            await visitor.get(path, status)
            continue
        await visitor.get("/tune")
        fields = {"question": "I", "grantee_type": "USER", "role": "READER"}
        await visitor.send(path, {**fields, "email_address": f"{who}@example.com"}, status=status)


@pytest.mark.parametrize(
    ("path", "may"),
    [("/models/running/cancel", {"owner", "writer"}), ("/models/running/delete", {"owner"})],
)
async def test_only_who_may_do_it_ends_a_job_or_a_model(
    visitors: Visitors, opened: EmbeddedService, path: str, may: set[str]
) -> None:
    for who in ("stranger", "reader", "writer", "owner"):
        visitor = visitors[who]
        await visitor.get("/tune")
        await visitor.send(path, status=303 if who in may else 403)
        model = opened.rooms.store.get("running")
        if who not in may:
            assert model
            assert model.state == "CREATING"
    assert model is None or model.state == "FAILED"


async def test_examples_are_given_to_writers_alone(visitors: Visitors) -> None:
    for who, there in (("owner", True), ("writer", True), ("reader", False)):
        page = await visitors[who].get("/tune?like=shared")
        assert ("input 1" in page) is there, who
        assert 'value="Shared"' in page


async def test_a_list_holds_what_one_has_a_role_on(visitors: Visitors) -> None:
    for who, listed in (("owner", 2), ("reader", 2), ("stranger", 0)):
        page = await visitors[who].get("/")
        assert len(re.findall(r'class="title"', page)) == listed, who


async def test_events_tell_a_stranger_nothing(visitors: Visitors, opened: EmbeddedService) -> None:
    events = (await visitors["stranger"].http.get("/events?id=running&id=none")).text
    assert events.count("event: gone") == 2
    assert "progress" not in events
    opened.rooms.store.cancel(opened.rooms.store.get("running"))  # type: ignore[arg-type]  # there
    events = (await visitors["reader"].http.get("/events?id=running")).text
    assert '"label":"Cancelled"' in events
    assert events.endswith("event: end\ndata: {}\n\n")


async def test_a_model_that_is_made_here_is_its_makers(
    visitors: Visitors, opened: EmbeddedService
) -> None:
    writer = visitors["writer"]
    await writer.get("/tune")
    path = await writer.send("/tune", form(rows(), action="tune", display_name="Mine"))
    assert "bo@example.com" in await writer.get(path)
    await visitors["owner"].get(path, status=403)
