"""Merge layers over manifests: overlays (`--env`) and options (`--set`).

Mappings are merged, any other value replaces the value below it, and null removes it, as in JSON
Merge Patch (RFC 7386). A null without a value below it is dropped, so an empty `lifecycle:` is
valid.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tunedmodels.errors import Problem
from tunedmodels.manifests import discover
from tunedmodels.manifests.collect import (
    RawManifest,
    YamlMapping,
    name_of,
    open_documents,
    unknown_kind,
)
from tunedmodels.manifests.declaration import Layer, Source
from tunedmodels.manifests.location import Location
from tunedmodels.manifests.near_miss import KINDS
from tunedmodels.manifests.yaml_parser import YamlDocument, parse
from tunedmodels.manifests.yaml_scalars import Value, quote_value
from tunedmodels.text import printable, suggest

_ENVIRONMENT = re.compile(r"[a-z]([a-z0-9-]{0,29}[a-z0-9])?")  # as names of models; in stamps


def merge(below: YamlMapping, above: YamlMapping) -> YamlMapping:
    """Return `above` merged over `below`, without nulls; neither argument is changed."""
    if not below:
        return _without_nulls(above)
    merged = dict(below)
    for key, value in above.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            former = merged.get(key)
            merged[key] = merge(former if isinstance(former, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def _without_nulls(value: YamlMapping) -> YamlMapping:
    return {
        key: _without_nulls(inner) if isinstance(inner, dict) else inner
        for key, inner in value.items()
        if inner is not None
    }


@dataclass(slots=True)
class Patches:
    """The parts of overlays and options, in order, and their problems."""

    parts: list[tuple[str, str, YamlMapping, Layer]] = field(default_factory=list)
    """Kind and name of the target, the value to merge, and its layer."""
    problems: list[Problem] = field(default_factory=list)

    def apply(self, manifests: Sequence[RawManifest]) -> None:
        """Append each part to the manifests that it targets; report a part without a target."""
        by_key: dict[tuple[str, str], list[RawManifest]] = {}
        for manifest in manifests:
            by_key.setdefault((manifest.kind, manifest.name), []).append(manifest)
        for kind, name, value, layer in self.parts:
            targets = by_key.get((kind, name))
            for manifest in targets or ():
                manifest.parts.append((value, layer))
            if not targets:
                names = sorted(key[1] for key in by_key if key[0] == kind and key[1])
                self.problems.append(_unknown_target(kind, name, names, layer))

    def read_overlay(self, root: Path, environment: str, *, is_required: bool = True) -> None:
        """Add the documents of `overlays/NAME.yaml`."""
        overlays = discover.overlays(root)
        if environment not in overlays and not is_required:
            return
        if not _ENVIRONMENT.fullmatch(environment):
            message = f"{quote_value(environment)} is not a valid name of an environment"
            cure = "use up to 31 lower-case letters, digits and hyphens; begin with a letter"
            location = Location(printable(f"--env {environment}"))
            self.problems.append(location.problem("unknown-overlay", message, cure))
        elif environment not in overlays:
            names = ", ".join(sorted(overlays))
            message = f"the overlay {quote_value(environment)} does not exist"
            missing = f"Write overlays/{printable(environment)}.yaml."
            cure = f"There are: {names}." if overlays else missing
            cure = f"{suggest(environment, overlays)} {cure}".strip()
            location = Location(printable(f"--env {environment}"))
            self.problems.append(location.problem("unknown-overlay", message, cure))
        for path, display_name in overlays.get(environment, ()):
            raw = discover.read_bytes(path, display_name)
            if isinstance(raw, Problem):
                self.problems.append(raw)
                continue
            source = Source(display_name, path)
            documents, problems = open_documents(source, raw)
            self.problems += problems
            for index, document in enumerate(documents):
                self._add(source, index, document)

    def read_option(self, option: str, project: str) -> None:
        """Add `NAME.PATH=VALUE`; NAME is a TunedModel or the word Project, PATH is below spec."""
        target, equals, text = option.partition("=")
        name, *path = target.split(".")
        contents = parse(text)
        display_name = printable(f"--set {option}")
        location = Location(display_name)
        if not equals or not path or not all([name, *path]):
            message = "must be NAME.PATH=VALUE"
            cure = "use for example --set next-number.hyperparameters.epochCount=3"
            self.problems.append(location.problem("bad-option", message, cure))
            return
        if contents.problems or len(contents.documents) > 1:
            message = "has a value that is not valid YAML"
            cure = "put text in quotes, for example --set 'tone.description=\"a: b\"'"
            self.problems.append(location.problem("bad-option", message, cure))
            return
        value: Value = contents.documents[0].value if contents.documents else None
        for part in reversed(path):
            value = {part: value}
        manifest: YamlMapping = {"spec": value}
        source = Source(display_name, documents=(YamlDocument(manifest, 0),))
        kind, name = ("Project", project) if name == "Project" else ("TunedModel", name)
        self.parts.append((kind, name, manifest, Layer(source)))

    def _add(self, source: Source, index: int, document: YamlDocument) -> None:
        value = document.value
        if not isinstance(value, dict):
            location = Location(source.display_name, document.line)
            message = f"must be a part of a manifest (got {quote_value(value)})"
            cure = "write kind, metadata.name and the fields to change"
            self.problems.append(location.problem("wrong-type", message, cure))
        elif value.get("kind") not in KINDS:
            self.problems.append(unknown_kind(source, source.document(index), value))
        elif not name_of(value):
            path = ("metadata", "name")
            line, _ = source.document(index).find(path)
            cure = "name the manifest that this overlay changes"
            location = Location(source.display_name, line, path)
            self.problems.append(location.problem("missing-field", "is missing", cure))
        else:
            self.parts.append((str(value["kind"]), name_of(value), value, Layer(source, index)))


def _unknown_target(kind: str, name: str, names: Sequence[str], layer: Layer) -> Problem:
    """Return the problem for a part whose target does not exist."""
    line, depth = layer.source.document(layer.index).find(("metadata", "name"))
    path = ("metadata", "name") if depth else ()
    location = Location(layer.source.display_name, line, path)
    some_names = ", ".join(printable(other) for other in names[:10])
    cure = suggest(name, names) or (f"There are: {some_names}." if names else "")
    return location.problem("unknown-name", f"no {kind} is called {quote_value(name)}", cure)
