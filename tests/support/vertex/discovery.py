"""What Google's discovery documents allow: paths, methods, parameters, and every field of a body.

The documents are those which `google-api-python-client` carries.
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

# Clients write this message in snake_case (google-genai does), and the real service reads it.
_SNAKE_TOLERATED = ("PreTunedModel",)
_UPLOAD_PARAMETERS = {"upload_id": {"type": "string"}}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}|\.\d{6}|\.\d{9})?(Z|\+00:00)")
_SIMPLE = {
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "any": (bool, int, float, str, list, dict),
}
_WHOLE = re.compile(r"-?\d+")
_MASK = re.compile(r"[a-z]\w*(\.\w+)*(,[a-z]\w*(\.\w+)*)*")


@dataclass(frozen=True)
class Matched:
    """A method of an API and what its path said, decoded."""

    method: Method
    path: dict[str, str]


@dataclass(frozen=True)
class Method:
    """A method as an API declares it, with the API that it is of."""

    api: Api
    declared: dict[str, Any]

    @property
    def name(self) -> str:
        """`tuningJobs.create`, `storage.objects.get`: the last two steps of the id."""
        return ".".join(str(self.declared["id"]).split(".")[-2:])

    def wrong_query(self, query: list[tuple[str, str]]) -> Iterator[str]:
        """Every query parameter that this method does not have, or not so.

        `alt=sse` is in no document, and Google's clients ask for every stream with it.
        """
        known = self.declared.get("parameters", {}) | self.api.document["parameters"]
        if self.declared.get("supportsMediaUpload"):
            known = known | _UPLOAD_PARAMETERS
        names = [name for name, _ in query]
        for name, value in query:
            described = known.get(name)
            if described is None or described.get("location") == "path":
                yield f"query parameter {name!r} does not exist"
            elif names.count(name) > 1 and not described.get("repeated"):
                yield f"query parameter {name!r} is given twice"
            elif (name, value) != ("alt", "sse") or "stream" not in self.name:
                yield from self.api.wrong_text(described, value, f"query parameter {name!r}")

    def wrong_request(self, body: Any) -> Iterator[str]:
        """Everything in a request's body that its schema does not allow."""
        wanted = self.declared.get("request")
        if wanted is None and body not in (None, {}):
            yield "a body, where none belongs"
        elif wanted is not None and body is not None:
            yield from self.api.wrong(wanted, body, "", is_request=True)

    def read(self, body: Any) -> Any:
        """The body as proto3 JSON reads it: what is output only or has its default is not there."""
        wanted = self.declared.get("request")
        return body if wanted is None else self.api.read(wanted, body)

    def wrong_answer(self, body: Any) -> Iterator[str]:
        """The same for an answer."""
        wanted = self.declared.get("response")
        if wanted is not None:
            yield from self.api.wrong(wanted, body, "", is_request=False)


@dataclass(frozen=True)
class Api:
    """One discovery document."""

    document: dict[str, Any]
    prefix: str = ""

    def __hash__(self) -> int:
        return id(self)

    @cache  # noqa: B019  # one object per document, for as long as the tests run
    def _index(self) -> dict[tuple[str, int, str], list[tuple[list[str], Method]]]:
        index: dict[tuple[str, int, str], list[tuple[list[str], Method]]] = {}
        for declared in _methods(self.document["resources"]):
            path = self.prefix + declared.get("flatPath", declared["path"])
            steps, verb = _split(path)
            key = (declared["httpMethod"], len(steps), verb)
            index.setdefault(key, []).append((steps, Method(self, declared)))
        return index

    def match(self, verb: str, raw_path: str) -> Matched | None:
        """The method of a request, by its path as it stood on the wire; None: there is none."""
        steps, action = _split(raw_path.lstrip("/"))
        for declared, method in self._index().get((verb, len(steps), action), []):
            values: dict[str, str] = {}
            for wanted, step in zip(declared, steps, strict=True):
                if wanted.startswith("{"):
                    values[wanted.strip("{}").removesuffix("sId").removesuffix("Id")] = unquote(
                        step
                    )
                elif wanted != step:
                    break
            else:
                return Matched(method, values)
        return None

    def wrong(
        self, schema: dict[str, Any], value: Any, where: str, *, is_request: bool
    ) -> Iterator[str]:
        """Everything in `value` that `schema` does not allow, each with its place."""
        if (name := schema.get("$ref")) is not None:
            schema = self.document["schemas"][name]
        match schema.get("type"):
            case "object" if isinstance(value, dict):
                yield from self._wrong_object(schema, value, where, is_request=is_request)
            case "array" if isinstance(value, list):
                for number, item in enumerate(value):
                    place = f"{where}[{number}]"
                    yield from self.wrong(schema["items"], item, place, is_request=is_request)
            case "string" if isinstance(value, str):
                yield from self.wrong_text(schema, value, where)
            case "string" if is_request and _is_whole(schema) and type(value) is int:
                pass  # proto3 JSON reads both
            case kind if type(value) not in _SIMPLE.get(str(kind), ()):
                yield f"{where or 'the body'}: {value!r} is no {kind}"
            case _:
                pass

    def _wrong_object(
        self, schema: dict[str, Any], value: dict[str, Any], where: str, *, is_request: bool
    ) -> Iterator[str]:
        known = schema.get("properties", {})
        others = schema.get("additionalProperties")
        is_snake = is_request and str(schema.get("id", "")).endswith(_SNAKE_TOLERATED)
        for key, item in value.items():
            place = f"{where}.{key}" if where else key
            described = known.get(camel(key) if is_snake else key, others)
            if described is None:
                yield f"{place}: no such field in {schema.get('id', 'it')}"
            elif is_request and described.get("readOnly"):
                yield f"{place}: output only, and it was sent"
            elif item is None:
                yield f"{place}: null"
            else:
                yield from self.wrong(described, item, place, is_request=is_request)

    def read(self, schema: dict[str, Any], value: Any) -> Any:
        """A value that was sent, in the one form in which it is answered."""
        schema = self.document["schemas"].get(schema.get("$ref", ""), schema)
        if isinstance(value, list) and "items" in schema:
            return [self.read(schema["items"], item) for item in value]
        if isinstance(value, dict) and "properties" in schema:
            is_snake = str(schema.get("id", "")).endswith(_SNAKE_TOLERATED)
            named = {camel(key) if is_snake else key: item for key, item in value.items()}
            known = schema["properties"]
            return {
                key: self.read(known[key], item)
                for key, item in named.items()
                if key in known
                and not known[key].get("readOnly")
                and (item or ("$ref" in known[key] and item is not None))
            }
        return str(value) if _is_whole(schema) else value

    def wrong_text(self, schema: dict[str, Any], value: str, where: str) -> Iterator[str]:
        """What is wrong with a value that is written as text."""
        values = schema.get("enum")
        pattern = {
            "int64": _WHOLE, "uint64": _WHOLE, "int32": _WHOLE, "uint32": _WHOLE,
            "google-datetime": _TIME, "date-time": _TIME, "google-fieldmask": _MASK,
        }.get(schema.get("format", ""))  # fmt: skip
        if schema.get("type") == "boolean" and value not in ("true", "false"):
            yield f"{where}: {value!r} is neither true nor false"
        elif values and value not in values:
            yield f"{where}: {value!r} is none of {', '.join(values)}"
        elif pattern and not pattern.fullmatch(value):
            yield f"{where}: {value!r} is no {schema['format']}"


@cache
def api(name: str) -> Api:
    """`aiplatform.v1`, `aiplatform.v1beta1` or `storage.v1`."""
    text = files("googleapiclient.discovery_cache.documents").joinpath(f"{name}.json").read_text()
    document = json.loads(text)
    return Api(document, document["servicePath"])


def camel(name: str) -> str:
    """`tuned_model_name` as `tunedModelName`."""
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)


def _methods(resources: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for resource in resources.values():
        yield from resource.get("methods", {}).values()
        yield from _methods(resource.get("resources", {}))


def _split(path: str) -> tuple[list[str], str]:
    """The steps of a path and its verb: `tuningJobs/5:cancel` has `cancel`."""
    *steps, last = path.split("/")
    name, _, verb = last.partition(":")
    return [*steps, name], verb


def _is_whole(schema: dict[str, Any]) -> bool:
    return schema.get("format") in ("int64", "uint64")
