"""Signals, kills and two processes at once: it ends as declared, with one job per fingerprint."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.story.conftest import Desk


def until(is_so: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)


def trained(desk: Desk) -> bool:
    """Whether at least one training step is on disk."""
    file = desk.folder / "manifests/.tunedmodels/embedded.db"
    return file.exists() and b"meanLoss" in _everything(file)


def _everything(file: Path) -> bytes:
    store = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        return "\n".join(store.iterdump()).encode()
    except sqlite3.OperationalError:
        return b""
    finally:
        store.close()


def test_ctrl_c_once_lists_what_goes_on_and_the_next_apply_finishes_it(
    desk: Desk, slow: Callable[[], None]
) -> None:
    slow()
    process = desk.start("apply", "--yes")
    until(lambda: desk.status()["versions"] != [])
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert "tone" in said
    assert desk.status()["serving"] is None
    desk_again = desk.run("apply", "--yes")
    assert desk_again.code == 0, desk_again.err
    status = desk.status()
    assert status["serving"]
    assert len(status["versions"]) == 1


def test_ctrl_c_twice_leaves_at_once(desk: Desk, slow: Callable[[], None]) -> None:
    slow()
    process = desk.start("apply", "--yes")
    until(lambda: desk.status()["versions"] != [])
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert desk.run("apply", "--yes").code == 0


@pytest.mark.parametrize("after_s", [0.3, 0.6, 0.9, 1.3, 2.0])
def test_kill_at_any_moment_and_apply_again_ends_as_declared(
    desk: Desk, slow: Callable[[], None], after_s: float
) -> None:
    slow()
    process = desk.start("apply", "--yes")
    time.sleep(after_s)
    process.kill()
    process.communicate()
    ended = desk.run("apply", "--yes")
    assert ended.code == 0, ended.out + ended.err
    status = desk.status()
    assert status["serving"] == status["versions"][0]["id"]
    assert len(status["versions"]) == 1
    assert desk.run("plan", "--detailed-exitcode").code == 0


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
    assert [c["action"] for c in desk.plan()["changes"]] == ["promote"]
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
