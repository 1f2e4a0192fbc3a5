"""Compare the examples of a new version with those of the version that it replaces.

The former examples are looked up in the archive of this machine, in git, and in the embedded
service, which stores the examples that it received. A result counts only if it has the digest in
the stamp.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunedmodels.datasets.archive import Archive
from tunedmodels.datasets.diff import Comparison, NumberedExample, compare, number_examples
from tunedmodels.datasets.examples import Example, digest
from tunedmodels.datasets.load import load_numbered
from tunedmodels.datasets.paths import files_of
from tunedmodels.datasets.source import Source, file_size, is_several
from tunedmodels.desired import Desired
from tunedmodels.errors import ProblemsFoundError, StoreError
from tunedmodels.observed import ObservedModel
from tunedmodels.ownership import Ownership
from tunedmodels.plan.history import history
from tunedmodels.plan.plan import DatasetChange, LabelChange
from tunedmodels.project import git
from tunedmodels.project.commit_tree import write_manifests
from tunedmodels.project.project import Project
from tunedmodels.schema.project import EmbeddedSettings
from tunedmodels.schema.tuned_model import ExampleFile
from tunedmodels.stamp import Stamp

MAX_BYTES = 32 * 1024 * 1024  # of a file; a whole dataset of the Gemini API has 4 MB (F9)
MAX_EXAMPLES = 100_000

TOO_LARGE = f"only up to {MAX_EXAMPLES:,} examples and {MAX_BYTES // 1024**2} MiB are compared"
NOT_AVAILABLE = (
    "the former examples are neither in the local archive, nor in git, nor in the service"
)
PREFERENCES = "preferences are not compared one by one"


@dataclass(frozen=True, slots=True)
class DatasetDiffs:
    """The changed datasets of all replacements, by name."""

    changes: Mapping[str, DatasetChange] = field(default_factory=dict)  #: for the plan
    examples: Mapping[str, Comparison] = field(default_factory=dict)
    """Only of datasets that git tracks, since every reader of the plan may read those."""


def compare_datasets(
    project: Project,
    desired: Iterable[Desired],
    observed: Iterable[ObservedModel],
    ownership: Ownership,
) -> DatasetDiffs:
    """Compare the examples of each version that does not exist yet with those it replaces."""
    versions = ownership.versions(observed)
    tasks = {model.name: model.spec.task for model in project.declared}
    changes: dict[str, DatasetChange] = {}
    examples: dict[str, Comparison] = {}
    for model in desired:
        former = _former_version(model, versions[model.name])
        if former is None or former.stamp is None:
            continue
        task = tasks[model.name]
        has_labels = None if task is None else task == "classification"
        counts: dict[str, Any]
        try:
            comparison = _compare(project, former, former.stamp, model, has_labels=has_labels)
        except _NotComparedError as error:
            counts = {"unknown": str(error)}
        else:
            dataset = model.inputs.dataset
            is_tracked = project.is_tracked(*files_of(dataset.file, dataset.source))
            counts = _counts(comparison, has_labels=is_tracked)
            if is_tracked:
                examples[model.name] = comparison
        changes[model.name] = DatasetChange(
            before=former.stamp.dataset,
            after=model.inputs.dataset.digest,
            before_examples=former.stamp.examples,
            after_examples=model.inputs.dataset.examples,
            **counts,
        )
    return DatasetDiffs(changes, examples)


def _former_version(desired: Desired, versions: Sequence[ObservedModel]) -> ObservedModel | None:
    """Return the version that a new one would replace, if it has other examples."""
    if not _is_new(desired, versions):
        return None
    past = history(versions, provider=desired.provider, fingerprint=desired.fingerprint)
    latest = None if past.declared else past.latest
    differs = latest and latest.stamp and latest.stamp.dataset != desired.inputs.dataset.digest
    return latest if differs else None


def _is_new(desired: Desired, versions: Sequence[ObservedModel]) -> bool:
    """Return whether no live version has the fingerprint, except the records of ended jobs."""
    return not any(
        version.fingerprint == desired.fingerprint
        and version.provider == desired.provider
        and not version.is_job_record
        for version in versions
    )


class _NotComparedError(Exception):
    """Two datasets are not compared; the message is the reason, for the user."""


def _compare(
    project: Project,
    former: ObservedModel,
    stamp: Stamp,
    desired: Desired,
    *,
    has_labels: bool | None,
) -> Comparison:
    dataset = desired.inputs.dataset
    if desired.inputs.method == "preference":
        raise _NotComparedError(PREFERENCES)
    if max(stamp.examples, dataset.examples) > MAX_EXAMPLES:
        raise _NotComparedError(TOO_LARGE)
    if sum(map(file_size, files_of(dataset.file, dataset.source))) > MAX_BYTES:
        raise _NotComparedError(TOO_LARGE)
    old = _former_examples(project, former, stamp, dataset.source)
    if old is None:
        raise _NotComparedError(_reason_not_available(project, stamp))
    new = load_numbered(dataset.file, dataset.source, display_path=dataset.declared_path)
    return compare(old, new, has_labels=has_labels)


def _reason_not_available(project: Project, stamp: Stamp) -> str:
    """Return why the former examples are unknown, with git's cure if it has one."""
    state = project.git_state
    if state.problem:
        return f"{state.problem.message}. To fix: {state.problem.cure}"
    commit = git.parse_commit(stamp.commit)
    if state.is_shallow and commit and not git.has_commit(project.root, commit):
        return f"commit {commit} is not in this shallow clone. To fetch it: {git.UNSHALLOW}"
    return NOT_AVAILABLE


def _counts(comparison: Comparison, *, has_labels: bool) -> dict[str, Any]:
    labels = comparison.labels if has_labels else ()
    return {
        "added": comparison.added_count,
        "removed": comparison.removed_count,
        "reworded": len(comparison.relabeled),
        "edited": len(comparison.edited),
        "order_only": comparison.order_only,
        "labels": tuple(LabelChange(**label._asdict()) for label in labels),
    }


def _former_examples(
    project: Project, former: ObservedModel, stamp: Stamp, source: ExampleFile
) -> Sequence[NumberedExample] | None:
    """Return the examples of a live version, or None if they are not available."""
    archived = Archive(project.state_dir / "datasets").get(stamp.dataset)
    if archived is not None:
        return number_examples(archived)
    committed = _from_git(project, former.live_stamp or stamp, source)
    return committed if committed is not None else _from_service(project, former, stamp)


def _from_git(project: Project, stamp: Stamp, current: ExampleFile) -> list[NumberedExample] | None:
    from tempfile import TemporaryDirectory

    commit = git.parse_commit(stamp.commit)
    if not commit:
        return None
    for source in _committed_sources(project, stamp.name, commit, current):
        with TemporaryDirectory(prefix="tunedmodels-") as directory:
            file = _unpack(project, commit, source, Path(directory))
            if file is None:
                continue
            with suppress(ProblemsFoundError):
                rows = load_numbered(file, source)
                if digest(row.example for row in rows) == stamp.dataset:
                    return rows
    return None


def _unpack(project: Project, commit: str, source: ExampleFile, directory: Path) -> Path | None:
    """Write the files of a dataset in a commit; return what to read, or None without a file."""
    is_found = False
    for path in source.paths:
        if is_several(path):
            is_found |= git.unpack(project.root, commit, directory, path)
        elif content := git.blob(project.root, commit, path, max_bytes=MAX_BYTES):
            file = directory / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            is_found = True
    if not is_found:
        return None
    return directory / source.paths[0] if source.is_single else directory


def _committed_sources(
    project: Project, name: str, commit: str, current: ExampleFile
) -> Iterator[ExampleFile]:
    """Yield the files that may contain the examples: as declared now, then as in the commit."""
    yield current
    from tempfile import TemporaryDirectory

    from tunedmodels.manifests.load import load

    with TemporaryDirectory(prefix="tunedmodels-") as directory:
        root = Path(directory)
        if not write_manifests(project.root, commit, root).paths:
            return
        with suppress(ProblemsFoundError):
            committed = load(
                root,
                environment=project.training_overlay,
                sets=project.sets,
                accepts_undeclared=True,
            )
            for model in committed.models:
                if model.name == name:
                    sizes = Source.of(current).max_sizes
                    yield model.spec.dataset.read_as("training", model.spec.hold_outs, sizes)


def _from_service(
    project: Project, former: ObservedModel, stamp: Stamp
) -> list[NumberedExample] | None:
    if not isinstance(project.providers.get(former.provider), EmbeddedSettings):
        return None
    import msgspec

    from tunedmodels.service.store.models import ModelStore

    store = ModelStore(project.embedded_store_dir(former.provider))
    try:
        with suppress(StoreError, msgspec.DecodeError):  # without examples, only counts are known
            examples = msgspec.json.Decoder(Example).decode_lines(
                store.examples(former.model_id) or b""
            )
            if digest(examples) == stamp.dataset:
                return number_examples(examples)
    finally:
        store.close()
    return None
