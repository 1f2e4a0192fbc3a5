"""Conventions of the package: small modules, plain names, and fast start-up of commands."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGE = ROOT / "tunedmodels"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "starter" not in path.parts)
FORBIDDEN = ("utils", "helpers", "common", "misc", "manager", "base.", "base_class")


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_has_a_docstring_and_is_small(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module begins with a docstring"
    assert text.count("\n") <= 400, "a module has at most 400 lines"
    assert not module.name.startswith(FORBIDDEN), "the name must describe the content"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, f"{node.name} has at most 60 lines"


def test_the_package_does_not_call_print() -> None:
    for module in MODULES:
        calls = [
            node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call)
        ]
        names = {node.func.id for node in calls if isinstance(node.func, ast.Name)}
        assert "print" not in names, module


HEAVY = {
    "anyio", "asyncio", "deepdiff", "difflib", "filelock", "hashlib", "httpx", "logging",
    "msgspec", "numpy", "prometheus_client", "pydantic", "requests", "rich",
    "safetensors", "sqlite3", "ssl", "stamina", "starlette", "subprocess", "uvicorn", "yaml",
}  # fmt: skip


def imported(*arguments: str, cwd: Path) -> set[str]:
    """Return the heavy modules that a command has imported."""
    code = (
        "import json, sys\n"
        "from tunedmodels.cli.main import run\n"
        f"run({list(arguments)!r})\n"
        "sys.stderr.write('\\n' + json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=True
    )
    return HEAVY & set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_nothing_heavy(option: str, tmp_path: Path) -> None:
    assert imported(option, cwd=tmp_path) == set()


def test_validate_imports_only_parsers_of_manifests_and_datasets() -> None:
    assert imported("validate", cwd=ROOT) <= {"hashlib", "msgspec", "pydantic", "yaml"}


def test_plan_imports_neither_the_engine_nor_the_progress_view(tmp_path: Path) -> None:
    assert imported("init", ".", "--name", "demo", cwd=tmp_path) <= {"hashlib", "pydantic", "yaml"}
    heavy = imported("plan", cwd=tmp_path)
    assert not heavy & {
        "deepdiff", "difflib", "numpy", "rich", "safetensors", "uvicorn"
    }  # fmt: skip
