"""One YAML document as plain values, which knows the lines of its keys if it was read with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tunedmodels.manifests.location import Step
from tunedmodels.manifests.yaml_scalars import Value

Lines = dict[Step, int]  # the lines of one container's keys, or of its items by their index


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document. `lines` knows the lines of keys and items by the id of their container."""

    value: Value
    line: int
    lines: dict[int, Lines] = field(default_factory=dict, repr=False, compare=False)

    def find(self, path: Sequence[Step]) -> tuple[int, int]:
        """Follow a path as far as it was written; return its line and how many steps that was."""
        here: Any = self.value
        line = self.line
        for depth, step in enumerate(path):
            if not isinstance(here, dict | list):
                return line, depth
            try:
                below = here[step]  # type: ignore[index]  # a step of the wrong kind raises TypeError
            except (KeyError, IndexError, TypeError):
                return line, depth
            line = self.lines.get(id(here), {}).get(step, line)
            here = below
        return line, len(path)
