"""Who may do what with a model: roles, how they are given, and what they open."""

# ruff: noqa: E501  # a table is read across

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.embedded_service import PATH, body, client, create, get, service, train_all
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.identity import Caller, Keys, digest

CALLERS = {
    "owner": Caller("ana@example.com", 1),
    "writer": Caller("bo@example.com", 2),
    "reader": Caller("cy@example.com", 3),
    "member": Caller("di@example.com", 4, groups=("team@example.com",)),
    "project": Caller("ed@example.com", 55),
    "stranger": Caller("fay@example.com", 6),
}
KEYS = Keys({digest(name): caller for name, caller in CALLERS.items()})
SHARED = f"{PATH}/shared"
QUESTION = {"contents": [{"parts": [{"text": "I"}]}]}
Clients = dict[str, httpx.AsyncClient]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[EmbeddedService]:
    with service(tmp_path / "store", keys=KEYS) as one:
        yield one


@pytest.fixture
async def calls(opened: EmbeddedService, tmp_path: Path) -> AsyncIterator[Clients]:
    """A client of everybody; the model of the owner is shared with all but the stranger."""
    async with AsyncExitStack() as stack:
        by = {name: await stack.enter_async_context(client(opened, key=name)) for name in CALLERS}
        await create(by["owner"], "shared", body(displayName="Shared", readerProjectNumbers=["55"]))
        train_all(tmp_path / "store")
        await give(by["owner"], role="WRITER", granteeType="USER", emailAddress="bo@example.com")
        await give(by["owner"], role="READER", granteeType="USER", emailAddress="Cy@Example.com")
        await give(by["owner"], role="READER", granteeType="GROUP", emailAddress="team@example.com")
        yield by


async def give(by: httpx.AsyncClient, **permission: Any) -> str:
    answer = await by.post(f"{SHARED}/permissions", json=permission)
    assert answer.status_code == 200, answer.text
    name: str = answer.json()["name"]
    return name


async def roles(by: httpx.AsyncClient) -> dict[str, str]:
    """The role of each grantee."""
    permissions = (await get(by, f"{SHARED}/permissions"))["permissions"]
    return {one.get("emailAddress", one["granteeType"]): one["role"] for one in permissions}


async def listed(by: httpx.AsyncClient, text: str = "") -> list[str]:
    answer = await by.get(PATH, params={"filter": text} if text else {})
    assert answer.status_code == 200, answer.text
    return [one["name"].partition("/")[2] for one in answer.json().get("tunedModels", [])]


ANYBODY = {"owner", "writer", "reader", "member", "project"}
EDITORS = {"owner", "writer"}
NOBODY = {"emailAddress": "x@example.com", "granteeType": "USER", "role": "READER"}
CHILD = {
    "tuningTask": body()["tuningTask"],
    "tunedModelSource": {"tunedModel": "tunedModels/shared"},
}
# fmt: off
ACTIONS = [  # the call                              its body                     who may
    ("GET",    SHARED,                               None,                        ANYBODY),
    ("GET",    f"{SHARED}/operations",               None,                        ANYBODY),
    ("GET",    f"{SHARED}/operations/OPERATION",     None,                        ANYBODY),
    ("POST",   f"{SHARED}:generateContent",          QUESTION,                    ANYBODY),
    ("POST",   f"{SHARED}:streamGenerateContent",    QUESTION,                    ANYBODY),
    ("POST",   PATH,                                 CHILD,                       ANYBODY),
    ("PATCH",  SHARED,                               {"description": "new"},      EDITORS),
    ("POST",   f"{SHARED}/operations/OPERATION:cancel", None,                     EDITORS),
    ("GET",    f"{SHARED}/permissions",              None,                        EDITORS),
    ("POST",   f"{SHARED}/permissions",              NOBODY,                      EDITORS),
    ("GET",    f"{SHARED}/permissions/PERMISSION",   None,                        EDITORS),
    ("PATCH",  f"{SHARED}/permissions/PERMISSION?updateMask=role", {"role": "WRITER"}, EDITORS),
    ("DELETE", f"{SHARED}/permissions/PERMISSION",   None,                        EDITORS),
    ("POST",   f"{SHARED}:transferOwnership",        {"emailAddress": "x@example.com"}, {"owner"}),
    ("DELETE", SHARED,                               None,                        {"owner"}),
]
# fmt: on


@pytest.mark.parametrize(("method", "path", "sent", "allowed"), ACTIONS)
async def test_each_route_is_open_from_its_role_on(
    calls: Clients, method: str, path: str, sent: Any, allowed: set[str]
) -> None:
    owner = calls["owner"]
    operation = (await get(owner, f"{SHARED}/operations"))["operations"][0]["name"]
    permission = await give(owner, role="READER", granteeType="USER", emailAddress="y@example.com")
    path = path.replace("OPERATION", operation.rpartition("/")[2])
    path = path.replace("PERMISSION", permission.rpartition("/")[2])
    for name in sorted(CALLERS.keys() - allowed):
        answer = await calls[name].request(method, path, json=sent)
        document = answer.json()[0] if path.endswith(":streamGenerateContent") else answer.json()
        error = document["error"]
        assert (answer.status_code, error["status"]) == (403, "PERMISSION_DENIED"), name
        words = "You do not have permission to access tuned model tunedModels/shared"
        assert error["message"].startswith(words)
        assert (error["message"] == words) == (name == "stranger")
    # Whoever may do it least does it first, and the state is as before or does not matter.
    for name in sorted(allowed, reverse=True)[: 1 if method in ("POST", "DELETE") else None]:
        answer = await calls[name].request(method, path, json=sent)
        assert answer.status_code == 200, (name, answer.text)


def test_the_table_above_holds_every_route_of_a_tuned_model() -> None:
    from tunedmodels.service.api.app import _ROUTES  # noqa: PLC0415  # this test alone looks inside

    shown = {(method, path.partition("?")[0]) for method, path, _, _ in ACTIONS}
    routes = {
        (method, f"/v1beta{path}".replace("{id}", "shared")
            .replace("{operation}", "OPERATION").replace("{permission}", "PERMISSION"))
        for method, path, _ in _ROUTES
        if not path.startswith("/models")
    }  # fmt: skip
    assert routes - shown == {("GET", PATH)}


async def test_what_does_not_exist_is_not_found_whoever_asks(calls: Clients) -> None:
    answer = await calls["stranger"].get(f"{PATH}/gone")
    assert answer.status_code == 404


async def test_a_list_shows_what_one_may_read_of_ones_own_accord(calls: Clients) -> None:
    await create(calls["stranger"], "own")
    for name in ANYBODY:
        assert await listed(calls[name]) == ["shared"], name
    assert await listed(calls["stranger"]) == ["own"]
    await give(calls["owner"], role="READER", granteeType="EVERYONE")
    assert await listed(calls["stranger"]) == ["own"]
    assert await listed(calls["stranger"], "readers:everyone") == ["shared"]
    assert (await get(calls["stranger"], SHARED))["displayName"] == "Shared"
    assert await listed(calls["owner"]) == ["shared"]


# fmt: off
FILTERS = [
    # filter                        owner       writer      reader      member      project     stranger
    ("owner:me",                    (True,      False,      False,      False,      False,      False)),
    ("writers:me",                  (True,      True,       False,      False,      False,      False)),
    ("readers:me",                  (True,      True,       True,       True,       True,       False)),
    ("readers:everyone",            (True,      True,       True,       True,       True,       True)),
    ("readers:everyone owner:me",   (True,      False,      False,      False,      False,      False)),
    ("readers:me writers:me",       (True,      True,       False,      False,      False,      False)),
    ("shar AND readers:everyone",   (True,      True,       True,       True,       True,       True)),
    ("other readers:everyone",      (False,     False,      False,      False,      False,      False)),
]
# fmt: on


@pytest.mark.parametrize(("text", "shown"), FILTERS)
async def test_filters_ask_for_a_role_and_everyone_is_no_role_of_ones_own(
    calls: Clients, text: str, shown: tuple[bool, ...]
) -> None:
    await give(calls["owner"], role="READER", granteeType="EVERYONE")
    found = [bool(await listed(calls[name], text)) for name in CALLERS]
    assert dict(zip(CALLERS, found, strict=True)) == dict(zip(CALLERS, shown, strict=True))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("owner:ana@example.com", "known are owner:me"),
        ("a OR b", "OR is not supported"),
        ("NOT a", "NOT is not supported"),
        ("w " * 51, "filter has 51 words; at most 50"),
    ],
)
async def test_a_filter_that_is_not_understood_is_refused(
    calls: Clients, text: str, words: str
) -> None:
    answer = await calls["owner"].get(PATH, params={"filter": text})
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert words in answer.json()["error"]["message"]


async def test_quotes_hold_words_together(calls: Clients) -> None:
    await create(calls["owner"], "b", body(displayName="red green OR blue"))
    assert await listed(calls["owner"], '"green or"') == ["b"]
    assert await listed(calls["owner"], '"OR" red') == ["b"]
    assert await listed(calls["owner"], '"red blue"') == []


async def test_what_is_taken_away_is_closed_at_once(calls: Clients) -> None:
    owner, reader = calls["owner"], calls["reader"]
    permissions = (await get(owner, f"{SHARED}/permissions"))["permissions"]
    (theirs,) = (one for one in permissions if one.get("emailAddress") == "cy@example.com")
    assert (await owner.delete(f"/v1beta/{theirs['name']}")).json() == {}
    assert (await reader.get(SHARED)).status_code == 403
    assert await listed(reader) == []
    await owner.patch(f"{SHARED}?updateMask=readerProjectNumbers", json={})
    assert (await calls["project"].get(SHARED)).status_code == 403


async def test_a_new_owner_may_all_and_the_former_one_stays_as_a_writer(calls: Clients) -> None:
    owner, stranger = calls["owner"], calls["stranger"]
    transfer, to = f"{SHARED}:transferOwnership", {"email_address": "Fay@Example.com"}
    assert (await owner.post(transfer, json=to)).json() == {}
    assert (await owner.post(transfer, json=to)).status_code == 403
    after = await roles(stranger)
    assert (after["fay@example.com"], after["ana@example.com"]) == ("OWNER", "WRITER")
    assert (await owner.delete(SHARED)).status_code == 403
    assert (await stranger.delete(SHARED)).json() == {}


async def test_a_transfer_to_oneself_changes_nothing(calls: Clients) -> None:
    before = await get(calls["owner"], f"{SHARED}/permissions")
    answer = await calls["owner"].post(
        f"{SHARED}:transferOwnership", json={"emailAddress": "ana@example.com"}
    )
    assert answer.status_code == 200
    assert await get(calls["owner"], f"{SHARED}/permissions") == before


USER = {"granteeType": "USER", "emailAddress": "x@example.com"}
# fmt: off
REFUSED = [
    ({},                                                        "grantee_type is required."),
    ({"granteeType": "GRANTEE_TYPE_UNSPECIFIED", "role": 3},    "grantee_type is required."),
    (USER,                                                      "role is required."),
    ({**USER, "role": 0},                                       "role is required."),
    ({**USER, "role": "OWNER"},                                 "The role OWNER cannot be given"),
    ({**USER, "role": "KING"},                                  "Invalid value at 'permission.role', \"KING\""),
    ({**USER, "role": 9},                                       "Invalid value at 'permission.role'"),
    ({**USER, "role": True},                                    "Invalid value at 'permission.role', true"),
    ({"granteeType": "USER", "role": 3},                        "email_address must be an e-mail address."),
    ({"granteeType": "GROUP", "emailAddress": "team", "role": 3}, "email_address must be an e-mail address."),
    ({"granteeType": 3, "emailAddress": "x@y.z", "role": 3},    "email_address must not be set for EVERYONE."),
    ({"granteeType": "EVERYONE", "role": "WRITER"},             "EVERYONE can be given the role READER only."),
    ({**USER, "role": 3, "colour": "red"},                      "Unknown name \"colour\" at 'permission'"),
]
# fmt: on


@pytest.mark.parametrize(("sent", "words"), REFUSED)
async def test_a_permission_that_makes_no_sense_is_refused(
    calls: Clients, sent: Any, words: str
) -> None:
    before = await roles(calls["owner"])
    answer = await calls["owner"].post(f"{SHARED}/permissions", json=sent)
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert words in answer.json()["error"]["message"]
    assert await roles(calls["owner"]) == before


async def test_nobody_is_given_two_permissions(calls: Clients) -> None:
    again = {"granteeType": 1, "email_address": "CY@example.com", "role": 2}
    answer = await calls["owner"].post(f"{SHARED}/permissions", json=again)
    assert (answer.status_code, answer.json()["error"]["status"]) == (409, "ALREADY_EXISTS")


async def test_only_the_role_of_a_permission_changes_and_only_with_a_mask(calls: Clients) -> None:
    owner = calls["owner"]
    name = f"/v1beta/{await give(owner, **USER, role=3)}"
    for mask in ("", "emailAddress", "role,granteeType"):
        answer = await owner.patch(name, params={"updateMask": mask}, json={**USER, "role": 2})
        assert answer.status_code == 400, mask
    other = {"name": "ignored", "granteeType": 2, "emailAddress": "z@example.com", "role": 2}
    changed = await owner.patch(name, params={"update_mask": "role"}, json=other)
    assert changed.json() == {"name": name.removeprefix("/v1beta/"), **USER, "role": "WRITER"}
    assert await get(owner, name) == changed.json()


async def test_the_owners_permission_stays_as_it_is(calls: Clients) -> None:
    first = (await get(calls["writer"], f"{SHARED}/permissions?pageSize=1"))["permissions"][0]
    assert (first["role"], first["emailAddress"]) == ("OWNER", "ana@example.com")
    name = f"/v1beta/{first['name']}"
    deleted = await calls["writer"].delete(name)
    changed = await calls["writer"].patch(f"{name}?updateMask=role", json={"role": "READER"})
    for answer in (deleted, changed):
        assert answer.json()["error"]["status"] == "FAILED_PRECONDITION"
    assert (await roles(calls["writer"]))["ana@example.com"] == "OWNER"


async def test_permissions_are_listed_page_by_page_and_found_by_their_names(calls: Clients) -> None:
    owner, names, token = calls["owner"], [], ""
    while True:
        page = await get(owner, f"{SHARED}/permissions?pageSize=1&pageToken={token}")
        names += [one["name"] for one in page["permissions"]]
        if not (token := page.get("nextPageToken", "")):
            break
    assert len(names) == len(set(names)) == 4
    prefix = "tunedModels/shared/permissions/"
    assert all(re.fullmatch("[a-z0-9]+", name.removeprefix(prefix)) for name in names)
    missing = await owner.get(f"{SHARED}/permissions/nobody")
    await create(owner, "other")
    elsewhere = await owner.get(f"{PATH}/other/permissions/{names[0].removeprefix(prefix)}")
    assert (missing.status_code, elsewhere.status_code) == (404, 404)


async def test_permissions_go_with_their_model(calls: Clients) -> None:
    await calls["owner"].delete(SHARED)
    await create(calls["stranger"], "shared")
    assert await roles(calls["stranger"]) == {"fay@example.com": "OWNER"}
    assert (await calls["owner"].get(SHARED)).status_code == 403
