"""Collect every manifest below a directory as plain values, with the problems of reading them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tunedmodels.errors import Problem
from tunedmodels.manifests import unread
from tunedmodels.manifests.declaration import Layer, Source
from tunedmodels.manifests.discover import API_GROUP, read_bytes, walk
from tunedmodels.manifests.location import Location
from tunedmodels.manifests.near_miss import KINDS, near_misses
from tunedmodels.manifests.yaml_errors import YamlProblem, YamlProblemError, decode
from tunedmodels.manifests.yaml_parser import YamlDocument, parse
from tunedmodels.manifests.yaml_scalars import Value, quote_value
from tunedmodels.text import suggest

if TYPE_CHECKING:  # msgspec takes 10 ms
    from tunedmodels.manifests.reading_cache import ReadingCache

YamlMapping = dict[str, Value]
ManifestPart = tuple[YamlMapping, Layer]

_API_VERSION_KEY: Final = re.compile(rb"apiVersion[\"']?\s*:\s*[\"']?tunedmodels\.dev/")
# A file of another tool with our kind in it may be invalid YAML; one with our kind as a key of the
# document may not.
_OUR_KIND: Final = re.compile(rb"^[\"']?kind[\"']?[ \t]*:[ \t]*[\"']?TunedModel\b", re.MULTILINE)
# One edit leaves one half of `tunedmodels.dev/` and of `TunedModel` unchanged.
_NEAR: Final = re.compile(
    rb"tuned|els\.dev/|dmodel|\bkind[\"']?\s*:\s*[\"']?project\b", re.IGNORECASE
)


@dataclass(slots=True)
class RawManifest:
    """A manifest before validation."""

    kind: str
    name: str
    file: str
    line: int
    parts: list[ManifestPart]
    """What the manifest is merged from, from the weakest layer to the strongest."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers of the parts."""
        return tuple(layer for _, layer in self.parts)


@dataclass(slots=True)
class Collected:
    """The result of `collect`."""

    manifests: list[RawManifest] = field(default_factory=list)
    """In the order of files and documents."""
    problems: list[Problem] = field(default_factory=list)
    files: int = 0
    """The number of files that contain manifests."""


def collect(root: Path, cache: ReadingCache | None = None) -> Collected:
    """Read every manifest below `root`; skip other files silently.

    `cache` has the documents of files that have not changed. Raises ProblemsFoundError when `root`
    is not a directory that can be listed.
    """
    walked = walk(root)
    collected = Collected()
    for path, display_name in walked.files:
        source = Source(display_name, path)
        before = len(collected.manifests), len(collected.problems)
        if cache:
            documents = cache.read(path, partial(_read, collected, source, walked.problems))
        else:
            documents, _ = _read(collected, source, walked.problems)
        for index, document in enumerate(documents):
            _classify(collected, source, index, document)
        collected.files += before != (len(collected.manifests), len(collected.problems))
    if cache:
        cache.save()
    collected.problems[:0] = walked.problems
    declared = {manifest.name for manifest in collected.manifests}
    collected.problems += unread.other_endings(walked.others, declared)
    return collected


def open_documents(source: Source, raw: bytes) -> tuple[tuple[YamlDocument, ...], list[Problem]]:
    """Return the documents in the bytes of a file, and its problems as YAML."""
    try:
        contents = parse(decode(raw))
    except YamlProblemError as error:
        return (), [_to_problem(source, error.problem)]
    return contents.documents, [_to_problem(source, problem) for problem in contents.problems]


def name_of(value: YamlMapping) -> str:
    """Return `metadata.name`, or an empty string if it is not text."""
    metadata = value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else ""


def unknown_kind(source: Source, document: YamlDocument, value: YamlMapping) -> Problem:
    """Return the problem for a document of an unknown kind."""
    location = Location(source.display_name, document.find(("kind",))[0], ("kind",))
    if "kind" not in value:
        return location.problem("missing-field", "is missing", "add kind: TunedModel")
    kind = value["kind"]
    message = f"must be Project or TunedModel (got {quote_value(kind)})"
    return location.problem("unknown-kind", message, suggest(str(kind), KINDS))


def _may_be_manifest(raw: bytes) -> bool:
    """Return whether to parse a file, from its bytes; UTF-16 is parsed to report the encoding."""
    if API_GROUP in raw:
        return True
    if b"\0" in raw[:64]:
        return API_GROUP in raw.replace(b"\0", b"")
    return bool(_NEAR.search(raw))


def _read(
    collected: Collected, source: Source, unreadable: list[Problem]
) -> tuple[Sequence[YamlDocument], bool]:
    """Return the documents of a file and whether it has problems, which are added."""
    raw = read_bytes(source.file, source.display_name)
    if isinstance(raw, Problem):
        unreadable.append(raw)
        return (), True
    if not _may_be_manifest(raw):
        problem = unread.stand_in_problem(raw, source.display_name)
        collected.problems += [problem] if problem else []
        return (), bool(problem)
    documents, problems = open_documents(source, raw)
    is_ours = _API_VERSION_KEY.search(raw.replace(b"\0", b"")) or _OUR_KIND.search(raw)
    if problems and not is_ours:
        return (), True  # invalid, but not a manifest: a template that mentions tunedmodels, say
    collected.problems += problems
    return documents, bool(problems)


def _classify(collected: Collected, source: Source, index: int, document: YamlDocument) -> None:
    """Add a document as a manifest or as a problem; ignore other documents."""
    value = document.value
    if isinstance(value, list) and any(
        isinstance(item, dict) and _has_our_api_version(item) for item in value
    ):
        message, cure = "is a list of manifests", "write one after the other, with --- between them"
        location = Location(source.display_name, document.line)
        collected.problems.append(location.problem("wrong-type", message, cure))
    if not isinstance(value, dict):
        return
    if not _has_our_api_version(value):
        collected.problems += near_misses(source, index, value)
        return
    kind = value.get("kind")
    if kind not in KINDS:
        collected.problems.append(unknown_kind(source, source.document(index), value))
        return
    part = (value, Layer(source, index))
    collected.manifests.append(
        RawManifest(str(kind), name_of(value), source.display_name, document.line, [part])
    )


def _has_our_api_version(value: YamlMapping) -> bool:
    version = value.get("apiVersion")
    return isinstance(version, str) and version.startswith("tunedmodels.dev/")


def _to_problem(source: Source, problem: YamlProblem) -> Problem:
    location = Location(source.display_name, problem.line, problem.path)
    return location.problem(problem.code, problem.message, problem.cure)
