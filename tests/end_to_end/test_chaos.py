"""A service that fails on purpose, and an apply that ends as declared all the same."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.support.project_dir import PROJECT, Desk
from tests.support.serve_process import serving

_ENOUGH = 8  # applies; each goes on where the one before gave up


def hosted(desk: Desk, url: str) -> None:
    """Let the project use a server."""
    spec = f"spec: {{provider: g, providers: {{g: {{type: gemini, endpoint: '{url}'}}}}}}\n"
    desk.write("manifests/tunedmodels.yaml", PROJECT + spec)


def jobs(store: Path) -> tuple[int, int]:
    """How many models there are, and how many there have ever been."""
    with sqlite3.connect(store / "embedded.db") as database:
        found = database.execute(
            "SELECT (SELECT count(*) FROM models), seq FROM sqlite_sequence WHERE name = 'models'"
        ).fetchone()
    database.close()
    there, ever = found
    return there, ever


def test_an_apply_against_a_chaotic_server_ends_as_declared_with_one_job_per_fingerprint(
    desk: Desk, tmp_path: Path
) -> None:
    desk.patch.setenv("GEMINI_API_KEY", "any")
    for name in ("polite", "short"):
        desk.model(name)
        desk.dataset(name, times=4 if name == "polite" else 5)
    chaos = "rate=0.25,kinds=429,500,503,reset,lost,slow,seed=7,delay=0"
    store = tmp_path / "store"
    with serving(store, "--chaos", chaos) as server:
        hosted(desk, server.url)
        codes: list[int] = []
        while not codes or (codes[-1] != 0 and len(codes) < _ENOUGH):
            ended = desk.run("apply", "--yes")
            assert "Traceback" not in ended.err
            codes.append(ended.code)
        assert codes[-1] == 0, ended.out + ended.err
        assert 'code="0"' in server.api.get("/metrics").text, "some connections were dropped"
    assert jobs(store) == (3, 3), "no job was begun twice"
    with serving(store) as server:
        hosted(desk, server.url)
        assert desk.run("plan", "--detailed-exitcode").code == 0
        assert all(desk.status(name)["serving"] for name in ("tone", "polite", "short"))
