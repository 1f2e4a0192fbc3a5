"""The methods of `storage.googleapis.com` that datasets and locks need."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from tests.support.vertex.buckets import Stored
from tests.support.vertex.errors import Refused
from tests.support.vertex.identity import NUMBER
from tests.support.vertex.wire import Answer, Call

_BOUNDARY = re.compile(r"""multipart/related;\s*boundary=['"]?([^'";]+)['"]?""")


def _insert(call: Call) -> Answer:
    bucket, request = call.path["bucket"], call.request
    if "upload_id" in call.query:
        return _proceed(call)
    if not request.is_upload:
        raise Refused(400, "An object is inserted with an upload, at /upload/storage/v1/.")
    match call.query.get("uploadType"):
        case "media":
            kind = {"contentType": request.headers.get("content-type")}
            return _object(call.cloud.buckets.write(bucket, kind, request.data, call.query))
        case "multipart":
            document, data = _parts(request.headers.get("content-type", ""), request.data)
            return _object(call.cloud.buckets.write(bucket, _fit(call, document), data, call.query))
        case "resumable":
            document = json.loads(request.data or b"{}")
            if kind_of := request.headers.get("x-upload-content-type"):
                document = {"contentType": kind_of, **document}
            upload = call.cloud.buckets.begin(bucket, _fit(call, document), call.query)
            where = f"{request.root}{request.raw_path}?uploadType=resumable&upload_id={upload}"
            return Answer(200, headers={"location": where, "x-guploader-uploadid": upload})
        case _:
            raise Refused(400, "uploadType must be one of media, multipart, resumable.")


def _fit(call: Call, document: dict[str, Any]) -> dict[str, Any]:
    """What is said about an object, as far as the schema knows it."""
    call.cloud.violations += [f"objects.insert: {w}" for w in call.method.wrong_request(document)]
    return document


def _proceed(call: Call) -> Answer:
    data, upload = call.request.data, call.query["upload_id"]
    whole = f"bytes 0-{len(data) - 1}/{len(data)}" if data else "bytes */0"
    content_range = call.request.headers.get("content-range", whole)
    if call.request.verb == "DELETE":
        call.cloud.buckets.uploads.pop(upload, None)
        return Answer(499)
    kept = call.cloud.buckets.proceed(upload, data, content_range)
    if isinstance(kept, Stored):
        return _object(kept)
    return Answer(308, headers={"range": f"bytes=0-{kept - 1}"} if kept else {})


def _parts(content_type: str, data: bytes) -> tuple[dict[str, Any], bytes]:
    found = _BOUNDARY.match(content_type)
    if found is None:
        raise Refused(400, "A multipart upload is multipart/related with a boundary.")
    _, *parts, _ = data.split(b"--" + found[1].encode())
    if len(parts) != 2:
        raise Refused(400, "A multipart upload has two parts.")
    bodies = [part.partition(b"\r\n\r\n") for part in parts]
    document = json.loads(bodies[0][2])
    kind = re.search(rb"content-type:\s*([^\r\n]+)", bodies[1][0], re.IGNORECASE)
    if kind and "contentType" not in document:
        document["contentType"] = kind[1].decode().strip()
    return document, bodies[1][2].removesuffix(b"\r\n")


def _object(stored: Stored) -> Answer:
    return Answer.of(stored.document)


def _get(call: Call) -> Answer:
    stored = call.cloud.buckets.read(call.path["bucket"], call.path["object"], call.query)
    if call.query.get("alt") != "media":
        return _object(stored)
    about, data = stored.document, stored.data
    headers = {
        "content-type": about["contentType"],
        "x-goog-generation": about["generation"],
        "x-goog-metageneration": about["metageneration"],
        "x-goog-hash": f"crc32c={about['crc32c']},md5={about['md5Hash']}",
        "x-goog-stored-content-length": about["size"],
        "etag": about["etag"],
    }
    span = re.fullmatch(r"bytes=(\d+)-(\d*)", call.request.headers.get("range", ""))
    if span is None:
        return Answer(200, data, headers)
    first = int(span[1])
    last = min(int(span[2] or len(data) - 1), len(data) - 1)
    if first > last:
        raise Refused(416, "The requested range is not satisfiable.", status="OUT_OF_RANGE")
    headers["content-range"] = f"bytes {first}-{last}/{len(data)}"
    return Answer(206, data[first : last + 1], headers)


def _patch(call: Call) -> Answer:
    path = call.path
    return _object(
        call.cloud.buckets.patch(path["bucket"], path["object"], call.query, call.body or {})
    )


def _delete(call: Call) -> Answer:
    call.cloud.buckets.delete(call.path["bucket"], call.path["object"], call.query)
    return Answer(204)


def _list(call: Call) -> Answer:
    page = call.cloud.buckets.page(call.path["bucket"], call.query, call.cloud.page_limit)
    return Answer.of(page)


def _bucket(call: Call) -> Answer:
    bucket = call.path["bucket"]
    call.cloud.buckets.must_exist(bucket)
    document = {
        "kind": "storage#bucket",
        "id": bucket,
        "name": bucket,
        "projectNumber": NUMBER,
        "location": call.cloud.buckets.locations[bucket],
        "locationType": "region",
        "storageClass": "STANDARD",
        "metageneration": "1",
        "etag": "CAE=",
    }
    return Answer.of(document)


def _policy(call: Call) -> Answer:
    bucket = call.path["bucket"]
    call.cloud.buckets.must_exist(bucket)
    policy: dict[str, Any] = {"kind": "storage#policy", "version": 1, "etag": "CAE="}
    bindings = call.cloud.identity.bindings(bucket)
    return Answer.of(policy | ({"bindings": bindings} if bindings else {}))


def _test_permissions(call: Call) -> Answer:
    call.cloud.buckets.must_exist(call.path["bucket"])
    asked = [value for name, value in call.request.query_list if name == "permissions"]
    held = call.cloud.identity.held(call.request.headers["authorization"], asked)
    answer: dict[str, Any] = {"kind": "storage#testIamPermissionsResponse"}
    return Answer.of(answer | ({"permissions": held} if held else {}))


METHODS: dict[str, Callable[[Call], Answer]] = {
    "objects.insert": _insert,
    "objects.get": _get,
    "objects.patch": _patch,
    "objects.delete": _delete,
    "objects.list": _list,
    "buckets.get": _bucket,
    "buckets.getIamPolicy": _policy,
    "buckets.testIamPermissions": _test_permissions,
}
