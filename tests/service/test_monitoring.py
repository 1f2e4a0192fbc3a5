"""Tests of health, metrics and the access log of `tunedmodels serve`."""

# ruff: noqa: ASYNC240  # nothing else runs in these tests

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.embedded_service import PATH, body, create, service, train_all
from tunedmodels.errors import StoreError, TunedModelsError
from tunedmodels.service.access_log import AccessLog
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.health import HealthEndpoint
from tunedmodels.service.identity import ApiKeys, Caller, key_digest
from tunedmodels.service.server import build_app

KEY = "an-unguessable-key-of-ana"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def embedded(folder: Path) -> Iterator[EmbeddedService]:
    with service(folder) as instance:
        yield instance


def serve_client(
    embedded: EmbeddedService,
    *,
    key: str = "",
    is_public: bool = False,
    log: AccessLog | None = None,
) -> httpx.AsyncClient:
    """Return a client of a service with the same middleware as in `serve`."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(build_app(embedded, is_public=is_public, log=log).app),
        base_url="http://localhost",
        headers={"x-goog-api-key": key} if key else {},
    )


async def read_metrics(api: httpx.AsyncClient) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return every sample of /metrics by its name and its label values, sorted by label name."""
    response = await api.get("/metrics")
    assert response.status_code == 200
    families = text_string_to_metric_families(response.text)
    samples = [sample for family in families for sample in family.samples]
    return {
        (sample.name, tuple(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for sample in samples
    }


async def test_health_reports_success_and_the_failing_check(tmp_path: Path) -> None:
    failures: list[str] = []
    time = [0.0]

    def check() -> None:
        for message in failures:
            raise StoreError(message, cure="Free some disk space.")

    health = HealthEndpoint({"store": check, "training": lambda: None}, now=lambda: time[0])

    def request_health() -> tuple[int, Any]:
        response = health.respond(None)  # type: ignore[arg-type]  # the request is not read
        return response.status_code, json.loads(bytes(response.body))

    healthy = {"status": "ok", "checks": {"store": "ok", "training": "ok"}}
    assert request_health() == (200, healthy)
    failures.append(f"{tmp_path}: disk is full")
    assert request_health() == (200, healthy), "checks run at most once per second"
    time[0] = 1.0
    failing = {"status": "failing", "checks": {"store": "failing", "training": "ok"}}
    assert request_health() == (503, failing)
    failures.clear()
    time[0] = 2.0
    assert request_health() == (200, healthy)


async def test_health_checks_the_store_and_contains_no_paths(
    embedded: EmbeddedService, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.mkdir()
    (folder / "embedded.db").write_bytes(b"precious" * 1000)
    async with serve_client(embedded) as api:
        response = await api.get("/healthz")
    assert (response.status_code, response.json()["checks"]["store"]) == (503, "failing")
    assert str(folder) not in response.text
    assert f"{folder}/embedded.db: file is not a database. Restore" in capsys.readouterr().err


async def test_metrics_count_requests_by_route_and_describe_the_store(
    embedded: EmbeddedService, folder: Path
) -> None:
    async with serve_client(embedded) as api:
        await create(api, "a")
        train_all(folder)
        for model_id, commands in (("b", "refuse"), ("c", "one"), ("d", "one")):
            operation = await create(api, model_id, body(commands))
            if model_id == "b":
                train_all(folder)
            if model_id == "c":
                await api.post(f"/v1/{operation['name']}:cancel")
        for path in (f"{PATH}/a", f"{PATH}/missing", "/wp-login.php", "/elsewhere"):
            await api.get(path)
        await api.request("BREW", "/wp-login.php")
        samples = await read_metrics(api)
    requests = {labels: value for (name, labels), value in samples.items() if "requests_t" in name}
    assert requests == {
        ("200", "POST", "/v1beta/tunedModels"): 4,
        ("200", "POST", "/v1/tunedModels/{id}/operations/{operation}:cancel"): 1,
        ("200", "GET", "/v1beta/tunedModels/{id}"): 1,
        ("404", "GET", "/v1beta/tunedModels/{id}"): 1,
        ("404", "GET", "none"): 2,
        ("404", "other", "none"): 1,
    }
    jobs = {labels[0]: value for (name, labels), value in samples.items() if name.endswith("_jobs")}
    assert jobs == {"queued": 1, "running": 0, "succeeded": 1, "failed": 1, "cancelled": 1}
    assert samples["tunedmodels_queue_length", ()] == 1
    assert samples["tunedmodels_trained_steps", ()] == 5
    assert samples["tunedmodels_store_up", ()] == 1
    disk = sum(file.stat().st_size for file in folder.glob("embedded.db*"))
    assert samples["tunedmodels_store_bytes", ("database",)] == disk
    assert samples["tunedmodels_store_bytes", ("models",)] > 0
    durations = "tunedmodels_http_request_duration_seconds_count"
    assert samples[durations, ("POST", PATH)] == 4
    assert any(name == "tunedmodels_build_info" for name, _ in samples)


async def test_two_services_in_one_process_have_separate_metrics(tmp_path: Path) -> None:
    with service(tmp_path / "a") as first, service(tmp_path / "b") as second:
        async with serve_client(first) as api, serve_client(second) as api2:
            await api.get(PATH)
            assert not any("requests_t" in name for name, _ in await read_metrics(api2))


async def test_metrics_respond_without_a_readable_store(
    embedded: EmbeddedService, folder: Path
) -> None:
    folder.mkdir()
    (folder / "embedded.db").write_bytes(b"precious" * 1000)
    async with serve_client(embedded) as api:
        assert (await api.get(PATH)).status_code == 503
        samples = await read_metrics(api)
    assert samples["tunedmodels_store_up", ()] == 0
    assert samples["tunedmodels_http_requests_total", ("503", "GET", PATH)] == 1


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[EmbeddedService]:
    keys = ApiKeys({key_digest(KEY): Caller("ana@example.com", 12)})
    with service(tmp_path / "store", keys=keys) as instance:
        yield instance


async def test_health_and_metrics_need_no_key_and_contain_no_names(
    keyed: EmbeddedService,
) -> None:
    secret = body("training-text", displayName="a-name", description="a-description")
    async with serve_client(keyed, key=KEY, is_public=True) as api:
        await create(api, "a-model", secret)
    async with serve_client(keyed, is_public=True) as api:
        assert (await api.get(PATH)).status_code == 403
        output = ""
        for path in ("/healthz", "/metrics"):
            response = await api.get(path, headers={"host": "elsewhere.example"})
            assert response.status_code == 200
            output += response.text
    for word in ("a-model", "a-name", "a-description", "training-text", "ana@", KEY):
        assert word not in output


async def test_without_keys_a_foreign_page_cannot_read_health_and_metrics(
    embedded: EmbeddedService,
) -> None:
    async with serve_client(embedded) as api:
        for path in ("/healthz", "/metrics"):
            response = await api.get(path, headers={"host": "rebound.example"})
            assert response.status_code == 403


async def test_the_access_log_has_a_json_line_for_each_request(
    keyed: EmbeddedService, tmp_path: Path
) -> None:
    file = tmp_path / "access.log"
    with AccessLog(file) as log:
        async with serve_client(keyed, key=KEY, is_public=True, log=log) as api:
            response = await api.post(
                f"{PATH}?tunedModelId=a&key={KEY}",
                json=body("training-text"),
                headers={"x-request-id": "from-the-proxy.1"},
            )
            assert response.headers["x-request-id"] == "from-the-proxy.1"
            sent = len(response.content)
        async with serve_client(keyed, is_public=True, log=log) as api:
            forged = 'x"\n{"status":200}'.encode("unicode_escape").decode()
            not_found = await api.get(f"/{'y' * 999}", headers={"x-request-id": forged})
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
            "received": len(json.dumps(body("training-text"), separators=(",", ":"))),
            "sent": sent,
        },
        {
            "id": not_found.headers["x-request-id"],
            "client": "127.0.0.1",
            "method": "GET",
            "path": f"/{'y' * 199}",
            "status": 404,
            "received": 0,
            "sent": len(not_found.content),
        },
    ]
    assert len(lines[1]["id"]) == 16, "an id that could forge a line is replaced"
    for secret in (KEY, "tunedModelId", "training-text"):
        assert secret not in text


async def test_a_moved_log_is_recreated_and_a_full_disk_fails_no_request(
    embedded: EmbeddedService, tmp_path: Path
) -> None:
    file = tmp_path / "access.log"
    with AccessLog(file) as log:
        async with serve_client(embedded, log=log) as api:
            await api.get(PATH)
            file.rename(tmp_path / "access.log.1")
            await api.get(PATH)
    assert len(file.read_text().splitlines()) == 1
    with AccessLog(Path("/dev/full")) as log:
        async with serve_client(embedded, log=log) as api:
            assert (await api.get(PATH)).status_code == 200


def test_an_unwritable_log_is_reported_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(TunedModelsError, match=r"nowhere/access\.log: cannot be written") as error:
        AccessLog(tmp_path / "nowhere" / "access.log")
    assert "--access-log" in error.value.cure


async def test_an_internal_error_is_counted_and_logged_with_status_500(
    embedded: EmbeddedService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("an internal error")

    monkeypatch.setattr(embedded._store, "list_page", broken)
    file = tmp_path / "access.log"
    with AccessLog(file) as log:
        async with serve_client(embedded, log=log) as api:
            with pytest.raises(RuntimeError):
                await api.get(PATH)
            samples = await read_metrics(api)
    assert samples["tunedmodels_http_requests_total", ("500", "GET", PATH)] == 1
    assert json.loads(file.read_text().splitlines()[0])["status"] == 500
