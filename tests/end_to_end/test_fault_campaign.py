"""Commands against answers that lie: what they report is true, and the next apply repairs the rest.

Real processes run against a real server behind a proxy that answers one request falsely. A short
campaign runs by default; `pytest -m campaign tests/end_to_end/test_fault_campaign.py` runs all.
"""

from __future__ import annotations

import itertools
import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.test_chaos import jobs, use_server
from tests.support.fault_proxy import FAULTS, FaultProxy, run_fault_proxy
from tests.support.forked_cli import ForkedCli
from tests.support.project_dir import ProjectDir
from tests.support.serve_process import ServeProcess, list_models, run_server
from tunedmodels import stamp as stamps

MAX_BOUNDARIES = 9
SHORT_RUNS = 24
SHORT_BUDGET_S = 75.0
HANGS = 1  # of the short campaign: each waits for the time limit of a request
TRAIN = {"hyperparameters": {"epochCount": 1}}


@dataclass
class Campaign:
    """One server, one proxy and one project for all runs."""

    project: ProjectDir
    server: ServeProcess
    proxy: FaultProxy
    cli: ForkedCli
    store: Path
    counter: Iterator[int] = field(default_factory=itertools.count)
    created: int = 0

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run a command as a process of its own."""
        folder = self.project.folder
        environ = self.project.environ() | {"GEMINI_API_KEY": "any-key-of-the-test"}
        pid = self.cli.start(folder, environ, *arguments)
        code = self.cli.wait(pid)
        output = folder / f"output-{pid}"
        text = output.read_text(encoding="utf-8")
        output.unlink()
        assert "Traceback" not in text, text
        return code, text

    def apply_until_done(self) -> None:
        """Apply without a fault until no job runs."""
        self.proxy.plan()
        code, text = self.run("apply", "--yes", "--allow-empty", "--allow-delete", "100")
        assert code == 0, text

    def live(self, name: str) -> list[dict[str, Any]]:
        """Return the models of a name as the server has them."""
        models = list_models(self.server.api)
        return [model for key, model in models.items() if key.rpartition("-")[0] == name]

    def serving(self, name: str) -> str:
        """Return the id of the version that was promoted last."""

        def promoted(model: dict[str, Any]) -> str:
            stamp = stamps.parse_description(model["description"])[1]
            return stamp.promoted.isoformat() if stamp and stamp.promoted else ""

        newest = max(self.live(name), key=promoted)
        return str(newest["name"]).removeprefix("tunedModels/")


def update(campaign: Campaign) -> tuple[tuple[str, ...], Callable[[], bool]]:
    words = f"description {next(campaign.counter)}"
    campaign.project.model("tone", description=words, **TRAIN)
    return ("apply", "--yes"), lambda: any(
        model["description"].startswith(words) for model in campaign.live("tone")
    )


def promote(campaign: Campaign) -> tuple[tuple[str, ...], Callable[[], bool]]:
    ids = {model["name"].removeprefix("tunedModels/") for model in campaign.live("swap")}
    (other,) = ids - {campaign.serving("swap")}
    return ("promote", "swap", other), lambda: campaign.serving("swap") == other


def create(campaign: Campaign) -> tuple[tuple[str, ...], Callable[[], bool]]:
    name = f"new{next(campaign.counter)}"
    campaign.project.model(name, dataset={"path": "data/tone.jsonl"}, **TRAIN)
    campaign.created += 1
    return ("apply", "--yes"), lambda: any(
        "promoted=" in model["description"] for model in campaign.live(name)
    )


def delete(campaign: Campaign) -> tuple[tuple[str, ...], Callable[[], bool]]:
    manifests = sorted((campaign.project.folder / "manifests").glob("new*.yaml"))
    if not manifests:
        create(campaign)
        campaign.apply_until_done()
        return delete(campaign)
    name = manifests[0].stem
    manifests[0].unlink()
    return ("apply", "--yes", "--allow-delete", "100"), lambda: not campaign.live(name)


OPERATIONS = {"create": create, "update": update, "promote": promote, "delete": delete}
CASES = list(itertools.product(OPERATIONS, FAULTS, (False, True), range(MAX_BOUNDARIES)))


@pytest.fixture
def campaign(project_dir: ProjectDir, tmp_path: Path) -> Iterator[Campaign]:
    store = tmp_path / "store"
    with (
        run_server(store) as server,
        run_fault_proxy(server.url.removeprefix("http://")) as proxy,
        ForkedCli() as cli,
    ):
        use_server(project_dir, proxy.url)
        project_dir.model("tone", **TRAIN)
        opened = Campaign(project_dir, server, proxy, cli, store)
        for epochs in (1, 2):  # two ready versions
            project_dir.model(
                "swap",
                dataset={"path": "data/tone.jsonl"},
                lifecycle={"keep": 3},
                hyperparameters={"epochCount": epochs},
            )
            opened.apply_until_done()
        opened.created = 3
        yield opened


def run_case(campaign: Campaign, case: tuple[str, str, bool, int]) -> bool:
    """Run one case; return whether its fault occurred."""
    operation, fault, has_effect, number = case
    command, is_done = OPERATIONS[operation](campaign)
    campaign.proxy.plan(fault, number, has_effect=has_effect)
    code, text = campaign.run(*command)
    was_hit = campaign.proxy.was_hit
    requests = json.dumps(campaign.proxy.requests)
    assert code != 0 or is_done(), (case, text, requests)
    if operation == "promote":
        campaign.proxy.plan()
        code, text = campaign.run(*command)
        assert code == 0, (case, text)
    else:
        campaign.apply_until_done()
    assert is_done(), (case, requests)
    existing, created = jobs(campaign.store)
    assert created == campaign.created, (case, requests, "a job was created twice")
    assert existing <= created
    return was_hit


@pytest.mark.timeout(170)
def test_a_short_campaign_of_false_answers(campaign: Campaign) -> None:
    source = random.Random(12)  # noqa: S311  # not for security
    started, hits, hangs = time.monotonic(), 0, 0
    for case in source.sample(CASES, SHORT_RUNS * 2):
        if hits >= SHORT_RUNS or (hits and time.monotonic() - started > SHORT_BUDGET_S):
            break
        hangs += case[1] == "hang"
        if case[1] != "hang" or hangs <= HANGS:
            hits += run_case(campaign, case)
    assert hits


@pytest.mark.campaign
@pytest.mark.timeout(3 * 3600)
def test_the_whole_campaign_of_false_answers(campaign: Campaign) -> None:
    for operation, fault, has_effect in itertools.product(OPERATIONS, FAULTS, (False, True)):
        for number in itertools.count():
            if not run_case(campaign, (operation, fault, has_effect, number)):
                break
