"""A project in a git repository, for tests of what git reports."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 48213\n"


@dataclass(frozen=True)
class GitProject:
    """A project in the directory `p` of a repository."""

    top: Path

    @property
    def root(self) -> Path:
        """The directory of the project."""
        return self.top / "p"

    def git(self, *arguments: str, directory: Path | None = None) -> str:
        """Run git and return its output."""
        author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        options = (*author, "-c", "protocol.file.allow=always")
        done = subprocess.run(
            ["git", *options, *arguments],
            cwd=directory or self.top,
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull},
        )
        return done.stdout.strip()

    def commit(self, message: str = "a commit") -> str:
        """Commit everything and return the commit."""
        self.git("add", "-A")
        self.git("commit", "-qm", message)
        return self.git("rev-parse", "--short=12", "HEAD")

    def write(self, path: str, content: str | bytes) -> Path:
        """Write a file of the project."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def project(self, name: str = "demo", *, lineage: str = "", **spec: Any) -> None:
        """Write the Project file."""
        metadata = f"{name}, lineage: {lineage}" if lineage else name
        self.write("tunedmodels.yaml", manifest("Project", metadata, **spec))

    def model(self, name: str, **spec: Any) -> None:
        """Write the manifest and the dataset of a model."""
        spec = {
            "baseModel": "models/embedded-label-001",
            "dataset": {"path": f"data/{name}.jsonl"},
            "hyperparameters": {"epochCount": 1},
            **spec,
        }
        self.write(f"{name}.yaml", manifest("TunedModel", name, **spec))
        rows = [
            {"text_input": f"{name} {n}", "output": "yes" if n % 2 else "no"} for n in range(24)
        ]
        self.write(f"data/{name}.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))


def manifest(kind: str, name: str, **spec: Any) -> str:
    """Return a manifest as YAML, one field on each line."""
    return (
        f"apiVersion: tunedmodels.dev/v1\nkind: {kind}\nmetadata: {{name: {name}}}\n"
        f"spec: {json.dumps(spec)}\n"
    )


def new_repository(top: Path) -> GitProject:
    """Create a repository with a project that declares nothing."""
    top.mkdir(parents=True, exist_ok=True)
    repository = GitProject(top)
    repository.git("init", "-q", "-b", "main")
    repository.project()
    return repository


# The ways in which a manifest that HEAD contains can be absent from a checkout.


def delete(repository: GitProject, name: str) -> None:
    (repository.root / f"{name}.yaml").unlink()


def move_into_overlays(repository: GitProject, name: str) -> None:
    (repository.root / "overlays").mkdir(exist_ok=True)
    (repository.root / f"{name}.yaml").rename(repository.root / "overlays" / f"{name}.yaml")


def give_other_ending(repository: GitProject, name: str) -> None:
    (repository.root / f"{name}.yaml").rename(repository.root / f"{name}.yam")


def hide(repository: GitProject, name: str) -> None:
    (repository.root / f"{name}.yaml").rename(repository.root / f".{name}.yaml")


def link_outside(repository: GitProject, name: str) -> None:
    file = repository.root / f"{name}.yaml"
    file.rename(repository.top / f"{name}.yaml")
    file.symlink_to(f"../{name}.yaml")


def misspell_version(repository: GitProject, name: str) -> None:
    _replace(repository, name, "tunedmodels.dev/v1", "tunedmodel.dev/v1")


def lose_version(repository: GitProject, name: str) -> None:
    _replace(repository, name, "apiVersion: tunedmodels.dev/v1\n", "")


def lose_both_keys(repository: GitProject, name: str) -> None:
    _replace(repository, name, "apiVersion: tunedmodels.dev/v1\nkind: TunedModel\n", "")


def rename_in_place(repository: GitProject, name: str) -> None:
    _replace(repository, name, f"name: {name}", f"name: {name}-2")


def leave_out_of_sparse_checkout(repository: GitProject, name: str) -> None:
    repository.git("update-index", "--skip-worktree", f"p/{name}.yaml")
    (repository.root / f"{name}.yaml").unlink()


def replace_by_pointer(repository: GitProject, name: str) -> None:
    (repository.root / f"{name}.yaml").write_bytes(POINTER)


WAYS = (
    delete,
    move_into_overlays,
    give_other_ending,
    hide,
    link_outside,
    misspell_version,
    lose_version,
    lose_both_keys,
    rename_in_place,
    leave_out_of_sparse_checkout,
    replace_by_pointer,
)


def _replace(repository: GitProject, name: str, old: str, new: str) -> None:
    file = repository.root / f"{name}.yaml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
