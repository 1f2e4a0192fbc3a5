"""Apply against a service with injected failures ends with the declared state."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.support.project_dir import PROJECT, ProjectDir
from tests.support.serve_process import run_server

_MAX_APPLIES = 8  # each continues where the previous one failed


def use_server(project_dir: ProjectDir, url: str) -> None:
    """Make the project use a server."""
    spec = f"spec: {{provider: g, providers: {{g: {{type: gemini, endpoint: '{url}'}}}}}}\n"
    project_dir.write("manifests/tunedmodels.yaml", PROJECT + spec)


def jobs(store: Path) -> tuple[int, int]:
    """Return the number of existing models, and the number of all models ever created."""
    with sqlite3.connect(store / "embedded.db") as database:
        found = database.execute(
            "SELECT (SELECT count(*) FROM models), seq FROM sqlite_sequence WHERE name = 'models'"
        ).fetchone()
    database.close()
    existing, created = found
    return existing, created


def test_applies_against_failing_requests_create_one_job_per_fingerprint(
    project_dir: ProjectDir, tmp_path: Path
) -> None:
    project_dir.patch.setenv("GEMINI_API_KEY", "any")
    for name in ("polite", "short"):
        project_dir.model(name)
        project_dir.dataset(name, times=4 if name == "polite" else 5)
    chaos = "rate=0.25,kinds=429,500,503,reset,lost,slow,seed=7,delay=0"
    store = tmp_path / "store"
    with run_server(store, "--chaos", chaos) as server:
        use_server(project_dir, server.url)
        codes: list[int] = []
        while not codes or (codes[-1] != 0 and len(codes) < _MAX_APPLIES):
            ended = project_dir.run("apply", "--yes")
            assert "Traceback" not in ended.err
            codes.append(ended.code)
        assert codes[-1] == 0, ended.out + ended.err
        assert 'code="0"' in server.api.get("/metrics").text, "some connections were dropped"
    assert jobs(store) == (3, 3), "no job was created twice"
    with run_server(store) as server:
        use_server(project_dir, server.url)
        assert project_dir.run("plan", "--detailed-exitcode").code == 0
        assert all(project_dir.status(name)["serving"] for name in ("tone", "polite", "short"))
