"""Every forge and how it is recognised: a new one is one file and one line in FORGES."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tunedmodels.errors import TunedModelsError
from tunedmodels.forges import github, gitlab
from tunedmodels.forges.forge import Forge, Run


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of forge. `variable` is set wherever its continuous integration runs.

    `open` takes the environment and the repository; `names` says where the repository is named.
    """

    title: str
    variable: str
    names: str
    run_of: Callable[[Mapping[str, str]], Run]
    open: Callable[[Mapping[str, str], str], Forge]


FORGES: Mapping[str, Kind] = {
    "github": Kind(
        "GitHub", "GITHUB_ACTIONS", "GITHUB_REPOSITORY", github.run_of, github.open_github
    ),
    "gitlab": Kind("GitLab", "GITLAB_CI", "CI_PROJECT_ID", gitlab.run_of, gitlab.open_gitlab),
}


@dataclass(frozen=True, slots=True)
class Place:
    """A forge, and what is known of this run on it."""

    kind: Kind
    run: Run
    environ: Mapping[str, str]

    def open(self) -> Forge:
        """Return the repository. Raises TunedModelsError when nobody says which one it is."""
        if not self.run.repository:
            raise TunedModelsError(
                f"No repository of {self.kind.title} is named",
                cure=f"Name it with --repo; its CI sets {self.kind.names}.",
            )
        return self.kind.open(self.environ, self.run.repository)

    @property
    def number(self) -> int:
        """The number of the pull request. Raises TunedModelsError when this run is for none."""
        if self.run.number is None:
            raise TunedModelsError(
                "This run is not for a pull request, so there is nothing to comment on",
                cure="Run it for pull requests (merge requests, on GitLab), or name one: --pr N.",
            )
        return self.run.number


def find_place(
    environ: Mapping[str, str], *, name: str = "", repository: str = "", number: int | None = None
) -> Place:
    """Return where this run belongs; what is given goes before what its environment says.

    Raises TunedModelsError when the environment is of no forge that we know.
    """
    name = name or next((name for name, kind in FORGES.items() if environ.get(kind.variable)), "")
    if not name:
        raise TunedModelsError(
            "This is the CI of no forge that we know",
            cure=f"Name one: --forge {' or '.join(FORGES)}, with --repo and --pr.",
        )
    kind = FORGES[name]
    run = kind.run_of(environ)
    run = replace(run, repository=repository or run.repository, number=number or run.number)
    return Place(kind, run, environ)
