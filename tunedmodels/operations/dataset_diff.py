"""Which examples a new version would be trained on and the former one was not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tunedmodels.datasets.archive import Archive
from tunedmodels.datasets.diff import Comparison, Numbered, compare, numbered
from tunedmodels.datasets.examples import Example, digest
from tunedmodels.datasets.load import load_numbered
from tunedmodels.desired import Desired
from tunedmodels.errors import ProblemsFoundError, StoreError
from tunedmodels.observed import ObservedModel
from tunedmodels.plan.history import history
from tunedmodels.plan.plan import LabelChange
from tunedmodels.plan.planner import DatasetCounts
from tunedmodels.project import git
from tunedmodels.project.project import Project
from tunedmodels.schema.project import EmbeddedSettings
from tunedmodels.schema.tuned_model import Examples
from tunedmodels.stamp import Stamp

# FOLDED
# The examples that a live version was trained on, from wherever they can still be had.
#
# The archive of this machine knows them, or git does, or the embedded service, which keeps what
# it was sent. Whatever is found counts only if it has the digest in the stamp.
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


MOST_EXAMPLES = 100_000

TOO_LARGE = f"only up to {MOST_EXAMPLES:,} examples and {MOST_BYTES // 1024**2} MiB are compared"
NOT_AT_HAND = "the former examples are neither in the archive here, nor in git, nor in the service"

PREFERENCES = "preferences are not compared one by one"

Digests = tuple[str, str]  # of the dataset before and after


@dataclass(frozen=True, slots=True)
class Compared:
    """The datasets of all replacements: `counts` for the plan, `examples` by name for people.

    `examples` holds those of datasets that git tracks: others are not for every reader of the plan.
    """

    counts: Mapping[Digests, DatasetCounts] = field(default_factory=dict)
    examples: Mapping[str, Comparison] = field(default_factory=dict)


def compare_all(
    project: Project, desired: Iterable[Desired], observed: Iterable[ObservedModel]
) -> Compared:
    """Compare the examples of each version that does not exist yet with those it replaces."""
    ours: dict[str, list[ObservedModel]] = defaultdict(list)
    for model in observed:
        if model.stamp and model.stamp.project == project.name:
            ours[model.stamp.name].append(model)
    tasks = {model.name: model.spec.task for model in project.declared}
    counts: dict[Digests, DatasetCounts] = {}
    examples: dict[str, Comparison] = {}
    for want in desired:
        former = _former(want, ours[want.name])
        if former is None or former.stamp is None:
            continue
        digests = former.stamp.dataset, want.dataset.digest
        task = tasks[want.name]
        has_labels = None if task is None else task == "classification"
        made = _compare(project, former, want, has_labels=has_labels)
        if isinstance(made, str):
            counts[digests] = DatasetCounts(None, None, None, None, unknown=made)
            continue
        is_shown = project.is_tracked(want.dataset.file)
        counts[digests] = _counted(made, names_labels=is_shown)
        if is_shown:
            examples[want.name] = made
    return Compared(counts, examples)


def _former(want: Desired, live: Sequence[ObservedModel]) -> ObservedModel | None:
    """Return the version that `want` would replace, if it has other examples."""
    past = history(live, provider=want.provider, fingerprint=want.fingerprint)
    latest = None if past.exact else past.latest
    differs = latest and latest.stamp and latest.stamp.dataset != want.dataset.digest
    return latest if differs else None


def _compare(
    project: Project, former: ObservedModel, want: Desired, *, has_labels: bool | None
) -> Comparison | str:
    """Return the comparison, or in words why there is none."""
    if want.method == "preference":
        return PREFERENCES
    before = former.stamp.examples if former.stamp else 0
    if max(before, want.dataset.examples) > MOST_EXAMPLES:
        return TOO_LARGE
    if want.dataset.file.stat().st_size > MOST_BYTES:
        return TOO_LARGE
    old = former_examples(project, former, want)
    if old is None:
        return NOT_AT_HAND
    new = load_numbered(want.dataset.file, want.dataset.source, written=want.dataset.written)
    return compare(old, new, has_labels=has_labels)


def _counted(made: Comparison, *, names_labels: bool) -> DatasetCounts:
    pairs = len(made.reworded) + len(made.edited)
    labels = made.labels if names_labels else ()
    return DatasetCounts(
        added=len(made.added) + pairs,
        removed=len(made.removed) + pairs,
        reworded=len(made.reworded),
        edited=len(made.edited),
        order_only=made.order_only,
        labels=tuple(
            LabelChange(label=row.label, before=row.before, after=row.after) for row in labels
        ),
    )
