"""Conditional requests, and lists of the models of one owner. No JSON changes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.support.embedded_service import PATH, body, client, create, service, train_all
from tunedmodels.errors import ChangedError
from tunedmodels.model_fields import MutableFields
from tunedmodels.providers.gemini.provider import GeminiProvider
from tunedmodels.providers.http import asgi_transport
from tunedmodels.providers.identity import Credentials
from tunedmodels.providers.provider import Edit
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.identity import ApiKeys, Caller, key_digest
from tunedmodels.service.records import later_timestamp
from tunedmodels.stamp import Stamp

CALLERS = {"ana": Caller("ana@example.com", 1), "bo": Caller("bo@example.com", 2)}
KEYS = ApiKeys({key_digest(name): caller for name, caller in CALLERS.items()})
TONE = f"{PATH}/tone"
Clients = dict[str, httpx.AsyncClient]


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[EmbeddedService]:
    with service(tmp_path / "store", keys=KEYS) as instance:
        yield instance


@pytest.fixture
async def clients(embedded: EmbeddedService, tmp_path: Path) -> AsyncIterator[Clients]:
    async with AsyncExitStack() as stack:
        apis = {
            name: await stack.enter_async_context(client(embedded, key=name)) for name in CALLERS
        }
        await create(apis["ana"], "tone", body(displayName="Tone"))
        train_all(tmp_path / "store")
        yield apis


async def etag(api: httpx.AsyncClient) -> str:
    return (await api.get(TONE)).headers["etag"]


async def test_every_change_gives_another_etag(clients: Clients) -> None:
    api, seen = clients["ana"], set()
    for number in range(20):
        seen.add(await etag(api))
        response = await api.patch(TONE, json={"description": str(number % 2)})
        assert response.headers["etag"] == await etag(api)
    assert len(seen) == 20


async def test_a_patch_with_an_old_etag_changes_nothing(clients: Clients) -> None:
    api = clients["ana"]
    old = await etag(api)
    first = await api.patch(TONE, json={"description": "one"}, headers={"if-match": old})
    assert first.status_code == 200
    second = await api.patch(TONE, json={"description": "two"}, headers={"if-match": old})
    assert (second.status_code, second.json()["error"]["code"]) == (412, 412)
    assert (await api.get(TONE)).json()["description"] == "one"


async def test_a_delete_with_an_old_etag_deletes_nothing(clients: Clients) -> None:
    api = clients["ana"]
    old = await etag(api)
    await api.patch(TONE, json={"description": "one"})
    assert (await api.delete(TONE, headers={"if-match": old})).status_code == 412
    assert (await api.delete(TONE, headers={"if-match": await etag(api)})).status_code == 200
    assert (await api.delete(TONE)).status_code == 404


async def test_the_provider_reports_a_changed_model_at_once(
    embedded: EmbeddedService, clients: Clients
) -> None:
    """A retry with the old etag would fail again, and end the step that has to decide again."""
    retries: list[str] = []
    provider = GeminiProvider(
        "here",
        project="demo",
        endpoint="http://127.0.0.1:1",
        credentials=Credentials(api_key="ana"),
        transport=asgi_transport(embedded.app),
        on_retry=lambda call, *_: retries.append(call),
    )
    old = await etag(clients["ana"])
    await clients["ana"].patch(TONE, json={"description": "one"})
    stamp = Stamp("demo", "tone", fingerprint="0" * 64, dataset="0" * 64, examples=3)
    edit = Edit(stamp, MutableFields(description="two"))
    async with provider:
        with pytest.raises(ChangedError):
            await provider.update("tone", edit, etag=old)
        with pytest.raises(ChangedError):
            await provider.delete("tone", etag=old)
    assert retries == []
    assert (await clients["ana"].get(TONE)).json()["description"] == "one"


@pytest.mark.parametrize("fields", ["", "name"])
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_reduced_response_has_the_etag(
    clients: Clients, fields: str, encoding: str
) -> None:
    api = clients["ana"]
    response = await api.get(TONE, params={"fields": fields}, headers={"accept-encoding": encoding})
    assert response.headers["etag"] == await etag(api)


@pytest.mark.parametrize("header", ["*", ""])
async def test_any_version_matches_without_an_etag(header: str, clients: Clients) -> None:
    headers = {"if-match": header} if header else {}
    response = await clients["ana"].patch(TONE, json={"description": "x"}, headers=headers)
    assert response.status_code == 200


def test_update_times_grow_also_when_the_clock_goes_back() -> None:
    future = "2126-01-01T00:00:00.999999Z"
    assert later_timestamp(future) == "2126-01-01T00:00:01.000000Z"
    assert later_timestamp("") > "2026"


async def test_models_are_listed_by_owner_for_those_who_may_read_them(clients: Clients) -> None:
    async def listed(caller: str, text: str) -> list[str]:
        response = await clients[caller].get(PATH, params={"filter": text})
        return [model["name"] for model in response.json().get("tunedModels", ())]

    assert await listed("ana", "owner:ana@example.com") == ["tunedModels/tone"]
    assert await listed("ana", "owner:bo@example.com") == []
    assert await listed("bo", "owner:ana@example.com") == [], "it is not shared"
    permission = {"role": "READER", "granteeType": "USER", "emailAddress": "bo@example.com"}
    await clients["ana"].post(f"{TONE}/permissions", json=permission)
    assert await listed("bo", "owner:ana@example.com") == ["tunedModels/tone"]
    assert await listed("bo", "owner:Ana@Example.com") == ["tunedModels/tone"]
    assert await listed("bo", "owner:me") == []
