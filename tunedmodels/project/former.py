"""The examples that a live version was trained on, from wherever they can still be had.

The archive of this machine knows them, or git does, or the embedded service, which keeps what it
was sent. Whatever is found counts only if it has the digest in the stamp.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from tunedmodels.datasets.archive import Archive
from tunedmodels.datasets.diff import Numbered, numbered
from tunedmodels.datasets.examples import Example, digest
from tunedmodels.datasets.load import load_numbered
from tunedmodels.desired import Desired
from tunedmodels.errors import ProblemsFoundError, StoreError
from tunedmodels.observed import ObservedModel
from tunedmodels.project import git
from tunedmodels.project.project import Project
from tunedmodels.schema.project import EmbeddedSettings
from tunedmodels.schema.tuned_model import Examples
from tunedmodels.stamp import Stamp

MOST_BYTES = 32 * 1024 * 1024  # of a file; a whole dataset of the Gemini API has 4 MB (F9)


def former_examples(
    project: Project, model: ObservedModel, want: Desired
) -> Sequence[Numbered] | None:
    """Return the examples of a live version of `want`, or None where they are not at hand."""
    stamp = model.stamp
    if stamp is None:
        return None
    archived = Archive(project.state / "datasets").get(stamp.dataset)
    if archived is not None:
        return numbered(archived)
    tracked = _from_git(project, stamp, want.dataset.source)
    return tracked if tracked is not None else _from_service(project, model, stamp)


def _from_git(project: Project, stamp: Stamp, now: Examples) -> list[Numbered] | None:
    from tempfile import TemporaryDirectory

    commit = git.commit_of(stamp.commit)
    if not commit:
        return None
    for source in _sources(project, stamp.name, commit, now):
        written = git.blob(project.root, commit, source.path, most_bytes=MOST_BYTES)
        if not written:
            continue
        with TemporaryDirectory(prefix="tunedmodels-") as folder:
            file = Path(folder) / Path(source.path).name
            file.write_bytes(written)
            with suppress(ProblemsFoundError):
                rows = load_numbered(file, source)
                if digest(row.example for row in rows) == stamp.dataset:
                    return rows
    return None


def _sources(project: Project, name: str, commit: str, now: Examples) -> Iterator[Examples]:
    """Yield where the examples may have stood: where they stand now, or as declared then."""
    yield now
    from tempfile import TemporaryDirectory

    from tunedmodels.manifests.load import load

    with TemporaryDirectory(prefix="tunedmodels-") as folder:
        root = Path(folder)
        if not git.unpack_manifests(project.root, commit, root):
            return
        with suppress(ProblemsFoundError):
            then = load(root, environment=project.environment, sets=project.sets)
            yield from (model.spec.dataset for model in then.models if model.name == name)


def _from_service(project: Project, model: ObservedModel, stamp: Stamp) -> list[Numbered] | None:
    if not isinstance(project.providers.get(model.provider), EmbeddedSettings):
        return None
    import msgspec

    from tunedmodels.service.store.models import Store

    store = Store(project.store_of(model.provider))
    try:
        with suppress(StoreError, msgspec.DecodeError):  # then only the counts are known
            examples = msgspec.json.Decoder(Example).decode_lines(
                store.examples(model.model_id) or b""
            )
            if digest(examples) == stamp.dataset:
                return numbered(examples)
    finally:
        store.close()
    return None
