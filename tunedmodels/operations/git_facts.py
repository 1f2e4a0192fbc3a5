"""Ask git about a plan: what HEAD declares, which commit is newer, and what git cannot tell.

HEAD is resolved in the same way as the working tree. Only the names matter, which overlays and
`--set` cannot change, so that also a HEAD with errors in other fields gives an answer.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tunedmodels.desired import Desired
from tunedmodels.errors import Severity
from tunedmodels.manifests.collect import collect
from tunedmodels.manifests.discover import display_path
from tunedmodels.manifests.stand_in import stand_in
from tunedmodels.manifests.unread import UNREAD_CODES, find_unread
from tunedmodels.observed import ObservedModel, serving
from tunedmodels.plan.plan import Note
from tunedmodels.plan.unread import GitFacts, UnreadManifest
from tunedmodels.project import git
from tunedmodels.project.commit_tree import write_manifests
from tunedmodels.project.project import Project
from tunedmodels.schema.project import EmbeddedSettings

_SEARCH_S: Final = 1.0  # for the removing commits of all names together
_FILES: Final = (":(glob)**/*.yaml", ":(glob)**/*.yml")


@dataclass(slots=True)
class GitAnswers:
    """The facts for the planner, and what the user should know about git."""

    facts: GitFacts
    warnings: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def ask_git(
    project: Project, desired: Sequence[Desired], observed: Sequence[ObservedModel]
) -> GitAnswers:
    """Return what git reports about the changes that a plan may contain."""
    local = {
        name
        for name, settings in project.providers.items()
        if isinstance(settings, EmbeddedSettings)
    }
    answers = GitAnswers(GitFacts(local_providers=local), list(_warnings(project)))
    versions = project.ownership.versions(observed)
    declared = {model.name: model for model in desired}
    undeclared = sorted(versions.keys() - declared.keys())
    if project.selection:
        undeclared = [name for name in undeclared if name in project.selection]
    is_shared = {
        name for name in undeclared if any(m.provider not in local for m in versions[name])
    }
    state = project.git_state
    if not state.head:
        if is_shared:
            answers.notes.append(_note(_why_unknown(state)))
        return answers
    head = _read_head(project) if undeclared else None
    if head is not None and not head.has_project:
        if is_shared:
            answers.notes.append(_note("HEAD does not contain the Project file"))
        head = None
    newer, unknown = _newer_commits(project, _replaced(versions, declared))
    if unknown and state.is_shallow:
        message = "this is a shallow clone, so it is unknown whether HEAD is older than"
        answers.warnings.append(
            f"{message} {', '.join(unknown)}, which promoted what serves. To fix: {git.UNSHALLOW}"
        )
    answers.facts = GitFacts(
        head=state.head[:7] if head or not undeclared else "",
        unread=_unread(project, head, undeclared) if head else {},
        removed_in=_removing_commits(project, head, undeclared) if head else {},
        newer_commits=newer,
        local_providers=local,
    )
    return answers


def _warnings(project: Project) -> Iterator[str]:
    """Yield the warning about a git that does not answer, and those about unread manifests."""
    if problem := project.git_state.problem:
        yield (
            f"{problem.message}. The stamps of new versions get no commit, and removals cannot be"
            f" compared with HEAD. To fix: {problem.cure}"
        )
    for unread in project.warnings:
        if unread.code in UNREAD_CODES:
            yield f"{unread.location}: {unread.message}. {unread.cure}"


def _why_unknown(state: git.GitState) -> str:
    if state.problem:
        return state.problem.message
    return "the repository has no commit yet" if state.top else "this is not a git repository"


def _note(reason: str) -> Note:
    words = (
        f"{reason}, so git cannot tell whether the manifests of deleted models were removed;"
        " only spec.policy.maxDeletePercent limits the deletions"
    )
    return Note(name="", words=words)


@dataclass(frozen=True, slots=True)
class _Head:
    """The manifests of HEAD."""

    has_project: bool
    files: Mapping[str, str]  #: by name of a model: the file, relative to the project
    doubts: Sequence[UnreadManifest]  #: why HEAD may declare more than these


def _read_head(project: Project) -> _Head:
    with TemporaryDirectory(prefix="tunedmodels-") as directory:
        root = Path(directory).resolve()
        tree = write_manifests(project.root, "HEAD", root)
        collected = collect(root)
        prefix = f"{display_path(root)}/"
        files = {
            manifest.name: manifest.file.removeprefix(prefix)
            for manifest in collected.manifests
            if manifest.kind == "TunedModel"
        }
        doubts = [UnreadManifest(cause, cure) for cause, cure in tree.unreadable.values()]
        doubts += [
            UnreadManifest(
                f"{problem.file.removeprefix(prefix)} of HEAD has an error ({problem.message})",
                "Commit a valid manifest first.",
            )
            for problem in collected.problems
            if problem.severity is Severity.ERROR and problem.code != "link"
        ]
    has_project = any(manifest.kind == "Project" for manifest in collected.manifests)
    return _Head(has_project, files, doubts)


def _unread(
    project: Project, head: _Head, undeclared: Collection[str]
) -> dict[str, UnreadManifest]:
    found = {}
    for name in undeclared:
        if name in head.files:
            found[name] = _likely_cause(project, name, head.files[name])
        elif head.doubts:
            found[name] = head.doubts[0]
    return found


def _likely_cause(project: Project, name: str, path: str) -> UnreadManifest:
    """Return why a manifest that HEAD contains is not read from the working tree."""
    prefix = display_path(project.root)
    shown = path if prefix == "." else f"{prefix}/{path}"
    file = project.root / path
    restore = f"restore it: git checkout HEAD -- {shlex.quote(shown)}"
    if file.is_symlink():
        cause = f"{shown} is a link to a file outside of the project"
        return UnreadManifest(cause, f"Copy the file into the project, or {restore}")
    if not file.exists():
        if git.run_git(project.root, "ls-files", "-t", "--", path).startswith(b"S "):
            cause = f"{shown} is outside of the sparse checkout"
            return UnreadManifest(cause, "Check out all files: git sparse-checkout disable")
        elsewhere, why = find_unread(project.root, name)
        if elsewhere:
            cause = f"it is in {elsewhere} now, and {why}"
            return UnreadManifest(cause, f"Commit its removal, or {restore}")
        cause = f"HEAD contains {shown}, and its removal is not committed"
        return UnreadManifest(cause, f"Commit its removal, or {restore}")
    try:
        description, command = stand_in(file.read_bytes()[:100])
    except OSError:
        description = command = ""
    if description:
        return UnreadManifest(f"{shown} is {description}", f"Fetch its content: {command}")
    cause = f"{shown} does not declare it any longer, and this change is not committed"
    return UnreadManifest(cause, f"Commit the change, or {restore}")


def _replaced(
    versions: Mapping[str, Sequence[ObservedModel]], declared: Mapping[str, Desired]
) -> set[str]:
    """Return the commits that promoted the serving versions which are not the declared ones."""
    commits = set()
    for name, group in versions.items():
        live = serving(group)
        desired = declared.get(name)
        is_declared = (
            desired is not None
            and live is not None
            and (live.provider, live.fingerprint) == (desired.provider, desired.fingerprint)
        )
        if live and live.stamp and not is_declared:
            commits.add(live.stamp.promoted_commit)
    return commits - {""}


def _newer_commits(project: Project, stamped: Collection[str]) -> tuple[set[str], list[str]]:
    """Return the commits that were made on top of HEAD, and the commits that are unknown here."""
    newer, unknown = set(), []
    for text in sorted(stamped):
        commit = git.parse_commit(text)
        if not commit or project.git_state.head.startswith(commit[:12]):
            continue
        match git.is_strictly_older(project.root, "HEAD", commit):
            case True:
                newer.add(text)
            case None:
                unknown.append(commit)
            case _:
                pass
    return newer, unknown


def _removing_commits(project: Project, head: _Head, undeclared: Collection[str]) -> dict[str, str]:
    """Return the commits that removed the manifests of names, as far as a second suffices."""
    deadline = time.monotonic() + _SEARCH_S
    found = {}
    for name in undeclared:
        remaining_s = deadline - time.monotonic()
        if remaining_s <= 0:
            break
        if name in head.files:
            continue
        pattern = f"name[\"']?:[[:space:]]*[\"']?{name}([^a-z0-9-]|$)"
        arguments = ("-1", "--format=%h", "--pickaxe-regex", "-S", pattern, "HEAD", "--", *_FILES)
        result = git.call_git(project.root, "log", *arguments, timeout_s=remaining_s)
        commit = result.output.decode().strip()
        if result.code == 0 and commit:
            found[name] = commit
    return found
