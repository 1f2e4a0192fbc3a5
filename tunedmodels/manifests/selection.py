"""Select some models of a project: the others are not judged, and their errors do not count."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from tunedmodels.errors import Problem, Severity
from tunedmodels.manifests.declaration import Layer
from tunedmodels.manifests.load import LoadResult

# Errors of the project as a whole, wherever they are.
_OF_ALL: Final = frozenset({"two-projects", "project-elsewhere", "unknown-overlay", "bad-option"})
_MODEL: Final = "TunedModel"


def select(loaded: LoadResult, names: Sequence[str]) -> LoadResult:
    """Return only the named models, those that they continue from, and the problems of these.

    If one of them is not declared, all problems count: it may be in a file with an error, and must
    not look like one that was removed.
    """
    by_name = {model.name: model for model in loaded.models}
    selected: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in selected:
            selected.add(name)
            parent = by_name[name].spec.tuned_model if name in by_name else None
            pending += [parent] if parent else []
    models = tuple(model for model in loaded.models if model.name in selected)
    if any((_MODEL, name) not in loaded.layers for name in selected):
        return replace(loaded, models=models)
    own = _documents(loaded, selected)
    by_file = _by_file(loaded)
    problems = tuple(p for p in loaded.problems if _counts(p, by_file, own))
    sources = {layer.source.file for layer in own} - {""}
    return replace(loaded, models=models, problems=problems, sources=tuple(sorted(sources)))


def _documents(loaded: LoadResult, names: Collection[str]) -> list[Layer]:
    """Return the documents of the selected models, with those of the Project."""
    return [
        layer
        for (kind, name), layers in loaded.layers.items()
        if kind != _MODEL or name in names
        for layer in layers
    ]


def _by_file(loaded: LoadResult) -> Mapping[str, Sequence[Layer]]:
    by_file: defaultdict[str, list[Layer]] = defaultdict(list)
    for layers in loaded.layers.values():
        for layer in layers:
            by_file[layer.source.display_name].append(layer)
    return by_file


def _counts(problem: Problem, by_file: Mapping[str, Sequence[Layer]], own: Sequence[Layer]) -> bool:
    """Return whether a problem is one of the project, of an option, or of a document in `own`."""
    if problem.code in _OF_ALL or problem.file.startswith("--"):
        return True
    if problem.severity is not Severity.ERROR and problem.line == 0:
        return True  # for example a file that was not read
    in_file = by_file.get(problem.file)
    if not in_file:
        return False  # a file of which no document could be read
    before = [layer for layer in in_file if _line(layer) <= problem.line] or in_file[:1]
    document = max(before, key=_line)
    return any(layer.source is document.source and layer.index == document.index for layer in own)


def _line(layer: Layer) -> int:
    return layer.source.document(layer.index).line
