"""Tests of roles and permissions: which role each method requires, and how roles are given."""

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
from tunedmodels.service.identity import ApiKeys, Caller, key_digest

CALLERS = {
    "owner": Caller("ana@example.com", 1),
    "writer": Caller("bo@example.com", 2),
    "reader": Caller("cy@example.com", 3),
    "member": Caller("di@example.com", 4, groups=("team@example.com",)),
    "project": Caller("ed@example.com", 55),
    "stranger": Caller("fay@example.com", 6),
}
KEYS = ApiKeys({key_digest(name): caller for name, caller in CALLERS.items()})
SHARED = f"{PATH}/shared"
PROMPT = {"contents": [{"parts": [{"text": "I"}]}]}
Clients = dict[str, httpx.AsyncClient]


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[EmbeddedService]:
    with service(tmp_path / "store", keys=KEYS) as instance:
        yield instance


@pytest.fixture
async def clients(embedded: EmbeddedService, tmp_path: Path) -> AsyncIterator[Clients]:
    """A client of each caller. The owner's model is shared with all except the stranger."""
    async with AsyncExitStack() as stack:
        apis = {
            name: await stack.enter_async_context(client(embedded, key=name)) for name in CALLERS
        }
        await create(
            apis["owner"], "shared", body(displayName="Shared", readerProjectNumbers=["55"])
        )
        train_all(tmp_path / "store")
        await add_permission(
            apis["owner"], role="WRITER", granteeType="USER", emailAddress="bo@example.com"
        )
        await add_permission(
            apis["owner"], role="READER", granteeType="USER", emailAddress="Cy@Example.com"
        )
        await add_permission(
            apis["owner"], role="READER", granteeType="GROUP", emailAddress="team@example.com"
        )
        yield apis


async def add_permission(api: httpx.AsyncClient, **permission: Any) -> str:
    response = await api.post(f"{SHARED}/permissions", json=permission)
    assert response.status_code == 200, response.text
    name: str = response.json()["name"]
    return name


async def roles(api: httpx.AsyncClient) -> dict[str, str]:
    """Return the role of each grantee."""
    permissions = (await get(api, f"{SHARED}/permissions"))["permissions"]
    return {
        permission.get("emailAddress", permission["granteeType"]): permission["role"]
        for permission in permissions
    }


async def list_ids(api: httpx.AsyncClient, text: str = "") -> list[str]:
    response = await api.get(PATH, params={"filter": text} if text else {})
    assert response.status_code == 200, response.text
    return [model["name"].partition("/")[2] for model in response.json().get("tunedModels", [])]


READERS = {"owner", "writer", "reader", "member", "project"}
WRITERS = {"owner", "writer"}
PERMISSION = {"emailAddress": "x@example.com", "granteeType": "USER", "role": "READER"}
CHILD = {
    "tuningTask": body()["tuningTask"],
    "tunedModelSource": {"tunedModel": "tunedModels/shared"},
}
# fmt: off
ACTIONS = [  # method, path                                body                         callers
    ("GET",    SHARED,                                     None,                        READERS),
    ("GET",    f"{SHARED}/operations",                     None,                        READERS),
    ("GET",    f"{SHARED}/operations/OPERATION",           None,                        READERS),
    ("POST",   f"{SHARED}:generateContent",                PROMPT,                      READERS),
    ("POST",   f"{SHARED}:streamGenerateContent",          PROMPT,                      READERS),
    ("POST",   PATH,                                       CHILD,                       READERS),
    ("PATCH",  SHARED,                                     {"description": "new"},      WRITERS),
    ("POST",   f"{SHARED}/operations/OPERATION:cancel",    None,                        WRITERS),
    ("GET",    f"{SHARED}/permissions",                    None,                        WRITERS),
    ("POST",   f"{SHARED}/permissions",                    PERMISSION,                  WRITERS),
    ("GET",    f"{SHARED}/permissions/PERMISSION",         None,                        WRITERS),
    ("PATCH",  f"{SHARED}/permissions/PERMISSION?updateMask=role", {"role": "WRITER"},          WRITERS),
    ("DELETE", f"{SHARED}/permissions/PERMISSION",         None,                        WRITERS),
    ("POST",   f"{SHARED}:transferOwnership",              {"emailAddress": "x@example.com"}, {"owner"}),
    ("DELETE", SHARED,                                     None,                        {"owner"}),
]
# fmt: on


@pytest.mark.parametrize(("method", "path", "document", "allowed"), ACTIONS)
async def test_each_route_requires_its_role(
    clients: Clients, method: str, path: str, document: Any, allowed: set[str]
) -> None:
    owner = clients["owner"]
    operation = (await get(owner, f"{SHARED}/operations"))["operations"][0]["name"]
    permission = await add_permission(
        owner, role="READER", granteeType="USER", emailAddress="y@example.com"
    )
    path = path.replace("OPERATION", operation.rpartition("/")[2])
    path = path.replace("PERMISSION", permission.rpartition("/")[2])
    for name in sorted(CALLERS.keys() - allowed):
        response = await clients[name].request(method, path, json=document)
        is_stream = path.endswith(":streamGenerateContent")
        error = (response.json()[0] if is_stream else response.json())["error"]
        assert (response.status_code, error["status"]) == (403, "PERMISSION_DENIED"), name
        message = "You do not have permission to access tuned model tunedModels/shared"
        assert error["message"].startswith(message)
        assert (error["message"] == message) == (name == "stranger")
    # Callers with smaller roles come first. POST and DELETE run once: they change the state.
    for name in sorted(allowed, reverse=True)[: 1 if method in ("POST", "DELETE") else None]:
        response = await clients[name].request(method, path, json=document)
        assert response.status_code == 200, (name, response.text)


def test_the_table_contains_every_route_of_a_tuned_model() -> None:
    from tunedmodels.service.api.app import _ROUTES  # noqa: PLC0415  # only this test uses it

    tested = {(method, path.partition("?")[0]) for method, path, _, _ in ACTIONS}
    routes = {
        (method, f"/v1beta{path}".replace("{id}", "shared")
            .replace("{operation}", "OPERATION").replace("{permission}", "PERMISSION"))
        for method, path, _ in _ROUTES
        if not path.startswith("/models")
    }  # fmt: skip
    assert routes - tested == {("GET", PATH)}


async def test_a_missing_model_is_not_found_for_any_caller(clients: Clients) -> None:
    response = await clients["stranger"].get(f"{PATH}/missing")
    assert response.status_code == 404


async def test_a_list_contains_models_on_which_the_caller_has_a_role(clients: Clients) -> None:
    await create(clients["stranger"], "own")
    for name in READERS:
        assert await list_ids(clients[name]) == ["shared"], name
    assert await list_ids(clients["stranger"]) == ["own"]
    await add_permission(clients["owner"], role="READER", granteeType="EVERYONE")
    assert await list_ids(clients["stranger"]) == ["own"]
    assert await list_ids(clients["stranger"], "readers:everyone") == ["shared"]
    assert (await get(clients["stranger"], SHARED))["displayName"] == "Shared"
    assert await list_ids(clients["owner"]) == ["shared"]


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


@pytest.mark.parametrize(("text", "expected"), FILTERS)
async def test_filters_require_a_role_that_does_not_come_from_everyone(
    clients: Clients, text: str, expected: tuple[bool, ...]
) -> None:
    await add_permission(clients["owner"], role="READER", granteeType="EVERYONE")
    results = [bool(await list_ids(clients[name], text)) for name in CALLERS]
    assert dict(zip(CALLERS, results, strict=True)) == dict(zip(CALLERS, expected, strict=True))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("owner:ana", "known are owner:me"),
        ("writers:ana@example.com", "known are owner:me"),
        ("a OR b", "OR is not supported"),
        ("NOT a", "NOT is not supported"),
        ("w " * 51, "filter has 51 words; at most 50"),
    ],
)
async def test_an_unsupported_filter_is_rejected(clients: Clients, text: str, message: str) -> None:
    response = await clients["owner"].get(PATH, params={"filter": text})
    assert (response.status_code, response.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert message in response.json()["error"]["message"]


async def test_quotes_join_words(clients: Clients) -> None:
    await create(clients["owner"], "b", body(displayName="red green OR blue"))
    assert await list_ids(clients["owner"], '"green or"') == ["b"]
    assert await list_ids(clients["owner"], '"OR" red') == ["b"]
    assert await list_ids(clients["owner"], '"red blue"') == []


async def test_a_deleted_permission_takes_effect_at_once(clients: Clients) -> None:
    owner, reader = clients["owner"], clients["reader"]
    permissions = (await get(owner, f"{SHARED}/permissions"))["permissions"]
    (permission,) = (p for p in permissions if p.get("emailAddress") == "cy@example.com")
    assert (await owner.delete(f"/v1beta/{permission['name']}")).json() == {}
    assert (await reader.get(SHARED)).status_code == 403
    assert await list_ids(reader) == []
    await owner.patch(f"{SHARED}?updateMask=readerProjectNumbers", json={})
    assert (await clients["project"].get(SHARED)).status_code == 403


async def test_a_transfer_makes_the_previous_owner_a_writer(clients: Clients) -> None:
    owner, stranger = clients["owner"], clients["stranger"]
    path, document = f"{SHARED}:transferOwnership", {"email_address": "Fay@Example.com"}
    assert (await owner.post(path, json=document)).json() == {}
    assert (await owner.post(path, json=document)).status_code == 403
    after = await roles(stranger)
    assert (after["fay@example.com"], after["ana@example.com"]) == ("OWNER", "WRITER")
    assert (await owner.delete(SHARED)).status_code == 403
    assert (await stranger.delete(SHARED)).json() == {}


async def test_a_transfer_to_the_owner_changes_nothing(clients: Clients) -> None:
    before = await get(clients["owner"], f"{SHARED}/permissions")
    response = await clients["owner"].post(
        f"{SHARED}:transferOwnership", json={"emailAddress": "ana@example.com"}
    )
    assert response.status_code == 200
    assert await get(clients["owner"], f"{SHARED}/permissions") == before


USER = {"granteeType": "USER", "emailAddress": "x@example.com"}
# fmt: off
INVALID = [
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


@pytest.mark.parametrize(("document", "message"), INVALID)
async def test_an_invalid_permission_is_rejected(
    clients: Clients, document: Any, message: str
) -> None:
    before = await roles(clients["owner"])
    response = await clients["owner"].post(f"{SHARED}/permissions", json=document)
    assert (response.status_code, response.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert message in response.json()["error"]["message"]
    assert await roles(clients["owner"]) == before


async def test_a_grantee_has_at_most_one_permission(clients: Clients) -> None:
    duplicate = {"granteeType": 1, "email_address": "CY@example.com", "role": 2}
    response = await clients["owner"].post(f"{SHARED}/permissions", json=duplicate)
    assert (response.status_code, response.json()["error"]["status"]) == (409, "ALREADY_EXISTS")


async def test_only_the_role_of_a_permission_can_change_and_only_with_a_mask(
    clients: Clients,
) -> None:
    owner = clients["owner"]
    name = f"/v1beta/{await add_permission(owner, **USER, role=3)}"
    for mask in ("", "emailAddress", "role,granteeType"):
        response = await owner.patch(name, params={"updateMask": mask}, json={**USER, "role": 2})
        assert response.status_code == 400, mask
    other = {"name": "ignored", "granteeType": 2, "emailAddress": "z@example.com", "role": 2}
    changed = await owner.patch(name, params={"update_mask": "role"}, json=other)
    assert changed.json() == {"name": name.removeprefix("/v1beta/"), **USER, "role": "WRITER"}
    assert await get(owner, name) == changed.json()


async def test_the_owners_permission_cannot_be_changed_or_deleted(clients: Clients) -> None:
    first = (await get(clients["writer"], f"{SHARED}/permissions?pageSize=1"))["permissions"][0]
    assert (first["role"], first["emailAddress"]) == ("OWNER", "ana@example.com")
    name = f"/v1beta/{first['name']}"
    deleted = await clients["writer"].delete(name)
    changed = await clients["writer"].patch(f"{name}?updateMask=role", json={"role": "READER"})
    for response in (deleted, changed):
        assert response.json()["error"]["status"] == "FAILED_PRECONDITION"
    assert (await roles(clients["writer"]))["ana@example.com"] == "OWNER"


async def test_permissions_are_listed_in_pages_and_found_by_name(clients: Clients) -> None:
    owner, names, token = clients["owner"], [], ""
    while True:
        page = await get(owner, f"{SHARED}/permissions?pageSize=1&pageToken={token}")
        names += [permission["name"] for permission in page["permissions"]]
        if not (token := page.get("nextPageToken", "")):
            break
    assert len(names) == len(set(names)) == 4
    prefix = "tunedModels/shared/permissions/"
    assert all(re.fullmatch("[a-z0-9]+", name.removeprefix(prefix)) for name in names)
    missing = await owner.get(f"{SHARED}/permissions/missing")
    await create(owner, "other")
    elsewhere = await owner.get(f"{PATH}/other/permissions/{names[0].removeprefix(prefix)}")
    assert (missing.status_code, elsewhere.status_code) == (404, 404)


async def test_permissions_are_deleted_with_their_model(clients: Clients) -> None:
    await clients["owner"].delete(SHARED)
    await create(clients["stranger"], "shared")
    assert await roles(clients["stranger"]) == {"fay@example.com": "OWNER"}
    assert (await clients["owner"].get(SHARED)).status_code == 403
