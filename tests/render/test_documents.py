"""The JSON documents: every schema of `tunedmodels schema` is strict and matches its output."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from tests.support.builders import desired, live
from tunedmodels.cli.schema import _SCHEMAS as SCHEMAS
from tunedmodels.cli.schema import command
from tunedmodels.errors import Problem, Severity
from tunedmodels.provenance import ProvenanceCard, Verification, VerificationCheck
from tunedmodels.render.document import Document, json_schema, to_json
from tunedmodels.render.problems_json import problems_json, problems_schema
from tunedmodels.render.provenance_json import (
    provenance_json,
    provenance_schema,
    verification_json,
    verification_schema,
)

DOCUMENTS = ["status", "show", "provenance", "verify", "validate", "evaluation", "doctor"]


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every object schema inside a schema."""
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for value in schema.values():
            yield from objects(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from objects(value)


def printed_schema(name: str) -> dict[str, Any]:
    result = CliRunner().invoke(command, [name])
    assert result.exit_code == 0, result.output
    schema: dict[str, Any] = json.loads(result.output)
    return schema


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_valid_and_has_a_title(name: str) -> None:
    schema = printed_schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["title"]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_has_a_constant_format_version(name: str) -> None:
    schema = printed_schema(name)
    assert schema["properties"]["formatVersion"]["const"] == 1
    assert schema["required"][0] == "formatVersion"


# Fields that a document omits where they have no value.
OPTIONAL_FIELDS = {
    "evaluation": {"textInput", "expected", "got", "gotBefore"},
    "status": {"environments"},
    "show": {"environments"},
    "outputs": {"deployCommand"},
}


@pytest.mark.parametrize("name", [*DOCUMENTS, "outputs"])
def test_an_object_requires_all_its_fields_and_allows_no_other(name: str) -> None:
    optional = OPTIONAL_FIELDS.get(name, set())
    for schema in objects(printed_schema(name)):
        assert schema["additionalProperties"] is False
        assert schema["properties"].keys() - optional == set(schema["required"])


def test_problems_are_valid_against_their_schema() -> None:
    problems = [
        Problem("m/tone.yaml", 7, "spec.temperature", Severity.ERROR, "bad", "is too hot", "Cool."),
        Problem("m/data/a.jsonl", 0, "", Severity.ADVICE, "few", "日本"),
    ]
    text = problems_json(problems)
    document = json.loads(text)
    jsonschema.validate(document, problems_schema())
    assert [row["severity"] for row in document["problems"]] == ["advice", "error"]
    assert "日本" in text
    document["problems"][0]["severity"] = "fatal"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, problems_schema())


def test_a_verification_is_valid_against_its_schema() -> None:
    checks = (
        VerificationCheck("manifest", is_met=True, message="is in the commit"),
        VerificationCheck("dataset", is_met=False, message="日本", cure="Restore it."),
    )
    text = verification_json(Verification("tone", "tone-1a2b3c4d", "41bb089", checks))
    jsonschema.validate(json.loads(text), verification_schema())
    assert text.isascii()
    assert json.loads(text) == {
        "formatVersion": 1,
        "name": "tone",
        "version": "tone-1a2b3c4d",
        "commit": "41bb089",
        "verified": False,
        "checks": [
            {"name": "manifest", "holds": True, "words": "is in the commit", "cure": ""},
            {"name": "dataset", "holds": False, "words": "日本", "cure": "Restore it."},
        ],
    }


def test_a_provenance_card_is_valid_against_its_schema() -> None:
    version = live(desired("tone"), promoted=1)
    assert version.stamp
    text = provenance_json(ProvenanceCard("demo", "tone", version, version.stamp, serves=True))
    jsonschema.validate(json.loads(text), provenance_schema())
    assert json.loads(text)["serves"] is True


class Point(Document):
    """A point."""

    first_axis: int
    second_axis: int


def test_a_document_is_written_in_the_order_of_its_fields() -> None:
    assert to_json(Point(second_axis=2, first_axis=1)) == (
        '{\n  "firstAxis": 1,\n  "secondAxis": 2\n}\n'
    )
    assert json_schema(Point, "Points")["required"] == ["firstAxis", "secondAxis"]
