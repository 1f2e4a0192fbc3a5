"""Smaller responses: the `fields` parameter, the `Prefer` header and gzip.

`fields` is a system parameter of all Google APIs: `tunedModels(name,state),nextPageToken`, with
`/` or `.` for a nested field and `*` for every field. The preference `max-snapshots=N` (RFC 7240)
is our own: a loss curve with more than N snapshots is sent as its last snapshot. A server that does
not know a preference ignores it.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import msgspec
from starlette.responses import Response

from tunedmodels.service.errors import ApiError, Violation, invalid_argument

#: The selected fields and the selection within each. An empty one selects everything.
Selection: TypeAlias = dict[str, "Selection"]

EVERYTHING: Selection = {}
_MAX_LENGTH = 4096  # of the parameter
_MAX_DEPTH = 20
_TOKEN = re.compile(r"\*|[A-Za-z_@][A-Za-z0-9_]*|[(),/.]")
_MAX_SNAPSHOTS = re.compile(
    r"(?:^|[,;])\s*max-snapshots\s*=\s*\"?(\d{1,9})\"?\s*(?=$|[,;])", re.IGNORECASE
)
_MIN_COMPRESSED_BYTES = 1024
_GZIP_LEVEL = 1  # 5 times as fast as the default level, and a tenth larger
_REFUSED_WEIGHT = re.compile(r"q\s*=\s*0(?:\.0{0,3})?$")


def parse_fields(text: str) -> Selection:
    """Return the selection of a `fields` parameter. Raises ApiError (INVALID_ARGUMENT)."""
    if not text:
        return EVERYTHING
    tokens = _TOKEN.findall(text)
    if len(text) > _MAX_LENGTH or "".join(tokens) != re.sub(r"\s", "", text):
        raise _invalid_fields(text)
    stream = iter([*tokens, ""])
    selection, end = _parse_list(text, stream, 0)
    if end:
        raise _invalid_fields(text)
    return selection


def includes(selection: Selection, *path: str) -> bool:
    """Return whether a selection contains a field, or fields within it."""
    inner = selection
    for name in path:
        if not inner:
            return True
        if name not in inner and "*" not in inner:
            return False
        inner = inner.get(name, inner.get("*", EVERYTHING))
    return True


def select(value: Any, selection: Selection) -> Any:  # noqa: ANN401  # any JSON value
    """Return the selected part of a JSON value; a list is selected from item by item."""
    if not selection:
        return value
    if isinstance(value, list):
        return [select(item, selection) for item in value]
    if not isinstance(value, dict):
        return value
    rest = selection.get("*")
    return {
        key: select(inner, selection.get(key, rest or EVERYTHING))
        for key, inner in value.items()
        if key in selection or rest is not None
    }


def max_snapshots(headers: Mapping[str, str]) -> int | None:
    """Return the preference `max-snapshots` of a request, or None."""
    match = _MAX_SNAPSHOTS.search(headers.get("prefer", ""))
    return int(match[1]) if match else None


def reduce(response: Response, selection: Selection, *, is_compressed: bool) -> Response:
    """Return a complete response with the selected fields only, compressed if that is wanted.

    A response that is streamed is returned unchanged.
    """
    body = getattr(response, "body", None)
    if not isinstance(body, bytes):
        return response
    if selection:
        body = msgspec.json.encode(select(msgspec.json.decode(body), selection))
    headers = {"vary": "accept-encoding"}
    if etag := response.headers.get("etag"):  # of the whole model, also if a part of it is sent
        headers["etag"] = etag
    if is_compressed and len(body) >= _MIN_COMPRESSED_BYTES:
        body = gzip.compress(body, _GZIP_LEVEL, mtime=0)
        headers["content-encoding"] = "gzip"
    return Response(body, response.status_code, headers, response.media_type)


def accepts_gzip(headers: Mapping[str, str]) -> bool:
    """Return whether the client accepts a compressed response (RFC 9110, 12.5.3)."""
    for entry in headers.get("accept-encoding", "").lower().split(","):
        coding, _, parameters = entry.partition(";")
        if coding.strip() == "gzip":
            return not _REFUSED_WEIGHT.match(parameters.strip())
    return False


def _parse_list(text: str, tokens: Iterator[str], depth: int) -> tuple[Selection, str]:
    """Return the selection up to a closing bracket or the end, and which of them ended it."""
    if depth > _MAX_DEPTH:
        raise _invalid_fields(text)
    selection: Selection = {}
    whole: list[tuple[Selection, str]] = []  # fields that are selected completely
    while True:
        parent, name, separator = selection, next(tokens), next(tokens, "")
        while separator in ("/", ".") and separator:
            parent = parent.setdefault(_camel_case(text, name), {})
            name, separator = next(tokens, ""), next(tokens, "")
        key = _camel_case(text, name)
        if separator == "(":
            inner, end = _parse_list(text, tokens, depth + 1)
            if end != ")":
                raise _invalid_fields(text)
            parent.setdefault(key, {}).update(inner)
            separator = next(tokens, "")
        else:
            whole.append((parent, key))
        if separator == ",":
            continue
        for parent, key in whole:
            parent[key] = EVERYTHING
        return selection, separator


def _camel_case(text: str, name: str) -> str:
    if not name or name in "(),/.":
        raise _invalid_fields(text)
    head, *rest = name.split("_") if not name.startswith("_") else [name]
    return head + "".join(part.capitalize() for part in rest)


def _invalid_fields(text: str) -> ApiError:
    message = (
        f"Invalid fields {text[:80]!r}: expected names such as "
        "tunedModels(name,state),nextPageToken."
    )
    return invalid_argument([Violation("fields", message)])
