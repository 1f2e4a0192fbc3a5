"""The loopback Cloud Storage checks preconditions, on which the lock depends.

No emulator is used instead: the maintained one on PyPI (gcp-storage-emulator 2026.7.19) ignores
ifGenerationMatch, so that every process would get every lock.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.support.vertex.buckets import CHUNK, crc32c, md5
from tests.support.vertex.client import LoopbackClient
from tests.support.vertex.cloud import LoopbackCloud

UPLOAD = "upload/storage/v1/b/data/o"
STORAGE = "storage.googleapis.com"


def multipart(document: dict[str, Any], data: bytes) -> dict[str, Any]:
    """The httpx options for a body of metadata and data."""
    head = f"--x\r\ncontent-type: application/json\r\n\r\n{json.dumps(document)}\r\n--x\r\n"
    content = head.encode() + b"content-type: text/plain\r\n\r\n" + data + b"\r\n--x--\r\n"
    return {"content": content, "headers": {"content-type": "multipart/related; boundary=x"}}


async def put(client: LoopbackClient, url: str, data: bytes, span: str) -> httpx.Response:
    """Send a chunk of a resumable upload."""
    path = url.partition(f"{STORAGE}/")[2]
    headers = {"content-range": f"bytes {span}"}
    return await client.send("PUT", path, host=STORAGE, content=data, headers=headers)


async def open_upload(client: LoopbackClient, name: str, **query: str) -> str:
    """Open a resumable upload and return the URL for its chunks."""
    params = {"uploadType": "resumable", **query}
    answer = await client.send("POST", UPLOAD, {"name": name}, host=STORAGE, params=params)
    assert answer.status_code == 200, answer.text
    return answer.headers["location"]


async def test_only_the_first_of_two_writers_creates_an_object(client: LoopbackClient) -> None:
    first, second = [
        await client.upload_object("locks/x", owner, ifGenerationMatch="0")
        for owner in (b"me", b"you")
    ]
    assert (first.status_code, second.status_code) == (200, 412)
    error = second.json()["error"]
    assert error["errors"][0]["reason"] == "conditionNotMet"
    assert error["message"] == "At least one of the pre-conditions you specified did not hold."
    assert (
        await client.send_object_request("GET", "locks/x", params={"alt": "media"})
    ).content == b"me"


async def test_replacing_and_deleting_require_the_current_generation(
    client: LoopbackClient,
) -> None:
    first = (await client.upload_object("x", b"1")).json()["generation"]
    second = (await client.upload_object("x", b"2", ifGenerationMatch=first)).json()["generation"]
    assert int(second) > int(first)
    assert (await client.upload_object("x", b"3", ifGenerationMatch=first)).status_code == 412
    stale = await client.send_object_request("DELETE", "x", params={"ifGenerationMatch": first})
    assert stale.status_code == 412
    same = await client.send_object_request("GET", "x", params={"ifGenerationNotMatch": second})
    assert (same.status_code, same.content) == (304, b"")
    old = await client.send_object_request("GET", "x", params={"generation": first})
    assert old.status_code == 404
    gone = await client.send_object_request("DELETE", "x", params={"ifGenerationMatch": second})
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await client.send_object_request("GET", "x")).status_code == 404
    assert (await client.upload_object("x", b"4", ifGenerationMatch="0")).status_code == 200


@pytest.mark.parametrize("wrong", [{"crc32c": crc32c(b"other")}, {"md5Hash": md5(b"other")}])
async def test_data_with_another_checksum_is_rejected(
    client: LoopbackClient, wrong: dict[str, str]
) -> None:
    params = {"uploadType": "multipart"}
    body = multipart({"name": "x", **wrong}, b"data")
    rejected = await client.send("POST", UPLOAD, host=STORAGE, params=params, **body)
    assert rejected.status_code == 400
    assert (await client.send_object_request("GET", "x")).status_code == 404


async def test_a_multipart_upload_keeps_the_metadata(client: LoopbackClient) -> None:
    document = {"name": "a/b ü.txt", "crc32c": crc32c(b"data"), "metadata": {"sha256": "abc"}}
    params = {"uploadType": "multipart", "ifGenerationMatch": "0"}
    sent = await client.send(
        "POST", UPLOAD, host=STORAGE, params=params, **multipart(document, b"data")
    )
    read = (await client.send_object_request("GET", "a/b ü.txt")).json()
    assert sent.json() == read
    assert (read["size"], read["contentType"], read["metadata"]) == (
        "4",
        "text/plain",
        {"sha256": "abc"},
    )
    media = await client.send_object_request("GET", "a/b ü.txt", params={"alt": "media"})
    assert media.headers["x-goog-hash"] == f"crc32c={crc32c(b'data')},md5={md5(b'data')}"
    assert media.headers["x-goog-generation"] == read["generation"]


async def test_a_resumable_upload_continues_after_the_stored_bytes(client: LoopbackClient) -> None:
    data = bytes(range(256)) * 2048 + b"the rest"
    url = await open_upload(client, "large", ifGenerationMatch="0")
    assert "range" not in (await put(client, url, b"", f"*/{len(data)}")).headers
    stored = await put(client, url, data[:CHUNK], f"0-{CHUNK - 1}/*")
    assert (stored.status_code, stored.headers["range"]) == (308, f"bytes=0-{CHUNK - 1}")
    queried = await put(client, url, b"", f"*/{len(data)}")
    assert (queried.status_code, queried.headers["range"]) == (308, f"bytes=0-{CHUNK - 1}")
    assert (await client.send_object_request("GET", "large")).status_code == 404
    span = f"{CHUNK}-{len(data) - 1}/{len(data)}"
    done = await put(client, url, data[CHUNK:], span)
    assert (done.status_code, done.json()["crc32c"]) == (200, crc32c(data))
    assert (await put(client, url, b"", f"*/{len(data)}")).json()["crc32c"] == crc32c(data)


@pytest.mark.parametrize(
    ("data", "span"),
    [(b"x" * 10, "0-9/*"), (b"x" * CHUNK, f"{CHUNK}-{2 * CHUNK - 1}/*")],
    ids=["an odd chunk", "a gap"],
)
async def test_chunks_that_are_not_contiguous_are_rejected(
    client: LoopbackClient, data: bytes, span: str
) -> None:
    url = await open_upload(client, "large")
    assert (await put(client, url, data, span)).status_code == 400


async def test_a_precondition_is_checked_again_at_the_end_of_a_resumable_upload(
    client: LoopbackClient,
) -> None:
    url = await open_upload(client, "x", ifGenerationMatch="0")
    await client.upload_object("x", b"faster")
    assert (await put(client, url, b"slow", "0-3/4")).status_code == 412
    with_condition = {"uploadType": "resumable", "ifGenerationMatch": "0"}
    late = await client.send("POST", UPLOAD, {"name": "x"}, host=STORAGE, params=with_condition)
    assert late.status_code == 412


async def test_objects_are_listed_by_prefix_and_page_with_their_folders(
    client: LoopbackClient, cloud: LoopbackCloud
) -> None:
    for name in ("a/1", "a/2", "a/b/3", "c"):
        cloud.buckets.put("data", name, b"x")
    cloud.page_limit = 1
    names, prefixes, query = [], [], {"prefix": "a/", "delimiter": "/"}
    while True:
        page = await client.call("GET", "storage/v1/b/data/o", host=STORAGE, params=query)
        names += [item["name"] for item in page.get("items", [])]
        prefixes += page.get("prefixes", [])
        if "nextPageToken" not in page:
            break
        query["pageToken"] = page["nextPageToken"]
    assert (names, prefixes) == (["a/1", "a/2"], ["a/b/"])


async def test_metadata_is_patched_by_metageneration(
    client: LoopbackClient,
) -> None:
    await client.upload_object("x", b"1")
    params = {"ifMetagenerationMatch": "1"}
    change = {"metadata": {"a": "b"}}
    patched = await client.send_object_request("PATCH", "x", body=change, params=params)
    assert (patched.json()["metageneration"], patched.json()["metadata"]) == ("2", {"a": "b"})
    assert (
        await client.send_object_request("PATCH", "x", body=change, params=params)
    ).status_code == 412


async def test_a_missing_bucket_is_reported(client: LoopbackClient) -> None:
    path = "storage/v1/b/other/o/x"
    error = await client.expect_error("GET", path, host=STORAGE)
    assert (error["code"], error["message"]) == (404, "The specified bucket does not exist.")


async def test_permissions_on_a_bucket_can_be_tested(
    client: LoopbackClient, cloud: LoopbackCloud
) -> None:
    cloud.identity.denied.add("storage.objects.create")
    params = [
        ("permissions", permission)
        for permission in ("storage.objects.get", "storage.objects.create")
    ]
    path = "storage/v1/b/data/iam/testPermissions"
    granted = await client.call("GET", path, host=STORAGE, params=params)
    assert granted["permissions"] == ["storage.objects.get"]
    rejected = await client.upload_object("x", b"1")
    assert rejected.status_code == 403
    assert "does not have storage.objects.create access" in rejected.json()["error"]["message"]
