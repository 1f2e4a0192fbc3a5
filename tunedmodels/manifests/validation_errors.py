"""What pydantic found, in our words, at the place where it was really written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tunedmodels.errors import Problem
from tunedmodels.manifests.declaration import Layer, locate
from tunedmodels.manifests.location import Step
from tunedmodels.manifests.yaml_scalars import plain, shown, visible
from tunedmodels.text import did_you_mean

# type of pydantic -> code, message, cure. {got} is the value, {ge} and the like are the limits.
_TYPES: Final = {
    "missing": ("missing-field", "is missing", "add it"),
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
    "string_too_short": ("too-short", "must not be empty", "write something, or remove the line"),
    "string_too_long": (
        "too-long",
        "has {length} characters; at most {max_length} are allowed",
        "",
    ),
    "too_long": (
        "too-long",
        "has more than {max_length} entries",
        "take some away",
    ),
    "literal_error": ("unknown-value", "must be {expected} (got {got})", ""),
    "union_tag_invalid": ("unknown-value", "must be {expected} (got {got})", ""),
}
_SAME_AS: Final = {
    "model_type": "dict_type",
    "model_attributes_type": "dict_type",
    "list_type": "tuple_type",
}
# Exactly one of the first two, at most one of the others; pydantic reports neither while another
# field of the same part is wrong, and we want every problem in one run.
_EXCLUSIVE: Final = (
    (("spec",), "baseModel", "tunedModel", True),
    (("spec", "hyperparameters"), "learningRate", "learningRateMultiplier", False),
)
_BOOLEANS: Final = {"yes": "true", "on": "true", "no": "false", "off": "false"}


def explain(
    model: type[BaseModel], error: ValidationError, written: object, layers: Sequence[Layer]
) -> Iterator[Problem]:
    """Yield a problem for everything that keeps `written` from being a `model`."""
    for found in error.errors(include_url=False):
        if found["type"] == "exclusive":
            continue
        path = _written_path(found, written)
        code, message, cure = _words(model, found, path)
        yield locate(layers, path).problem(code, message, cure)
    if isinstance(written, Mapping) and written.get("kind") == "TunedModel":
        yield from _exclusive(written, layers)


def _written_path(found: ErrorDetails, written: object) -> tuple[Step, ...]:
    """Drop from pydantic's way what no file says: the tags of unions."""
    here: Any = written
    path: list[Step] = []
    for step in found["loc"]:
        try:
            here = here[step]
        except (KeyError, IndexError, TypeError):
            continue
        path.append(step)
    if found["type"] == "missing":
        path.append(found["loc"][-1])
    if found["type"].startswith("union_tag"):
        path.append("type")
    return tuple(path)


def _words(
    model: type[BaseModel], found: ErrorDetails, path: tuple[Step, ...]
) -> tuple[str, str, str]:
    kind, value = _SAME_AS.get(found["type"], found["type"]), found["input"]
    if kind == "extra_forbidden":
        return "unknown-field", "is no field here", _field_cure(model, found["loc"])
    if kind == "string_pattern_mismatch":
        return _pattern(str(path[-1]), str(value))
    if kind == "value_error":  # our own words, from spec.py
        message, _, cure = str(found["ctx"]["error"]).partition("; ")
        return "wrong-value", message, cure
    if kind not in _TYPES:
        return "wrong-value", f"{found['msg']} (got {shown(value)})", ""
    code, message, cure = _TYPES[kind]
    context = {key: _limit(limit) for key, limit in found.get("ctx", {}).items()}
    if kind == "union_tag_invalid":
        value = found["ctx"]["tag"]
        context["expected"] = " or ".join(context["expected_tags"].split(", "))
    if kind == "union_tag_not_found":
        return code, message, f"write type: {' or '.join(tags_at(model, found['loc']))}"
    context |= {"got": shown(value), "length": str(len(value)) if isinstance(value, str) else ""}
    cure = cure.format_map(context) or _value_cure(kind, value, context)
    return code, message.format_map(context), cure


def _value_cure(kind: str, value: object, context: Mapping[str, str]) -> str:
    match kind, value:
        case "string_type", bool() | int() | float():
            return f'put it in quotes: "{shown(value)}"'
        case (("int_type" | "float_type"), str()) if isinstance(plain(value or "~"), int | float):
            return f"write it without quotes: {value}"
        case "bool_type", str():
            word = plain(value) if value else None
            if isinstance(word, bool):
                return f"write it without quotes: {value}"
            meant = _BOOLEANS.get(value.lower())
            return f"write {meant}; yes, no, on and off are words" if meant else ""
        case (("literal_error" | "union_tag_invalid"), str()):
            return did_you_mean(value, re.findall(r"'([^']*)'", context["expected"]))
        case _:
            return ""


def _field_cure(model: type[BaseModel], loc: Sequence[Step]) -> str:
    name, known = str(loc[-1]), fields_at(model, loc[:-1])
    if near := did_you_mean(name, known):
        return near
    if home := place_of(model, name):
        return f"It belongs at {home}."
    return f"There are: {', '.join(known)}."


def _pattern(field: str, value: str) -> tuple[str, str, str]:
    """Say which of the rules behind a pattern is broken."""
    match field:
        case "name" | "tunedModel" if len(value) > 31:  # noqa: PLR2004  # the 31 of settings.Name
            message = f"has {len(value)} characters; at most 31 are allowed"
            cure = "the other 9 of the service's 40 are a hyphen and the version"
            return "bad-name", message, cure
        case "name" | "tunedModel":
            message = (
                "must be a-z, 0-9 and hyphens, begin with a letter and not end with a hyphen "
                f"(got {shown(value)})"
            )
            meant = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")
            is_name = re.match(r"[a-z]", meant) is not None
            return "bad-name", message, f"Did you mean {meant}?" if is_name else ""
        case "baseModel":
            meant = value.removeprefix("models/").strip().rsplit("/", 1)[-1]
            cure = f"Did you mean models/{visible(meant)}?" if meant else ""
            return "wrong-value", f"must be models/NAME (got {shown(value)})", cure
        case "endpoint":
            is_web = value.startswith(("http://", "https://"))
            rule = "be an address without query" if is_web else "begin with http:// or https://"
            message = f"must {rule} (got {shown(value)})"
            return "wrong-value", message, "write for example http://127.0.0.1:8787"
        case _:
            return "wrong-value", f"has the wrong form (got {shown(value)})", ""


def _exclusive(written: Mapping[str, Any], layers: Sequence[Layer]) -> Iterator[Problem]:
    for path, one, other, is_needed in _EXCLUSIVE:
        here: Any = written
        for step in path:
            here = here.get(step, {}) if isinstance(here, Mapping) else {}
        if not isinstance(here, Mapping) or not here:
            continue
        if one in here and other in here:
            yield _both(one, other, path, layers)
        elif is_needed and one not in here and other not in here:
            message = f"names neither {one} nor {other}"
            cure = f"add {one}: models/NAME, or {other}: the name of another TunedModel"
            yield locate(layers, path).problem("missing-field", message, cure)


def _both(one: str, other: str, path: tuple[Step, ...], layers: Sequence[Layer]) -> Problem:
    strength = {layer.source.shown: rank for rank, layer in enumerate(layers)}
    first, second = locate(layers, (*path, one)), locate(layers, (*path, other))
    if (strength[second.file], second.line) < (strength[first.file], first.line):
        first, second, one, other = second, first, other, one
    message = f"excludes {one}, which is in {first.file}"
    message += f":{first.line}" if first.line else ""
    cure = "keep one of the two"
    if first.file != second.file:
        cure += "; null as the value takes away what a layer below says"
    return second.problem("exclusive", message, cure)


def _limit(limit: object) -> str:
    if isinstance(limit, float) and limit.is_integer():
        return str(int(limit))
    return str(limit)


# FOLDED
# What the schema knows at a place, for "Did you mean ...?".
def fields_at(model: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """Return the names, as in the file, of the fields that may stand at a place."""
    return [name for part in _models_at(model, loc) for name in _aliases(part)]


def tags_at(model: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """Return the types that the union at a place may be."""
    return [str(tag) for part in _models_at(model, loc) if (tag := _tag(part))]


def place_of(model: type[BaseModel], name: str) -> str:
    """Return the dotted path where a field of this name belongs, or nothing."""
    for field in model.model_fields.values():
        if field.alias == name:
            return name
        if get_origin(field.annotation) is dict:
            continue  # below keys that people choose there is no one path
        for part in _models(field.annotation):
            if inner := place_of(part, name):
                return f"{field.alias}.{inner}"
    return ""


def _models_at(model: type[BaseModel], loc: Sequence[str | int]) -> list[type[BaseModel]]:
    here = [model]
    for step in loc:
        below = [
            part
            for each in here
            for alias, parts in _fields(each)
            for part in parts
            if alias == step
        ]
        # A step that is no field is a key of a mapping, or the tag of a union: then narrow.
        here = below or [each for each in here if _tag(each) == step] or here
    return here


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, list[type[BaseModel]]]]:
    for field in model.model_fields.values():
        yield field.alias or "", list(_models(field.annotation))


def _aliases(model: type[BaseModel]) -> list[str]:
    return [alias for alias, _ in _fields(model)]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401  # any annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _tag(model: type[BaseModel]) -> object:
    field = model.model_fields.get("type")
    return next(iter(get_args(field.annotation)), None) if field else None
