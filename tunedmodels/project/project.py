"""A project, opened: its manifests are read; nothing else has happened yet."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tunedmodels.errors import Problem, ProblemsFoundError, Severity
from tunedmodels.manifests.load import Declared, find_project, load
from tunedmodels.project import git
from tunedmodels.schema.project import AnyProvider, ProjectManifest

STATE = ".tunedmodels"


@dataclass(frozen=True)
class Project:
    """Manifests as read, overlays and `--set` applied; `warnings` are those of the manifests.

    `sources` are the files that they were read from.
    """

    root: Path
    manifest: ProjectManifest
    declared: tuple[Declared, ...]
    warnings: tuple[Problem, ...]
    files: int
    sources: tuple[str, ...] = ()
    environment: str = ""
    sets: tuple[str, ...] = ()

    @classmethod
    def open(
        cls, folder: Path | None, *, environment: str = "", sets: tuple[str, ...] = ()
    ) -> Project:
        """Read the project in `folder`, or the one that lies here.

        Raises ProblemsFoundError with every error of every manifest.
        """
        loaded = load(folder or find_project(Path()), environment=environment, sets=sets)
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
        )

    @property
    def name(self) -> str:
        """The owner in every stamp."""
        return self.manifest.metadata.name

    @property
    def state(self) -> Path:
        """Where everything of this machine lies: models, archive, journal, cache."""
        return self.root / STATE

    def claim_state(self) -> None:
        """Make the folder of the state, and keep it out of git; a disk that refuses is no matter.

        Whoever must write there says so itself.
        """
        with suppress(OSError):
            self.state.mkdir(mode=0o700, exist_ok=True)
            (self.state / ".gitignore").write_text("*\n", encoding="utf-8")

    def provider_of(self, declared: Declared) -> str:
        """Return the name of the provider that a declared model lives on."""
        return declared.spec.provider or self.manifest.spec.provider

    @cached_property
    def providers(self) -> dict[str, AnyProvider]:
        """The providers to look at: those that the project declares, and those that models use."""
        known = self.manifest.providers()
        used = {self.manifest.spec.provider, *map(self.provider_of, self.declared)}
        return {
            name: settings
            for name, settings in sorted(known.items())
            if name in used or name in self.manifest.spec.providers
        }

    def store_of(self, provider: str) -> Path:
        """Return the folder of an embedded provider's state."""
        return self.state if provider == "embedded" else self.state / provider

    def commit(self) -> str:
        """Return the commit of the working tree, `+` when it has changes; empty without git."""
        head = git.ask(self.root, "rev-parse", "--short=12", "HEAD").decode().strip()
        if not head:
            return ""
        return (
            f"{head}+" if git.ask(self.root, "status", "--porcelain", "--", ".").strip() else head
        )

    def is_tracked(self, file: Path) -> bool:
        """Tell whether git tracks a file, so that whoever sees the plan may see its text too."""
        return bool(git.ask(self.root, "ls-files", "--", os.path.relpath(file, self.root)))
