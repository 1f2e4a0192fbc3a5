from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import httpx
import pytest
import stamina
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fakes.script import Answer, Script, detail, no, ok
from tunedmodels import errors
from tunedmodels.errors import (
    InvalidArgumentError,
    NotFoundError,
    OutcomeUnknownError,
    ProviderError,
    RateLimitedError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)
from tunedmodels.providers import http
from tunedmodels.providers.http import Http
from tunedmodels.providers.identity import Credentials
from tunedmodels.providers.retry import ATTEMPTS, NEAR_BUDGET_S, Patience

LOCAL = "http://127.0.0.1:8901"
HOSTED = "https://models.example"


@pytest.fixture(autouse=True, scope="module")
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=ATTEMPTS):
        yield


def client(*answers: Answer, endpoint: str = HOSTED, **others: Any) -> tuple[Http, Script]:
    script = Script(*answers)
    credentials = others.pop("credentials", Credentials(api_key="a-key"))
    return Http(endpoint, credentials, transport=script, **others), script


async def send(to: Http, *, repeatable: bool = True) -> bytes:
    return await to.send("POST", "v1beta/things", content=b"{}", repeatable=repeatable)


def busy(_: httpx.Request) -> httpx.Response:
    return no(503, "Overloaded.", status="UNAVAILABLE")


def slow(_: httpx.Request) -> httpx.Response:
    return no(429, "Quota.", status="RESOURCE_EXHAUSTED")


NEVER = httpx.ConnectError("All connection attempts failed")
LOST = httpx.ReadError("")
LATE = httpx.ReadTimeout("")
OK = ok()

# fmt: off
RETRIES = [  # harmless?  answers        asked  in the end           in words
    pytest.param(True,  [busy, LOST, OK],  3, None,                id="until it works"),
    pytest.param(True,  [LATE, OK],        2, None,                id="too late"),
    pytest.param(True,  [busy] * 5,        5, UnavailableError,    id="five times at most"),
    pytest.param(True,  [slow] * 5,        5, RateLimitedError,    id="429, five times at most"),
    pytest.param(True,  [no(404)],         1, NotFoundError,       id="an answer, so never again"),
    pytest.param(True,  [no(501)],         1, UnimplementedError,  id="withdrawn, so never again"),
    pytest.param(False, [NEVER, OK],       2, None,                id="never left: asked again"),
    pytest.param(False, [slow, OK],        2, None,                id="429, refused: asked again"),
    pytest.param(False, [NEVER] * 5,       5, UnavailableError,    id="never left at all"),
    pytest.param(False, [busy, OK],        1, OutcomeUnknownError, id="503: may have begun"),
    pytest.param(False, [LOST, OK],        1, OutcomeUnknownError, id="lost: may have begun"),
    pytest.param(False, [LATE, OK],        1, OutcomeUnknownError, id="late: may have begun"),
    pytest.param(False, [NEVER, LOST, OK], 2, OutcomeUnknownError, id="reached at last, then lost"),
]
# fmt: on


@pytest.mark.parametrize(("repeatable", "answers", "asked", "outcome"), RETRIES)
async def test_a_call_is_asked_again_only_when_that_is_safe(
    repeatable: bool,  # noqa: FBT001  # a column of the table
    answers: list[Answer],
    asked: int,
    outcome: type[Exception] | None,
) -> None:
    to, script = client(*answers)
    if outcome:
        with pytest.raises(outcome):
            await send(to, repeatable=repeatable)
    else:
        assert await send(to, repeatable=repeatable) == b"{}"
    assert len(script.asked) == asked


async def test_a_last_attempt_that_never_left_does_not_hide_an_earlier_one_that_did() -> None:
    to, _ = client(LOST, NEVER, NEVER, NEVER, NEVER)
    with pytest.raises(UnavailableError) as caught:
        await send(to)
    assert caught.value.sent


async def test_every_new_attempt_is_told_with_its_wait_and_its_reason() -> None:
    told: list[tuple[str, int, float, str]] = []
    answers: list[Answer] = [no(429, "Slowly.", headers={"retry-after": "7"}), busy, ok()]
    to, _ = client(*answers, on_retry=lambda *event: told.append(event))
    await send(to)
    call = "POST v1beta/things"
    assert told[0] == (call, 1, 7.0, "Slowly.")
    assert (told[1][:2], told[1][3]) == ((call, 2), "Overloaded.")


async def test_an_attempt_that_is_the_last_is_not_told_as_a_retry() -> None:
    told: list[int] = []
    to, _ = client(*[busy] * 5, on_retry=lambda _, attempt, *__: told.append(attempt))
    with pytest.raises(UnavailableError):
        await send(to)
    assert told == [1, 2, 3, 4]


async def test_what_is_wrong_on_this_machine_is_said_soon() -> None:
    waits: list[float] = []
    to, script = client(*[NEVER] * 5, endpoint=LOCAL, on_retry=lambda *e: waits.append(e[2]))
    with pytest.raises(UnavailableError):
        await send(to)
    assert 1 < len(script.asked) < ATTEMPTS
    assert max(waits) <= NEAR_BUDGET_S


async def test_retry_info_goes_before_the_header() -> None:
    answer = no(429, details=[detail("RetryInfo", retryDelay="31s")], headers={"retry-after": "7"})
    waits: list[float] = []
    to, _ = client(answer, ok(), on_retry=lambda *event: waits.append(event[2]))
    await send(to)
    assert waits == [31.0]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("", None), ("-3", None), ("soon", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float | None) -> None:
    assert http._retry_after_s(header) == seconds


def test_a_service_that_asks_for_more_than_a_minute_is_not_waited_for() -> None:
    patience = Patience("GET x", None, now=lambda: 0.0)
    assert patience(RateLimitedError("no", retry_after_s=59.0)) == 59.0
    assert patience(RateLimitedError("no", retry_after_s=61.0)) is False


def test_patience_ends_with_its_minute() -> None:
    times = iter([0.0, 59.9])
    patience = Patience("GET x", None, now=lambda: next(times))
    assert patience(UnavailableError("no")) is False


def test_waits_grow_and_are_spread() -> None:
    patience = Patience("GET x", None, now=lambda: 0.0)
    waits = [patience(UnavailableError("no")) for _ in range(ATTEMPTS)]
    for number, wait in enumerate(waits[:-1]):
        assert 0.5 * 2**number <= wait <= 2**number
    assert waits[-1] is False


async def test_a_real_refused_connection_names_the_command_that_helps() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        to = Http(f"http://127.0.0.1:{taken.getsockname()[1]}", Credentials())
        with pytest.raises(UnavailableError) as caught:
            await send(to)
        await to.aclose()
    assert "tunedmodels serve" in caught.value.cure
    assert not caught.value.sent


async def test_an_answer_without_end_is_not_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "LARGEST_ANSWER", 10)
    to, _ = client(httpx.Response(200, content=b"x" * 11))
    with pytest.raises(ProviderError, match="larger than"):
        await send(to)


async def test_an_answer_that_cannot_be_unpacked_is_an_error() -> None:
    packed = httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Broken())
    to, script = client(packed)
    with pytest.raises(ProviderError, match="cannot be read"):
        await send(to)
    assert len(script.asked) == 1


async def test_a_redirect_is_not_followed() -> None:
    to, script = client(httpx.Response(302, headers={"location": "https://elsewhere.example"}))
    with pytest.raises(ProviderError):
        await send(to)
    assert len(script.asked) == 1


# Secrets ----------------------------------------------------------------------------------------

KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=60)


@given(KEYS, st.booleans())
async def test_a_secret_travels_in_a_header_and_shows_nowhere(key: str, is_token: bool) -> None:  # noqa: FBT001  # drawn
    credentials = Credentials(access_token=key) if is_token else Credentials(api_key=key)
    told: list[str] = []

    def echo(request: httpx.Request) -> httpx.Response:
        return no(503, f"Bad key {key!s} {'x' * 970} {key} in {request.url}?key={key}")

    to, script = client(
        *[echo] * 5,
        endpoint=HOSTED,
        credentials=credentials,
        on_retry=lambda *event: told.append(event[3]),
    )
    with pytest.raises(UnavailableError) as caught:
        await send(to)
    request = script.asked[0]
    header = "authorization" if is_token else "x-goog-api-key"
    assert request.headers[header].endswith(key)
    shown = [str(request.url), repr(credentials), repr(to), repr(to._client), *told]
    shown += [caught.value.message, caught.value.cure, repr(caught.value), str(caught.value)]
    assert not [text for text in shown if key in text]


async def test_only_one_credential_is_sent_and_the_token_goes_first() -> None:
    both = Credentials("a-key", "a-token", "p")
    to, script = client(ok(), credentials=both)
    await send(to)
    headers = script.asked[0].headers
    assert headers["authorization"] == "Bearer a-token"
    assert headers["x-goog-user-project"] == "p"
    assert "x-goog-api-key" not in headers


# fmt: off
OBSTACLES = [
    (HOSTED,                  "",          UnauthenticatedError, "GEMINI_API_KEY"),
    ("http://models.example", "a-key",     InvalidArgumentError, "https://"),
    ("http://10.0.0.7:8901",  "a-key",     InvalidArgumentError, "loopback"),
    (HOSTED,                  "a-k\u00e9y", UnauthenticatedError, "Copy it"),
    (HOSTED,                  "a\nkey",    UnauthenticatedError, "Copy it"),
]
# fmt: on


@pytest.mark.parametrize(("endpoint", "key", "kind", "cure"), OBSTACLES)
async def test_nothing_is_sent_without_a_key_or_with_one_in_the_clear(
    endpoint: str, key: str, kind: type[ProviderError], cure: str
) -> None:
    to, script = client(endpoint=endpoint, credentials=Credentials(api_key=key))
    with pytest.raises(kind) as caught:
        await send(to)
    assert cure in caught.value.cure
    assert not key or key not in caught.value.message + caught.value.cure
    assert script.asked == []


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost", "http://127.9.9.9"]
)
async def test_loopback_needs_no_key(endpoint: str) -> None:
    to, _ = client(ok(), endpoint=endpoint, credentials=Credentials())
    assert await send(to) == b"{}"


async def test_messages_name_the_host_and_never_its_password() -> None:
    to, _ = client(*[httpx.Response(500)] * 5, endpoint="http://user:secret@127.0.0.1:8901/x")
    with pytest.raises(UnavailableError) as caught:
        await send(to)
    assert "127.0.0.1:8901 answered 500" in caught.value.message
    assert "secret" not in caught.value.message


# Streams ----------------------------------------------------------------------------------------


class Broken(httpx.AsyncByteStream):
    """Two lines, then the connection is gone."""

    async def __aiter__(self) -> Any:
        yield b"one\n"
        yield b"two\n"
        raise httpx.ReadError("")


async def lines(to: Http) -> list[str]:
    found: list[str] = []
    try:
        async with aclosing(to.lines("POST", "v1beta/x", params={}, content=b"")) as answer:
            async for line in answer:
                found.append(line)  # noqa: PERF401  # what came before an error is kept
    except errors.UnavailableError as error:
        found.append(error.message)
    return found


async def test_a_stream_is_asked_again_as_long_as_it_has_not_begun() -> None:
    to, script = client(busy, LOST, httpx.Response(200, text="one\ntwo"))
    assert await lines(to) == ["one", "two"]
    assert len(script.asked) == 3


async def test_a_stream_that_breaks_is_an_error_and_no_line_comes_twice() -> None:
    to, script = client(httpx.Response(200, stream=Broken()))
    assert await lines(to) == ["one", "two", "The connection to models.example broke: ReadError"]
    assert len(script.asked) == 1


async def test_a_stream_that_is_left_early_is_closed() -> None:
    answer = httpx.Response(200, text="one\ntwo")
    to, _ = client(answer)
    async with aclosing(to.lines("POST", "v1beta/x", params={}, content=b"")) as found:
        assert await anext(found) == "one"
    assert answer.is_closed
