"""Forms of the library without JavaScript: tune, ask, cancel, delete, share, and forged forms."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import httpx
import pytest

from tests.support.embedded_service import PATH, body, get, service, train_all
from tests.support.web_client import HOSTILE, Visitor, create, form, open_visitor, rows, web_library
from tunedmodels.service.api.limits import MAX_BODY_BYTES

Clients = tuple[Visitor, httpx.AsyncClient]


@pytest.fixture
async def clients(tmp_path: Path) -> AsyncIterator[Clients]:
    async with open_visitor(tmp_path / "store") as opened:
        yield opened


async def ids(api: httpx.AsyncClient) -> list[str]:
    models = (await get(api, PATH)).get("tunedModels", [])
    return [model["name"].removeprefix("tunedModels/") for model in models]


async def test_pasted_examples_are_checked_shown_and_tuned(clients: Clients) -> None:
    visitor, api = clients
    await visitor.get("/tune")
    page = await visitor.send("/tune", form(rows()), status=200)
    assert "<b>20 examples</b> read as JSONL; 10 steps to train" in page
    assert "in 0" in page
    assert await ids(api) == [], "the check starts no job"
    path = await visitor.send("/tune", form(rows(), action="tune", display_name="My tone"))
    assert re.fullmatch(r"/models/my-tone-[a-z0-9]{12}", path)
    model = await get(api, f"{PATH}/{path.removeprefix('/models/')}")
    assert model["displayName"] == "My tone"
    assert model["tuningTask"]["hyperparameters"] == {
        "epochCount": 2, "batchSize": 4, "learningRate": 0.001,
    }  # fmt: skip
    assert "Waiting" in await visitor.get(path)


CSV = "question,answer\n" + "".join(f'"in, {n}",yes\n' for n in range(20))
JSON = '[{"text_input": "a", "output": "b"}' + ', {"text_input": "c", "output": "d"}' * 19 + "]"


@pytest.mark.parametrize(
    ("name", "text", "expected", "fields"),
    [
        ("a.csv", CSV, "CSV", {"input_field": "question", "output_field": "answer"}),
        ("a.json", JSON, "JSON", {}),
        ("a.txt", JSON, "JSON", {}),
        ("a.txt", CSV, "CSV", {"input_field": "question", "output_field": "answer"}),
        ("a.tsv", "text_input\toutput\n" + "a\tb\n" * 20, "TSV", {}),
        ("a.txt", "text_input\toutput\n" + "a\tb\n" * 20, "TSV", {}),
        ("<b>.jsonl", "\ufeff" + rows(), "JSONL", {}),
    ],
)
async def test_the_format_of_an_uploaded_file_is_detected_and_its_text_is_shown(
    clients: Clients, name: str, text: str, expected: str, fields: dict[str, str]
) -> None:
    visitor, _ = clients
    await visitor.get("/tune")
    files = {"file": (name, text.encode())}
    page = await visitor.send("/tune", form(**fields), files=files, status=200)
    assert f"<b>20 examples</b> read as {expected}" in page
    match = re.search(r"<textarea[^>]*>\n(.*)</textarea>", visitor.page, re.DOTALL)
    assert match
    assert unescape(match[1]) == text.removeprefix("\ufeff")


async def test_problems_are_listed_by_line_and_no_job_starts(clients: Clients) -> None:
    visitor, api = clients
    await visitor.get("/tune")
    wrong = rows() + f'\n{{"text_input": "{"x" * 40001}", "output": "b"}}\nno json\n'
    page = await visitor.send("/tune", form(wrong, action="tune"), status=400)
    assert "<b>Line 21</b> <code>text_input</code> <bdi>has 40,001 characters" in page
    assert "<b>Line 22</b> <bdi>is not valid JSON" in page
    assert "They cannot be used yet" in page
    assert "Start tuning" not in page
    assert await ids(api) == []


async def test_a_similar_field_is_suggested_for_a_missing_one(clients: Clients) -> None:
    visitor, _ = clients
    await visitor.get("/tune")
    data = rows().replace("text_input", "text_inputs")
    page = await visitor.send("/tune", form(data), status=200)
    assert "Did you mean 'text_inputs'?" in page


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("epoch_count", "1001", "epoch_count must be between 1 and 1000 (got 1001)."),
        ("epoch_count", HOSTILE, "This must be a whole number, such as 5."),
        ("batch_size", "0", "batch_size must be between 1 and 1024 (got 0)."),
        ("learning_rate", "-1", "learning_rate must be greater than 0 (got -1.0)."),
        ("learning_rate", "fast", "This must be a number, such as 0.001."),
        ("display_name", "x" * 41, "display_name has 41 characters; at most 40 are allowed."),
        ("base_model", "models/none", "models/none is not found for API version v1beta"),
        ("data", "", "Paste some examples, or choose a file."),
    ],
)
async def test_an_error_of_the_api_is_shown_at_its_field(
    clients: Clients, field: str, value: str, message: str
) -> None:
    visitor, api = clients
    await visitor.get("/tune")
    fields = form(rows(), action="tune") | {field: value}
    answer = await visitor.http.post(
        "/tune", data={**fields, "form_token": visitor.hidden(re.compile(r'token" value="(\w+)"'))}
    )
    assert answer.status_code in (400, 404)
    assert message in unescape(answer.text)
    assert await ids(api) == []


async def test_a_form_that_is_submitted_twice_creates_one_model(clients: Clients) -> None:
    visitor, api = clients
    await visitor.get("/tune")
    fields = form(rows(), action="tune", display_name="Once")
    assert await visitor.send("/tune", fields) == await visitor.send("/tune", fields)
    assert len(await ids(api)) == 1
    await visitor.send("/tune", fields | {"epoch_count": "3"})
    assert len(await ids(api)) == 2, "another setting gives another model"


async def test_a_question_is_sent_to_the_model_its_previous_version_and_its_base(
    clients: Clients, tmp_path: Path
) -> None:
    visitor, api = clients
    for name in ("one", "two"):
        await create(api, name, body(displayName="Same"))
    train_all(tmp_path / "store")
    assert "Previous version" not in await visitor.get("/models/two/ask")
    page = await visitor.send("/models/two/ask", {"question": f"What {HOSTILE}"}, status=200)
    answers = re.findall(r"<h3[^>]*>(.*?)</h3>.*?<code>(.*?)</code>", page, re.DOTALL)
    assert answers == [
        ("This version", "tunedModels/two"),
        ("Previous version", "tunedModels/one"),
        ("Untuned base", "models/counting-001"),
    ]
    assert "What &lt;script&gt;" in visitor.page
    assert "no training step is done yet" in page
    page = await visitor.send("/models/two/ask", {"question": "x" * 40_001}, status=200)
    assert "The input has 40001 characters; at most 40000 are allowed." in page


async def test_cancelling_a_job_and_deleting_a_model_ask_for_confirmation(clients: Clients) -> None:
    visitor, api = clients
    await create(api, "a")
    assert "Cancel this job?" in await visitor.get("/models/a/cancel")
    assert (await get(api, f"{PATH}/a"))["state"] == "CREATING"
    assert await visitor.send("/models/a/cancel") == "/models/a"
    assert (await get(api, f"{PATH}/a"))["state"] == "FAILED"
    assert "Delete this model?" in await visitor.get("/models/a/delete")
    assert await ids(api) == ["a"]
    assert await visitor.send("/models/a/delete") == "/?notice=deleted"
    assert await ids(api) == []
    assert "The model was deleted." in await visitor.get("/?notice=deleted")


async def test_a_model_is_shared_and_unshared(clients: Clients) -> None:
    visitor, api = clients
    await create(api, "a")
    await visitor.get("/models/a")
    fields = {"grantee_type": "USER", "email_address": "Bo@example.com", "role": "WRITER"}
    assert await visitor.send("/models/a/permissions", fields) == "/models/a#sharing"
    page = await visitor.send("/models/a/permissions", fields, status=409)
    assert "is already shared with Bo@example.com" in page
    everyone = {"grantee_type": "EVERYONE", "email_address": "", "role": "READER"}
    await visitor.send("/models/a/permissions", everyone)
    page = await visitor.get("/models/a")
    assert "bo@example.com" in page
    assert "Everyone with a key" in page
    removals = re.findall(r'action="(/models/a/permissions/\w+/remove)"', page)
    assert len(removals) == 2, "the permission of the owner cannot be removed"
    for path in removals:
        assert await visitor.send(path) == "/models/a#sharing"
    assert "bo@example.com" not in await visitor.get("/models/a")


async def test_name_and_description_are_changed_and_the_stamp_is_kept(clients: Clients) -> None:
    visitor, api = clients
    stamp = "[tunedmodels project=demo name=tone fingerprint=f dataset=d examples=4 attempt=1]"
    await create(api, "a", body(description=f"Old.\n{stamp}", displayName="Old"))
    assert "change its manifest" in await visitor.get("/models/a")
    fields = {"display_name": "New", "description": "One.\r\nTwo."}
    assert await visitor.send("/models/a/words", fields) == "/models/a"
    model = await get(api, f"{PATH}/a")
    assert (model["displayName"], model["description"]) == ("New", f"One.\nTwo.\n{stamp}")
    page = await visitor.send("/models/a/words", {"display_name": "x" * 41}, status=400)
    assert "display_name has 41 characters" in page


ACTIONS = [
    "/models/a/words",
    "/tune", "/models/a/ask", "/models/a/cancel", "/models/a/delete", "/models/a/permissions",
    "/models/a/permissions/x/remove", "/sign-in", "/sign-out",
]  # fmt: skip


@pytest.mark.parametrize("path", ACTIONS)
async def test_a_form_of_another_site_is_rejected(clients: Clients, path: str) -> None:
    visitor, api = clients
    await create(api, "a")
    await visitor.get("/tune")
    for headers in (
        {"origin": "https://evil.example"},
        {"origin": "http://localhost:3000"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ):
        page = await visitor.send(path, form(rows()), status=403, headers=headers)
        assert "another site sent it" in page
        await visitor.get("/tune")
    assert (await get(api, f"{PATH}/a"))["state"] == "CREATING"


@pytest.mark.parametrize("path", ACTIONS)
async def test_a_form_without_the_token_of_its_visitor_is_rejected(
    tmp_path: Path, path: str
) -> None:
    with service(tmp_path / "store") as opened:
        pages = web_library(opened)
        async with Visitor(pages) as visitor, Visitor(pages) as other:
            await create(visitor.http, "a")
            await other.get("/tune")
            token = other.hidden(re.compile(r'form_token" value="(\w+)"'))
            await visitor.get("/tune")
            for fields in ({}, {"form_token": ""}, {"form_token": "é"}, {"form_token": token}):
                answer = await visitor.http.post(path, data=fields)
                assert answer.status_code == 403, path
            assert (await get(visitor.http, f"{PATH}/a"))["state"] == "CREATING"


async def test_a_body_that_is_not_a_form_or_too_large_is_rejected_with_a_message(
    clients: Clients,
) -> None:
    visitor, _ = clients
    await visitor.get("/tune")
    content_type = {"content-type": "multipart/form-data; boundary=x"}
    answer = await visitor.http.post("/tune", content=b"--x\r\nnonsense", headers=content_type)
    assert answer.status_code in (400, 403)
    answer = await visitor.http.post("/tune", content=b"x" * (MAX_BODY_BYTES + 1))
    assert answer.status_code == 400
    assert "exceeds the limit" in answer.text


async def test_a_request_of_the_same_origin_is_accepted(clients: Clients) -> None:
    visitor, api = clients
    for n, headers in enumerate(
        ({"origin": "http://localhost"}, {"sec-fetch-site": "same-origin"}, {})
    ):
        await create(api, f"a{n}")
        await visitor.get(f"/models/a{n}/delete")
        await visitor.send(f"/models/a{n}/delete", headers=headers)
    assert await ids(api) == []
