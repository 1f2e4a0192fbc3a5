"""Datasets: a scan with every check and the digest, compared with SHA-256 over the same bytes.

    python benchmarks/datasets.py [--mb 100] [--runs 7] [--large]

Whole processes, alternating, with a warm file cache; medians. `hashlib.sha256` over the file is
1 x. `--large` adds a file of 1 GB, to measure the memory. The last part measures many small
datasets, read and from the cache.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
WORDS = (  # noqa: SIM905  # shorter than a list
    "the of and to in is it you that he was for on are with as I his they be at one have this from "
    "or had by hot but some what there we can out other were all your when up use word how said an "
    "each she which do their time if will way about many then them would write like so these her "
    "long make thing see him two has look more day could go come did my sound no most number who"
).split()
LABELS = ("billing", "refund", "login", "shipping", "bug", "praise", "other")

REFERENCE = (
    "import hashlib, sys; hashlib.file_digest(open(sys.argv[1], 'rb'), 'sha256').hexdigest()"
)
START = """
import sys
from pathlib import Path
from dataclasses import replace
from types import SimpleNamespace
from tunedmodels.datasets.limits import GEMINI_API
from tunedmodels.datasets.scan import scan
LIMITS = replace(GEMINI_API, max_bytes=None)  # a larger file is refused without being read
source = SimpleNamespace(format=None, input_field="text_input", output_field="output")
"""
SCAN = START + (
    'result = scan(Path(sys.argv[1]), source, display_path="x", limits=LIMITS)\n'
    "assert not result.problems, result.problems[:3]"
)
SMALL = """
import sys, time
from pathlib import Path
from tunedmodels.datasets.scan_cache import ScanCache, ScanRequest
from tunedmodels.schema.tuned_model import ExampleFile
files = sorted(Path(sys.argv[1]).glob("*.jsonl"))
requests = [ScanRequest(file, ExampleFile(path=file.name), file.name) for file in files]
begun = time.perf_counter()
cache = ScanCache(Path(sys.argv[1]) / "cache")
for request in requests:
    cache.scan(request)
cache.save()
print(time.perf_counter() - begun)
"""


class Run(NamedTuple):
    """One whole process: its time, processor time, peak memory and output."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    printed: str


def run(program: str, path: Path) -> Run:
    """Run a program on a file, with byte code as in an installation."""
    unset = {"PYTHONDONTWRITEBYTECODE"}
    environment = {key: value for key, value in os.environ.items() if key not in unset}
    environment["PYTHONPATH"] = str(ROOT)
    begun = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], env=environment, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout  # noqa: S101  # because of PIPE
        printed = process.stdout.read().decode()
        _, status, used = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"a process ended with {process.returncode}")
    return Run(wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, printed)


def rows(seed: int) -> Iterator[str]:
    """Yield endless lines of JSONL: 15 to 70 words of prose, some with quotes, lines or French."""
    chance = random.Random(seed)  # noqa: S311  # the same rows in every run
    number = 0
    while True:
        number += 1
        text = " ".join(chance.choices(WORDS, k=chance.randint(15, 70)))
        if chance.random() < 0.3:  # noqa: PLR2004  # a share
            text = text.replace(" that ", ' "that"\n')
        if chance.random() < 0.1:  # noqa: PLR2004  # a share
            text += " by the way: déjà vu, at 12:30"
        row = {"text_input": f"{text} #{number}", "output": chance.choice(LABELS)}
        yield json.dumps(row, ensure_ascii=False) + "\n"


def write(file: Path, size: int) -> None:
    """Write about `size` bytes of rows."""
    with file.open("w", encoding="utf-8") as opened:
        for row in rows(seed=1):
            opened.write(row)
            if opened.tell() >= size:
                return


def compare(file: Path, times: int) -> None:
    """Print the times of a scan and of the reference."""
    run(SCAN, file)  # fills the byte code and the file cache
    pairs = [(run(REFERENCE, file), run(SCAN, file)) for _ in range(times)]
    start = run(START, file)
    print(f"{file.stat().st_size / 1e6:,.0f} MB of JSONL, whole processes, medians of {times}")
    for name, field in (("wall", "wall_s"), ("processor", "cpu_s")):
        times_s = [(getattr(reference, field), getattr(own, field)) for reference, own in pairs]
        reference_s, scan_s = map(statistics.median, zip(*times_s, strict=True))
        # Per pair, since a busy machine slows both runs of a pair equally.
        ratio = statistics.median(own / reference for reference, own in times_s)
        print(f"  {name:<10} sha256 {reference_s:.3f} s   scan {scan_s:.3f} s   {ratio:.1f} x")
    peak = max(own.peak_mib for _, own in pairs)
    print(
        f"  memory     {peak - start.peak_mib:.0f} MiB above the {start.peak_mib:.0f} at start-up"
    )


def compare_small(directory: Path, count: int) -> None:
    """Print the time for many small datasets, read and from the cache."""
    lines = rows(seed=2)
    for number in range(count):
        small = "".join(next(lines) for _ in range(30))
        (directory / f"{number}.jsonl").write_text(small, encoding="utf-8")
    time.sleep(0.2)  # a file that was just written is not cached
    read, *again = (float(run(SMALL, directory).printed) for _ in range(4))
    print(f"{count:,} datasets of 30 examples, in one process")
    print(f"  read {read:.2f} s   from the cache {statistics.median(again):.3f} s")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--mb", type=int, default=100, help="size of the file")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--small", type=int, default=10_000, help="number of small datasets")
    parser.add_argument("--large", action="store_true", help="also 1 GB, once")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        for size, times in [(options.mb, options.runs), *([(1000, 1)] if options.large else [])]:
            file = Path(directory) / "rows.jsonl"
            write(file, size * 1_000_000)
            compare(file, times)
            file.unlink()
        if options.small:
            compare_small(Path(directory), options.small)


if __name__ == "__main__":
    main()
