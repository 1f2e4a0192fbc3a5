"""A tuned model as it was declared, once its manifest is known to be right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tunedmodels.manifests.declaration import Layer, locate
from tunedmodels.manifests.location import Place, steps
from tunedmodels.schema.tuned_model import TunedModelSpec


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
