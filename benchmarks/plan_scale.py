"""The time of a plan without changes over N models, compared with octoDNS in the same run.

`tunedmodels plan` reads N manifests of 15 lines and N datasets of 20 examples, and compares them
with N live models, which it lists from `tunedmodels serve` over loopback HTTP. octoDNS compares one
YAML file of N records with those of a small provider, also over loopback HTTP; it runs if it is
installed (`pip install octodns`). Whole processes with warm files, alternating, medians of several
runs:

    python benchmarks/plan_scale.py [N ...]      # for example 100 1000 10000
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tunedmodels.desired import Desired
from tunedmodels.project import Project
from tunedmodels.project.resolve import resolve
from tunedmodels.service.api.responses import snapshot
from tunedmodels.service.identity import LOCAL_CALLER
from tunedmodels.service.records import NewModel, timestamp
from tunedmodels.service.store.models import ModelStore
from tunedmodels.stamp import format_description

ROUNDS = 5
PAGE = 1000
EXAMPLES = 20
EPOCHS = 5
BATCH = 4
STEPS = EXAMPLES * EPOCHS // BATCH
TUNEDMODELS = str(Path(sys.executable).with_name("tunedmodels"))
# Without byte code a new interpreter compiles all modules, unlike in an installation; with a CI
# variable no cache is used.
ENVIRONMENT = {
    key: value for key, value in os.environ.items() if key not in ("PYTHONDONTWRITEBYTECODE", "CI")
}

PROJECT = """\
apiVersion: tunedmodels.dev/v1
kind: Project
metadata: {{name: bench}}
spec:
  provider: local
  providers:
    local: {{type: gemini, endpoint: "{endpoint}"}}
"""
MANIFEST = """\
apiVersion: tunedmodels.dev/v1
kind: TunedModel
metadata:
  name: model-{number:05d}
spec:
  baseModel: models/embedded-label-001
  description: Model {number} of a benchmark
  dataset:
    path: data/examples-{number:05d}.jsonl
    preamble: "Say the next number."
  hyperparameters:
    epochCount: {epochs}
    batchSize: 4
    learningRate: 0.001
  temperature: 0.7
"""

OCTODNS = """\
manager: {max_workers: 1}
providers:
  written: {class: octodns.provider.yaml.YamlProvider, directory: DIRECTORY/zones}
  live: {class: loopback.Provider, endpoint: "ENDPOINT"}
zones:
  bench.test.: {sources: [written], targets: [live]}
"""
LOOPBACK = """\
import json
import logging
from urllib.request import urlopen
from octodns.provider.base import BaseProvider
from octodns.record import Record

class Provider(BaseProvider):
    SUPPORTS_GEO = SUPPORTS_DYNAMIC = SUPPORTS_ROOT_NS = False
    SUPPORTS = {"A"}
    log = logging.getLogger("loopback")

    def __init__(self, id, endpoint):
        super().__init__(id)
        self.endpoint = endpoint

    def populate(self, zone, target=False, lenient=False):
        token = "0"
        while token:
            with urlopen(f"{self.endpoint}/records?pageToken={token}") as answer:
                page = json.load(answer)
            for name, value in page["records"]:
                data = {"type": "A", "ttl": 300, "values": [value]}
                zone.add_record(Record.new(zone, name, data, source=self, lenient=lenient))
            token = page["nextPageToken"]
        return True
"""


@dataclass(frozen=True, slots=True)
class Run:
    """The time and the peak memory of a process."""

    seconds: float
    peak_mib: float


def timed(command: Sequence[str], cwd: Path, *, status: int = 0) -> Run:
    """Run a process and check its exit code."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=cwd, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, ended, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(ended)
    if process.returncode != status:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}, not {status}")
    return Run(seconds, usage.ru_maxrss / 1024)


def declare(directory: Path, number: int, *, epochs: int = EPOCHS) -> None:
    """Write the manifest of one model."""
    manifest = MANIFEST.format(number=number, epochs=epochs)
    (directory / f"model-{number:05d}.yaml").write_text(manifest)


def live(model: Desired) -> NewModel:
    """Return the row of a declared model that is the serving version."""
    stamp = model.stamp().promoted_at(datetime.now(UTC))
    time_ = timestamp()
    return NewModel(
        id=model.model_id,
        operation="x",
        base_model=model.inputs.source,
        source="",
        source_seq=None,
        display_name=model.fields.display_name or "",
        description=format_description(model.fields.description, stamp),
        temperature=0.7,
        top_p=0.95,
        top_k=None,
        readers="[]",
        epoch_count=EPOCHS,
        batch_size=BATCH,
        learning_rate=0.001,
        total_steps=STEPS,
        create_time=time_,
        update_time=time_,
    )


def train(directory: Path, *, steps: int = STEPS) -> None:
    """Add every declared model to the store, as after an apply, with curves of `steps` steps."""
    project = Project.open(directory)
    store = ModelStore(project.state_dir)
    for model in resolve(project, use_cache=False).desired_or_raise():
        store.add(live(model), b"", owner=LOCAL_CALLER.email)
    per_epoch = steps // EPOCHS
    curve = b",".join(snapshot(step, step // per_epoch, 2 / step) for step in range(1, steps + 1))
    with store.database.write_transaction() as connection:
        connection.execute(
            "UPDATE models SET state = 'ACTIVE', start_time = create_time,"
            " complete_time = create_time, total_steps = ?, completed_steps = ?",
            (steps, steps),
        )
        connection.execute(
            "INSERT INTO curves SELECT seq, total_steps, ? FROM models", (curve.decode(),)
        )
    store.close()


@contextmanager
def server(directory: Path) -> Iterator[tuple[str, int]]:
    """Run `tunedmodels serve`; yield its URL, which is in its first line, and its process id."""
    command = [TUNEDMODELS, "serve", "--port", "0", "--store", str(directory / ".tunedmodels")]
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stderr.readline() if process.stderr else ""
            yield next(word for word in line.split() if word.startswith("http")), process.pid
        finally:
            process.terminate()


@contextmanager
def tunedmodels_project(directory: Path, number: int) -> Iterator[None]:
    """Create a project of `number` models, and serve them."""
    (directory / "data").mkdir()
    for index in range(number):
        declare(directory, index)
        rows = (
            json.dumps({"text_input": f"{index} and {row}", "output": "odd" if row % 2 else "even"})
            for row in range(EXAMPLES)
        )
        (directory / "data" / f"examples-{index:05d}.jsonl").write_text("\n".join(rows))
    manifest = directory / "tunedmodels.yaml"
    manifest.write_text(PROJECT.format(endpoint="http://127.0.0.1:8787"))
    train(directory)
    with server(directory) as (endpoint, _):
        manifest.write_text(PROJECT.format(endpoint=endpoint))
        yield


@contextmanager
def octodns_zone(directory: Path, number: int) -> Iterator[list[str]]:
    """Create a zone of `number` records, serve it, and yield the command that plans it."""
    records = [(f"m{index:05d}", f"10.1.{index // 250}.{index % 250}") for index in range(number)]

    class Server(BaseHTTPRequestHandler):
        """Answers requests for a page of records."""

        def do_GET(self) -> None:
            """Return the page of the token."""
            start = int(parse_qs(urlsplit(self.path).query)["pageToken"][0])
            stop = start + PAGE
            token = str(stop) if stop < number else ""
            page = {"records": records[start:stop], "nextPageToken": token}
            body = json.dumps(page).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    (directory / "zones").mkdir()
    zone = "".join(f"{name}:\n  ttl: 300\n  type: A\n  value: {ip}\n" for name, ip in records)
    (directory / "zones" / "bench.test.yaml").write_text(f"---\n{zone}")
    (directory / "loopback.py").write_text(LOOPBACK)
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        endpoint = f"http://127.0.0.1:{server.server_port}"
        config = OCTODNS.replace("DIRECTORY", str(directory)).replace("ENDPOINT", endpoint)
        (directory / "config.yaml").write_text(config)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        # -m adds the working directory, and so the provider, to the path.
        yield [sys.executable, "-m", "octodns.cmds.sync", "--config-file", "config.yaml", "--quiet"]
        server.shutdown()


def measure(number: int) -> tuple[float, float]:
    """Print the figures for one size; return the seconds of a plan with and without the cache."""
    has_peer = importlib.util.find_spec("octodns") is not None
    with (
        tempfile.TemporaryDirectory() as project,
        tempfile.TemporaryDirectory() as zone,
        tunedmodels_project(Path(project), number),
        octodns_zone(Path(zone), number) as peer,
    ):
        plan = [TUNEDMODELS, "plan", "--detailed-exitcode"]
        timed([*plan, "--no-cache"], Path(project))
        runs: dict[str, list[Run]] = {}
        for round_ in range(ROUNDS + 1):  # the first round fills caches
            done = {"plan": timed(plan, Path(project))}
            done["plan --no-cache"] = timed([*plan, "--no-cache"], Path(project))
            declare(Path(project), 0, epochs=EPOCHS + 1)
            done["plan, one changed"] = timed(plan, Path(project), status=2)
            declare(Path(project), 0)
            if has_peer:
                done["octoDNS"] = timed(peer, Path(zone))
            if round_:
                for name, run in done.items():
                    runs.setdefault(name, []).append(run)
    seconds = {
        name: statistics.median(run.seconds for run in repeated) for name, repeated in runs.items()
    }
    print(f"{number} models")
    for name, repeated in runs.items():
        peak = max(run.peak_mib for run in repeated)
        ratio = f"  {seconds[name] / seconds['octoDNS']:4.2f}x octoDNS" if has_peer else ""
        print(f"  {name:18} {seconds[name]:6.2f} s  {peak:4.0f} MiB{ratio}")
    if not has_peer:
        print("  to compare with octoDNS: pip install octodns")
    return seconds["plan"], seconds["plan --no-cache"]


def main(numbers: Sequence[int]) -> None:
    """Measure each size, and the growth of the time from the smallest to the largest."""
    times = [measure(number) for number in numbers]
    if numbers[1:]:
        sizes = math.log(numbers[-1] / numbers[0])
        cached, read = (
            math.log(last / first) / sizes for first, last in zip(times[0], times[-1], strict=True)
        )
        print(f"growth exponent: {cached:.2f}, without the cache {read:.2f}")


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [100, 1000])
