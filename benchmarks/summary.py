"""One table of every goal: what, ours, the yardstick or peer, the ratio, the goal, met or not.

    python -m benchmarks.summary [--short] [--models N] [--rounds N]

Processes are compared by processor time (user + system), which other processes on the machine
change less than the time on the clock, alternating with their yardstick; a ratio is the median of
the ratios of the pairs. Requests with latency are compared with their floor by the clock. `--short`
takes less than a minute and is printed by CI. Nothing fails: a shared machine has no fixed speed.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from urllib.request import urlopen

from benchmarks import datasets, network, plain_environment, plan_scale

COLUMNS = ("what", "ours", "yardstick", "ratio", "goal", "met")
LATENCY_S = network.LATENCY_S
STEPS = 5000  # of a long curve
LONG_CURVES = 600  # models


@dataclass(frozen=True, slots=True)
class Options:
    """The size of a run."""

    models: int
    created: int
    dataset_mb: int
    rounds: int
    is_short: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    ours: str
    yardstick: str = ""
    ratio: float | None = None
    goal: float | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells as text."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        goal = "" if self.goal is None else f"{self.goal:g}"
        met = ""
        if self.ratio is not None and self.goal is not None:
            met = "yes" if self.ratio <= self.goal else "no"
        return self.what, self.ours, self.yardstick, ratio, goal, met


@dataclass(slots=True)
class Usage:
    """The processor time and the peak memory of the runs of one command."""

    cpu_s: list[float] = field(default_factory=list)
    peak_mib: float = 0.0

    @property
    def median_s(self) -> float:
        """The median of the times."""
        return statistics.median(self.cpu_s)

    def ratio_to(self, other: Usage) -> float:
        """Return the median ratio of the pairs."""
        return statistics.median(
            own / reference for own, reference in zip(self.cpu_s, other.cpu_s, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Command:
    """A command that is measured."""

    arguments: Sequence[str]
    cwd: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], object] = lambda: None  #: called before each run

    def run(self) -> tuple[float, float]:
        """Run it once; return its processor time and its peak memory in MiB."""
        self.prepare()
        process = subprocess.Popen(
            self.arguments,
            cwd=self.cwd,
            env={**plan_scale.ENVIRONMENT, **self.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 2):
            raise SystemExit(f"{' '.join(self.arguments)} ended with {process.returncode}")
        return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def alternate(commands: Mapping[str, Command], rounds: int) -> dict[str, Usage]:
    """Run all commands in turn, the first time without measuring."""
    usages = {name: Usage() for name in commands}
    for round_ in range(rounds + 1):
        for name, command in commands.items():
            cpu_s, peak_mib = command.run()
            if round_:
                usages[name].cpu_s.append(cpu_s)
                usages[name].peak_mib = max(usages[name].peak_mib, peak_mib)
    return usages


def _seconds(usage: Usage) -> str:
    return f"{usage.median_s:.3f} s"


def start_up(options: Options) -> Iterator[Row]:
    """Yield the start-up of commands in a plain environment."""
    with tempfile.TemporaryDirectory() as environment, tempfile.TemporaryDirectory() as directory:
        programs = plain_environment.create(Path(environment))
        own, project = str(programs / "tunedmodels"), Path(directory)
        subprocess.run(
            [own, "init", ".", "--name", "demo"], cwd=project, check=True, capture_output=True
        )
        goals = {"--help": 4.5, "--version": 4.5, "validate": 16, "plan": 30}
        commands = {name: Command([own, name], project) for name in goals}
        commands["pass"] = Command([str(programs / "python"), "-c", "pass"], project)
        usages = alternate(commands, 2 * options.rounds)
        bare = usages.pop("pass")
        for name, usage in usages.items():
            what = "plan of one model" if name == "plan" else name
            yield Row(
                what,
                _seconds(usage),
                f"python -c pass {bare.median_s:.3f} s",
                usage.ratio_to(bare),
                goals[name],
            )


def no_op_plan(options: Options) -> Iterator[Row]:
    """Yield the time of a plan over HTTP, compared with octoDNS if it is installed."""
    number = options.models
    with ExitStack() as stack:
        project = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(plan_scale.tunedmodels_project(project, number))
        plan = [plan_scale.TUNEDMODELS, "plan"]

        def change(epochs: int) -> Callable[[], object]:
            return lambda: plan_scale.declare(project, 0, epochs=epochs)

        commands = {
            "no-op": Command(plan, project, prepare=change(plan_scale.EPOCHS)),
            "no cache": Command([*plan, "--no-cache"], project),
            "json": Command([*plan, "--format", "json"], project),
            "one change": Command(plan, project, prepare=change(plan_scale.EPOCHS + 1)),
        }
        if importlib.util.find_spec("octodns"):
            zone = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            peer = stack.enter_context(plan_scale.octodns_zone(zone, number))
            commands["octoDNS"] = Command(peer, zone)
        usages = alternate(commands, options.rounds)
    peer_usage = usages.get("octoDNS")
    text = f"octoDNS {peer_usage.median_s:.3f} s" if peer_usage else "octoDNS is not installed"
    goals = {"no-op": (1.2, 0.7), "no cache": (None, 1.0)}
    for name, goal in goals.items():
        usage = usages[name]
        ratio = usage.ratio_to(peer_usage) if peer_usage else None
        chosen = goal[number >= 10_000]  # noqa: PLR2004  # the size that the second goal is for
        yield Row(f"{name} plan, {number:,} models", _seconds(usage), text, ratio, chosen)
    changed, unchanged = usages["one change"], usages["no-op"]
    yield Row(
        f"plan with one change, {number:,} models",
        _seconds(changed),
        f"no-op plan {unchanged.median_s:.3f} s",
        changed.ratio_to(unchanged),
        1.05,
    )
    peak = max(usages[name].peak_mib for name in ("no-op", "json"))
    goal_mib = 110 if number >= 10_000 else None  # noqa: PLR2004  # as above
    yield Row(
        f"peak memory of a plan, {number:,} models, MiB", f"{peak:.0f} MiB", "", peak, goal_mib
    )


SCAN_CACHED = """
import sys
from pathlib import Path
from tunedmodels.datasets.scan_cache import ScanCache, ScanRequest
from tunedmodels.schema.tuned_model import ExampleFile
file = Path(sys.argv[1])
cache = ScanCache(file.with_name("cache"), key=b"a key")
cache.scan(ScanRequest(file, ExampleFile(path=file.name), file.name))
cache.save()
"""


def dataset_scan(options: Options) -> Iterator[Row]:
    """Yield the time of a scan compared with SHA-256 over the same bytes."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "rows.jsonl"
        datasets.write(file, options.dataset_mb * 1_000_000)
        time.sleep(0.2)  # a file that was just written is not cached
        environment = {"PYTHONPATH": str(datasets.ROOT)}

        def program(text: str, prepare: Callable[[], object] = lambda: None) -> Command:
            arguments = [sys.executable, "-c", text, str(file)]
            return Command(arguments, Path(directory), environment, prepare)

        def touch() -> None:
            os.utime(file, (1_700_000_000.5, 1_700_000_000.5 + next(stamps)))

        stamps = iter(range(1_000_000))
        commands = {
            "sha256": program(datasets.REFERENCE),
            "scan": program(datasets.SCAN),
            "known": program(SCAN_CACHED, touch),
            "scan start": program(datasets.START),
            "known start": program(SCAN_CACHED.partition("file = ")[0]),
            "bare": program("import hashlib"),
        }
        usages = alternate(commands, options.rounds)

    def net_s(name: str, start: str) -> float:
        pairs = zip(usages[name].cpu_s, usages[start].cpu_s, strict=True)
        return max(statistics.median(whole - part for whole, part in pairs), 1e-6)

    hash_s = net_s("sha256", "bare")
    size = f"{options.dataset_mb} MB"
    text = f"sha256 {hash_s:.3f} s"
    scan_s = net_s("scan", "scan start")
    yield Row(f"dataset scan, {size}", f"{scan_s:.3f} s", text, scan_s / hash_s, 6)
    known_s = net_s("known", "known start")
    yield Row(f"known bytes, new checkout, {size}", f"{known_s:.3f} s", text, known_s / hash_s, 1.3)


def requests(options: Options) -> Iterator[Row]:
    """Yield the time of observing and creating models at 50 ms latency, with its floor."""
    pages = math.ceil(options.models / network.PAGE)
    with network.serving(options.models) as port:
        rounds = range(options.rounds)
        observed = [asyncio.run(network.observe(port, options.models)) for _ in rounds]
        created = [asyncio.run(network.create(port, options.created, turn)) for turn in rounds]
    floors = (pages * LATENCY_S, options.created * LATENCY_S / network.CONCURRENT)
    names = (f"observe {options.models:,}", f"create {options.created:,}")
    for name, times, floor_s, goal in zip(
        names, (observed, created), floors, (1.3, 1.6), strict=True
    ):
        median = statistics.median(times)
        text = f"floor {floor_s:.2f} s"
        yield Row(f"{name} models at 50 ms", f"{median:.2f} s", text, median / floor_s, goal)


@contextmanager
def _library(number: int, steps: int) -> Iterator[tuple[str, int]]:
    """Serve ready models with curves of `steps` steps; yield the URL and the process id."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        (folder / "data").mkdir()
        for index in range(number):
            plan_scale.declare(folder, index)
            file = folder / "data" / f"examples-{index:05d}.jsonl"
            rows = ({"text_input": f"{index} {row}", "output": "x"} for row in range(20))
            file.write_text("\n".join(map(json.dumps, rows)))
        (folder / "tunedmodels.yaml").write_text(
            plan_scale.PROJECT.format(endpoint="http://127.0.0.1:1")
        )
        plan_scale.train(folder, steps=steps)
        with plan_scale.server(folder) as (url, pid):
            yield url, pid


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return math.nan


def library_page(options: Options) -> Iterator[Row]:
    """Yield the processor time of one view of the library page."""
    views = 20
    with _library(options.models, plan_scale.STEPS) as (url, pid):
        urlopen(f"{url}/").read()  # noqa: S310  # http
        before = _cpu_s(pid)
        for _ in range(views):
            urlopen(f"{url}/").read()  # noqa: S310  # http
        cpu_s = (_cpu_s(pid) - before) / views
    yield Row(
        f"library page, {options.models:,} models, CPU in s", f"{cpu_s:.3f} s", "", cpu_s, 0.03
    )


def long_curves(options: Options) -> Iterator[Row]:
    """Yield the peak memory of the server while it lists models with long curves completely."""
    number = 60 if options.is_short else LONG_CURVES
    with _library(number, STEPS) as (url, pid):
        token, listed = "", 0
        while True:
            address = f"{url}/v1beta/tunedModels?pageSize=1000&pageToken={token}"
            page = json.load(urlopen(address))  # noqa: S310  # http
            listed += len(page["tunedModels"])
            token = page.get("nextPageToken", "")
            if not token:
                break
        peak = _peak_mib(pid)
    if listed != number:
        raise SystemExit(f"{listed} models instead of {number}")
    yield Row(f"server, list of {number} x {STEPS:,} steps, MiB", f"{peak:.0f} MiB", "", peak, 150)


PARTS = (start_up, no_op_plan, dataset_scan, requests, library_page, long_curves)


def main(options: Options) -> None:
    """Measure every part and print its rows as they are measured."""
    widths = (46, 11, 26, 8, 6, 4)
    for cells in (COLUMNS, tuple("-" * width for width in widths)):
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)))
    for part in PARTS:
        with redirect_stderr(StringIO()):
            rows = list(part(options))
        for row in rows:
            line = "  ".join(f"{cell:<{w}}" for cell, w in zip(row.cells, widths, strict=True))
            print(line.rstrip(), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--short", action="store_true", help="less than a minute, smaller sizes")
    parser.add_argument("--models", type=int, help="number of models; default 10,000, short 300")
    parser.add_argument("--rounds", type=int, help="runs of each command; default 5, short 2")
    given = parser.parse_args()
    short = given.short
    main(
        Options(
            models=given.models or (300 if short else 10_000),
            created=100 if short else 1000,
            dataset_mb=10 if short else 100,
            rounds=given.rounds or (2 if short else 5),
            is_short=short,
        )
    )
