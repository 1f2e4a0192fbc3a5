"""How long a command takes from its start to its end, as a multiple of `python -c pass`.

Whole processes with warm files and byte code, in turn with the yardstick; medians of several runs.
The commands are asked of a project with one small model on the embedded provider:

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

OURS = [str(Path(sys.executable).with_name("tunedmodels"))]
COMMANDS = {  # and how many times the yardstick each may take
    "--help": 6,
    "--version": 6,
    "validate": 20,
    "plan": 45,
}


def seconds(command: list[str], folder: str) -> float:
    """Run a process in a folder; return the seconds until its end."""
    # Without byte code a fresh interpreter compiles everything again, which nobody's machine does;
    # with a CI variable no cache is trusted.
    skip = ("PYTHONDONTWRITEBYTECODE", "CI")
    environment = {key: value for key, value in os.environ.items() if key not in skip}
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main(rounds: int = 15) -> None:
    """Print one line per command."""
    compileall.compile_dir(Path(tunedmodels.__file__).parent, quiet=2)
    yardstick = [sys.executable, "-c", "pass"]
    with tempfile.TemporaryDirectory() as folder:
        seconds([*OURS, "init", ".", "--name", "demo"], folder)
        for command, goal in COMMANDS.items():
            seconds([*OURS, command], folder)  # the cache of datasets, and of files
            runs = [
                (seconds([*OURS, command], folder), seconds(yardstick, folder))
                for _ in range(rounds)
            ]
            ours, bare = map(statistics.median, zip(*runs, strict=True))
            print(
                f"{command:9} {ours * 1000:6.0f} ms, python -c pass {bare * 1000:4.0f} ms; "
                f"{ours / bare:5.1f}x (goal: {goal}x)"
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
