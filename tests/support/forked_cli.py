"""Real processes of the command line, forked from one that has already imported everything.

A fresh interpreter needs a second for imports, and a test that kills a process at every request
needs dozens of processes. Locks and polling intervals are shortened in them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.paths import ROOT
from tunedmodels.apply.wait import PollInterval
from tunedmodels.cli.main import run

SHORT_DELAYS: dict[str, dict[str, Any]] = {
    "apply.wait": {"HOSTED_INTERVAL": PollInterval(min_s=0.01, max_s=0.01)},
    "providers.storage.lock": {"TTL_S": 0.3},
    "providers.vertex.create": {"LOOKUP_DELAYS_S": (0.01,) * 5},
    "providers.vertex.delete": {"INITIAL_PAUSE_S": 0.01},
    "providers.http": {"READ_TIMEOUT_S": 3.0},
    "providers.gemini.provider": {"CREATE_TIMEOUT_S": 3.0},
}
# Modules that the commands import lazily; imported here once for all processes.
PRELOADED = (
    "evaluation.significance",
    "operations.apply",
    "operations.plan",
    "operations.models",
    "providers.gemini.provider",
    "providers.vertex.provider",
    "render.progress",
    "render.status",
    "render.plan.text",
)


class ForkedCli:
    """A parent process that forks commands and waits for them."""

    def __enter__(self) -> Self:
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forked_cli"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._parent.communicate()

    def start(self, folder: Path, environ: Mapping[str, str], *arguments: str) -> int:
        """Start a command in a folder, and return its process id."""
        order = {"arguments": arguments, "folder": str(folder), "environ": dict(environ)}
        return int(self._ask(order))

    def wait(self, pid: int) -> int:
        """Wait for the end of a command, and return its exit code; -9 if it was killed."""
        return int(self._ask({"wait": pid}))

    def _ask(self, order: dict[str, Any]) -> Any:
        assert self._parent.stdin
        assert self._parent.stdout
        self._parent.stdin.write(json.dumps(order) + "\n")
        self._parent.stdin.flush()
        return json.loads(self._parent.stdout.readline())


def _main() -> None:
    _prepare()
    for line in sys.stdin:
        order = json.loads(line)
        if pid := order.get("wait"):
            answer = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        elif (answer := os.fork()) == 0:
            _run_command(order)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def _prepare() -> None:
    """Import the modules of the commands, and shorten their delays."""
    for name in PRELOADED:
        import_module(f"tunedmodels.{name}")
    for name, values in SHORT_DELAYS.items():
        module = import_module(f"tunedmodels.{name}")
        for key, value in values.items():
            assert hasattr(module, key)
            setattr(module, key, value)


def _run_command(order: dict[str, Any]) -> None:
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environ"])
    output = os.open(f"output-{os.getpid()}", os.O_WRONLY | os.O_CREAT, 0o600)
    no_input = os.open(os.devnull, os.O_RDONLY)
    for number, to in ((0, no_input), (1, output), (2, output)):
        os.dup2(to, number)
    code = 1
    try:
        code = int(run(order["arguments"]))
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    except BaseException:  # noqa: BLE001  # the process ends here, and the test reads the traceback
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _main()
