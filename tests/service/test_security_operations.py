"""What whoever runs the service sees of it: health, metrics, the access log, and its options."""

# ruff: noqa: ASYNC240  # nothing else runs in these tests

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.embedded_service import PATH, body, client, create, ended, service, train_all
from tests.support.project_dir import Desk, desk
from tests.support.serve_process import job, serving
from tunedmodels.errors import StoreError, TunedModelsError
from tunedmodels.service.access_log import AccessLog
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.health import Health
from tunedmodels.service.identity import Caller, Keys, digest
from tunedmodels.service.server import assembled

__all__ = ["Desk", "desk"]
KEY = "an-unguessable-key-of-ana"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def opened(folder: Path) -> Iterator[EmbeddedService]:
    with service(folder) as one:
        yield one


def watched(
    of: EmbeddedService, *, key: str = "", is_open: bool = False, log: AccessLog | None = None
) -> httpx.AsyncClient:
    """A client of a service with everything around it that `serve` puts there."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(assembled(of, is_open=is_open, log=log).app),
        base_url="http://localhost",
        headers={"x-goog-api-key": key} if key else {},
    )


async def numbers(api: httpx.AsyncClient) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample of /metrics by its name and its labels, in the order of their names."""
    answer = await api.get("/metrics")
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    samples = [sample for family in families for sample in family.samples]
    return {
        (one.name, tuple(one.labels[name] for name in sorted(one.labels))): one.value
        for one in samples
    }


async def test_health_says_that_all_is_well_and_which_check_fails(tmp_path: Path) -> None:
    wrong: list[str] = []
    time = [0.0]

    def check() -> None:
        for words in wrong:
            raise StoreError(words, cure="Free some disk space.")

    health = Health({"store": check, "training": lambda: None}, now=lambda: time[0])

    def look() -> tuple[int, Any]:
        answer = health.answer(None)  # type: ignore[arg-type]  # it reads nothing of the request
        return answer.status_code, json.loads(bytes(answer.body))

    well = {"status": "ok", "checks": {"store": "ok", "training": "ok"}}
    assert look() == (200, well)
    wrong.append(f"{tmp_path}: disk is full")
    assert look() == (200, well), "asked of the disk once a second at most"
    time[0] = 1.0
    failing = {"status": "failing", "checks": {"store": "failing", "training": "ok"}}
    assert look() == (503, failing)
    wrong.clear()
    time[0] = 2.0
    assert look() == (200, well)


async def test_health_asks_the_real_store_and_names_nothing(
    opened: EmbeddedService, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.mkdir()
    (folder / "embedded.db").write_bytes(b"precious" * 1000)
    async with watched(opened) as api:
        answer = await api.get("/healthz")
    assert (answer.status_code, answer.json()["checks"]["store"]) == (503, "failing")
    assert str(folder) not in answer.text
    assert f"{folder}/embedded.db: file is not a database. Restore" in capsys.readouterr().err


async def test_metrics_count_requests_by_route_and_what_is_in_the_store(
    opened: EmbeddedService, folder: Path
) -> None:
    async with watched(opened) as api:
        await create(api, "a")
        train_all(folder)
        for model_id, orders in (("b", "refuse"), ("c", "one"), ("d", "one")):
            operation = await create(api, model_id, body(orders))
            if model_id == "b":
                train_all(folder)
            if model_id == "c":
                await api.post(f"/v1/{operation['name']}:cancel")
        for path in (f"{PATH}/a", f"{PATH}/nobody", "/wp-login.php", "/elsewhere"):
            await api.get(path)
        await api.request("BREW", "/wp-login.php")
        found = await numbers(api)
    counted = {labels: value for (name, labels), value in found.items() if "requests_t" in name}
    assert counted == {
        ("200", "POST", "/v1beta/tunedModels"): 4,
        ("200", "POST", "/v1/tunedModels/{id}/operations/{operation}:cancel"): 1,
        ("200", "GET", "/v1beta/tunedModels/{id}"): 1,
        ("404", "GET", "/v1beta/tunedModels/{id}"): 1,
        ("404", "GET", "none"): 2,
        ("404", "other", "none"): 1,
    }
    jobs = {labels[0]: value for (name, labels), value in found.items() if name.endswith("_jobs")}
    assert jobs == {"queued": 1, "running": 0, "succeeded": 1, "failed": 1, "cancelled": 1}
    assert found["tunedmodels_queue_length", ()] == 1
    assert found["tunedmodels_trained_steps", ()] == 5
    assert found["tunedmodels_store_up", ()] == 1
    disk = sum(file.stat().st_size for file in folder.glob("embedded.db*"))
    assert found["tunedmodels_store_bytes", ("database",)] == disk
    assert found["tunedmodels_store_bytes", ("models",)] > 0
    durations = "tunedmodels_http_request_duration_seconds_count"
    assert found[durations, ("POST", PATH)] == 4
    assert any(name == "tunedmodels_build_info" for name, _ in found)


async def test_two_services_in_one_process_have_numbers_of_their_own(tmp_path: Path) -> None:
    with service(tmp_path / "a") as one, service(tmp_path / "b") as other:
        async with watched(one) as api, watched(other) as api2:
            await api.get(PATH)
            assert not any("requests_t" in name for name, _ in await numbers(api2))


async def test_metrics_are_there_while_the_store_is_not(
    opened: EmbeddedService, folder: Path
) -> None:
    folder.mkdir()
    (folder / "embedded.db").write_bytes(b"precious" * 1000)
    async with watched(opened) as api:
        assert (await api.get(PATH)).status_code == 503
        found = await numbers(api)
    assert found["tunedmodels_store_up", ()] == 0
    assert found["tunedmodels_http_requests_total", ("503", "GET", PATH)] == 1


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[EmbeddedService]:
    keys = Keys({digest(KEY): Caller("ana@example.com", 12)})
    with service(tmp_path / "store", keys=keys) as one:
        yield one


async def test_health_and_metrics_need_no_key_and_name_nobody_and_nothing(
    keyed: EmbeddedService,
) -> None:
    secret = body("what-was-taught", displayName="a-name", description="some-words")
    async with watched(keyed, key=KEY, is_open=True) as api:
        await create(api, "a-model", secret)
    async with watched(keyed, is_open=True) as api:
        assert (await api.get(PATH)).status_code == 403
        said = ""
        for path in ("/healthz", "/metrics"):
            answer = await api.get(path, headers={"host": "elsewhere.example"})
            assert answer.status_code == 200
            said += answer.text
    for word in ("a-model", "a-name", "some-words", "what-was-taught", "ana@", KEY):
        assert word not in said


async def test_without_keys_a_foreign_page_sees_neither(opened: EmbeddedService) -> None:
    async with watched(opened) as api:
        for path in ("/healthz", "/metrics"):
            answer = await api.get(path, headers={"host": "rebound.example"})
            assert answer.status_code == 403


async def test_the_access_log_has_a_line_of_json_for_each_request(
    keyed: EmbeddedService, tmp_path: Path
) -> None:
    file = tmp_path / "access.log"
    with AccessLog(file) as log:
        async with watched(keyed, key=KEY, is_open=True, log=log) as api:
            answer = await api.post(
                f"{PATH}?tunedModelId=a&key={KEY}",
                json=body("what-was-taught"),
                headers={"x-request-id": "from-the-proxy.1"},
            )
            assert answer.headers["x-request-id"] == "from-the-proxy.1"
            sent = len(answer.content)
        async with watched(keyed, is_open=True, log=log) as api:
            forged = 'x"\n{"status":200}'.encode("unicode_escape").decode()
            refused = await api.get(f"/{'y' * 999}", headers={"x-request-id": forged})
    assert file.stat().st_mode & 0o777 == 0o600
    text = file.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line.pop("time")[-1] for line in lines] == ["Z", "Z"]
    assert all(line.pop("ms") >= 0 for line in lines)
    assert lines == [
        {
            "id": "from-the-proxy.1",
            "client": "127.0.0.1",
            "user": "ana@example.com",
            "method": "POST",
            "path": PATH,
            "route": PATH,
            "status": 200,
            "received": len(json.dumps(body("what-was-taught"), separators=(",", ":"))),
            "sent": sent,
        },
        {
            "id": refused.headers["x-request-id"],
            "client": "127.0.0.1",
            "method": "GET",
            "path": f"/{'y' * 199}",
            "status": 404,
            "received": 0,
            "sent": len(refused.content),
        },
    ]
    assert len(lines[1]["id"]) == 16, "an id that could forge a line is replaced"
    for secret in (KEY, "tunedModelId", "what-was-taught"):
        assert secret not in text


async def test_a_log_that_was_moved_away_is_begun_anew_and_a_full_one_fails_no_request(
    opened: EmbeddedService, tmp_path: Path
) -> None:
    file = tmp_path / "access.log"
    with AccessLog(file) as log:
        async with watched(opened, log=log) as api:
            await api.get(PATH)
            file.rename(tmp_path / "access.log.1")
            await api.get(PATH)
    assert len(file.read_text().splitlines()) == 1
    with AccessLog(Path("/dev/full")) as log:
        async with watched(opened, log=log) as api:
            assert (await api.get(PATH)).status_code == 200


def test_a_log_that_cannot_be_written_is_said_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(TunedModelsError, match=r"nowhere/access\.log: cannot be written") as no:
        AccessLog(tmp_path / "nowhere" / "access.log")
    assert "--access-log" in no.value.cure


async def test_a_fault_of_ours_is_counted_and_logged_as_one(
    opened: EmbeddedService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a wheel came off")

    monkeypatch.setattr(opened._store, "page", broken)
    file = tmp_path / "access.log"
    with AccessLog(file) as log:
        async with watched(opened, log=log) as api:
            with pytest.raises(RuntimeError):
                await api.get(PATH)
            found = await numbers(api)
    assert found["tunedmodels_http_requests_total", ("500", "GET", PATH)] == 1
    assert json.loads(file.read_text().splitlines()[0])["status"] == 500


def test_serve_takes_all_of_its_options(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    options = ["--max-concurrent-jobs", "1", "--access-log", str(log), "--retention", "30d"]
    with serving(tmp_path / "store", *options, "--chaos", "rate=0,seed=1") as server:
        assert server.said.startswith("CHAOS: 0% of the requests")
        assert server.api.get("/healthz").json()["status"] == "ok"
        assert server.api.post(f"{PATH}?tunedModelId=a", json=job()).status_code == 200
        assert 'tunedmodels_http_requests_total{code="200"' in server.api.get("/metrics").text
        server.stop()
    assert [json.loads(line)["path"] for line in log.read_text().splitlines()] == [
        "/healthz",
        PATH,
        "/metrics",
    ]


async def test_one_job_at_a_time_trains_them_in_turn(folder: Path) -> None:
    with service(folder, jobs=1) as opened:
        opened.start()
        async with client(opened) as api:
            first = await create(api, "a", body("pace=0.02"))
            second = await create(api, "b")
            await ended(api, second)
            assert (await api.get(f"/v1/{first['name']}")).json()["done"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--retention", "soon"], "'soon' is no duration"),
        (["--retention", "0s"], "'0s' is no duration"),
        (["--chaos", "rate=2"], "rate: must be a number between 0 and 1 (got '2')"),
        (["--max-concurrent-jobs", "0"], "0 is not in the range"),
        (["--jobs", "65"], "65 is not in the range"),
        (["--access-log", "nowhere/x"], "cannot be written as the access log"),
    ],
)
def test_an_option_that_cannot_be_is_refused(desk: Desk, arguments: list[str], words: str) -> None:
    ended = desk.run("serve", "--port", "0", *arguments)
    assert (ended.code, words in ended.err) == (1, True), ended.err


def test_a_damaged_store_is_refused_with_the_cure_and_left_alone(desk: Desk) -> None:
    store = desk.folder / "manifests/.tunedmodels"
    with service(store) as opened:
        opened.store.database.probe()
    with sqlite3.connect(store / "embedded.db") as connection:
        connection.execute("INSERT INTO datasets VALUES (1, zeroblob(50000))")
    connection.close()
    whole = bytearray((store / "embedded.db").read_bytes())
    # The pages after the first hold the tables: whoever only looks at the head sees nothing wrong.
    whole[4096 : 4096 * 6] = b"\xa5" * 4096 * 5
    (store / "embedded.db").write_bytes(whole)
    ended = desk.run("serve", "--port", "0")
    assert ended.code == 1
    assert "manifests/.tunedmodels/embedded.db: is damaged: " in ended.err, ended.err
    assert "Restore the file from a backup" in ended.err
    assert (store / "embedded.db").read_bytes() == whole
