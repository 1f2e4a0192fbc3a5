"""A project whose manifests were read."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tunedmodels.errors import Problem, ProblemsFoundError, Severity, TunedModelsError
from tunedmodels.manifests.discover import overlays
from tunedmodels.manifests.environments import MISSING_LINEAGE, home_of
from tunedmodels.manifests.load import DeclaredModel, find_project, load
from tunedmodels.manifests.selection import select
from tunedmodels.ownership import FormerProject, Ownership
from tunedmodels.project import git
from tunedmodels.schema.project import AnyProvider, EmbeddedSettings, ProjectManifest
from tunedmodels.stamp import DEFAULT_ENVIRONMENT

if TYPE_CHECKING:
    from tunedmodels.manifests.reading_cache import ReadingCache

STATE_DIR = ".tunedmodels"


@dataclass(frozen=True)
class Project:
    """The manifests of a project, with overlays and `--set` applied."""

    root: Path
    manifest: ProjectManifest
    declared: tuple[DeclaredModel, ...]
    warnings: tuple[Problem, ...]  #: of the manifests
    files: int
    sources: tuple[str, ...] = ()  #: the files that were read
    environment: str = ""
    sets: tuple[str, ...] = ()  #: values of `--set`
    selection: tuple[str, ...] = ()
    """The names that the user selected, sorted; empty: all. `declared` has no others."""
    names: tuple[str, ...] = ()  #: of all manifests, selected and valid or not

    @classmethod
    def open(
        cls,
        directory: Path | None,
        *,
        environment: str = "",
        sets: tuple[str, ...] = (),
        selection: Collection[str] = (),
        use_cache: bool = False,
        needs_environment: bool = True,
        accepts_undeclared: bool = False,
    ) -> Project:
        """Read the project in a directory, or in the nearest one above that has a Project file.

        Without a directory, the search begins in the working directory. With `use_cache` a file
        that seems unchanged is not parsed again. With `accepts_undeclared`, the environment need
        not be declared any more, as for manifests of a former commit. Raises ProblemsFoundError
        with all errors of all manifests, or of those that `selection` needs, and TunedModelsError
        if the project declares environments and none is named, unless the caller reads no live
        model.
        """
        root = find_project(directory or Path(), is_named=directory is not None)
        loaded = load(
            root,
            environment=environment,
            sets=sets,
            cache=_reading_cache(root) if use_cache else None,
            accepts_undeclared=accepts_undeclared,
        )
        if selection:
            loaded = select(loaded, tuple(selection))
        environments = loaded.project.spec.environments
        if needs_environment and environments and not environment:
            raise TunedModelsError(
                f"The project has the environments {', '.join(environments)}, and none is named",
                cure=f"Pass one of them, for example: --env {next(iter(environments))}",
            )
        if any(problem.severity is Severity.ERROR for problem in loaded.problems):
            raise ProblemsFoundError(loaded.problems)
        return cls(
            root=loaded.root,
            manifest=loaded.project,
            declared=loaded.models,
            warnings=loaded.problems,
            files=loaded.files,
            sources=loaded.sources,
            environment=environment,
            sets=sets,
            selection=tuple(sorted(set(selection))),
            names=tuple(sorted(name for kind, name in loaded.layers if kind == "TunedModel")),
        )

    @property
    def name(self) -> str:
        """The name of the project: the owner in its stamps."""
        return self.manifest.metadata.name

    @property
    def missing_lineage(self) -> Problem | None:
        """The problem that the project has no lineage, although its provider is shared."""
        found = (problem for problem in self.warnings if problem.code == MISSING_LINEAGE)
        return next(found, None)

    def require_lineage(self) -> None:
        """Raise ProblemsFoundError without a lineage: live models could be those of another."""
        if problem := self.missing_lineage:
            raise ProblemsFoundError([replace(problem, severity=Severity.ERROR)])

    @property
    def acting_environment(self) -> str:
        """The environment that acts: that of `--env`, else the default one."""
        return self.environment or DEFAULT_ENVIRONMENT

    def other_environments(self) -> list[str]:
        """Return the environments that are declared or have an overlay, except the acting one."""
        names = {*self.manifest.spec.environments, *overlays(self.root)}
        return sorted(names - {self.acting_environment})

    @property
    def training_overlay(self) -> str:
        """The overlay of the environment that trains the versions; empty for none."""
        home = home_of(self.manifest.spec.environments, self.environment)
        return "" if home == DEFAULT_ENVIRONMENT else home

    @cached_property
    def ownership(self) -> Ownership:
        """Which live models are ours; `Ownership.with_desired` adds former fingerprints."""
        metadata, environments = self.manifest.metadata, self.manifest.spec.environments
        return Ownership(
            project=metadata.name,
            lineage=metadata.lineage or "",
            environment=self.acting_environment,
            home=home_of(environments, self.acting_environment),
            is_shared=any(
                home_of(environments, name) == self.acting_environment != name
                for name in environments
            ),
            former_projects=tuple(
                FormerProject(former.project, "" if former.lineage == "none" else former.lineage)
                for former in metadata.formerly
            ),
            former_names={
                former: model.name for model in self.declared for former in model.formerly
            },
            local_providers=frozenset(
                name
                for name, settings in self.providers.items()
                if isinstance(settings, EmbeddedSettings)
            ),
        )

    @property
    def state_dir(self) -> Path:
        """The directory of all local state: models, archive, journal, caches."""
        return self.root / STATE_DIR

    def create_state_dir(self) -> None:
        """Create the state directory and exclude it from git; errors of the disk are ignored.

        A caller that has to write there gets the error itself.
        """
        with suppress(OSError):
            self.state_dir.mkdir(mode=0o700, exist_ok=True)
            (self.state_dir / ".gitignore").write_text("*\n", encoding="utf-8")

    def embedded_store_dir(self, provider: str) -> Path:
        """Return the state directory of an embedded provider."""
        return self.state_dir if provider == "embedded" else self.state_dir / provider

    def provider_of(self, model: DeclaredModel) -> str:
        """Return the name of the provider of a declared model."""
        return model.spec.provider or self.manifest.spec.provider

    @cached_property
    def providers(self) -> dict[str, AnyProvider]:
        """The providers to observe: those of the Project manifest and those that models use."""
        declared = self.manifest.providers()
        used = {self.manifest.spec.provider, *map(self.provider_of, self.declared)}
        return {
            name: settings
            for name, settings in sorted(declared.items())
            if name in used or name in self.manifest.spec.providers
        }

    @cached_property
    def base_models(self) -> Mapping[str, str]:
        """The base model (`models/NAME`) of each declared model, by name.

        For a model that continues from another one, it is that of the first parent; empty if a
        parent is not declared.
        """
        by_name = {model.name: model for model in self.declared}
        return {name: _base_model(model, by_name) for name, model in by_name.items()}

    @cached_property
    def git_state(self) -> git.GitState:
        """What git reports about the directory of the project."""
        return git.inspect(self.root)

    @property
    def folder(self) -> str:
        """The directory in its repository, `.` for the top; empty outside of a repository."""
        return git.folder_in_repository(self.root)

    def commit(self) -> str:
        """Return the commit of the working tree; empty without git.

        It ends with `+` if a tracked file differs, or if a manifest or dataset is not tracked.
        """
        head = self.git_state.head
        return f"{head}+" if head and git.has_changes(self.root, self._files()) else head

    def is_tracked(self, *files: Path) -> bool:
        """Return whether git tracks every file, so that readers of the plan may see their text."""
        return bool(files) and all(git.is_tracked(self.root, file) for file in files)

    def _files(self) -> Iterator[Path]:
        """Yield the files that a plan reads."""
        yield from map(Path, self.sources)
        for model in self.declared:
            for part in (model.spec.dataset, model.spec.validation, model.spec.evaluation):
                for path in part.paths if part else ():
                    if "*" in path:
                        yield from self.root.glob(path)
                    elif "://" not in path:
                        yield self.root / path


def _reading_cache(root: Path) -> ReadingCache | None:
    """Return the cache of parsed manifests; None before a command has written any state."""
    state_dir = root / STATE_DIR
    if not state_dir.is_dir():
        return None
    from tunedmodels.cache_file import cache_key  # start-up: msgspec
    from tunedmodels.manifests.reading_cache import ReadingCache

    return ReadingCache(state_dir / "readings", key=cache_key(os.environ))


def _base_model(model: DeclaredModel, by_name: Mapping[str, DeclaredModel]) -> str:
    seen: set[str] = set()  # validation reports cycles; this function must end in any case
    while model.spec.tuned_model and model.name not in seen:
        seen.add(model.name)
        if model.spec.tuned_model not in by_name:
            return ""
        model = by_name[model.spec.tuned_model]
    return model.spec.base_model or ""
