"""The loopback Cloud Storage keeps its conditions; everything that guards money rests on them.

It is alone here: of the emulators on PyPI the one that is kept (gcp-storage-emulator 2026.7.19)
reads no ifGenerationMatch, so that under it every lock would be held by everyone.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.support.vertex.buckets import CHUNK, crc32c, md5
from tests.support.vertex.client import Asker
from tests.support.vertex.cloud import Cloud

UPLOAD = "upload/storage/v1/b/data/o"
STORAGE = "storage.googleapis.com"


def multipart(document: dict[str, Any], data: bytes) -> dict[str, Any]:
    """A body of metadata and data, for httpx."""
    head = f"--x\r\ncontent-type: application/json\r\n\r\n{json.dumps(document)}\r\n--x\r\n"
    content = head.encode() + b"content-type: text/plain\r\n\r\n" + data + b"\r\n--x--\r\n"
    return {"content": content, "headers": {"content-type": "multipart/related; boundary=x"}}


async def put(asker: Asker, url: str, data: bytes, span: str) -> httpx.Response:
    """Send a chunk of a resumable upload."""
    path = url.partition(f"{STORAGE}/")[2]
    headers = {"content-range": f"bytes {span}"}
    return await asker.send("PUT", path, host=STORAGE, content=data, headers=headers)


async def begin(asker: Asker, name: str, **query: str) -> str:
    """Open a resumable upload and return where its chunks go."""
    params = {"uploadType": "resumable", **query}
    answer = await asker.send("POST", UPLOAD, {"name": name}, host=STORAGE, params=params)
    assert answer.status_code == 200, answer.text
    return answer.headers["location"]


async def test_only_the_first_of_two_writers_of_a_lock_gets_it(asker: Asker) -> None:
    first, second = [
        await asker.upload("locks/x", who, ifGenerationMatch="0") for who in (b"me", b"you")
    ]
    assert (first.status_code, second.status_code) == (200, 412)
    error = second.json()["error"]
    assert error["errors"][0]["reason"] == "conditionNotMet"
    assert error["message"] == "At least one of the pre-conditions you specified did not hold."
    assert (await asker.object("GET", "locks/x", params={"alt": "media"})).content == b"me"


async def test_a_generation_is_replaced_and_deleted_only_by_who_knows_it(asker: Asker) -> None:
    first = (await asker.upload("x", b"1")).json()["generation"]
    second = (await asker.upload("x", b"2", ifGenerationMatch=first)).json()["generation"]
    assert int(second) > int(first)
    assert (await asker.upload("x", b"3", ifGenerationMatch=first)).status_code == 412
    stale = await asker.object("DELETE", "x", params={"ifGenerationMatch": first})
    assert stale.status_code == 412
    same = await asker.object("GET", "x", params={"ifGenerationNotMatch": second})
    assert (same.status_code, same.content) == (304, b"")
    old = await asker.object("GET", "x", params={"generation": first})
    assert old.status_code == 404
    gone = await asker.object("DELETE", "x", params={"ifGenerationMatch": second})
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await asker.object("GET", "x")).status_code == 404
    assert (await asker.upload("x", b"4", ifGenerationMatch="0")).status_code == 200


@pytest.mark.parametrize("wrong", [{"crc32c": crc32c(b"other")}, {"md5Hash": md5(b"other")}])
async def test_data_that_arrives_broken_is_refused(asker: Asker, wrong: dict[str, str]) -> None:
    params = {"uploadType": "multipart"}
    body = multipart({"name": "x", **wrong}, b"data")
    refused = await asker.send("POST", UPLOAD, host=STORAGE, params=params, **body)
    assert refused.status_code == 400
    assert (await asker.object("GET", "x")).status_code == 404


async def test_an_upload_in_two_parts_keeps_what_is_said_of_it(asker: Asker) -> None:
    document = {"name": "a/b ü.txt", "crc32c": crc32c(b"data"), "metadata": {"sha256": "abc"}}
    params = {"uploadType": "multipart", "ifGenerationMatch": "0"}
    sent = await asker.send(
        "POST", UPLOAD, host=STORAGE, params=params, **multipart(document, b"data")
    )
    read = (await asker.object("GET", "a/b ü.txt")).json()
    assert sent.json() == read
    assert (read["size"], read["contentType"], read["metadata"]) == (
        "4",
        "text/plain",
        {"sha256": "abc"},
    )
    media = await asker.object("GET", "a/b ü.txt", params={"alt": "media"})
    assert media.headers["x-goog-hash"] == f"crc32c={crc32c(b'data')},md5={md5(b'data')}"
    assert media.headers["x-goog-generation"] == read["generation"]


async def test_a_resumable_upload_goes_on_where_it_was_left(asker: Asker) -> None:
    data = bytes(range(256)) * 2048 + b"the rest"
    url = await begin(asker, "large", ifGenerationMatch="0")
    assert "range" not in (await put(asker, url, b"", f"*/{len(data)}")).headers
    kept = await put(asker, url, data[:CHUNK], f"0-{CHUNK - 1}/*")
    assert (kept.status_code, kept.headers["range"]) == (308, f"bytes=0-{CHUNK - 1}")
    asked = await put(asker, url, b"", f"*/{len(data)}")
    assert (asked.status_code, asked.headers["range"]) == (308, f"bytes=0-{CHUNK - 1}")
    assert (await asker.object("GET", "large")).status_code == 404
    span = f"{CHUNK}-{len(data) - 1}/{len(data)}"
    done = await put(asker, url, data[CHUNK:], span)
    assert (done.status_code, done.json()["crc32c"]) == (200, crc32c(data))
    assert (await put(asker, url, b"", f"*/{len(data)}")).json()["crc32c"] == crc32c(data)


@pytest.mark.parametrize(
    ("data", "span"),
    [(b"x" * 10, "0-9/*"), (b"x" * CHUNK, f"{CHUNK}-{2 * CHUNK - 1}/*")],
    ids=["an odd chunk", "a gap"],
)
async def test_chunks_that_do_not_fit_are_refused(asker: Asker, data: bytes, span: str) -> None:
    url = await begin(asker, "large")
    assert (await put(asker, url, data, span)).status_code == 400


async def test_a_condition_is_checked_again_when_a_resumable_upload_ends(asker: Asker) -> None:
    url = await begin(asker, "x", ifGenerationMatch="0")
    await asker.upload("x", b"faster")
    assert (await put(asker, url, b"slow", "0-3/4")).status_code == 412
    with_condition = {"uploadType": "resumable", "ifGenerationMatch": "0"}
    late = await asker.send("POST", UPLOAD, {"name": "x"}, host=STORAGE, params=with_condition)
    assert late.status_code == 412


async def test_objects_are_listed_by_prefix_and_page_with_their_folders(
    asker: Asker, cloud: Cloud
) -> None:
    for name in ("a/1", "a/2", "a/b/3", "c"):
        cloud.buckets.put("data", name, b"x")
    cloud.page_limit = 1
    names, prefixes, query = [], [], {"prefix": "a/", "delimiter": "/"}
    while True:
        page = await asker.ask("GET", "storage/v1/b/data/o", host=STORAGE, params=query)
        names += [item["name"] for item in page.get("items", [])]
        prefixes += page.get("prefixes", [])
        if "nextPageToken" not in page:
            break
        query["pageToken"] = page["nextPageToken"]
    assert (names, prefixes) == (["a/1", "a/2"], ["a/b/"])


async def test_what_is_said_of_an_object_is_patched_by_metageneration(asker: Asker) -> None:
    await asker.upload("x", b"1")
    params = {"ifMetagenerationMatch": "1"}
    change = {"metadata": {"a": "b"}}
    patched = await asker.object("PATCH", "x", body=change, params=params)
    assert (patched.json()["metageneration"], patched.json()["metadata"]) == ("2", {"a": "b"})
    assert (await asker.object("PATCH", "x", body=change, params=params)).status_code == 412


async def test_a_bucket_that_is_not_there_says_so(asker: Asker) -> None:
    path = "storage/v1/b/other/o/x"
    error = await asker.refused("GET", path, host=STORAGE)
    assert (error["code"], error["message"]) == (404, "The specified bucket does not exist.")


async def test_permissions_on_a_bucket_can_be_asked_for(asker: Asker, cloud: Cloud) -> None:
    cloud.identity.denied.add("storage.objects.create")
    params = [("permissions", one) for one in ("storage.objects.get", "storage.objects.create")]
    path = "storage/v1/b/data/iam/testPermissions"
    held = await asker.ask("GET", path, host=STORAGE, params=params)
    assert held["permissions"] == ["storage.objects.get"]
    refused = await asker.upload("x", b"1")
    assert refused.status_code == 403
    assert "does not have storage.objects.create access" in refused.json()["error"]["message"]
