"""Where each part of a manifest was really written: the file itself, defaults, an overlay, --set.

Reading keeps no lines, because almost nobody asks for them. Whoever does asks a Layer, and its
Source reads the file a second time, once for all its documents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tunedmodels.manifests.location import Place, Step, steps
from tunedmodels.manifests.yaml_errors import FaultError, decode
from tunedmodels.manifests.yaml_parser import Document, read
from tunedmodels.schema.tuned_model import TunedModelSpec


class Source:
    """A file, or an option of the command line, and the documents in it.

    `shown` is the file as the person would type it, or the option; `file` is where it lies, and
    empty for an option.
    """

    __slots__ = ("_documents", "file", "shown")

    def __init__(
        self, shown: str, file: str = "", *, documents: tuple[Document, ...] | None = None
    ) -> None:
        self.shown = shown
        self.file = file
        self._documents = documents

    def document(self, index: int) -> Document:
        """Return one document with its lines; an empty one when the file is no longer there."""
        if self._documents is None:
            try:
                text = decode(Path(self.file).read_bytes())
            except (OSError, FaultError):
                text = ""
            self._documents = read(text, lines=True).documents
        empty = Document(None, 0)
        return self._documents[index] if index < len(self._documents) else empty


@dataclass(frozen=True, slots=True)
class Layer:
    """One document that a manifest is made of.

    `above` is where it begins in the manifest and `inner` where that is in the document: the
    Project's defaults are `spec.defaults` there and `spec` here.
    """

    source: Source
    index: int = 0
    above: tuple[Step, ...] = ()
    inner: tuple[Step, ...] = ()

    def find(self, path: Sequence[Step]) -> tuple[Place, int] | None:
        """Return the place of a path and how many of its steps were written in this layer."""
        path = tuple(path)
        if path[: len(self.above)] != self.above:
            return None
        inside = self.inner + path[len(self.above) :]
        line, depth = self.source.document(self.index).find(inside)
        depth += len(self.above) - len(self.inner)
        return Place(self.source.shown, line, inside), depth


def locate(layers: Sequence[Layer], path: Sequence[Step]) -> Place:
    """Return where a path was written: in the last layer that has all of it.

    `layers` go from the weakest to the strongest. What nobody wrote is missed where most of the
    way to it was written, and of two such places in the weaker one, which is the manifest.
    """
    found = [at for layer in reversed(layers) if (at := layer.find(path))]
    whole = [place for place, depth in found if depth == len(path)]
    return whole[0] if whole else max(reversed(found), key=lambda at: at[1])[0]


# FOLDED
# A tuned model as it was declared, once its manifest is known to be right.
@dataclass(frozen=True, slots=True)
class Declared:
    """`file` (as the person would type it) and `line` are where the manifest begins."""

    name: str
    spec: TunedModelSpec
    file: str
    line: int
    labels: Mapping[str, str] = field(default_factory=dict)
    layers: tuple[Layer, ...] = field(default=(), repr=False, compare=False)

    def place_of(self, path: str) -> Place:
        """Return where a dotted path such as `spec.dataset.path` was really written.

        That may be an overlay, the Project's defaults or an option. The first call reads the file
        again.
        """
        if not self.layers:
            return Place(self.file, self.line, steps(path))
        return locate(self.layers, steps(path))

    def line_of(self, path: str) -> int:
        """Return the line of a dotted path in `file`, or the nearest line above it."""
        own = [layer for layer in self.layers if layer.source.shown == self.file]
        found = [at for layer in own if (at := layer.find(steps(path))) and at[0].line]
        return max(found, key=lambda at: at[1])[0].line if found else self.line
