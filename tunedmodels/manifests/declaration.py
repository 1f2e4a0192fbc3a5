"""A declared model, and the layers that its manifest is made of: file, defaults, overlay, --set.

Loading keeps no line numbers, because few commands need them. A Source parses its file again when
the first line is requested, once for all its documents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tunedmodels.manifests.location import Location, PathPart, parse_path
from tunedmodels.manifests.yaml_errors import YamlProblemError, decode
from tunedmodels.manifests.yaml_parser import YamlDocument, parse
from tunedmodels.schema.tuned_model import TunedModelSpec


class Source:
    """A file or a command-line option, and the documents in it."""

    __slots__ = ("_documents", "display_name", "file")

    def __init__(
        self,
        display_name: str,
        file: str = "",
        *,
        documents: tuple[YamlDocument, ...] | None = None,
    ) -> None:
        #: The file relative to the working directory if possible, or the option.
        self.display_name = display_name
        #: The path of the file; empty for an option.
        self.file = file
        self._documents = documents

    def document(self, index: int) -> YamlDocument:
        """Return one document with its lines; an empty document if the file no longer exists."""
        if self._documents is None:
            try:
                text = decode(Path(self.file).read_bytes())
            except (OSError, YamlProblemError):
                text = ""
            self._documents = parse(text, lines=True).documents
        empty = YamlDocument(None, 0)
        return self._documents[index] if index < len(self._documents) else empty


@dataclass(frozen=True, slots=True)
class Layer:
    """One document, or a part of one, that a manifest is merged from."""

    source: Source
    index: int = 0
    manifest_prefix: tuple[PathPart, ...] = ()
    """The path in the manifest that this layer begins at, such as `spec` for defaults."""
    document_prefix: tuple[PathPart, ...] = ()
    """The same path in the document, such as `spec.defaults` of the Project."""

    def find(self, path: Sequence[PathPart]) -> tuple[Location, int] | None:
        """Return the location of a path, and how many of its parts this layer contains."""
        path = tuple(path)
        if path[: len(self.manifest_prefix)] != self.manifest_prefix:
            return None
        inner = self.document_prefix + path[len(self.manifest_prefix) :]
        line, depth = self.source.document(self.index).find(inner)
        depth += len(self.manifest_prefix) - len(self.document_prefix)
        return Location(self.source.display_name, line, inner), depth


def locate(layers: Sequence[Layer], path: Sequence[PathPart]) -> Location:
    """Return the location of a path in the strongest layer that contains it.

    `layers` are ordered from the weakest to the strongest. If no layer contains the whole path, the
    layer with the longest part of it wins, and among equals the weakest, which is the manifest.
    """
    matches = [match for layer in reversed(layers) if (match := layer.find(path))]
    complete = [location for location, depth in matches if depth == len(path)]
    if complete:
        return complete[0]
    return max(reversed(matches), key=lambda match: match[1])[0]


@dataclass(frozen=True, slots=True)
class DeclaredModel:
    """A tuned model with a valid manifest."""

    name: str
    spec: TunedModelSpec
    file: str
    """The file of the manifest, relative to the working directory if possible."""
    line: int
    """The line on which the manifest begins."""
    labels: Mapping[str, str] = field(default_factory=dict)
    layers: tuple[Layer, ...] = field(default=(), repr=False, compare=False)
    formerly: tuple[str, ...] = ()
    """Former names."""

    def location_of(self, path: str) -> Location:
        """Return the location of a dotted path such as `spec.dataset.path`.

        It can be in the manifest, an overlay, the defaults of the Project or an option. The first
        call parses the file again.
        """
        if not self.layers:
            return Location(self.file, self.line, parse_path(path))
        return locate(self.layers, parse_path(path))
