"""API keys: how they are read, whom they let in, and that nothing ever repeats one."""

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
from tunedmodels.service.api.keys import read_keys
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.identity import Caller, Keys, digest
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


def test_a_key_or_its_digest_says_whose_it_is(tmp_path: Path) -> None:
    bo = {"sha256": digest("bo" * 16).upper(), "user": "bo@example.com", "project": 3}
    known = read_keys(keys_file(tmp_path, [ANA, {**bo, "groups": ["Team@example.com"]}]))
    assert known.caller({"x-goog-api-key": KEY}, {}) == Caller("ana@example.com", 12)
    expected = Caller("bo@example.com", 3, ("team@example.com",))
    assert known.caller({}, {"key": "bo" * 16}) == expected


# fmt: off
WRONG: list[tuple[Any, str]] = [
    ("",                                    "must hold a list of at least one entry under `keys`"),
    ("keys: []",                            "must hold a list of at least one entry under `keys`"),
    (f"{KEY}: ana@example.com",             "must hold a list of at least one entry under `keys`"),
    (f"keys:\n- key: *{KEY}",               ":2: is not YAML"),
    (f"keys:\n- key: '{KEY}\n  user: a",    ": is not YAML"),
    (f"keys:\n- !!python/name:{KEY} x",     ": is not YAML"),
    ([KEY],                                 "entry 1: must be a mapping"),
    ([{**ANA, "key": "short"}],             "entry 1: key must be text"),
    ([{**ANA, "key": "two words, and more"}], "entry 1: key must be text"),
    ([{**ANA, "key": 1234567890123456}],    "entry 1: key must be text (in quotes"),
    ([{**ANA, "sha256": digest(KEY)}],      "entry 1: needs either key or sha256"),
    ([{"user": "a@b", "project": 1}],       "entry 1: needs either key or sha256"),
    ([{"sha256": KEY, "user": "a@b", "project": 1}], "entry 1: sha256 must be 64"),
    ([{**ANA, "user": KEY}],                "entry 1: user must be an e-mail address"),
    ([{**ANA, "project": KEY}],             "entry 1: project must be a project number"),
    ([{**ANA, "project": True}],            "entry 1: project must be a project number"),
    ([{**ANA, "groups": KEY}],              "entry 1: groups must be a list of e-mail addresses"),
    ([{**ANA, KEY: 1}],                     "entry 1: has 1 unknown field"),
    ([ANA, {"sha256": digest(KEY), "user": "a@b", "project": 1}], "entry 2: its key is that of"),
]
# fmt: on


@pytest.mark.parametrize(("content", "words"), WRONG)
def test_what_is_wrong_in_a_file_is_said_without_a_word_of_it(
    tmp_path: Path, content: Any, words: str
) -> None:
    path = keys_file(tmp_path, content)
    with pytest.raises(TunedModelsError) as refused:
        read_keys(path)
    assert f"{path}:" in refused.value.message
    assert words in refused.value.message
    assert refused.value.cure
    assert KEY not in repr(refused.getrepr(chain=True)) + refused.value.cure


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(TunedModelsError) as refused:
        read_keys(keys_file(tmp_path, [{**ANA, "user": 1, "project": 0}, {}]))
    assert str(refused.value).count("entry 1") == 2
    assert str(refused.value).count("entry 2") == 3


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_can_read_is_refused_with_the_cure(tmp_path: Path, mode: int) -> None:
    path = keys_file(tmp_path, [ANA], mode=mode)
    with pytest.raises(
        TunedModelsError, match=f"others than its owner may use it .*{mode:o}"
    ) as no:
        read_keys(path)
    assert f"chmod 600 {path}" in no.value.cure


def test_a_file_of_digests_holds_no_secret_and_may_be_read_but_not_written_by_others(
    tmp_path: Path,
) -> None:
    hashed = {**{name: ANA[name] for name in ("user", "project")}, "sha256": digest(KEY)}
    path = keys_file(tmp_path, [hashed], mode=0o644)
    assert read_keys(path).caller({"x-goog-api-key": KEY}, {}).email == "ana@example.com"
    for entries, mode in (([hashed], 0o664), ([hashed, ANA], 0o644)):
        with pytest.raises(TunedModelsError, match="others than its owner may use it"):
            read_keys(keys_file(tmp_path, entries, mode=mode))


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "keys.yaml"
    if content:
        path.write_bytes(content)
    with pytest.raises(TunedModelsError, match=str(path)):
        read_keys(path)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[EmbeddedService]:
    keys = Keys({digest(KEY): Caller("ana@example.com", 12)})
    with service(tmp_path / "store", keys=keys) as one:
        yield one


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
    ("headers", "query", "status", "words"),
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
async def test_who_has_no_good_key_is_told_so_in_googles_words(
    opened: EmbeddedService, headers: dict[str, str], query: dict[str, str], status: int, words: str
) -> None:
    async with client(opened) as api:
        for path in (PATH, "/v1/models"):
            answer = await api.get(path, headers=headers, params=query)
            assert answer.status_code == status
            assert words in answer.text
            if status == 400:
                assert answer.json()["error"] == BAD_KEY


async def test_a_request_without_a_key_is_refused_before_its_body_is_read(
    opened: EmbeddedService,
) -> None:
    async def endless() -> Any:
        while True:
            raise AssertionError("the body was read")
            yield b""

    async with client(opened) as api:
        assert (await api.post(PATH, content=endless())).status_code == 403


# Hypothesis tries the constants of our own code as well: none of them begins with a tilde.
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


class Broken:
    """A database that fails as none should."""

    def close(self) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"a fault in {name}")


@contextmanager
def everything_logged() -> Iterator[io.StringIO]:
    """What is written while the block runs, except by the client that the test uses."""
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


def logging_faults(app: ASGIApp) -> ASGIApp:
    """Write down what an application raises, as a server does."""

    async def logged(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except RuntimeError:
            logging.getLogger("server").exception("Exception in ASGI application")

    return logged


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(key="'\"<script>&amp;%s{0}\\", request=("POST", PATH, body()), knows=True, is_broken=True)
@given(key=SECRETS, request=REQUESTS, knows=st.booleans(), is_broken=st.booleans())
def test_no_key_is_in_an_answer_or_in_a_log(
    tmp_path: Path, key: str, request: tuple[str, str, Any], *, knows: bool, is_broken: bool
) -> None:
    method, path, sent = request
    assume(key not in json.dumps(sent) + path)
    known = Keys({digest(key if knows else KEY): Caller("ana@example.com", 12)})

    async def send() -> str:
        with service(tmp_path / "store", keys=known) as opened:
            if is_broken:
                opened._store.database = cast("Database", Broken())
            transport = httpx.ASGITransport(logging_faults(opened.app))
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as api:
                answers = [
                    await api.request(method, path, json=sent, headers={"x-goog-api-key": key}),
                    await api.request(method, path, json=sent, params={"key": key}),
                ]
            return "".join(f"{answer.headers} {answer.text}" for answer in answers)

    with everything_logged() as log:
        said = anyio.run(send)
    assert key not in said
    assert key not in log.getvalue()
    if is_broken and knows and method == "GET" and path == PATH:
        assert "a fault in reading" in log.getvalue(), "the log is watched"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.text(min_size=8), data=st.data())
def test_no_key_of_a_file_is_in_the_words_about_it(tmp_path: Path, key: str, data: Any) -> None:
    line = data.draw(
        st.sampled_from(["keys:\n- key: {}", "{}", "keys:\n- key: x\n  user: {}", "keys: [{}, ["])
    )
    path = tmp_path / "keys.yaml"
    path.touch(mode=0o600)
    path.write_bytes(line.format(key).encode("utf-8", "surrogatepass"))
    with pytest.raises(TunedModelsError) as refused:
        read_keys(path)
    said = refused.value.message.replace(str(path), "") + refused.value.cure
    assert key not in said
    assert refused.value.__cause__ is None


def test_with_keys_other_machines_may_be_served_but_only_with_a_good_file(tmp_path: Path) -> None:
    with pytest.raises(TunedModelsError, match="entry 1"):
        serve(tmp_path / "store", "0.0.0.0", 0, keys=keys_file(tmp_path, [{}]))  # noqa: S104  # refused
    with pytest.raises(TunedModelsError, match="without keys"):
        serve(tmp_path / "store", "0.0.0.0", 0)  # noqa: S104  # refused
    assert not (tmp_path / "store").exists()


async def test_the_command_serves_with_keys_and_writes_none_of_them(tmp_path: Path) -> None:
    path = keys_file(tmp_path, [ANA])
    command = ["-m", "tunedmodels", "serve", "--host", "0.0.0.0", "--port", "0"]  # noqa: S104  # the point
    arguments = [*command, "--store", str(tmp_path / "store"), "--keys", str(path)]
    process = subprocess.Popen([sys.executable, *arguments], stderr=subprocess.PIPE, text=True)  # noqa: ASYNC220  # nothing else runs in this test
    with process:
        try:
            assert process.stderr is not None
            announced = process.stderr.readline()
            port = announced.partition("http://0.0.0.0:")[2].split()[0]
            url = f"http://127.0.0.1:{port}"
            # A Host that is not of this machine is fine: who has no key gets nothing.
            async with httpx.AsyncClient(base_url=url, headers={"host": "gpu.example"}) as api:
                assert (await api.get(PATH)).status_code == 403
                assert (await api.get(PATH, params={"key": f"{KEY}!"})).status_code == 400
                api.headers["x-goog-api-key"] = KEY
                assert await get(api, PATH) == {}
            with socket.create_connection(("127.0.0.1", int(port))) as wire:
                wire.sendall(f"GET /?key={KEY} HTTP/x\r\nx-goog-api-key: {KEY}\r\n\r\n".encode())
                assert KEY not in wire.recv(4096).decode()
        finally:
            process.terminate()
        words = process.stderr.read()
    assert process.returncode == 0
    assert "Invalid HTTP request" in words
    assert KEY not in announced + words
