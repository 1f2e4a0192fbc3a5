"""Documents that are nearly manifests: a mistake in `apiVersion` or `kind` must not be silent.

A manifest that is skipped looks like one that was removed, and its model would be deleted. A
document that another tool reads is skipped: one that has neither our kind nor nearly our
apiVersion, and a `Project` with another apiVersion.
"""

from __future__ import annotations

from typing import Final

from tunedmodels.errors import Problem
from tunedmodels.manifests.declaration import Source
from tunedmodels.manifests.location import Location
from tunedmodels.manifests.yaml_scalars import Value, quote_value
from tunedmodels.schema.project import API_VERSION
from tunedmodels.text import nearest

KINDS: Final = ("Project", "TunedModel")
_MODEL_KIND: Final = "TunedModel"  # no other tool has it


def near_misses(source: Source, index: int, value: dict[str, Value]) -> list[Problem]:
    """Return the error of a document without our apiVersion that is nearly ours, or nothing."""
    has_our_kind = value.get("kind") in KINDS
    if "apiVersion" in value:
        version = str(value["apiVersion"])
        is_near = is_one_edit(version, API_VERSION) or (
            has_our_kind and bool(nearest(version, [API_VERSION]))
        )
        if not (is_near or value.get("kind") == _MODEL_KIND):
            return []
        message = f"must be {API_VERSION} (got {quote_value(value['apiVersion'])})"
        cure = f"write apiVersion: {API_VERSION}"
        return [_location(source, index, "apiVersion").problem("wrong-api-version", message, cure)]
    key = _misspelt_key(value, "apiVersion")
    if key and (has_our_kind or is_one_edit(str(value[key]), API_VERSION)):
        message, cure = "must be spelled apiVersion", f"write apiVersion: {API_VERSION}"
        return [_location(source, index, key).problem("unknown-field", message, cure)]
    if has_our_kind:
        cure = f"write apiVersion: {API_VERSION}"
        return [_location(source, index, "apiVersion").problem("missing-field", "is missing", cure)]
    kind_key = "kind" if "kind" in value else _misspelt_key(value, "kind")
    if kind_key and is_one_edit(str(value[kind_key]), _MODEL_KIND):
        message = "the document has neither our apiVersion nor our kind, and nearly this kind"
        cure = f"write apiVersion: {API_VERSION} and kind: {_MODEL_KIND}"
        return [_location(source, index, kind_key).problem("unknown-kind", message, cure)]
    return []


def is_one_edit(word: str, target: str) -> bool:
    """Return whether a word is `target`, or at most one edit away from it; case does not count."""
    if abs(len(word) - len(target)) > 1:
        return False
    from rapidfuzz.distance import OSA  # noqa: PLC0415  # start-up: for doubtful documents only

    return OSA.distance(word.casefold(), target.casefold(), score_cutoff=1) <= 1


def _misspelt_key(value: dict[str, Value], key: str) -> str:
    """Return a key of the document that is one edit away from `key`, or nothing."""
    for name in value:
        if is_one_edit(name.replace("_", "").replace("-", ""), key):
            return name
    return ""


def _location(source: Source, index: int, key: str) -> Location:
    line, _ = source.document(index).find((key,))
    return Location(source.display_name, line, (key,))
