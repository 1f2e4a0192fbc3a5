"""The methods of `storage.googleapis.com` that datasets and locks need."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from tests.support.vertex.buckets import StoredObject
from tests.support.vertex.errors import ServiceError
from tests.support.vertex.identity import PROJECT_NUMBER
from tests.support.vertex.wire import Call, Response

_BOUNDARY = re.compile(r"""multipart/related;\s*boundary=['"]?([^'";]+)['"]?""")


def _insert(call: Call) -> Response:
    bucket, request = call.path["bucket"], call.request
    if "upload_id" in call.query:
        return _receive_part(call)
    if not request.is_upload:
        raise ServiceError(400, "An object is inserted with an upload, at /upload/storage/v1/.")
    match call.query.get("uploadType"):
        case "media":
            document = {"contentType": request.headers.get("content-type")}
            return _object(call.cloud.buckets.write(bucket, document, request.data, call.query))
        case "multipart":
            document, data = _parts(request.headers.get("content-type", ""), request.data)
            return _object(
                call.cloud.buckets.write(bucket, _validated(call, document), data, call.query)
            )
        case "resumable":
            document = json.loads(request.data or b"{}")
            if content_type := request.headers.get("x-upload-content-type"):
                document = {"contentType": content_type, **document}
            upload = call.cloud.buckets.open_upload(bucket, _validated(call, document), call.query)
            location = f"{request.root}{request.raw_path}?uploadType=resumable&upload_id={upload}"
            return Response(200, headers={"location": location, "x-guploader-uploadid": upload})
        case _:
            raise ServiceError(400, "uploadType must be one of media, multipart, resumable.")


def _validated(call: Call, document: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata; record fields that the schema does not allow as violations."""
    call.cloud.violations += [
        f"objects.insert: {violation}" for violation in call.method.request_violations(document)
    ]
    return document


def _receive_part(call: Call) -> Response:
    data, upload = call.request.data, call.query["upload_id"]
    whole = f"bytes 0-{len(data) - 1}/{len(data)}" if data else "bytes */0"
    content_range = call.request.headers.get("content-range", whole)
    if call.request.verb == "DELETE":
        call.cloud.buckets.uploads.pop(upload, None)
        return Response(499)
    stored = call.cloud.buckets.receive_part(upload, data, content_range)
    if isinstance(stored, StoredObject):
        return _object(stored)
    return Response(308, headers={"range": f"bytes=0-{stored - 1}"} if stored else {})


def _parts(content_type: str, data: bytes) -> tuple[dict[str, Any], bytes]:
    match = _BOUNDARY.match(content_type)
    if match is None:
        raise ServiceError(400, "A multipart upload is multipart/related with a boundary.")
    _, *parts, _ = data.split(b"--" + match[1].encode())
    if len(parts) != 2:
        raise ServiceError(400, "A multipart upload has two parts.")
    bodies = [part.partition(b"\r\n\r\n") for part in parts]
    document = json.loads(bodies[0][2])
    content_type_header = re.search(rb"content-type:\s*([^\r\n]+)", bodies[1][0], re.IGNORECASE)
    if content_type_header and "contentType" not in document:
        document["contentType"] = content_type_header[1].decode().strip()
    return document, bodies[1][2].removesuffix(b"\r\n")


def _object(stored: StoredObject) -> Response:
    return Response.json(stored.document)


def _get(call: Call) -> Response:
    stored = call.cloud.buckets.read(call.path["bucket"], call.path["object"], call.query)
    if call.query.get("alt") != "media":
        return _object(stored)
    document, data = stored.document, stored.data
    headers = {
        "content-type": document["contentType"],
        "x-goog-generation": document["generation"],
        "x-goog-metageneration": document["metageneration"],
        "x-goog-hash": f"crc32c={document['crc32c']},md5={document['md5Hash']}",
        "x-goog-stored-content-length": document["size"],
        "etag": document["etag"],
    }
    span = re.fullmatch(r"bytes=(\d+)-(\d*)", call.request.headers.get("range", ""))
    if span is None:
        return Response(200, data, headers)
    first = int(span[1])
    last = min(int(span[2] or len(data) - 1), len(data) - 1)
    if first > last:
        raise ServiceError(416, "The requested range is not satisfiable.", status="OUT_OF_RANGE")
    headers["content-range"] = f"bytes {first}-{last}/{len(data)}"
    return Response(206, data[first : last + 1], headers)


def _patch(call: Call) -> Response:
    path = call.path
    return _object(
        call.cloud.buckets.patch(path["bucket"], path["object"], call.query, call.body or {})
    )


def _delete(call: Call) -> Response:
    call.cloud.buckets.delete(call.path["bucket"], call.path["object"], call.query)
    return Response(204)


def _list(call: Call) -> Response:
    page = call.cloud.buckets.list_page(call.path["bucket"], call.query, call.cloud.page_limit)
    return Response.json(page)


def _bucket(call: Call) -> Response:
    bucket = call.path["bucket"]
    call.cloud.buckets.require_bucket(bucket)
    document = {
        "kind": "storage#bucket",
        "id": bucket,
        "name": bucket,
        "projectNumber": PROJECT_NUMBER,
        "location": call.cloud.buckets.locations[bucket],
        "locationType": "region",
        "storageClass": "STANDARD",
        "metageneration": "1",
        "etag": "CAE=",
    }
    return Response.json(document)


def _policy(call: Call) -> Response:
    bucket = call.path["bucket"]
    call.cloud.buckets.require_bucket(bucket)
    policy: dict[str, Any] = {"kind": "storage#policy", "version": 1, "etag": "CAE="}
    bindings = call.cloud.identity.bindings(bucket)
    return Response.json(policy | ({"bindings": bindings} if bindings else {}))


def _test_permissions(call: Call) -> Response:
    call.cloud.buckets.require_bucket(call.path["bucket"])
    permissions = [value for name, value in call.request.query_list if name == "permissions"]
    granted = call.cloud.identity.granted(call.request.headers["authorization"], permissions)
    document: dict[str, Any] = {"kind": "storage#testIamPermissionsResponse"}
    return Response.json(document | ({"permissions": granted} if granted else {}))


METHODS: dict[str, Callable[[Call], Response]] = {
    "objects.insert": _insert,
    "objects.get": _get,
    "objects.patch": _patch,
    "objects.delete": _delete,
    "objects.list": _list,
    "buckets.get": _bucket,
    "buckets.getIamPolicy": _policy,
    "buckets.testIamPermissions": _test_permissions,
}
