"""Tests of API keys: the key file, authentication, and that no output contains a key."""

from __future__ import annotations

import io
import json
import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, cast

import anyio
import httpx
import pytest
import yaml
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.embedded_service import PATH, body, client, get, service
from tunedmodels.errors import TunedModelsError
from tunedmodels.service.api.keys import load_keys
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.identity import ApiKeys, Caller, key_digest
from tunedmodels.service.server import serve
from tunedmodels.service.store.database import Database

KEY = "0123456789abcdef"
ANA = {"key": KEY, "user": "Ana@example.com", "project": 12}


def keys_file(folder: Path, content: Any, *, mode: int = 0o600) -> Path:
    path = folder / "keys.yaml"
    path.touch(mode=0o600)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump({"keys": content}))
    path.chmod(mode)
    return path


def test_a_key_or_its_digest_identifies_the_caller(tmp_path: Path) -> None:
    bo = {"sha256": key_digest("bo" * 16).upper(), "user": "bo@example.com", "project": 3}
    keys = load_keys(keys_file(tmp_path, [ANA, {**bo, "groups": ["Team@example.com"]}]))
    assert keys.authenticate({"x-goog-api-key": KEY}, {}) == Caller("ana@example.com", 12)
    expected = Caller("bo@example.com", 3, ("team@example.com",))
    assert keys.authenticate({}, {"key": "bo" * 16}) == expected


# fmt: off
INVALID: list[tuple[Any, str]] = [
    ("", "must contain a list of at least one entry under `keys`"),
    ("keys: []", "must contain a list of at least one entry under `keys`"),
    (f"{KEY}: ana@example.com", "must contain a list of at least one entry under `keys`"),
    (f"keys:\n- key: *{KEY}",                ":2: is not valid YAML"),
    (f"keys:\n- key: '{KEY}\n  user: a",     ": is not valid YAML"),
    (f"keys:\n- !!python/name:{KEY} x",      ": is not valid YAML"),
    ([KEY],                                  "entry 1: must be a mapping"),
    ([{**ANA, "key": "short"}],              "entry 1: key must be text"),
    ([{**ANA, "key": "a text with spaces"}], "entry 1: key must be text"),
    ([{**ANA, "key": 1234567890123456}],     "entry 1: key must be text (in quotes"),
    ([{**ANA, "sha256": key_digest(KEY)}],   "entry 1: requires either key or sha256"),
    ([{"user": "a@b", "project": 1}],        "entry 1: requires either key or sha256"),
    ([{"sha256": KEY, "user": "a@b", "project": 1}], "entry 1: sha256 must be 64"),
    ([{**ANA, "user": KEY}],                 "entry 1: user must be an e-mail address"),
    ([{**ANA, "project": KEY}],              "entry 1: project must be a project number"),
    ([{**ANA, "project": True}],             "entry 1: project must be a project number"),
    ([{**ANA, "groups": KEY}],               "entry 1: groups must be a list of e-mail addresses"),
    ([{**ANA, KEY: 1}],                      "entry 1: has 1 unknown field"),
    ([ANA, {"sha256": key_digest(KEY), "user": "a@b", "project": 1}],
                                             "entry 2: its key is the key of an earlier entry"),
]
# fmt: on


@pytest.mark.parametrize(("content", "message"), INVALID)
def test_problems_of_a_key_file_are_reported_without_quoting_it(
    tmp_path: Path, content: Any, message: str
) -> None:
    path = keys_file(tmp_path, content)
    with pytest.raises(TunedModelsError) as error:
        load_keys(path)
    assert f"{path}:" in error.value.message
    assert message in error.value.message
    assert error.value.cure
    assert KEY not in repr(error.getrepr(chain=True)) + error.value.cure


def test_problems_of_a_key_file_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(TunedModelsError) as error:
        load_keys(keys_file(tmp_path, [{**ANA, "user": 1, "project": 0}, {}]))
    assert str(error.value).count("entry 1") == 2
    assert str(error.value).count("entry 2") == 3


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_file_that_others_can_read_is_rejected_with_the_cure(
    tmp_path: Path, mode: int
) -> None:
    path = keys_file(tmp_path, [ANA], mode=mode)
    with pytest.raises(
        TunedModelsError, match=f"users other than its owner can access it .*{mode:o}"
    ) as error:
        load_keys(path)
    assert f"chmod 600 {path}" in error.value.cure


def test_a_file_of_digests_may_be_readable_but_not_writable_by_others(
    tmp_path: Path,
) -> None:
    hashed = {**{name: ANA[name] for name in ("user", "project")}, "sha256": key_digest(KEY)}
    path = keys_file(tmp_path, [hashed], mode=0o644)
    assert load_keys(path).authenticate({"x-goog-api-key": KEY}, {}).email == "ana@example.com"
    for entries, mode in (([hashed], 0o664), ([hashed, ANA], 0o644)):
        with pytest.raises(TunedModelsError, match="users other than its owner can access it"):
            load_keys(keys_file(tmp_path, entries, mode=mode))


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_an_unreadable_key_file_is_reported(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "keys.yaml"
    if content:
        path.write_bytes(content)
    with pytest.raises(TunedModelsError, match=str(path)):
        load_keys(path)


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[EmbeddedService]:
    keys = ApiKeys({key_digest(KEY): Caller("ana@example.com", 12)})
    with service(tmp_path / "store", keys=keys) as instance:
        yield instance


BAD_KEY = {
    "code": 400,
    "message": "API key not valid. Please pass a valid API key.",
    "status": "INVALID_ARGUMENT",
    "details": [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
            "metadata": {"service": "generativelanguage.googleapis.com"},
        }
    ],
}


@pytest.mark.parametrize(
    ("headers", "query", "status", "message"),
    [
        ({"x-goog-api-key": KEY}, {}, 200, ""),
        ({}, {"key": KEY}, 200, ""),
        ({"x-goog-api-key": KEY}, {"key": "wrong"}, 200, ""),
        ({"x-goog-api-key": "wrong"}, {"key": KEY}, 400, "API key not valid."),
        ({}, {"key": f"{KEY} "}, 400, "API key not valid."),
        ({}, {}, 403, "Method doesn't allow unregistered callers"),
        ({"x-goog-api-key": ""}, {"key": ""}, 403, "Method doesn't allow unregistered callers"),
        ({"authorization": f"Bearer {KEY}"}, {}, 401, "invalid authentication credentials"),
        ({"authorization": "Bearer x", "x-goog-api-key": KEY}, {}, 200, ""),
    ],
)
async def test_a_missing_or_invalid_key_gets_the_message_of_google(
    embedded: EmbeddedService,
    headers: dict[str, str],
    query: dict[str, str],
    status: int,
    message: str,
) -> None:
    async with client(embedded) as api:
        for path in (PATH, "/v1/models"):
            response = await api.get(path, headers=headers, params=query)
            assert response.status_code == status
            assert message in response.text
            if status == 400:
                assert response.json()["error"] == BAD_KEY


async def test_a_request_without_a_key_is_rejected_before_its_body_is_read(
    embedded: EmbeddedService,
) -> None:
    async def endless() -> Any:
        while True:
            raise AssertionError("the body must not be read")
            yield b""

    async with client(embedded) as api:
        assert (await api.post(PATH, content=endless())).status_code == 403


# Hypothesis also tries constants of the package: none of them begins with a tilde.
SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=15, max_size=47).map(
    lambda text: f"~{text}"
)
REQUESTS = st.sampled_from(
    [
        ("GET", PATH, None),
        ("POST", PATH, body()),
        ("POST", PATH, {"baseModel": 5, "x": 1}),
        ("GET", f"{PATH}/a", None),
        ("PATCH", f"{PATH}/a", {"description": "new"}),
        ("POST", f"{PATH}/a/permissions", {"granteeType": "EVERYONE", "role": "READER"}),
        ("POST", f"{PATH}/a:streamGenerateContent", {}),
        ("GET", "/nowhere", None),
    ]
)


class BrokenDatabase:
    """A database that fails with an unexpected error."""

    def close(self) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"an error in {name}")


@contextmanager
def captured_output() -> Iterator[io.StringIO]:
    """Capture output and log records, except those of the HTTP client of the test."""
    log, root = io.StringIO(), logging.getLogger()
    handler = logging.StreamHandler(log)
    handler.addFilter(lambda record: not record.name.startswith(("httpx", "httpcore")))
    level = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)
    try:
        with redirect_stderr(log), redirect_stdout(log):
            yield log
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def with_error_log(app: ASGIApp) -> ASGIApp:
    """Log the errors of an application, as a server does."""

    async def logged(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except RuntimeError:
            logging.getLogger("server").exception("Exception in ASGI application")

    return logged


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(
    key="'\"<script>&amp;%s{0}\\", request=("POST", PATH, body()), is_known=True, is_broken=True
)
@given(key=SECRETS, request=REQUESTS, is_known=st.booleans(), is_broken=st.booleans())
def test_no_response_and_no_log_contains_a_key(
    tmp_path: Path, key: str, request: tuple[str, str, Any], *, is_known: bool, is_broken: bool
) -> None:
    method, path, document = request
    assume(key not in json.dumps(document) + path)
    keys = ApiKeys({key_digest(key if is_known else KEY): Caller("ana@example.com", 12)})

    async def send() -> str:
        with service(tmp_path / "store", keys=keys) as embedded:
            if is_broken:
                embedded._store.database = cast("Database", BrokenDatabase())
            transport = httpx.ASGITransport(with_error_log(embedded.app))
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as api:
                responses = [
                    await api.request(method, path, json=document, headers={"x-goog-api-key": key}),
                    await api.request(method, path, json=document, params={"key": key}),
                ]
            return "".join(f"{response.headers} {response.text}" for response in responses)

    with captured_output() as log:
        output = anyio.run(send)
    assert key not in output
    assert key not in log.getvalue()
    if is_broken and is_known and method == "GET" and path == PATH:
        assert "an error in read_transaction" in log.getvalue(), "the log is captured"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.text(min_size=8), data=st.data())
def test_no_error_about_a_key_file_contains_a_key(tmp_path: Path, key: str, data: Any) -> None:
    line = data.draw(
        st.sampled_from(["keys:\n- key: {}", "{}", "keys:\n- key: x\n  user: {}", "keys: [{}, ["])
    )
    path = tmp_path / "keys.yaml"
    path.touch(mode=0o600)
    path.write_bytes(line.format(key).encode("utf-8", "surrogatepass"))
    with pytest.raises(TunedModelsError) as error:
        load_keys(path)
    output = error.value.message.replace(str(path), "") + error.value.cure
    assert key not in output
    assert error.value.__cause__ is None


def test_other_machines_are_served_only_with_a_valid_key_file(tmp_path: Path) -> None:
    with pytest.raises(TunedModelsError, match="entry 1"):
        serve(tmp_path / "store", "0.0.0.0", 0, keys=keys_file(tmp_path, [{}]))  # noqa: S104  # rejected
    with pytest.raises(TunedModelsError, match="without keys"):
        serve(tmp_path / "store", "0.0.0.0", 0)  # noqa: S104  # rejected
    assert not (tmp_path / "store").exists()


async def test_the_command_serves_with_keys_and_prints_none_of_them(tmp_path: Path) -> None:
    path = keys_file(tmp_path, [ANA])
    command = ["-m", "tunedmodels", "serve", "--host", "0.0.0.0", "--port", "0"]  # noqa: S104  # the point
    arguments = [*command, "--store", str(tmp_path / "store"), "--keys", str(path)]
    process = subprocess.Popen([sys.executable, *arguments], stderr=subprocess.PIPE, text=True)  # noqa: ASYNC220  # nothing else runs in this test
    with process:
        try:
            assert process.stderr is not None
            first_line = process.stderr.readline()
            port = first_line.partition("http://0.0.0.0:")[2].split()[0]
            url = f"http://127.0.0.1:{port}"
            # With keys, requests with a foreign Host are accepted: they require a key.
            async with httpx.AsyncClient(base_url=url, headers={"host": "gpu.example"}) as api:
                assert (await api.get(PATH)).status_code == 403
                assert (await api.get(PATH, params={"key": f"{KEY}!"})).status_code == 400
                api.headers["x-goog-api-key"] = KEY
                assert await get(api, PATH) == {}
            with socket.create_connection(("127.0.0.1", int(port))) as connection:
                connection.sendall(
                    f"GET /?key={KEY} HTTP/x\r\nx-goog-api-key: {KEY}\r\n\r\n".encode()
                )
                assert KEY not in connection.recv(4096).decode()
        finally:
            process.terminate()
        output = process.stderr.read()
    assert process.returncode == 0
    assert "Invalid HTTP request" in output
    assert KEY not in first_line + output
