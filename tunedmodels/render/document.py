"""The base class of JSON documents: one typed class gives the output and its JSON Schema."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

FORMAT_VERSION: Final = 1

# The types of fields that several documents have.
FormatVersion = Annotated[int, Meta(extra_json_schema={"const": FORMAT_VERSION})]
Count = Annotated[int, Meta(ge=0)]
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]  #: from `text.utc_iso`


class Document(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A JSON object: every field is written, in the order of the class, with its name in camelCase.

    A field with the default `UNSET` is optional: it is written only if it is set.
    """


def to_json(document: object, *, ascii_only: bool = False) -> str:
    """Return a document as indented JSON text with a line end.

    With `ascii_only`, all other characters are escaped, so that none can steer a terminal.
    """
    content = msgspec.to_builtins(document)
    return json.dumps(content, indent=2, ensure_ascii=ascii_only) + "\n"


def json_schema(document: Any, title: str) -> dict[str, Any]:  # noqa: ANN401  # any type of msgspec
    """Return the JSON Schema of a document class."""
    schema = msgspec.json.schema(document)
    parts = schema.pop("$defs", {})
    if "$ref" in schema:
        schema = parts.pop(schema["$ref"].rpartition("/")[2])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": title,
        **({"$defs": parts} if parts else {}),
    }
