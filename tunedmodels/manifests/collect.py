"""Every manifest below a folder, still as plain values, together with what cannot be read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tunedmodels.errors import Problem, Severity
from tunedmodels.manifests.declaration import Layer, Source
from tunedmodels.manifests.discover import MARK, read_bytes, walk
from tunedmodels.manifests.location import Place
from tunedmodels.manifests.yaml_errors import Fault, FaultError, decode
from tunedmodels.manifests.yaml_parser import Document, read
from tunedmodels.manifests.yaml_scalars import Value, shown
from tunedmodels.schema.project import API_VERSION
from tunedmodels.text import closest, did_you_mean

KINDS: Final = ("Project", "TunedModel")

Mapping = dict[str, Value]
Part = tuple[Mapping, Layer]

_OURS: Final = re.compile(rb"apiVersion[\"']?\s*:\s*[\"']?tunedmodels\.dev/")
_KIND: Final = re.compile(rb"\bkind[\"']?\s*:\s*[\"']?(?:Project|TunedModel)\b")


@dataclass(slots=True)
class Manifest:
    """A document of ours. `parts` go from the weakest to the strongest; merged, they are it."""

    kind: str
    name: str
    file: str
    line: int
    parts: list[Part]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Where the parts were written."""
        return tuple(layer for _, layer in self.parts)


@dataclass(slots=True)
class Gathered:
    """What was found: manifests in the order of files and documents; `files` counts ours."""

    manifests: list[Manifest] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    files: int = 0


def gather(root: Path) -> Gathered:
    """Read every manifest below `root`; what is not ours is skipped without a word.

    Raises ProblemsFoundError when `root` is no folder that can be listed.
    """
    walked = walk(root)
    gathered = Gathered(problems=walked.problems)
    for path, name in walked.files:
        raw = read_bytes(path, name)
        if isinstance(raw, Problem):
            gathered.problems.append(raw)
        elif _may_be_ours(raw):
            _add(gathered, Source(name, path), raw)
    return gathered


def open_documents(source: Source, raw: bytes) -> tuple[tuple[Document, ...], list[Problem]]:
    """Return the documents in the bytes of a file, and what is wrong with it as YAML."""
    try:
        reading = read(decode(raw))
    except FaultError as error:
        return (), [_problem(source, error.fault)]
    return reading.documents, [_problem(source, fault) for fault in reading.faults]


def name_of(value: Mapping) -> str:
    """Return `metadata.name` as far as it is text."""
    metadata = value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else ""


def wrong_kind(source: Source, document: Document, value: Mapping) -> Problem:
    """Say that a document is of no kind that we know."""
    place = Place(source.shown, document.find(("kind",))[0], ("kind",))
    if "kind" not in value:
        return place.problem("missing-field", "is missing", "add kind: TunedModel")
    kind = value["kind"]
    message = f"must be Project or TunedModel (got {shown(kind)})"
    return place.problem("unknown-kind", message, did_you_mean(str(kind), KINDS))


def _may_be_ours(raw: bytes) -> bool:
    """Look at the bytes alone; UTF-16 is ours too, so that it can be complained about."""
    if MARK in raw:
        return True
    if b"\0" in raw[:64]:
        return MARK in raw.replace(b"\0", b"")
    return b"kind" in raw and bool(_KIND.search(raw))


def _add(gathered: Gathered, source: Source, raw: bytes) -> None:
    documents, problems = open_documents(source, raw)
    if problems and not _OURS.search(raw.replace(b"\0", b"")):
        return  # broken, but somebody else's: a template that mentions us, say
    gathered.problems += problems
    before = len(gathered.manifests), len(gathered.problems)
    for index, document in enumerate(documents):
        _sort_in(gathered, source, index, document)
    gathered.files += bool(problems) or before != (len(gathered.manifests), len(gathered.problems))


def _sort_in(gathered: Gathered, source: Source, index: int, document: Document) -> None:
    """Add a document as a manifest, or as a problem, or not at all."""
    value = document.value
    if isinstance(value, list) and any(isinstance(v, dict) and _is_ours(v) for v in value):
        message, cure = "is a list of manifests", "write one after the other, with --- between them"
        place = Place(source.shown, document.line)
        gathered.problems.append(place.problem("wrong-type", message, cure))
    if not isinstance(value, dict):
        return
    if not _is_ours(value):
        gathered.problems += _almost_ours(source, index, value)
        return
    kind = value.get("kind")
    if kind not in KINDS:
        gathered.problems.append(wrong_kind(source, source.document(index), value))
        return
    part = (value, Layer(source, index))
    gathered.manifests.append(
        Manifest(str(kind), name_of(value), source.shown, document.line, [part])
    )


def _is_ours(value: Mapping) -> bool:
    version = value.get("apiVersion")
    return isinstance(version, str) and version.startswith("tunedmodels.dev/")


def _almost_ours(source: Source, index: int, value: Mapping) -> list[Problem]:
    """Warn of a document that has our kind and nearly our apiVersion, or none."""
    if value.get("kind") not in KINDS:
        return []
    version = value.get("apiVersion")
    if version is None:
        message = "is missing, so this document was skipped"
    elif closest(str(version), [API_VERSION]):
        message = f"is not ours, so this document was skipped (got {shown(version)})"
    else:
        return []
    line, _ = source.document(index).find(("apiVersion",))
    place = Place(source.shown, line, ("apiVersion",))
    cure = f"write apiVersion: {API_VERSION}"
    return [place.problem("skipped", message, cure, Severity.WARNING)]


def _problem(source: Source, fault: Fault) -> Problem:
    place = Place(source.shown, fault.line, fault.path)
    return place.problem(fault.code, fault.message, fault.cure)
