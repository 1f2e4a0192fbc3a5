"""Verify from git what a live version was trained on, and collect its provenance.

A version is verified by computation: the manifests and datasets of the commit in its stamp are read
again, and the values that follow from them must equal those of the live version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tunedmodels.datasets.source import is_several
from tunedmodels.desired import Desired
from tunedmodels.errors import ProblemsFoundError, TunedModelsError
from tunedmodels.manifests.declaration import DeclaredModel
from tunedmodels.observed import ModelVersions, ObservedModel
from tunedmodels.operations.dataset_diff import MAX_BYTES
from tunedmodels.operations.models import find_model, read_models, ready_version
from tunedmodels.project import git
from tunedmodels.project.commit_tree import write_manifests
from tunedmodels.project.project import Project
from tunedmodels.project.resolve import resolve
from tunedmodels.provenance import Commit, ProvenanceCard, Verification, VerificationCheck
from tunedmodels.schema.project import VertexSettings
from tunedmodels.stamp import Stamp


async def verify(project: Project, name: str, version: str | None) -> Verification:
    """Rebuild a version, by default the serving one, from git and compare the two.

    The files of the working tree are compared with the serving version as well. Raises
    TunedModelsError when the version does not exist or is not ready.
    """
    models = await read_models(project)
    model = find_model(models, name)
    live = ready_version(model, version)
    stamp = live.stamp
    assert stamp is not None  # noqa: S101  # a version of a name has our stamp
    parents = {
        f"tunedModels/{each.model_id}": each.fingerprint
        for other in models
        for each in other.versions
    }
    checks = list(_compare_with_commit(project, live, stamp, parents))
    if live is model.serving:
        checks.append(_compare_with_working_tree(project, stamp))
    return Verification(name, live.model_id, stamp.commit, tuple(checks))


def rebuild(project: Project, name: str, commit: str) -> Desired:
    """Return the desired model of a name according to a commit, with the dataset of that commit.

    Raises TunedModelsError when the commit does not contain all of it.
    """
    with TemporaryDirectory(prefix="tunedmodels-") as folder:
        root = Path(folder).resolve()
        if not write_manifests(project.root, commit, root).paths:
            if git.has_commit(project.root, commit):
                raise TunedModelsError(
                    f"commit {commit} has no manifests of this project",
                    cure="Name the directory that the Project file had in that commit with -C DIR.",
                )
            raise TunedModelsError(
                f"commit {commit} is not in this repository",
                cure=f"Fetch the whole history: {git.UNSHALLOW}",
            )
        try:
            former = Project.open(
                root,
                environment=project.training_overlay,
                sets=project.sets,
                needs_environment=False,
                accepts_undeclared=True,
            )
        except ProblemsFoundError as error:
            raise TunedModelsError(
                f"the manifests of commit {commit} cannot be read: {error.problems[0].message}",
                cure="Use the --env and --set that it was applied with.",
            ) from None
        former = _with_ancestors_only(former, name)
        for path in _dataset_paths(former):
            if is_several(path):
                git.unpack(project.root, commit, root, path)
                continue
            content = git.blob(project.root, commit, path, max_bytes=MAX_BYTES)
            if content:
                file = root / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
        by_name = {model.name: model for model in resolve(former, use_cache=False).desired}
        if name not in by_name:
            raise TunedModelsError(
                f"commit {commit} does not contain {name} and its dataset",
                cure="Keep datasets in git to verify later what a version was trained on. If Git"
                " LFS has them: git lfs fetch --all",
            )
        return by_name[name]


def _with_ancestors_only(project: Project, name: str) -> Project:
    """Return the project with only a name and the models that it continues from.

    The datasets of other models are then not read.
    """
    declared = {model.name: model for model in project.declared}
    ancestry: list[DeclaredModel] = []
    while name in declared:
        # Each model is taken once, so that a cycle, which is an error in manifests, ends here.
        ancestry.append(declared.pop(name))
        name = ancestry[-1].spec.tuned_model or ""
    return replace(project, declared=tuple(ancestry))


def _dataset_paths(project: Project) -> Iterator[str]:
    """Yield the paths of all files that training depends on."""
    for model in project.declared:
        yield from model.spec.dataset.paths
        if model.spec.validation and model.spec.validation.path:
            yield from model.spec.validation.paths


def _compare_with_commit(
    project: Project, live: ObservedModel, stamp: Stamp, parents: Mapping[str, str]
) -> Iterator[VerificationCheck]:
    if stamp.unverified:
        yield _failed(
            "origin",
            "it was adopted: its training data is unknown",
            cure="Train a new version to verify its data.",
        )
        return
    commit = git.parse_commit(stamp.commit)
    if problem := project.git_state.problem:
        yield _failed("origin", problem.message, cure=problem.cure)
        return
    if not commit:
        yield _failed(
            "origin",
            "its stamp has no commit: it was applied outside of git, or before the first commit",
            cure="Commit, then train a new version.",
        )
        return
    has_changes = stamp.commit.endswith("+")
    if has_changes:
        message = f"it was applied from a tree with changes that commit {commit} does not contain"
        yield _failed("origin", message, cure="Commit first, then apply.")
    try:
        former_name = live.live_stamp.name if live.live_stamp else stamp.name
        rebuilt = _rebuild_renamed(project, [stamp.name, former_name], commit)
        former = rebuilt.candidate_with(stamp.fingerprint)
    except TunedModelsError as error:
        yield _failed("origin", error.message, cure=error.cure)
        return
    if not has_changes:
        message = f"commit {commit} contains its manifest and dataset"
        yield VerificationCheck("origin", is_met=True, message=message)
    count = f"{former.inputs.dataset.examples} examples"
    yield _compare("dataset", former.inputs.dataset.digest, stamp.dataset, count)
    yield _compare("fingerprint", _fingerprint_like(former, stamp), stamp.fingerprint)
    parent = former.inputs.parent_fingerprint
    is_same_parent = bool(parent) and parents.get(live.source) == parent
    # A parent that was moved has another id than the commit gives it.
    yield _compare("base", live.source if is_same_parent else former.inputs.source, live.source)
    yield _compare("preamble", former.preamble_digest or "none", stamp.preamble or "none")
    yield from _compare_hyperparameters(former, live)


def _rebuild_renamed(project: Project, names: Sequence[str], commit: str) -> Desired:
    """Return the desired model of a commit, in which it may have a former name."""
    declared = next((each for each in project.declared if each.name == names[0]), None)
    candidates = dict.fromkeys([*names, *(declared.formerly if declared else ())])
    error: TunedModelsError | None = None
    for name in candidates:
        try:
            return rebuild(project, name, commit)
        except TunedModelsError as failure:
            error = error or failure
    assert error is not None  # noqa: S101  # there is at least one name
    raise error


def _fingerprint_like(desired: Desired, stamp: Stamp) -> str:
    """Return the fingerprint of a desired model, computed as in the stamp."""
    is_former = stamp.fingerprint in desired.former_fingerprints
    return stamp.fingerprint if is_former else desired.fingerprint


def _compare_hyperparameters(former: Desired, live: ObservedModel) -> Iterator[VerificationCheck]:
    """Yield a check for each declared hyperparameter that the service reports."""
    used: Mapping[str, float | None] = {
        "epochCount": live.used.epoch_count,
        "batchSize": live.used.batch_size,
        "learningRate": live.used.learning_rate,
        "learningRateMultiplier": live.used.learning_rate_multiplier,
    }
    declared = former.inputs.hyperparameters.model_dump(exclude_none=True, by_alias=True)
    for key, value in declared.items():
        reported = used.get(key)
        if reported is not None:
            # A service may store floats in 32 bits and return 0.00100000005 for 0.001.
            yield _compare(key, f"{value:.6g}", f"{reported:.6g}")


def _compare_with_working_tree(project: Project, stamp: Stamp) -> VerificationCheck:
    """Compare the serving version with the files of the working tree."""
    models = resolve(_with_ancestors_only(project, stamp.name), use_cache=False).desired
    desired = next((model for model in models if model.name == stamp.name), None)
    if desired is None:
        return _failed(
            "here",
            "it is not declared here, or its dataset cannot be read",
            cure="To see the problems: tunedmodels validate",
        )
    dataset = desired.inputs.dataset
    candidate = desired.candidate_with(stamp.fingerprint)
    if _fingerprint_like(candidate, stamp) == stamp.fingerprint:
        message = f"{dataset.declared_path} and its manifest are the same"
        return VerificationCheck("here", is_met=True, message=message)
    is_same_dataset = dataset.digest == stamp.dataset
    subject = desired.location if is_same_dataset else f"the dataset {dataset.declared_path}"
    return _failed(
        "here",
        f"{subject} differs from what it was trained on",
        cure="To see the differences: tunedmodels plan",
    )


def _failed(name: str, message: str, *, cure: str) -> VerificationCheck:
    return VerificationCheck(name, is_met=False, message=message, cure=cure)


def _compare(name: str, rebuilt: str, live: str, details: str = "") -> VerificationCheck:
    shown = _shorten_digest(live)
    if rebuilt == live:
        message = ", ".join(filter(None, (shown, details)))
        return VerificationCheck(name, is_met=True, message=message)
    message = f"{_shorten_digest(rebuilt)} from git, {shown} in the live version"
    return VerificationCheck(name, is_met=False, message=message)


def _shorten_digest(value: str) -> str:
    """Shorten a SHA-256 to its first 12 digits; return any other value unchanged."""
    is_digest = len(value) == 64 and all(char in "0123456789abcdef" for char in value)  # noqa: PLR2004  # SHA-256 in hex
    return f"sha256 {value[:12]}" if is_digest else value


def read_provenance(
    project: Project, model: ModelVersions, version: ObservedModel
) -> ProvenanceCard:
    """Return the provenance of a version from its stamp, its manifest and git.

    Sends no request to a provider.
    """
    stamp = version.stamp
    assert stamp is not None  # noqa: S101  # a version of a name has our stamp
    declared = next((d for d in project.declared if d.name == model.name), None)
    evaluation = declared.spec.evaluation if declared else None
    is_tuned = version.source.startswith("tunedModels/")
    return ProvenanceCard(
        project=project.name,
        name=model.name,
        version=version,
        stamp=stamp,
        serves=version is model.serving,
        manifest=declared.file if declared else "",
        dataset_path=declared.spec.dataset.declared_path if declared else "",
        evaluation_path=evaluation.declared_path if evaluation else "",
        parent=version.source.removeprefix("tunedModels/") if is_tuned else "",
        trained_from=_read_commit(project, stamp.commit),
        promoted_from=_read_commit(project, stamp.promoted_commit),
        cost_usd=_cost_usd(project, version),
    )


def _cost_usd(project: Project, version: ObservedModel) -> float | None:
    """Return the cost of training; None for Vertex AI, which bills it but does not report it."""
    settings = project.providers.get(version.provider)
    return None if isinstance(settings, VertexSettings) else 0.0


def _read_commit(project: Project, stamped: str) -> Commit | None:
    commit = git.parse_commit(stamped)
    if not commit:
        return None
    author, subject = git.author_and_subject(project.root, commit)
    return Commit(commit, author, subject, is_changed=stamped.endswith("+"))
