"""The lineage of a version: what manifest, git, stamp and live object say of how it came to be."""

from __future__ import annotations

from tunedmodels.observed import ObservedModel
from tunedmodels.project import git
from tunedmodels.project.project import Project
from tunedmodels.render.lineage import Card, Commit
from tunedmodels.render.status import Named
from tunedmodels.schema.project import VertexSettings


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
