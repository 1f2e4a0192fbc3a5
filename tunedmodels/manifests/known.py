"""What the schema knows at a place, for "Did you mean ...?"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel

_PART: Final = 4  # letters of a word that is looked for inside others


def did_you_mean(word: str, among: Iterable[str]) -> str:
    """Return the sentence for a cure, or nothing when no word is close."""
    near = closest(word, among)
    return f"Did you mean {near}?" if near else ""


def closest(word: str, among: Iterable[str]) -> str:
    """Return the closest word, or nothing; case, `_` and `-` do not count.

    A word that is part of one counts as close: `epochs` for epochCount, `model` for baseModel.
    """
    from difflib import get_close_matches  # noqa: PLC0415  # only for somebody's slip

    folded = {_fold(other): other for other in among}
    sought = _fold(word[:100])
    found = get_close_matches(sought, folded, n=1, cutoff=0.7)
    stem = sought.removesuffix("s")
    if not found and len(stem) >= _PART:
        found = [other for other in folded if stem in other]
    return folded[found[0]] if found else ""


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


def _fold(word: str) -> str:
    return word.replace("_", "").replace("-", "").lower()
