"""After signals, kills and concurrent applies, the declared state needs one job only."""

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

from tests.support.project_dir import ProjectDir


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until another process makes a condition true."""
    end = time.monotonic() + 50
    while not condition():
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.002)


def journal_events(project_dir: ProjectDir) -> list[str]:
    """Return the events in the journal so far, for example `Sending create`."""
    files = sorted((project_dir.folder / "manifests/.tunedmodels/journal").glob("*.jsonl"))
    lines = [line for file in files for line in file.read_text().splitlines(keepends=True)]
    events = [json.loads(line) for line in lines if line.endswith("\n")]
    return [f"{event['event']} {event.get('call', '')}".strip() for event in events]


def handles_signal(pid: int, number: signal.Signals) -> bool:
    """Return whether a process has a handler for a signal (proc(5): a bit mask)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    mask = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(mask.split()[1], 16) >> (number - 1) & 1)


def is_training(project_dir: ProjectDir) -> bool:
    """Return whether a training step is on disk."""
    if "Sent create" not in journal_events(project_dir):
        return False
    return any(version["step"] for version in project_dir.status()["versions"])


def assert_one_job_was_enough(project_dir: ProjectDir) -> None:
    """Apply, and check that one job was created and that no change is left."""
    ended = project_dir.run("apply", "--yes")
    assert ended.code == 0, ended.out + ended.err
    status = project_dir.status()
    assert [version["id"] for version in status["versions"]] == [status["serving"]]
    assert project_dir.run("plan", "--detailed-exitcode").code == 0
    # The service numbers its jobs and never reuses a number.
    store = sqlite3.connect(project_dir.folder / "manifests/.tunedmodels/embedded.db")
    assert store.execute("SELECT seq FROM sqlite_sequence WHERE name = 'models'").fetchone() == (1,)
    store.close()


def test_the_first_ctrl_c_lists_the_running_jobs_and_the_next_apply_finishes_them(
    project_dir: ProjectDir, slow: Callable[[], None]
) -> None:
    slow()
    process = project_dir.start("apply", "--yes")
    wait_until(lambda: "Sent create" in journal_events(project_dir))
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert "goes on from its checkpoint with the next apply, watch or serve" in output
    assert "tunedmodels watch tone" in output
    assert project_dir.status()["serving"] is None
    assert_one_job_was_enough(project_dir)


def test_the_second_ctrl_c_exits_at_once(project_dir: ProjectDir, slow: Callable[[], None]) -> None:
    slow()
    process = project_dir.start("apply", "--yes")
    wait_until(lambda: is_training(project_dir))
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert_one_job_was_enough(project_dir)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_reading_standard_input_prints_one_word(
    project_dir: ProjectDir, number: signal.Signals
) -> None:
    process = project_dir.start("generate", "tone", stdin=subprocess.PIPE)
    wait_until(lambda: handles_signal(process.pid, signal.SIGTERM))
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert (process.returncode, output.strip()) == (130, "Interrupted.")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_a_promotion_leaves_a_valid_state(
    project_dir: ProjectDir, number: signal.Signals
) -> None:
    process = project_dir.start("apply", "--yes")
    wait_until(lambda: "Sending promote" in journal_events(project_dir))
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode in (0, 130), output
    assert "Traceback" not in output
    assert_one_job_was_enough(project_dir)


@pytest.mark.parametrize(
    "moment",
    ["Started", "Sending create", "Sent create", "a step", "Sending promote", "Sent promote"],
)
def test_a_kill_at_any_moment_is_repaired_by_the_next_apply(
    project_dir: ProjectDir, slow: Callable[[], None], moment: str
) -> None:
    if moment == "a step":
        slow()
    process = project_dir.start("apply", "--yes")
    wait_until(
        lambda: (
            is_training(project_dir)
            if moment == "a step"
            else moment in journal_events(project_dir)
        )
    )
    process.kill()
    process.communicate()
    assert_one_job_was_enough(project_dir)


def test_two_concurrent_applies_train_one_job(project_dir: ProjectDir) -> None:
    processes = [project_dir.start("apply", "--yes") for _ in range(2)]
    ended = [(process.communicate(timeout=60)[0], process.returncode) for process in processes]
    assert 0 in [code for _, code in ended], ended
    assert all("Traceback" not in output for output, _ in ended)
    status = project_dir.status()
    assert len(status["versions"]) == 1
    assert status["serving"]
    assert project_dir.run("plan", "--detailed-exitcode").code == 0


def test_a_job_started_with_no_wait_is_finished_by_watch_and_apply(
    project_dir: ProjectDir, slow: Callable[[], None]
) -> None:
    slow()
    started = project_dir.run("apply", "--yes", "--no-wait")
    assert started.code == 3, started.out + started.err
    assert "tunedmodels watch" in started.out
    assert project_dir.status()["serving"] is None
    watched = project_dir.run("watch")
    assert watched.code == 0, watched.out + watched.err
    assert project_dir.run("watch").out == "There are no running jobs.\n"
    assert project_dir.actions() == ["promote"]
    assert project_dir.run("apply", "--yes").code == 0
    assert project_dir.status()["serving"]


def test_an_exceeded_timeout_is_not_a_failure(
    project_dir: ProjectDir, slow: Callable[[], None]
) -> None:
    slow()
    ended = project_dir.run("apply", "--yes", "--timeout", "1s")
    assert ended.code in (0, 3), ended.out + ended.err
    assert project_dir.run("apply", "--yes").code == 0
    assert len(project_dir.status()["versions"]) == 1


def test_cancel_deletes_the_half_trained_version(
    project_dir: ProjectDir, slow: Callable[[], None]
) -> None:
    assert project_dir.run("apply", "--yes").code == 0
    serving = project_dir.status()["serving"]
    slow()
    assert project_dir.run("apply", "--yes", "--no-wait").code == 3
    assert project_dir.run("cancel", "tone").code == 1, "without --yes and without a terminal"
    assert project_dir.run("cancel", "tone", "--yes").code == 0
    status = project_dir.status()
    assert [version["id"] for version in status["versions"]] == [serving]
    assert status["serving"] == serving


def test_a_disk_error_ends_the_wait_and_the_next_apply_continues_the_job(
    project_dir: ProjectDir,
) -> None:
    project_dir.write("manifests/.tunedmodels/worker.log/is", "a folder in place of a file")
    ended = project_dir.run("apply", "--yes")
    assert ended.code == 1
    assert "No job can continue: " in ended.err
    assert "/worker.log" in ended.err
    assert "tunedmodels apply" in ended.err
    shutil.rmtree(project_dir.folder / "manifests/.tunedmodels/worker.log")
    assert project_dir.run("apply", "--yes").code == 0
    assert len(project_dir.status()["versions"]) == 1
