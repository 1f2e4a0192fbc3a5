"""The README shows real output of the product. `GOLDEN=write` rewrites its blocks."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tunedmodels.cli.main import COMMANDS, run

README = ROOT / "README.md"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

PROJECT = """\
apiVersion: tunedmodels.dev/v1
kind: Project
metadata: {name: shop}
"""


def manifest() -> str:
    """Return the manifest of the example project without its first comment line."""
    text = (ROOT / "manifests/support-triage.yaml").read_text(encoding="utf-8")
    return text.split("\n", 1)[1]


def commands() -> str:
    """Return the command table of `tunedmodels --help`."""
    width = max(map(len, COMMANDS))
    return "".join(f"{name:<{width}}  {words}\n" for name, words in COMMANDS.items())


def plan(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return a real plan: a trained example project with two examples added and one removed."""
    models = folder / "manifests"
    (models / "data").mkdir(parents=True)
    (models / "tunedmodels.yaml").write_text(PROJECT, encoding="utf-8")
    (models / "support-triage.yaml").write_text(manifest(), encoding="utf-8")
    for name in ("support-triage.csv", "support-triage.eval.csv"):
        (models / "data" / name).write_bytes((ROOT / "manifests/data" / name).read_bytes())
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    subprocess.run(["git", "add", "."], cwd=folder, check=True)
    assert run(["apply", "--yes"]) == 0
    file = models / "data/support-triage.csv"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    lines[5:6] = [
        "My card was charged twice for one order,billing\n",
        "The app closes when I open the settings,bug\n",
    ]
    file.write_text("".join(lines), encoding="utf-8")
    capsys.readouterr()
    assert run(["plan"]) == 0
    return f"$ tunedmodels plan\n{capsys.readouterr().out}"


def shown(name: str, text: str) -> None:
    """Compare the block below `<!-- shown: NAME -->`, or write it."""
    readme = README.read_text(encoding="utf-8")
    block = re.compile(rf"(<!-- shown: {name} -->\n```\w+\n)(.*?)(```\n)", re.DOTALL)
    assert len(block.findall(readme)) == 1
    if os.environ.get("GOLDEN") == "write":
        readme = block.sub(lambda found: found[1] + text + found[3], readme)
        README.write_text(readme, encoding="utf-8")
    found = block.search(readme)
    assert found is not None
    assert found[2] == text


@pytest.mark.parametrize(("name", "made"), [("manifest", manifest), ("commands", commands)])
def test_the_readme_shows_the_current_manifest_and_commands(
    name: str, made: Callable[[], str]
) -> None:
    shown(name, made())


def test_the_readme_shows_a_real_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shown("plan", plan(tmp_path, capsys))


def test_the_architecture_page_draws_the_layers_that_import_linter_checks() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    drawn = page.split("<!-- layers -->\n```text\n")[1].split("```")[0]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    drawn_layers = [re.split(r"\s{2,}", line.strip())[0] for line in drawn.splitlines()]
    assert drawn_layers == [layer for layer in layers if layer != "__main__"]


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = {page.parent / link for link in re.findall(r"\]\(([^)#:]+)\)", text)}
    links |= {ROOT / name for name in re.findall(r"\b(?:tests|docs|benchmarks)/[\w/.-]+\w", text)}
    assert [str(link) for link in links if not link.exists()] == []
