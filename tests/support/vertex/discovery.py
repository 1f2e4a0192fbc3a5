"""Google's discovery documents: their paths, methods, parameters, and fields of bodies.

The documents are those in `google-api-python-client`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import unquote

# google-genai writes this message in snake_case, and the real service accepts it.
_SNAKE_TOLERATED = ("PreTunedModel",)
_UPLOAD_PARAMETERS = {"upload_id": {"type": "string"}}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}|\.\d{6}|\.\d{9})?(Z|\+00:00)")
_SIMPLE = {
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "any": (bool, int, float, str, list, dict),
}
_INTEGER = re.compile(r"-?\d+")
_MASK = re.compile(r"[a-z]\w*(\.\w+)*(,[a-z]\w*(\.\w+)*)*")


@dataclass(frozen=True)
class MethodMatch:
    """A method and the decoded parameters of its path."""

    method: ApiMethod
    path: dict[str, str]


@dataclass(frozen=True)
class ApiMethod:
    """A method as its API declares it."""

    api: DiscoveryDocument
    declaration: dict[str, Any]

    @property
    def name(self) -> str:
        """The last two parts of the id: `tuningJobs.create`, `objects.get`."""
        return ".".join(str(self.declaration["id"]).split(".")[-2:])

    def query_violations(self, query: list[tuple[str, str]]) -> Iterator[str]:
        """Everything in the query that the method does not declare.

        `alt=sse` is not documented, but Google's clients send it with every stream request.
        """
        known = self.declaration.get("parameters", {}) | self.api.document["parameters"]
        if self.declaration.get("supportsMediaUpload"):
            known = known | _UPLOAD_PARAMETERS
        names = [name for name, _ in query]
        for name, value in query:
            field_schema = known.get(name)
            if field_schema is None or field_schema.get("location") == "path":
                yield f"query parameter {name!r} does not exist"
            elif names.count(name) > 1 and not field_schema.get("repeated"):
                yield f"query parameter {name!r} is given twice"
            elif (name, value) != ("alt", "sse") or "stream" not in self.name:
                yield from self.api.text_violations(
                    field_schema, value, f"query parameter {name!r}"
                )

    def request_violations(self, body: Any) -> Iterator[str]:
        """Everything in the body of a request that its schema does not allow."""
        schema = self.declaration.get("request")
        if schema is None and body not in (None, {}):
            yield "a body, although the method has none"
        elif schema is not None and body is not None:
            yield from self.api.violations(schema, body, "", is_request=True)

    def normalize(self, body: Any) -> Any:
        """The body as proto3 JSON parses it, without output-only fields and default values."""
        schema = self.declaration.get("request")
        return body if schema is None else self.api.normalize(schema, body)

    def response_violations(self, body: Any) -> Iterator[str]:
        """Everything in the body of a response that its schema does not allow."""
        schema = self.declaration.get("response")
        if schema is not None:
            yield from self.api.violations(schema, body, "", is_request=False)


@dataclass(frozen=True)
class DiscoveryDocument:
    """One discovery document."""

    document: dict[str, Any]
    prefix: str = ""

    def __hash__(self) -> int:
        return id(self)

    @cache  # noqa: B019  # one object per document
    def _index(self) -> dict[tuple[str, int, str], list[tuple[list[str], ApiMethod]]]:
        index: dict[tuple[str, int, str], list[tuple[list[str], ApiMethod]]] = {}
        for declared in _methods(self.document["resources"]):
            path = self.prefix + declared.get("flatPath", declared["path"])
            segments, verb = _split_path(path)
            key = (declared["httpMethod"], len(segments), verb)
            index.setdefault(key, []).append((segments, ApiMethod(self, declared)))
        return index

    def match(self, verb: str, raw_path: str) -> MethodMatch | None:
        """The method for the undecoded path of a request, or None."""
        segments, action = _split_path(raw_path.lstrip("/"))
        for declared, method in self._index().get((verb, len(segments), action), []):
            values: dict[str, str] = {}
            for expected, segment in zip(declared, segments, strict=True):
                if expected.startswith("{"):
                    values[expected.strip("{}").removesuffix("sId").removesuffix("Id")] = unquote(
                        segment
                    )
                elif expected != segment:
                    break
            else:
                return MethodMatch(method, values)
        return None

    def violations(
        self, schema: dict[str, Any], value: Any, path: str, *, is_request: bool
    ) -> Iterator[str]:
        """Everything in `value` that `schema` does not allow, each with its path."""
        if (name := schema.get("$ref")) is not None:
            schema = self.document["schemas"][name]
        match schema.get("type"):
            case "object" if isinstance(value, dict):
                yield from self._object_violations(schema, value, path, is_request=is_request)
            case "array" if isinstance(value, list):
                for number, item in enumerate(value):
                    item_path = f"{path}[{number}]"
                    yield from self.violations(
                        schema["items"], item, item_path, is_request=is_request
                    )
            case "string" if isinstance(value, str):
                yield from self.text_violations(schema, value, path)
            case "string" if is_request and _is_int64(schema) and type(value) is int:
                pass  # proto3 JSON accepts both
            case kind if type(value) not in _SIMPLE.get(str(kind), ()):
                yield f"{path or 'the body'}: {value!r} is not a valid {kind}"
            case _:
                pass

    def _object_violations(
        self, schema: dict[str, Any], value: dict[str, Any], path: str, *, is_request: bool
    ) -> Iterator[str]:
        known = schema.get("properties", {})
        others = schema.get("additionalProperties")
        is_snake = is_request and str(schema.get("id", "")).endswith(_SNAKE_TOLERATED)
        for key, item in value.items():
            item_path = f"{path}.{key}" if path else key
            field_schema = known.get(camel_case(key) if is_snake else key, others)
            if field_schema is None:
                yield f"{item_path}: no such field in {schema.get('id', 'it')}"
            elif is_request and field_schema.get("readOnly"):
                yield f"{item_path}: output only, but sent"
            elif item is None:
                yield f"{item_path}: null"
            else:
                yield from self.violations(field_schema, item, item_path, is_request=is_request)

    def normalize(self, schema: dict[str, Any], value: Any) -> Any:
        """A value of a request in the form in which a response contains it."""
        schema = self.document["schemas"].get(schema.get("$ref", ""), schema)
        if isinstance(value, list) and "items" in schema:
            return [self.normalize(schema["items"], item) for item in value]
        if isinstance(value, dict) and "properties" in schema:
            is_snake = str(schema.get("id", "")).endswith(_SNAKE_TOLERATED)
            named = {camel_case(key) if is_snake else key: item for key, item in value.items()}
            known = schema["properties"]
            return {
                key: self.normalize(known[key], item)
                for key, item in named.items()
                if key in known
                and not known[key].get("readOnly")
                and (item or ("$ref" in known[key] and item is not None))
            }
        return str(value) if _is_int64(schema) else value

    def text_violations(self, schema: dict[str, Any], value: str, path: str) -> Iterator[str]:
        """Everything that is wrong with a value in text form."""
        values = schema.get("enum")
        pattern = {
            "int64": _INTEGER, "uint64": _INTEGER, "int32": _INTEGER, "uint32": _INTEGER,
            "google-datetime": _TIME, "date-time": _TIME, "google-fieldmask": _MASK,
        }.get(schema.get("format", ""))  # fmt: skip
        if schema.get("type") == "boolean" and value not in ("true", "false"):
            yield f"{path}: {value!r} is neither true nor false"
        elif values and value not in values:
            yield f"{path}: {value!r} is not one of {', '.join(values)}"
        elif pattern and not pattern.fullmatch(value):
            yield f"{path}: {value!r} is not a valid {schema['format']}"


@cache
def discovery(name: str) -> DiscoveryDocument:
    """The document with this name, such as `aiplatform.v1` or `storage.v1`."""
    text = files("googleapiclient.discovery_cache.documents").joinpath(f"{name}.json").read_text()
    document = json.loads(text)
    return DiscoveryDocument(document, document["servicePath"])


def camel_case(name: str) -> str:
    """`tuned_model_name` as `tunedModelName`."""
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)


def _methods(resources: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for resource in resources.values():
        yield from resource.get("methods", {}).values()
        yield from _methods(resource.get("resources", {}))


def _split_path(path: str) -> tuple[list[str], str]:
    """The segments of a path and its custom verb: `cancel` of `tuningJobs/5:cancel`."""
    *segments, last = path.split("/")
    name, _, verb = last.partition(":")
    return [*segments, name], verb


def _is_int64(schema: dict[str, Any]) -> bool:
    return schema.get("format") in ("int64", "uint64")
