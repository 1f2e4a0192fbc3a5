"""Ownership: which live models a project and its environment own, and under which identity.

The only module that decides this. `Ownership.claim` returns a live model as the current environment
sees it: a former identity is replaced by the current one, and the promotion of the environment by
which a version is used replaces that of its home. Everything above works with claimed models, and
`Ownership.stored` returns the stamp to write.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from tunedmodels.desired import Desired
from tunedmodels.observed import ObservedModel
from tunedmodels.stamp import DEFAULT_ENVIRONMENT, Stamp

Versions = defaultdict[str, list[ObservedModel]]  # by name


@dataclass(frozen=True, slots=True)
class FormerProject:
    """An identity that a project had before."""

    project: str
    lineage: str = ""  #: empty: stamps that were written before lineages existed


@dataclass(frozen=True, slots=True)
class Ownership:
    """The identity of a project and one of its environments."""

    project: str
    lineage: str = ""  #: empty: the project has none
    environment: str = DEFAULT_ENVIRONMENT  #: the environment that acts
    home: str = ""  #: the environment that trains its versions; empty: the environment itself
    is_shared: bool = False  #: other environments promote the versions of this one
    former_projects: tuple[FormerProject, ...] = ()
    former_names: Mapping[str, str] = field(default_factory=dict)  #: current name by former name
    local_providers: frozenset[str] = frozenset()
    """The providers whose models are in the project directory: a stamp of the project without a
    lineage counts there."""
    fingerprints: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """The fingerprint by name and by what former releases computed."""
    sweep_digests: Mapping[str, str] = field(default_factory=dict)  #: the same for sweeps

    @property
    def training_environment(self) -> str:
        """The environment that trains the versions."""
        return self.home or self.environment

    @property
    def is_promoting(self) -> bool:
        """Whether the environment trains nothing and promotes versions of another one."""
        return self.training_environment != self.environment

    def with_desired(self, desired: Iterable[Desired]) -> Ownership:
        """Return this ownership with the fingerprints that former releases computed."""
        fingerprints: dict[tuple[str, str], str] = {}
        sweeps: dict[str, str] = {}
        for each in desired:
            if not each.former_sources:
                continue
            for former in each.former_fingerprints:
                if each.sweep:
                    sweeps[former[:12]] = each.sweep_digest
                else:
                    fingerprints[each.name, former] = each.fingerprint
            for candidate in each.candidates:
                for former in candidate.former_fingerprints:
                    fingerprints[each.name, former] = candidate.fingerprint
        return replace(self, fingerprints=fingerprints, sweep_digests=sweeps)

    def claim(self, model: ObservedModel) -> ObservedModel | None:
        """Return a live model as this environment sees it, or None if it is not ours."""
        stored = model.live_stamp or model.stamp
        if stored is None or not model.has_trusted_owner:
            return None
        if stored.environment != self.training_environment or not self._is_own_project(
            stored, model.provider
        ):
            return None
        stamp = self._current(stored)
        if self.is_promoting:
            stamp = stamp.as_used_by(self.environment)
        if stamp == model.stamp:
            return model
        return replace(model, stamp=stamp, live_stamp=stored)

    def owns(self, model: ObservedModel, name: str) -> bool:
        """Whether a live model is a version of a name."""
        claimed = self.claim(model)
        return claimed is not None and claimed.stamp is not None and claimed.stamp.name == name

    def versions(self, models: Iterable[ObservedModel]) -> Versions:
        """Return the live versions that are ours, by name."""
        versions: Versions = defaultdict(list)
        for model in models:
            claimed = self.claim(model)
            if claimed and claimed.stamp:
                versions[claimed.stamp.name].append(claimed)
        return versions

    def stored(self, model: ObservedModel, stamp: Stamp) -> Stamp:
        """Return the stamp to write for a claimed model whose stamp is to become `stamp`.

        An environment that promotes changes its own line only.
        """
        stored = model.live_stamp or model.stamp
        if stored is None or not self.is_promoting:
            return stamp
        return stored.with_use(self.environment, stamp)

    def is_moved(self, model: ObservedModel) -> bool:
        """Whether the stored stamp of a claimed model has a former identity."""
        return (
            not self.is_promoting
            and model.stamp is not None
            and model.live_stamp is not None
            and model.stamp != model.live_stamp
        )

    def is_foreign(self, model: ObservedModel) -> bool:
        """Whether a model has our project name, but another lineage."""
        stamp = model.live_stamp or model.stamp
        return (
            stamp is not None
            and model.has_trusted_owner
            and stamp.project == self.project
            and not self._is_own_project(stamp, model.provider)
        )

    def is_untrusted(self, model: ObservedModel) -> bool:
        """Whether a model has our stamp, but belongs to a user who is not an owner."""
        stamp = model.stamp
        return (
            stamp is not None
            and not model.has_trusted_owner
            and self._is_own_project(stamp, model.provider)
        )

    def is_of_project(self, model: ObservedModel) -> bool:
        """Whether a model is ours or belongs to another environment of this project."""
        stamp = model.live_stamp or model.stamp
        return (
            stamp is not None
            and model.has_trusted_owner
            and self._is_own_project(stamp, model.provider)
        )

    def acting_as(self, environment: str) -> Ownership:
        """Return the ownership of another environment that trains its own versions."""
        return replace(self, environment=environment, home="")

    def _is_own_project(self, stamp: Stamp, provider: str) -> bool:
        if stamp.project == self.project and (
            stamp.lineage == self.lineage
            or (not stamp.lineage and provider in self.local_providers)
        ):
            return True
        return FormerProject(stamp.project, stamp.lineage) in self.former_projects

    def _current(self, stamp: Stamp) -> Stamp:
        name = self.former_names.get(stamp.name, stamp.name)
        former = [digest for digest in stamp.chosen_by_sweeps.split(",") if digest]
        sweeps = ",".join(self.sweep_digests.get(digest, digest) for digest in former)
        scored = self.sweep_digests.get(stamp.scored_by_sweep, stamp.scored_by_sweep)
        fingerprint = self.fingerprints.get((name, stamp.fingerprint), stamp.fingerprint)
        current = (self.project, self.lineage, name, fingerprint, sweeps, scored)
        stored = (
            stamp.project,
            stamp.lineage,
            stamp.name,
            stamp.fingerprint,
            stamp.chosen_by_sweeps,
            stamp.scored_by_sweep,
        )
        if current == stored:
            return stamp
        return replace(
            stamp,
            project=self.project,
            lineage=self.lineage,
            name=name,
            fingerprint=fingerprint,
            chosen_by_sweeps=sweeps,
            scored_by_sweep=scored,
        )
