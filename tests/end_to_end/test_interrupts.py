"""Signals, kills and two processes at once: it ends as declared, with one job per fingerprint."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.project_dir import Desk


def until(is_so: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + 50
    while not is_so():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.002)


def happened(desk: Desk) -> list[str]:
    """What the journal says so far, as `Sending create`."""
    files = sorted((desk.folder / "manifests/.tunedmodels/journal").glob("*.jsonl"))
    lines = [line for file in files for line in file.read_text().splitlines(keepends=True)]
    events = [json.loads(line) for line in lines if line.endswith("\n")]
    return [f"{event['event']} {event.get('call', '')}".strip() for event in events]


def heeds(pid: int, number: signal.Signals) -> bool:
    """Whether a process has taken a signal into its own hands (proc(5): a mask of bits)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    mask = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(mask.split()[1], 16) >> (number - 1) & 1)


def is_training(desk: Desk) -> bool:
    """Whether a step of the job is on disk."""
    if "Sent create" not in happened(desk):
        return False
    return any(version["step"] for version in desk.status()["versions"])


def is_as_declared(desk: Desk) -> None:
    """One job was enough, and nothing is left to do."""
    ended = desk.run("apply", "--yes")
    assert ended.code == 0, ended.out + ended.err
    status = desk.status()
    assert [version["id"] for version in status["versions"]] == [status["serving"]]
    assert desk.run("plan", "--detailed-exitcode").code == 0
    # The service gives every job a number of its own, which is never given twice.
    store = sqlite3.connect(desk.folder / "manifests/.tunedmodels/embedded.db")
    assert store.execute("SELECT seq FROM sqlite_sequence WHERE name = 'models'").fetchone() == (1,)
    store.close()


def test_ctrl_c_once_lists_what_goes_on_and_the_next_apply_finishes_it(
    desk: Desk, slow: Callable[[], None]
) -> None:
    slow()
    process = desk.start("apply", "--yes")
    until(lambda: "Sent create" in happened(desk))
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert "goes on from its checkpoint with the next apply, watch or serve" in said
    assert "tunedmodels watch tone" in said
    assert desk.status()["serving"] is None
    is_as_declared(desk)


def test_ctrl_c_twice_leaves_at_once(desk: Desk, slow: Callable[[], None]) -> None:
    slow()
    process = desk.start("apply", "--yes")
    until(lambda: is_training(desk))
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    is_as_declared(desk)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_a_command_that_waits_for_words_is_answered_in_one(
    desk: Desk, number: signal.Signals
) -> None:
    process = desk.start("generate", "tone", stdin=subprocess.PIPE)
    until(lambda: heeds(process.pid, signal.SIGTERM))
    process.send_signal(number)
    said, _ = process.communicate(timeout=30)
    assert (process.returncode, said.strip()) == (130, "Interrupted.")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_promoting_leaves_the_version_serving_or_not(
    desk: Desk, number: signal.Signals
) -> None:
    process = desk.start("apply", "--yes")
    until(lambda: "Sending promote" in happened(desk))
    process.send_signal(number)
    said, _ = process.communicate(timeout=30)
    assert process.returncode in (0, 130), said
    assert "Traceback" not in said
    is_as_declared(desk)


@pytest.mark.parametrize(
    "moment",
    ["Started", "Sending create", "Sent create", "a step", "Sending promote", "Sent promote"],
)
def test_a_kill_at_any_moment_and_an_apply_end_as_declared(
    desk: Desk, slow: Callable[[], None], moment: str
) -> None:
    if moment == "a step":
        slow()
    process = desk.start("apply", "--yes")
    until(lambda: is_training(desk) if moment == "a step" else moment in happened(desk))
    process.kill()
    process.communicate()
    is_as_declared(desk)


def test_two_applies_at_once_train_one_job(desk: Desk) -> None:
    processes = [desk.start("apply", "--yes") for _ in range(2)]
    ended = [(process.communicate(timeout=60)[0], process.returncode) for process in processes]
    assert 0 in [code for _, code in ended], ended
    assert all("Traceback" not in said for said, _ in ended)
    status = desk.status()
    assert len(status["versions"]) == 1
    assert status["serving"]
    assert desk.run("plan", "--detailed-exitcode").code == 0


def test_no_wait_leaves_the_job_to_watch_and_apply(desk: Desk, slow: Callable[[], None]) -> None:
    slow()
    started = desk.run("apply", "--yes", "--no-wait")
    assert started.code == 3, started.out + started.err
    assert "tunedmodels watch" in started.out
    assert desk.status()["serving"] is None
    watched = desk.run("watch")
    assert watched.code == 0, watched.out + watched.err
    assert desk.run("watch").out == "No job is running.\n"
    assert desk.actions() == ["promote"]
    assert desk.run("apply", "--yes").code == 0
    assert desk.status()["serving"]


def test_the_end_of_the_wait_is_no_failure(desk: Desk, slow: Callable[[], None]) -> None:
    slow()
    ended = desk.run("apply", "--yes", "--timeout", "1s")
    assert ended.code in (0, 3), ended.out + ended.err
    assert desk.run("apply", "--yes").code == 0
    assert len(desk.status()["versions"]) == 1


def test_cancel_deletes_the_half_trained_version(desk: Desk, slow: Callable[[], None]) -> None:
    assert desk.run("apply", "--yes").code == 0
    serving = desk.status()["serving"]
    slow()
    assert desk.run("apply", "--yes", "--no-wait").code == 3
    assert desk.run("cancel", "tone").code == 1, "without --yes and without a terminal"
    assert desk.run("cancel", "tone", "--yes").code == 0
    status = desk.status()
    assert [version["id"] for version in status["versions"]] == [serving]
    assert status["serving"] == serving


def test_a_disk_that_takes_nothing_ends_the_wait_and_the_job_goes_on_later(desk: Desk) -> None:
    desk.write("manifests/.tunedmodels/worker.log/is", "a folder where a file should be")
    ended = desk.run("apply", "--yes")
    assert ended.code == 1
    assert "No job can go on: " in ended.err
    assert "/worker.log" in ended.err
    assert "tunedmodels apply" in ended.err
    shutil.rmtree(desk.folder / "manifests/.tunedmodels/worker.log")
    assert desk.run("apply", "--yes").code == 0
    assert len(desk.status()["versions"]) == 1
