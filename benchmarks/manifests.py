"""How long N manifests of 15 lines take to read, merge and validate, beside PyYAML's own C loader.

Whole processes with a warm file cache, in turn with the yardstick, medians of several runs:

    python benchmarks/manifests.py [N ...]       # for example 1000 10000
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 5
PROJECT = "apiVersion: tunedmodels.dev/v1\nkind: Project\nmetadata: {name: demo}\n"
MANIFEST = """\
apiVersion: tunedmodels.dev/v1
kind: TunedModel
metadata:
  name: model-{number:05d}
spec:
  baseModel: models/embedded-label-001
  description: Model {number} of a benchmark
  dataset:
    path: data/examples-{number}.jsonl
    preamble: "Say the next number."
  hyperparameters:
    epochCount: 5
    batchSize: 4
    learningRate: 0.001
  temperature: 0.7
"""
OURS = """\
import sys
from pathlib import Path
from tunedmodels.manifests.load import load
loaded = load(Path(sys.argv[1]))
assert not loaded.problems, loaded.problems[:3]
assert len(loaded.models) == int(sys.argv[2])
"""
YARDSTICK = """\
import sys, yaml
from pathlib import Path
files = sorted(Path(sys.argv[1]).iterdir())
documents = [yaml.load(file.read_bytes(), yaml.CSafeLoader) for file in files]
assert len(documents) == int(sys.argv[2]) + 1
"""
PEAK = """
import resource
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def timed(program: str, folder: str, number: int) -> tuple[float, int]:
    """Run a program in a process of its own; return seconds and MiB at its peak."""
    # Without byte code a fresh interpreter compiles everything again, which nobody's machine does.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", program + PEAK, folder, str(number)]
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return time.perf_counter() - began, int(done.stdout)


def measure(number: int) -> None:
    """Print one line for one number of manifests."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tunedmodels.yaml").write_text(PROJECT)
        for each in range(number):
            (Path(folder) / f"model-{each:05d}.yaml").write_text(MANIFEST.format(number=each))
        runs = [
            (timed(OURS, folder, number), timed(YARDSTICK, folder, number)) for _ in range(ROUNDS)
        ]
    ours, yardstick = (statistics.median(run[i][0] for run in runs) for i in (0, 1))
    peaks = [max(run[i][1] for run in runs) for i in (0, 1)]
    print(
        f"{number:>6} manifests: {ours:6.3f} s, {peaks[0]} MiB; "
        f"CSafeLoader {yardstick:6.3f} s, {peaks[1]} MiB; ratio {ours / yardstick:.2f}"
    )


if __name__ == "__main__":
    for argument in sys.argv[1:] or ["1000"]:
        measure(int(argument))
