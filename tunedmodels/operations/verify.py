"""Is a live version what the repository says it was trained on? Rebuilt from git, and compared.

Nothing is believed that can be computed: the manifests and the datasets of the commit in the stamp
are read again, and what follows from them must be what the live version says of itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tunedmodels.desired import Desired
from tunedmodels.errors import ProblemsFoundError, TunedModelsError
from tunedmodels.lineage import Card, Check, Commit, Verification
from tunedmodels.manifests.declaration import Declared
from tunedmodels.observed import Named, ObservedModel
from tunedmodels.operations.dataset_diff import MOST_BYTES
from tunedmodels.operations.models import all_names, pick, ready
from tunedmodels.project import git
from tunedmodels.project.project import Project
from tunedmodels.project.resolve import survey
from tunedmodels.schema.project import VertexSettings
from tunedmodels.stamp import Stamp


async def verify(project: Project, name: str, version: str | None) -> Verification:
    """Rebuild a version from git and compare; it is the one that serves unless it is named.

    Of the one that serves, the files of this working tree must be the same as well. Raises
    TunedModelsError when there is no such version, or none that is ready.
    """
    model = pick(await all_names(project), name)
    live = ready(model, version)
    stamp = live.stamp
    assert stamp is not None  # noqa: S101  # a named version has our stamp
    checks = list(_from_git(project, live, stamp))
    if live is model.serving:
        checks += _here(project, stamp)
    return Verification(name, live.model_id, stamp.commit, tuple(checks))


def rebuilt(project: Project, name: str, commit: str) -> Desired:
    """Return what a name was declared to be in a commit, its dataset read from there.

    Raises TunedModelsError when the commit does not hold all of it.
    """
    with TemporaryDirectory(prefix="tunedmodels-") as folder:
        root = Path(folder).resolve()
        if not git.unpack_manifests(project.root, commit, root):
            raise TunedModelsError(
                f"commit {commit} is not here, or holds no manifests of this project",
                cure="Fetch the whole history: git fetch --unshallow",
            )
        try:
            then = Project.open(root, environment=project.environment, sets=project.sets)
        except ProblemsFoundError as error:
            raise TunedModelsError(
                f"the manifests of commit {commit} cannot be read: {error.problems[0].message}",
                cure="Use the --env and --set that it was applied with.",
            ) from None
        then = _only(then, name)
        for path in _files(then):
            written = git.blob(project.root, commit, path, most_bytes=MOST_BYTES)
            if written:
                file = root / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(written)
        found = {want.name: want for want in survey(then, use_cache=False).desired}
        if name not in found:
            raise TunedModelsError(
                f"commit {commit} does not hold {name} and its dataset",
                cure="Keep datasets in git, where a version is to be proved later.",
            )
        return found[name]


def _only(project: Project, name: str) -> Project:
    """Return the project with a name and those that it continues from, and no dataset of others."""
    declared = {model.name: model for model in project.declared}
    line: list[Declared] = []
    while name in declared:
        line.append(declared.pop(name))  # a circle, which no manifest may have, would end here
        name = line[-1].spec.tuned_model or ""
    return replace(project, declared=tuple(line))


def _files(project: Project) -> Iterator[str]:
    """Yield the files that its versions rest on."""
    for model in project.declared:
        yield model.spec.dataset.path
        if model.spec.validation:
            yield model.spec.validation.path


def _from_git(project: Project, live: ObservedModel, stamp: Stamp) -> Iterator[Check]:
    if stamp.unverified:
        words = "it was adopted: nobody knows what it was trained on"
        yield Check("origin", holds=False, words=words, cure="Train it anew to prove its data.")
        return
    commit = git.commit_of(stamp.commit)
    if not commit:
        words = "its stamp names no commit: it was applied outside of git, or before the first one"
        yield Check("origin", holds=False, words=words, cure="Commit, then train it anew.")
        return
    if stamp.commit.endswith("+"):
        words = f"it was applied from a tree with changes that commit {commit} does not hold"
        yield Check("origin", holds=False, words=words, cure="Commit first, then apply.")
    try:
        then = rebuilt(project, stamp.name, commit).as_of(stamp.fingerprint)
    except TunedModelsError as error:
        yield Check("origin", holds=False, words=error.message, cure=error.cure)
        return
    if not stamp.commit.endswith("+"):
        yield Check("origin", holds=True, words=f"commit {commit} holds its manifest and dataset")
    count = f"{then.dataset.examples} examples"
    yield _same("dataset", then.dataset.digest, stamp.dataset, count)
    yield _same("fingerprint", then.fingerprint, stamp.fingerprint)
    yield _same("base", then.source, live.source)
    yield _same("preamble", then.preamble_mark or "none", stamp.preamble or "none")
    yield from _hyperparameters(then, live)


def _hyperparameters(then: Desired, live: ObservedModel) -> Iterator[Check]:
    """Yield a check for each setting that was declared and that the service tells of."""
    used: Mapping[str, float | None] = {
        "epochCount": live.used.epoch_count,
        "batchSize": live.used.batch_size,
        "learningRate": live.used.learning_rate,
        "learningRateMultiplier": live.used.learning_rate_multiplier,
    }
    declared = then.hyperparameters.model_dump(exclude_none=True, by_alias=True)
    for key, value in declared.items():
        told = used.get(key)
        if told is not None:
            # A service may keep floats in 32 bits and answer 0.00100000005 for 0.001.
            yield _same(key, f"{value:.6g}", f"{told:.6g}")


def _here(project: Project, stamp: Stamp) -> Iterator[Check]:
    """Compare with the files of this working tree: what serves ought to be what they say."""
    declared = survey(_only(project, stamp.name), use_cache=False).desired
    want = next((want for want in declared if want.name == stamp.name), None)
    if want is None:
        words = "no manifest here declares it, or its dataset cannot be read"
        yield Check("here", holds=False, words=words, cure="To see why: tunedmodels validate")
        return
    if want.as_of(stamp.fingerprint).fingerprint == stamp.fingerprint:
        yield Check(
            "here", holds=True, words=f"{want.dataset.written} and its manifest are the same"
        )
        return
    differs = "dataset" if want.dataset.digest != stamp.dataset else "manifest"
    what = f"the dataset {want.dataset.written}" if differs == "dataset" else want.place
    yield Check(
        "here",
        holds=False,
        words=f"{what} is not what it was trained on",
        cure="To see what differs: tunedmodels plan",
    )


def _same(name: str, rebuilt_value: str, live_value: str, more: str = "") -> Check:
    shown = _short(live_value)
    if rebuilt_value == live_value:
        return Check(name, holds=True, words=", ".join(filter(None, (shown, more))))
    words = f"{_short(rebuilt_value)} from git, {shown} in the live version"
    return Check(name, holds=False, words=words)


def _short(value: str) -> str:
    """Cut a whole digest to what people compare."""
    is_digest = len(value) == 64 and all(char in "0123456789abcdef" for char in value)  # noqa: PLR2004  # SHA-256 in hex
    return f"sha256 {value[:12]}" if is_digest else value


# FOLDED
# The lineage of a version: what manifest, git, stamp and live object say of how it came to be.
def lineage(project: Project, model: Named, version: ObservedModel) -> Card:
    """Gather what is known of one of our versions; asks git, and no provider."""
    stamp = version.stamp
    assert stamp is not None  # noqa: S101  # a named version has our stamp
    declared = next((one for one in project.declared if one.name == model.name), None)
    evaluation = declared.spec.evaluation if declared else None
    is_ours = version.source.startswith("tunedModels/")
    return Card(
        project=project.name,
        name=model.name,
        version=version,
        stamp=stamp,
        serves=version is model.serving,
        manifest=declared.file if declared else "",
        dataset_path=declared.spec.dataset.path if declared else "",
        evaluation_path=evaluation.path if evaluation else "",
        parent=version.source.removeprefix("tunedModels/") if is_ours else "",
        trained_from=_commit(project, stamp.commit),
        promoted_from=_commit(project, stamp.head),
        cost_usd=_cost_usd(project, version),
    )


def _cost_usd(project: Project, version: ObservedModel) -> float | None:
    """Return what its training cost: nothing, but where it is billed and nobody tells how much."""
    settings = project.providers.get(version.provider)
    return None if isinstance(settings, VertexSettings) else 0.0


def _commit(project: Project, words: str) -> Commit | None:
    commit = git.commit_of(words)
    if not commit:
        return None
    author, subject = git.described(project.root, commit)
    return Commit(commit, author, subject, is_changed=words.endswith("+"))
