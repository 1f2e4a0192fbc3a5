"""The run time of commands, as a multiple of `python -c pass`.

Whole processes with warm files and byte code, alternating with the reference; medians of several
runs. The commands run in a project with one small model on the embedded provider:

    python benchmarks/startup.py [ROUNDS]
"""

from __future__ import annotations

import compileall
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tunedmodels

TUNEDMODELS = [str(Path(sys.executable).with_name("tunedmodels"))]
COMMANDS = {  # command: its allowed multiple of the reference
    "--help": 6,
    "--version": 6,
    "validate": 20,
    "plan": 45,
}


def seconds(command: list[str], directory: str) -> float:
    """Run a process in a directory; return its seconds."""
    # Without byte code a new interpreter compiles all modules, unlike in an installation; with a
    # CI variable no cache is used.
    skip = ("PYTHONDONTWRITEBYTECODE", "CI")
    environment = {key: value for key, value in os.environ.items() if key not in skip}
    start = time.perf_counter()
    subprocess.run(command, cwd=directory, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main(rounds: int = 15) -> None:
    """Print one line per command."""
    compileall.compile_dir(Path(tunedmodels.__file__).parent, quiet=2)
    reference = [sys.executable, "-c", "pass"]
    with tempfile.TemporaryDirectory() as directory:
        seconds([*TUNEDMODELS, "init", ".", "--name", "demo"], directory)
        for command, goal in COMMANDS.items():
            seconds([*TUNEDMODELS, command], directory)  # fills the cache of datasets and of files
            runs = [
                (seconds([*TUNEDMODELS, command], directory), seconds(reference, directory))
                for _ in range(rounds)
            ]
            own, bare = map(statistics.median, zip(*runs, strict=True))
            print(
                f"{command:9} {own * 1000:6.0f} ms, python -c pass {bare * 1000:4.0f} ms; "
                f"{own / bare:5.1f}x (goal: {goal}x)"
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
