"""The HTTP client: retries, credentials and streams."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import stamina
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fakes.script import (
    ScriptedResponse,
    ScriptedTransport,
    error_detail,
    error_response,
    ok_response,
)
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
from tunedmodels.providers import body, pagination, response_headers
from tunedmodels.providers.http import Http
from tunedmodels.providers.identity import Credentials
from tunedmodels.providers.retry import LOOPBACK_BUDGET_S, MAX_ATTEMPTS, RetryPolicy

LOCAL = "http://127.0.0.1:8901"
HOSTED = "https://models.example"


@pytest.fixture(autouse=True, scope="module")
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=MAX_ATTEMPTS):
        yield


def client(
    *answers: ScriptedResponse, endpoint: str = HOSTED, **others: Any
) -> tuple[Http, ScriptedTransport]:
    script = ScriptedTransport(*answers)
    credentials = others.pop("credentials", Credentials(api_key="a-key"))
    return Http(endpoint, credentials, transport=script, **others), script


async def send(http_client: Http, *, is_idempotent: bool = True) -> bytes:
    return await http_client.request_body(
        "POST", "v1beta/things", content=b"{}", is_idempotent=is_idempotent
    )


def busy(_: httpx.Request) -> httpx.Response:
    return error_response(503, "Overloaded.", status="UNAVAILABLE")


def slow(_: httpx.Request) -> httpx.Response:
    return error_response(429, "Quota.", status="RESOURCE_EXHAUSTED")


NEVER = httpx.ConnectError("All connection attempts failed")
LOST = httpx.ReadError("")
LATE = httpx.ReadTimeout("")
OK = ok_response()

NOT_FOUND = error_response(404)
WITHDRAWN = error_response(501)

# fmt: off
RETRIES = [  # idempotent  responses  requests  outcome
    pytest.param(True,  [busy, LOST, OK],  3, None,                id="until it succeeds"),
    pytest.param(True,  [LATE, OK],        2, None,                id="timeout"),
    pytest.param(True,  [busy] * 5,        5, UnavailableError,    id="at most five times"),
    pytest.param(True,  [slow] * 5,        5, RateLimitedError,    id="429, at most five times"),
    pytest.param(True,  [NOT_FOUND],       1, NotFoundError,       id="404: not retried"),
    pytest.param(True,  [WITHDRAWN],       1, UnimplementedError,  id="501: not retried"),
    pytest.param(False, [NEVER, OK],       2, None,                id="not sent: retried"),
    pytest.param(False, [slow, OK],        2, None,                id="429: retried"),
    pytest.param(False, [NEVER] * 5,       5, UnavailableError,    id="never sent"),
    pytest.param(False, [busy, OK],        1, OutcomeUnknownError, id="503: outcome unknown"),
    pytest.param(False, [LOST, OK],        1, OutcomeUnknownError, id="lost: outcome unknown"),
    pytest.param(False, [LATE, OK],        1, OutcomeUnknownError, id="timeout: outcome unknown"),
    pytest.param(False, [NEVER, LOST, OK], 2, OutcomeUnknownError, id="not sent, then lost"),
]
# fmt: on


@pytest.mark.parametrize(("is_idempotent", "responses", "requests", "outcome"), RETRIES)
async def test_a_call_is_retried_only_when_that_is_safe(
    is_idempotent: bool,  # noqa: FBT001  # a column of the table
    responses: list[ScriptedResponse],
    requests: int,
    outcome: type[Exception] | None,
) -> None:
    http_client, script = client(*responses)
    if outcome:
        with pytest.raises(outcome):
            await send(http_client, is_idempotent=is_idempotent)
    else:
        assert await send(http_client, is_idempotent=is_idempotent) == b"{}"
    assert len(script.requests) == requests


async def test_an_unsent_last_attempt_does_not_hide_an_earlier_one_that_was_sent() -> None:
    http_client, _ = client(LOST, NEVER, NEVER, NEVER, NEVER)
    with pytest.raises(UnavailableError) as caught:
        await send(http_client)
    assert caught.value.was_sent


async def test_a_retry_is_reported_with_its_wait_and_its_reason() -> None:
    events: list[tuple[str, int, float, str]] = []
    answers: list[ScriptedResponse] = [
        error_response(429, "Slowly.", headers={"retry-after": "7"}),
        busy,
        ok_response(),
    ]
    http_client, _ = client(*answers, on_retry=lambda *event: events.append(event))
    await send(http_client)
    call = "POST v1beta/things"
    assert events[0] == (call, 1, 7.0, "Slowly.")
    assert (events[1][:2], events[1][3]) == ((call, 2), "Overloaded.")


async def test_the_last_attempt_is_not_reported_as_a_retry() -> None:
    attempts: list[int] = []
    http_client, _ = client(*[busy] * 5, on_retry=lambda _, attempt, *__: attempts.append(attempt))
    with pytest.raises(UnavailableError):
        await send(http_client)
    assert attempts == [1, 2, 3, 4]


async def test_calls_to_this_machine_are_retried_for_a_short_time() -> None:
    waits: list[float] = []
    http_client, script = client(
        *[NEVER] * 5, endpoint=LOCAL, on_retry=lambda *e: waits.append(e[2])
    )
    with pytest.raises(UnavailableError):
        await send(http_client)
    assert 1 < len(script.requests) < MAX_ATTEMPTS
    assert max(waits) <= LOOPBACK_BUDGET_S


async def test_retry_info_precedes_the_header() -> None:
    answer = error_response(
        429, details=[error_detail("RetryInfo", retryDelay="31s")], headers={"retry-after": "7"}
    )
    waits: list[float] = []
    http_client, _ = client(answer, ok_response(), on_retry=lambda *event: waits.append(event[2]))
    await send(http_client)
    assert waits == [31.0]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("", None), ("-3", None), ("soon", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float | None) -> None:
    assert response_headers.retry_after_s(header) == seconds


def test_a_delay_of_more_than_a_minute_ends_the_retries() -> None:
    policy = RetryPolicy("GET x", None, now=lambda: 0.0)
    assert policy(RateLimitedError("no", retry_after_s=59.0)) == 59.0
    assert policy(RateLimitedError("no", retry_after_s=61.0)) is False


def test_retries_end_after_a_minute() -> None:
    times = iter([0.0, 59.9])
    policy = RetryPolicy("GET x", None, now=lambda: next(times))
    assert policy(UnavailableError("no")) is False


def test_waits_grow_with_jitter() -> None:
    policy = RetryPolicy("GET x", None, now=lambda: 0.0)
    waits = [policy(UnavailableError("no")) for _ in range(MAX_ATTEMPTS)]
    for number, wait in enumerate(waits[:-1]):
        assert 0.5 * 2**number <= wait <= 2**number
    assert waits[-1] is False


async def test_the_cure_for_a_refused_connection_starts_the_service() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound without listening
        http_client = Http(f"http://127.0.0.1:{taken.getsockname()[1]}", Credentials())
        with pytest.raises(UnavailableError) as caught:
            await send(http_client)
        await http_client.aclose()
    assert "tunedmodels serve" in caught.value.cure
    assert not caught.value.was_sent


async def test_a_response_that_is_too_large_is_not_read_completely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(body, "MAX_BODY_BYTES", 10)
    http_client, _ = client(httpx.Response(200, content=b"x" * 11))
    with pytest.raises(ProviderError, match="larger than"):
        await send(http_client)


async def test_a_response_that_cannot_be_decompressed_is_an_error() -> None:
    packed = httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Broken())
    http_client, script = client(packed)
    with pytest.raises(ProviderError, match="cannot be read"):
        await send(http_client)
    assert len(script.requests) == 1


async def test_a_redirect_is_not_followed() -> None:
    http_client, script = client(
        httpx.Response(302, headers={"location": "https://elsewhere.example"})
    )
    with pytest.raises(ProviderError):
        await send(http_client)
    assert len(script.requests) == 1


KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=60)


@given(KEYS, st.booleans())
async def test_a_secret_is_sent_in_a_header_and_never_shown(key: str, is_token: bool) -> None:  # noqa: FBT001  # drawn
    credentials = Credentials(access_token=key) if is_token else Credentials(api_key=key)
    messages: list[str] = []

    def echo(request: httpx.Request) -> httpx.Response:
        return error_response(503, f"Bad key {key!s} {'x' * 970} {key} in {request.url}?key={key}")

    http_client, script = client(
        *[echo] * 5,
        endpoint=HOSTED,
        credentials=credentials,
        on_retry=lambda *event: messages.append(event[3]),
    )
    with pytest.raises(UnavailableError) as caught:
        await send(http_client)
    request = script.requests[0]
    header = "authorization" if is_token else "x-goog-api-key"
    assert request.headers[header].endswith(key)
    shown = [
        str(request.url),
        repr(credentials),
        repr(http_client),
        repr(http_client._clients),
        *messages,
    ]
    shown += [caught.value.message, caught.value.cure, repr(caught.value), str(caught.value)]
    assert not [text for text in shown if key in text]


async def test_only_one_credential_is_sent_and_the_token_precedes_the_key() -> None:
    both = Credentials("a-key", "a-token", "p")
    http_client, script = client(ok_response(), credentials=both)
    await send(http_client)
    headers = script.requests[0].headers
    assert headers["authorization"] == "Bearer a-token"
    assert headers["x-goog-user-project"] == "p"
    assert "x-goog-api-key" not in headers


# fmt: off
PROBLEMS = [
    (HOSTED,                  "",          UnauthenticatedError, "GEMINI_API_KEY"),
    ("http://models.example", "a-key",     InvalidArgumentError, "https://"),
    ("http://10.0.0.7:8901",  "a-key",     InvalidArgumentError, "loopback"),
    (HOSTED,                  "a-k\u00e9y", UnauthenticatedError, "Copy it"),
    (HOSTED,                  "a\nkey",    UnauthenticatedError, "Copy it"),
]
# fmt: on


@pytest.mark.parametrize(("endpoint", "key", "kind", "cure"), PROBLEMS)
async def test_nothing_is_sent_without_a_valid_key_or_unencrypted(
    endpoint: str, key: str, kind: type[ProviderError], cure: str
) -> None:
    http_client, script = client(endpoint=endpoint, credentials=Credentials(api_key=key))
    with pytest.raises(kind) as caught:
        await send(http_client)
    assert cure in caught.value.cure
    assert not key or key not in caught.value.message + caught.value.cure
    assert script.requests == []


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost", "http://127.9.9.9"]
)
async def test_loopback_needs_no_key(endpoint: str) -> None:
    http_client, _ = client(ok_response(), endpoint=endpoint, credentials=Credentials())
    assert await send(http_client) == b"{}"


async def test_messages_name_the_host_and_never_its_password() -> None:
    http_client, _ = client(
        *[httpx.Response(500)] * 5, endpoint="http://user:secret@127.0.0.1:8901/x"
    )
    with pytest.raises(UnavailableError) as caught:
        await send(http_client)
    assert "127.0.0.1:8901 answered 500" in caught.value.message
    assert "secret" not in caught.value.message


class Broken(httpx.AsyncByteStream):
    """Two lines, then the connection breaks."""

    async def __aiter__(self) -> Any:
        yield b"one\n"
        yield b"two\n"
        raise httpx.ReadError("")


async def read_lines(http_client: Http) -> list[str]:
    collected: list[str] = []
    try:
        async with aclosing(
            http_client.stream_lines("POST", "v1beta/x", params={}, content=b"")
        ) as answer:
            async for line in answer:
                collected.append(line)  # noqa: PERF401  # keeps the lines before an error
    except errors.UnavailableError as error:
        collected.append(error.message)
    return collected


async def test_a_stream_is_retried_until_it_begins() -> None:
    http_client, script = client(busy, LOST, httpx.Response(200, text="one\ntwo"))
    assert await read_lines(http_client) == ["one", "two"]
    assert len(script.requests) == 3


async def test_an_interrupted_stream_is_an_error_and_no_line_is_repeated() -> None:
    http_client, script = client(httpx.Response(200, stream=Broken()))
    assert await read_lines(http_client) == [
        "one",
        "two",
        "The connection to models.example broke: ReadError",
    ]
    assert len(script.requests) == 1


async def test_a_stream_that_is_closed_early_is_released() -> None:
    answer = httpx.Response(200, text="one\ntwo")
    http_client, _ = client(answer)
    async with aclosing(
        http_client.stream_lines("POST", "v1beta/x", params={}, content=b"")
    ) as found:
        assert await anext(found) == "one"
    assert answer.is_closed


@dataclass(frozen=True)
class _Page:
    entries: list[str]
    next_page_token: str


@pytest.mark.parametrize("entries", [["same"], []], ids=["the same entries", "no entries"])
async def test_a_list_that_never_ends_is_an_error(
    monkeypatch: pytest.MonkeyPatch, entries: list[str]
) -> None:
    monkeypatch.setattr(pagination, "MAX_PAGES", 50)
    tokens = iter(range(1_000))

    async def fetch(_: str) -> _Page:
        return _Page(entries, f"new token {next(tokens)}")

    with pytest.raises(ProviderError, match="The list has no end"):
        await pagination.read_all(fetch, str, identify=str)


async def test_a_page_may_be_shifted_by_one_entry() -> None:
    pages = {"": _Page(["b", "c"], "1"), "1": _Page(["c", "d"], "2"), "2": _Page(["d"], "")}

    async def fetch(token: str) -> _Page:
        return pages[token]

    assert await pagination.read_all(fetch, str, identify=str) == ["b", "c", "c", "d", "d"]
