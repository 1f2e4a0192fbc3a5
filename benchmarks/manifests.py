"""The time to read, merge and validate N manifests of 15 lines, compared with PyYAML's C loader.

Whole processes with a warm file cache, alternating with the reference, medians of several runs:

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
OWN = """\
import sys
from pathlib import Path
from tunedmodels.manifests.load import load
loaded = load(Path(sys.argv[1]))
assert not loaded.problems, loaded.problems[:3]
assert len(loaded.models) == int(sys.argv[2])
"""
REFERENCE = """\
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


def timed(program: str, directory: str, number: int) -> tuple[float, int]:
    """Run a program in its own process; return its seconds and its peak memory in MiB."""
    # Without byte code a new interpreter compiles all modules, unlike in an installation.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", program + PEAK, directory, str(number)]
    start = time.perf_counter()
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return time.perf_counter() - start, int(done.stdout)


def measure(number: int) -> None:
    """Print one line for one number of manifests."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "tunedmodels.yaml").write_text(PROJECT)
        for index in range(number):
            (Path(directory) / f"model-{index:05d}.yaml").write_text(MANIFEST.format(number=index))
        runs = [
            (timed(OWN, directory, number), timed(REFERENCE, directory, number))
            for _ in range(ROUNDS)
        ]
    own, reference = (statistics.median(run[i][0] for run in runs) for i in (0, 1))
    peaks = [max(run[i][1] for run in runs) for i in (0, 1)]
    print(
        f"{number:>6} manifests: {own:6.3f} s, {peaks[0]} MiB; "
        f"CSafeLoader {reference:6.3f} s, {peaks[1]} MiB; ratio {own / reference:.2f}"
    )


if __name__ == "__main__":
    for argument in sys.argv[1:] or ["1000"]:
        measure(int(argument))
