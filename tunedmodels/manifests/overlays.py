"""Layers over manifests: overlays (`--env`), options (`--set`), and the one law of merging.

Mappings are merged, everything else replaces what is below, and null takes it away: JSON Merge
Patch, RFC 7386. A null that finds nothing below is dropped, so an empty `lifecycle:` is no mistake.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tunedmodels.errors import Problem
from tunedmodels.manifests import discover
from tunedmodels.manifests.collect import (
    KINDS,
    Manifest,
    Mapping,
    name_of,
    open_documents,
    wrong_kind,
)
from tunedmodels.manifests.declaration import Layer, Source
from tunedmodels.manifests.location import Place
from tunedmodels.manifests.yaml_parser import Document, read
from tunedmodels.manifests.yaml_scalars import Value, shown, visible
from tunedmodels.text import did_you_mean


def merge(below: Mapping, above: Mapping) -> Mapping:
    """Lay `above` over `below`; neither is changed, and no null is left in any mapping."""
    if not below:
        return _without_nulls(above)
    merged = dict(below)
    for key, value in above.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            under = merged.get(key)
            merged[key] = merge(under if isinstance(under, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def _without_nulls(value: Mapping) -> Mapping:
    return {
        key: _without_nulls(inner) if isinstance(inner, dict) else inner
        for key, inner in value.items()
        if inner is not None
    }


@dataclass(slots=True)
class Patches:
    """Parts to lay over manifests of a kind and name, in order, and what is wrong with them."""

    parts: list[tuple[str, str, Mapping, Layer]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def apply(self, manifests: Sequence[Manifest]) -> None:
        """Append each part to its manifests; a part for nobody is a problem."""
        by_name: dict[tuple[str, str], list[Manifest]] = {}
        for manifest in manifests:
            by_name.setdefault((manifest.kind, manifest.name), []).append(manifest)
        for kind, name, value, layer in self.parts:
            targets = by_name.get((kind, name))
            for manifest in targets or ():
                manifest.parts.append((value, layer))
            if not targets:
                names = sorted(there for of, there in by_name if of == kind and there)
                self.problems.append(_nobody(kind, name, names, layer))

    def read_overlay(self, root: Path, environment: str) -> None:
        """Add the documents of `overlays/NAME.yaml`."""
        there = discover.overlays(root)
        if environment not in there:
            names = ", ".join(sorted(there))
            message = f"there is no overlay {shown(environment)}"
            missing = f"Write overlays/{visible(environment)}.yaml."
            cure = f"There are: {names}." if there else missing
            cure = f"{did_you_mean(environment, there)} {cure}".strip()
            place = Place(visible(f"--env {environment}"))
            self.problems.append(place.problem("unknown-overlay", message, cure))
        for path, name in there.get(environment, ()):
            raw = discover.read_bytes(path, name)
            if isinstance(raw, Problem):
                self.problems.append(raw)
                continue
            source = Source(name, path)
            documents, problems = open_documents(source, raw)
            self.problems += problems
            for index, document in enumerate(documents):
                self._add(source, index, document)

    def read_option(self, option: str, project: str) -> None:
        """Add `NAME.PATH=VALUE`; NAME is a TunedModel, or the word Project; PATH is below spec."""
        target, equals, written = option.partition("=")
        name, *path = target.split(".")
        reading = read(written)
        text = visible(f"--set {option}")
        if not equals or not path or not all([name, *path]):
            message = "is not NAME.PATH=VALUE"
            cure = "write for example --set next-number.hyperparameters.epochCount=3"
            self.problems.append(Place(text).problem("bad-option", message, cure))
            return
        if reading.faults or len(reading.documents) > 1:
            message = "has a value that is no YAML"
            cure = "put text in quotes, for example --set 'tone.description=\"a: b\"'"
            self.problems.append(Place(text).problem("bad-option", message, cure))
            return
        value: Value = reading.documents[0].value if reading.documents else None
        for step in reversed(path):
            value = {step: value}
        whole: Mapping = {"spec": value}
        document = Document(whole, 0)
        kind, name = ("Project", project) if name == "Project" else ("TunedModel", name)
        self.parts.append((kind, name, whole, Layer(Source(text, documents=(document,)))))

    def _add(self, source: Source, index: int, document: Document) -> None:
        value = document.value
        if not isinstance(value, dict):
            place = Place(source.shown, document.line)
            message = f"is no part of a manifest (got {shown(value)})"
            cure = "write kind, metadata.name, and what differs"
            self.problems.append(place.problem("wrong-type", message, cure))
        elif value.get("kind") not in KINDS:
            self.problems.append(wrong_kind(source, source.document(index), value))
        elif not name_of(value):
            path = ("metadata", "name")
            place = Place(source.shown, source.document(index).find(path)[0], path)
            cure = "say which manifest this is laid over"
            self.problems.append(place.problem("missing-field", "is missing", cure))
        else:
            self.parts.append((str(value["kind"]), name_of(value), value, Layer(source, index)))


def _nobody(kind: str, name: str, names: Sequence[str], layer: Layer) -> Problem:
    """Say that what a layer is for does not exist."""
    line, depth = layer.source.document(layer.index).find(("metadata", "name"))
    place = Place(layer.source.shown, line, ("metadata", "name") if depth else ())
    few = ", ".join(visible(each) for each in names[:10])
    cure = did_you_mean(name, names) or (f"There are: {few}." if few else "")
    return place.problem("unknown-name", f"no {kind} is called {shown(name)}", cure)
