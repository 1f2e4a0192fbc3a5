"""A runner of composite actions with the features that ours uses: `if`, `env`, outputs, bash.

From GitHub's documentation: "Metadata syntax", "Workflow commands" and "Contexts".
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_EXPRESSION = re.compile(r"\$\{\{ ([\w.-]+) \}\}")
_CONDITION = re.compile(r"([\w.-]+) (==|!=) '([^']*)'")
BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail")


@dataclass
class ActionResult:
    """The result of a run of the action; `code` is that of the first step that failed."""

    code: int = 0
    log: str = ""
    summary: str = ""
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ActionRunner:
    """Runs the steps of `action` in `workspace`, in the environment `environ`."""

    action: Path
    workspace: Path
    temp: Path
    environ: dict[str, str]

    def run(self, **inputs: str) -> ActionResult:
        """Run every step until one fails, and after it those with `always()`."""
        document = yaml.safe_load(self.action.read_text(encoding="utf-8"))
        contexts = {"github.token": self.environ.get("TOKEN_OF_THE_JOB", "")}
        for name, described in document["inputs"].items():
            contexts[f"inputs.{name}"] = inputs.pop(
                name, expand(described.get("default"), contexts)
            )
        assert not inputs, f"unknown inputs: {inputs}"
        result = ActionResult()
        for step in document["runs"]["steps"]:
            _, always, condition = (step.get("if") or "").rpartition("always() && ")
            if (always or not result.code) and evaluate_condition(condition or None, contexts):
                self._step(step, contexts, result)
        result.outputs = {
            name: expand(output["value"], contexts) for name, output in document["outputs"].items()
        }
        return result

    def _step(self, step: dict[str, Any], contexts: dict[str, str], result: ActionResult) -> None:
        assert step["shell"] == "bash"
        assert "${{" not in step["run"], "an expression in a script is an injection"
        files = {name: self.temp / name for name in ("output", "path", "summary", "script")}
        for file in files.values():
            file.write_text("")
        files["script"].write_text(step["run"])
        env = self.environ | {key: expand(value, contexts) for key, value in step["env"].items()}
        done = subprocess.run(
            [*BASH, str(files["script"])],
            cwd=self.workspace,
            env=env
            | {
                "GITHUB_OUTPUT": str(files["output"]),
                "GITHUB_PATH": str(files["path"]),
                "GITHUB_STEP_SUMMARY": str(files["summary"]),
                "GITHUB_ACTION_PATH": str(self.action.parent),
                "RUNNER_TEMP": str(self.temp),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        for line in files["output"].read_text().splitlines():
            name, _, value = line.partition("=")
            contexts[f"steps.{step.get('id')}.outputs.{name}"] = value
        result.code = result.code or done.returncode
        result.log += done.stdout
        result.summary += files["summary"].read_text()


def expand(text: str | None, contexts: dict[str, str]) -> str:
    """Replace `${{ name }}` by its value, which is empty by default."""
    return _EXPRESSION.sub(lambda found: contexts.get(found[1], ""), text or "")


def evaluate_condition(condition: str | None, contexts: dict[str, str]) -> bool:
    """Evaluate `name == 'text'`, `name != 'text'`, or no condition at all."""
    if condition is None:
        return True
    found = _CONDITION.fullmatch(condition)
    assert found, f"a condition that this runner does not support: {condition}"
    return (contexts.get(found[1], "") == found[3]) is (found[2] == "==")
