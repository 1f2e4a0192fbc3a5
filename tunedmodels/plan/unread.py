"""Removals and rollbacks that git does not confirm: a manifest that was not read is not removed.

A missing manifest looks the same as a removed one, and an old checkout looks the same as a decision
to go back. Both are refused on a shared provider, and only reported on a provider whose store is in
the directory of the project.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tunedmodels.observed import ObservedModel, serving
from tunedmodels.plan.plan import Action, Change, Refusal
from tunedmodels.text import join

_MAX_NAMED: Final = 3
_REMOVALS: Final = (Action.DELETE, Action.CANCEL)

Versions = Mapping[str, Sequence[ObservedModel]]  # of this project, by name


class UnreadManifest(NamedTuple):
    """Why a live name is not declared here, although HEAD declares it or may declare it."""

    cause: str  #: a clause
    cure: str  #: what to do, possibly a command


@dataclass(frozen=True, slots=True)
class GitFacts:
    """What git reports about the commit that is checked out."""

    head: str = ""  #: empty if git cannot tell
    unread: Mapping[str, UnreadManifest] = field(default_factory=dict)
    """The undeclared live names that HEAD does not remove for certain."""
    removed_in: Mapping[str, str] = field(default_factory=dict)
    """The commit that removed the manifest of a name, where git finds it quickly."""
    newer_commits: Collection[str] = ()
    """The commits in stamps that were made on top of HEAD."""
    local_providers: Collection[str] = ()  #: their stores are in the directory of the project


NO_GIT: Final = GitFacts()


@dataclass(frozen=True, slots=True)
class _Finding:
    """A name whose change git does not confirm."""

    name: str
    text: str  #: a clause
    cure: str  #: a sentence
    versions: int  #: how many of them would be removed or stop serving
    is_local: bool


@dataclass(frozen=True, slots=True)
class GitReview:
    """The names of a plan whose change git does not confirm."""

    unread: Sequence[_Finding] = ()
    outdated: Sequence[_Finding] = ()

    def refusals(self, allowed: int, ready_removals: int) -> Iterator[Refusal]:
        """Yield the refusals, unless the user allows as many deletions.

        `ready_removals` is the number of deletions of ready versions in the whole plan, which the
        same option allows.
        """
        unread, outdated = ([f for f in g if not f.is_local] for g in (self.unread, self.outdated))
        counts = {finding.name: finding.versions for finding in (*outdated, *unread)}
        count = sum(counts.values())
        if count <= allowed:
            return
        option = f"--allow-delete {max(count, ready_removals)}"
        if unread:
            yield Refusal(
                code="manifest-not-read",
                message=f"{_name_all(unread)}.",
                cure=f"To delete anyway, pass {option}. Otherwise: {unread[0].cure}",
            )
        if outdated:
            yield Refusal(
                code="older-commit",
                message=f"{_name_all(outdated)}.",
                cure=f"Update the checkout, for example with git pull. To apply the older commit"
                f" anyway, pass {option}.",
            )

    def warnings(self) -> Iterator[str]:
        """Yield the warnings about providers where nothing is refused."""
        for finding in (*self.unread, *self.outdated):
            if finding.is_local:
                yield f"{finding.text}. {finding.cure}"


def review(
    removed: Sequence[Change], declared: Sequence[Change], versions: Versions, facts: GitFacts
) -> GitReview:
    """Return the removals that HEAD does not confirm, and the changes of an older checkout."""
    return GitReview(
        tuple(_unread(removed, facts)), tuple(_outdated((*removed, *declared), versions, facts))
    )


def reason(name: str, facts: GitFacts) -> str:
    """Return why a name is removed, as far as git knows; empty if git cannot tell."""
    if not facts.head:
        return ""
    if name in facts.unread:
        return f"its manifest was not read: {facts.unread[name].cause}"
    by = f"; {facts.removed_in[name]} removed it" if name in facts.removed_in else ""
    return f"it is not declared at {facts.head}{by}"


def _unread(removed: Sequence[Change], facts: GitFacts) -> Iterator[_Finding]:
    for name in sorted({change.name for change in removed} & facts.unread.keys()):
        cause, cure = facts.unread[name]
        providers = [
            change.before.provider for change in removed if change.name == name and change.before
        ]
        shared = [each for each in providers if each not in facts.local_providers]
        text = f"the manifest of {name} was not read, so it would be deleted: {cause}"
        yield _Finding(name, text, cure, len(shared) or len(providers), is_local=not shared)


def _outdated(changes: Sequence[Change], versions: Versions, facts: GitFacts) -> Iterator[_Finding]:
    for name in sorted({change.name for change in changes if change.action.is_pending}):
        live = serving(versions.get(name, ()))
        commit = live.stamp.promoted_commit if live and live.stamp else ""
        if live is None or commit not in facts.newer_commits:
            continue
        if not any(change.name == name and _ends_serving(change, live) for change in changes):
            continue
        text = f"HEAD ({facts.head}) is older than {commit}, which promoted {live.model_id}"
        cure = "Update the checkout, for example with git pull."
        yield _Finding(name, text, cure, 1, is_local=live.provider in facts.local_providers)


def _ends_serving(change: Change, live: ObservedModel) -> bool:
    """Return whether a version would stop serving, or be deleted, by a change of its name."""
    if change.after is None:
        before = change.before
        return change.action in _REMOVALS and before is not None and before.serves
    is_same = (change.after.provider, change.after.model_id) == (live.provider, live.model_id)
    return change.action.is_pending and not is_same


def _name_all(findings: Sequence[_Finding]) -> str:
    texts = [finding.text for finding in findings[:_MAX_NAMED]]
    more = len(findings) - len(texts)
    return join([*dict.fromkeys(texts), *([f"{more} more like it"] if more else [])])
