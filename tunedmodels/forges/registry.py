"""Detect the forge of a CI run. To add a forge, write one module and add one line to FORGES."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tunedmodels.errors import TunedModelsError
from tunedmodels.forges import github, gitlab
from tunedmodels.forges.forge import CiRun, Forge


@dataclass(frozen=True, slots=True)
class ForgeType:
    """A kind of forge."""

    title: str
    #: The environment variable that is set in every run of its CI.
    ci_variable: str
    #: The environment variable that names the repository.
    repository_variable: str
    #: Reads the run from the environment.
    read_ci_run: Callable[[Mapping[str, str]], CiRun]
    #: Opens a repository with the environment and its name.
    open: Callable[[Mapping[str, str], str], Forge]


FORGES: Mapping[str, ForgeType] = {
    "github": ForgeType(
        "GitHub", "GITHUB_ACTIONS", "GITHUB_REPOSITORY", github.read_ci_run, github.open_github
    ),
    "gitlab": ForgeType(
        "GitLab", "GITLAB_CI", "CI_PROJECT_ID", gitlab.read_ci_run, gitlab.open_gitlab
    ),
}


@dataclass(frozen=True, slots=True)
class DetectedForge:
    """The forge of a CI run, with the run."""

    forge_type: ForgeType
    run: CiRun
    environ: Mapping[str, str]

    def open(self) -> Forge:
        """Return the repository of the run. Raises TunedModelsError when it is unknown."""
        if not self.run.repository:
            raise TunedModelsError(
                f"The {self.forge_type.title} repository is not known",
                cure=f"Pass it with --repo; in CI, {self.forge_type.repository_variable} has it.",
            )
        return self.forge_type.open(self.environ, self.run.repository)

    @property
    def number(self) -> int:
        """The number of the pull request. Raises TunedModelsError when the run is not for one."""
        if self.run.number is None:
            raise TunedModelsError(
                "This run is not for a pull request, so there is nothing to comment on",
                cure="Run it for pull requests (merge requests, on GitLab), or pass --pr N.",
            )
        return self.run.number


def detect_forge(
    environ: Mapping[str, str], *, name: str = "", repository: str = "", number: int | None = None
) -> DetectedForge:
    """Return the forge of this run; arguments take precedence over the environment.

    Raises TunedModelsError when the environment is not that of a known CI.
    """
    in_ci = (name for name, forge in FORGES.items() if environ.get(forge.ci_variable))
    name = name or next(in_ci, "")
    if not name:
        raise TunedModelsError(
            "The environment is not that of a supported CI",
            cure=f"Pass --forge {' or '.join(FORGES)}, with --repo and --pr.",
        )
    forge_type = FORGES[name]
    run = forge_type.read_ci_run(environ)
    run = replace(run, repository=repository or run.repository, number=number or run.number)
    return DetectedForge(forge_type, run, environ)
