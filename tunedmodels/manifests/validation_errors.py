"""Convert pydantic's validation errors into problems with our messages, cures and locations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tunedmodels.errors import Problem
from tunedmodels.manifests.declaration import Layer, locate
from tunedmodels.manifests.location import PathPart
from tunedmodels.manifests.yaml_scalars import parse_scalar, quote_value
from tunedmodels.text import join, printable, suggest

# Error type of pydantic -> code, message, cure. {got} is the value; {ge} and others are limits.
_MESSAGES: Final = {
    "missing": ("missing-field", "is missing", "add it"),
    "missing-path": ("missing-field", "is missing", "add it"),
    "union_tag_not_found": ("missing-field", "is missing", ""),
    "string_type": ("wrong-type", "must be text (got {got})", ""),
    "int_type": ("wrong-type", "must be a whole number (got {got})", ""),
    "float_type": ("wrong-type", "must be a number (got {got})", ""),
    "bool_type": ("wrong-type", "must be true or false (got {got})", ""),
    "finite_number": ("wrong-type", "must be a finite number (got {got})", ""),
    "tuple_type": ("wrong-type", "must be a list (got {got})", "write [{got}]"),
    "dict_type": ("wrong-type", "must be a mapping (got {got})", "write KEY: VALUE lines below it"),
    "greater_than": ("out-of-range", "must be more than {gt} (got {got})", ""),
    "greater_than_equal": ("out-of-range", "must be at least {ge} (got {got})", ""),
    "less_than": ("out-of-range", "must be less than {lt} (got {got})", ""),
    "less_than_equal": ("out-of-range", "must be at most {le} (got {got})", ""),
    "too_short": ("too-short", "must not be empty", "list the values to try, such as [3, 5, 8]"),
    "string_too_short": ("too-short", "must not be empty", "set a value, or remove the line"),
    "string_too_long": (
        "too-long",
        "has {length} characters; at most {max_length} are allowed",
        "",
    ),
    "too_long": ("too-long", "has more than {max_length} entries", "remove some of them"),
    "literal_error": ("unknown-value", "must be {expected} (got {got})", ""),
    "union_tag_invalid": ("unknown-value", "must be {expected} (got {got})", ""),
}
_SAME_MESSAGE: Final = {
    "model_type": "dict_type",
    "model_attributes_type": "dict_type",
    "list_type": "tuple_type",
}
# Exactly one of the first two, at most one of the others. pydantic does not run these validators
# while another field of the same part is invalid, but all problems must be reported at once.
_EXCLUSIVE: Final = (
    (("spec",), "baseModel", "tunedModel", True),
    (("spec", "hyperparameters"), "learningRate", "learningRateMultiplier", False),
)
_BOOLEANS: Final = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_MAX_NAME_LENGTH: Final = 31  # as in `schema.fields.Name`


def explain(
    model: type[BaseModel], error: ValidationError, manifest: object, layers: Sequence[Layer]
) -> Iterator[Problem]:
    """Yield a problem for every reason why `manifest` is not a valid `model`."""
    for details in error.errors(include_url=False):
        if details["type"] == "exclusive":
            continue
        path = _manifest_path(details, manifest)
        code, message, cure = _describe(model, details, path)
        yield locate(layers, path).problem(code, message, cure)
    if isinstance(manifest, Mapping) and manifest.get("kind") == "TunedModel":
        yield from _exclusive_problems(manifest, layers)


def _manifest_path(details: ErrorDetails, manifest: object) -> tuple[PathPart, ...]:
    """Return pydantic's path without the parts that are not in the file: the tags of unions."""
    value: Any = manifest
    path: list[PathPart] = []
    for part in details["loc"]:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            continue
        path.append(part)
    if details["type"] == "missing":
        path.append(details["loc"][-1])
    if details["type"] == "missing-path":
        path += [details["ctx"]["part"], "path"]
    if details["type"].startswith("union_tag"):
        path.append("type")
    return tuple(path)


def _describe(
    model: type[BaseModel], details: ErrorDetails, path: tuple[PathPart, ...]
) -> tuple[str, str, str]:
    """Return the code, the message and the cure of an error."""
    kind, value = _SAME_MESSAGE.get(details["type"], details["type"]), details["input"]
    if kind == "extra_forbidden":
        return "unknown-field", "unknown field", _field_cure(model, details["loc"])
    if kind == "string_pattern_mismatch":
        return _describe_pattern(str(path[-1]), str(value))
    if kind == "value_error":  # our own message, from a validator of the schema
        message, _, cure = str(details["ctx"]["error"]).partition("; ")
        return "wrong-value", message, cure
    if kind not in _MESSAGES:
        return "wrong-value", f"{details['msg']} (got {quote_value(value)})", ""
    code, message, cure = _MESSAGES[kind]
    context = {key: _format_limit(limit) for key, limit in details.get("ctx", {}).items()}
    if kind == "union_tag_invalid":
        value = details["ctx"]["tag"]
        context["expected"] = join(context["expected_tags"].split(", "), "or")
    if kind == "union_tag_not_found":
        return code, message, f"write type: {join(_tags_at(model, details['loc']), 'or')}"
    context["got"] = quote_value(value)
    context["length"] = str(len(value)) if isinstance(value, str) else ""
    cure = cure.format_map(context) or _value_cure(kind, value, context)
    return code, message.format_map(context), cure


def _value_cure(kind: str, value: object, context: Mapping[str, str]) -> str:
    match kind, value:
        case "string_type", bool() | int() | float():
            return f'put it in quotes: "{quote_value(value)}"'
        case (("int_type" | "float_type"), str()) if isinstance(
            parse_scalar(value or "~"), int | float
        ):
            return f"write it without quotes: {value}"
        case "bool_type", str():
            if value and isinstance(parse_scalar(value), bool):
                return f"write it without quotes: {value}"
            boolean = _BOOLEANS.get(value.lower())
            return f"write {boolean}; yes, no, on and off are text in YAML 1.2" if boolean else ""
        case (("literal_error" | "union_tag_invalid"), str()):
            return suggest(value, re.findall(r"'([^']*)'", context["expected"]))
        case _:
            return ""


def _field_cure(model: type[BaseModel], path: Sequence[PathPart]) -> str:
    name, fields = str(path[-1]), _fields_at(model, path[:-1])
    if suggestion := suggest(name, fields):
        return suggestion
    if correct_path := _field_path(model, name):
        return f"It belongs at {correct_path}."
    return f"There are: {', '.join(fields)}."


def _describe_pattern(field: str, value: str) -> tuple[str, str, str]:
    """Return the code, the message and the cure for a value that does not match a pattern."""
    got = f"(got {quote_value(value)})"
    match field:
        case "name" | "tunedModel" if len(value) > _MAX_NAME_LENGTH:
            message = f"has {len(value)} characters; at most {_MAX_NAME_LENGTH} are allowed"
            cure = "shorten it; a version ID of 40 characters is the name, a hyphen and 8 digits"
            return "bad-name", message, cure
        case "name" | "tunedModel":
            message = (
                f"must be a-z, 0-9 and hyphens, begin with a letter and not end with a hyphen {got}"
            )
            name = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")
            is_valid = re.match(r"[a-z]", name) is not None
            return "bad-name", message, f"Did you mean {name}?" if is_valid else ""
        case "baseModel":
            name = value.removeprefix("models/").strip().rsplit("/", 1)[-1]
            cure = f"Did you mean models/{printable(name)}?" if name else ""
            return "wrong-value", f"must be models/NAME {got}", cure
        case _:
            return "wrong-value", f"has the wrong format {got}", ""


def _exclusive_problems(manifest: Mapping[str, Any], layers: Sequence[Layer]) -> Iterator[Problem]:
    for path, first, second, is_required in _EXCLUSIVE:
        value: Any = manifest
        for part in path:
            value = value.get(part, {}) if isinstance(value, Mapping) else {}
        if not isinstance(value, Mapping) or not value:
            continue
        if first in value and second in value:
            yield _excludes(first, second, path, layers)
        elif is_required and first not in value and second not in value:
            message = f"has neither {first} nor {second}"
            cure = f"add {first}: models/NAME, or {second}: the name of another TunedModel"
            yield locate(layers, path).problem("missing-field", message, cure)


def _excludes(first: str, second: str, path: tuple[str, ...], layers: Sequence[Layer]) -> Problem:
    """Return the problem for two exclusive fields, at the one in the stronger layer."""
    strength = {layer.source.display_name: rank for rank, layer in enumerate(layers)}
    weaker, stronger = locate(layers, (*path, first)), locate(layers, (*path, second))
    if (strength[stronger.file], stronger.line) < (strength[weaker.file], weaker.line):
        weaker, stronger, first = stronger, weaker, second
    message = f"excludes {first}, which is in {weaker.file}"
    message += f":{weaker.line}" if weaker.line else ""
    cure = "keep one of the two"
    if weaker.file != stronger.file:
        cure += "; the value null removes the value of a lower layer"
    return stronger.problem("exclusive", message, cure)


def _format_limit(limit: object) -> str:
    if isinstance(limit, float) and limit.is_integer():
        return str(int(limit))
    return str(limit)


def _fields_at(model: type[BaseModel], path: Sequence[PathPart]) -> list[str]:
    """Return the names of the fields that are allowed at a path, as in the file."""
    return [name for part in _models_at(model, path) for name, _ in _fields(part)]


def _tags_at(model: type[BaseModel], path: Sequence[PathPart]) -> list[str]:
    """Return the allowed types of the union at a path."""
    return [str(tag) for part in _models_at(model, path) if (tag := _tag(part))]


def _field_path(model: type[BaseModel], name: str) -> str:
    """Return the dotted path at which a field of this name is allowed, or an empty string."""
    for field in model.model_fields.values():
        if field.alias == name:
            return name
        if get_origin(field.annotation) is dict:
            continue  # below keys that users choose, there is more than one path
        for part in _models(field.annotation):
            if inner := _field_path(part, name):
                return f"{field.alias}.{inner}"
    return ""


def _models_at(model: type[BaseModel], path: Sequence[PathPart]) -> list[type[BaseModel]]:
    models = [model]
    for part in path:
        inner = [
            inner_model
            for outer_model in models
            for name, inner_models in _fields(outer_model)
            for inner_model in inner_models
            if name == part
        ]
        # A part that is not a field is a key of a mapping, or the tag of a union, which narrows.
        models = inner or [candidate for candidate in models if _tag(candidate) == part] or models
    return models


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, list[type[BaseModel]]]]:
    for field in model.model_fields.values():
        yield field.alias or "", list(_models(field.annotation))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401  # any annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _tag(model: type[BaseModel]) -> object:
    field = model.model_fields.get("type")
    return next(iter(get_args(field.annotation)), None) if field else None
