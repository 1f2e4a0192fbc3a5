"""One HTTP client for every service: the only file with httpx, and the only place that retries.

Two floors that retry multiply, and neither knows what the other has sent. So each call says here,
without a default, whether sending it twice does harm.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    MutableMapping,
)
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import stamina

from tunedmodels import __version__
from tunedmodels.errors import OutcomeUnknownError, ProviderError, UnavailableError
from tunedmodels.providers import errors
from tunedmodels.providers.errors import Manners, Refused
from tunedmodels.providers.identity import Identity, is_loopback, place
from tunedmodels.providers.retry import ATTEMPTS, BUDGET_S, NEAR_BUDGET_S, OnRetry, Patience

# Where rich and click are installed, httpx imports its own command line: 70 ms that nobody needs.
# None makes that import fail, and httpx provides for a command line that is not there.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # typeshed forgets the None
import httpx  # noqa: E402  # after the line above

Message = MutableMapping[str, Any]
AsgiApp = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]
Transport = httpx.AsyncBaseTransport

CONNECT_S = 10.0
READ_S = 60.0
AT_ONCE = 20  # requests in flight: above that httpx's pool loses more than it gains
LARGEST_ANSWER = 256 * 1024 * 1024  # bytes; 1,000 models with whole loss curves are some 30 MiB

# stamina logs every retry; with no handler at all, Python would print that beside our own words.
logging.getLogger("stamina").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a success.

    `next_query` is the query of the next page, empty on the last one. Of the link that names it
    (RFC 8288) nothing else is taken, so that no answer leads our key somewhere else. `headers` know
    no case.
    """

    body: bytes
    next_query: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Http:
    """A client of one endpoint (`https://host[:port][/prefix]`), to be closed by its owner.

    `manners` are those of the kind of service that stands there, `budget_s` is how long a call may
    be asked again, unless the usual time will do. Redirects are not
    followed: they would carry the key somewhere else.
    """

    def __init__(
        self,
        endpoint: str,
        credentials: Identity,
        *,
        manners: Manners = errors.GOOGLE,
        transport: Transport | None = None,
        on_retry: OnRetry | None = None,
        budget_s: float | None = None,
    ) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._place = place(endpoint)
        self._is_local = is_loopback(endpoint)
        self._credentials = credentials
        self._manners = manners
        usual_s = NEAR_BUDGET_S if self._is_local else BUDGET_S
        self._budget_s = usual_s if budget_s is None else budget_s
        self._on_retry = on_retry
        self._free = asyncio.Semaphore(AT_ONCE)
        self._client = httpx.AsyncClient(
            headers={"user-agent": f"tunedmodels/{__version__}"},
            transport=transport,
            limits=httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE),
            trust_env=not self._is_local,  # no proxy reaches this machine's loopback
            verify=not endpoint.startswith("http:"),  # reading all certificates takes 50 ms
            follow_redirects=False,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def send(
        self,
        method: str,
        path: str,
        *,
        repeatable: bool,
        params: dict[str, str] | None = None,
        content: bytes | None = None,
        read_s: float = READ_S,
    ) -> bytes:
        """Send a request and return the body of its answer; see `ask`."""
        answer = await self.ask(
            method, path, repeatable=repeatable, params=params, content=content, read_s=read_s
        )
        return answer.body

    async def ask(
        self,
        method: str,
        path: str,
        *,
        repeatable: bool,
        params: dict[str, str] | None = None,
        content: bytes | None = None,
        read_s: float = READ_S,
        headers: Mapping[str, str] = MappingProxyType({}),
        also: frozenset[int] = frozenset(),
    ) -> Answer:
        """Send a request and return its answer; ask again when that is safe.

        `also` are statuses that are no success and an answer all the same.

        `repeatable` says that sending it twice does no harm. What is not repeatable is sent again
        only when it certainly did not leave, or was refused with 429. Raises OutcomeUnknownError
        when it may have been done, otherwise the errors of `failures`.
        """
        request = self._request(method, path, params, content, read_s, headers=headers)
        call = f"{method} {path}"
        patience = Patience(call, self._on_retry, budget_s=self._budget_s)
        async for attempt in stamina.retry_context(on=patience, attempts=ATTEMPTS, timeout=None):
            with attempt, self._never_twice(call, repeatable=repeatable):
                async with self._answer(request, also) as response:
                    body = b"".join([chunk async for chunk in _bounded(response)])
                    status, said = response.status_code, response.headers
                    return Answer(body, _next_query(response), status, said)
        raise AssertionError("unreachable: stamina raises the last error")

    async def lines(
        self, method: str, path: str, *, params: dict[str, str], content: bytes
    ) -> AsyncGenerator[str, None]:
        """Send a repeatable request and yield the lines of its answer as they come.

        It is asked again only as long as no answer has begun, so that no line comes twice.
        """
        request = self._request(method, path, params, content, READ_S)
        patience = Patience(f"{method} {path}", self._on_retry, budget_s=self._budget_s)
        async with AsyncExitStack() as opened:
            async for attempt in stamina.retry_context(
                on=patience, attempts=ATTEMPTS, timeout=None
            ):
                with attempt:
                    response = await opened.enter_async_context(self._answer(request))
            async for line in response.aiter_lines():
                yield line

    def _request(
        self,
        method: str,
        path: str,
        params: dict[str, str] | None,
        content: bytes | None,
        read_s: float,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> httpx.Request:
        if problem := self._credentials.problem(self._endpoint):
            raise problem
        kind = {"content-type": "application/json"} if content is not None else {}
        return self._client.build_request(
            method,
            f"{self._endpoint}/{path}",
            params=params,
            content=content,
            headers={**kind, **headers},
            timeout=httpx.Timeout(read_s, connect=CONNECT_S, pool=None),
        )

    @asynccontextmanager
    async def _answer(
        self, request: httpx.Request, also: frozenset[int] = frozenset()
    ) -> AsyncIterator[httpx.Response]:
        """Send once and lend the open answer of a success; everything else is our errors."""
        try:
            async with self._free:
                response = await self._sent(request)
                try:
                    if not (response.is_success or response.status_code in also):
                        raise await self._refusal(response)
                    yield response
                finally:
                    await response.aclose()
        except httpx.HTTPError as error:
            raise self._lost(error) from error

    async def _sent(self, request: httpx.Request) -> httpx.Response:
        """Send with headers that are good now; with new ones once more where they are refused.

        A 401 did nothing, so that this harms no call. It comes where a token was revoked, or ended
        between our look at the clock and the service's.
        """
        await self._credentials.renew()
        shown = self._credentials.headers()
        request.headers.update(shown)
        response = await self._client.send(request, stream=True)
        if response.status_code != HTTPStatus.UNAUTHORIZED:
            return response
        try:
            is_new = await self._credentials.renew(shown)
        except ProviderError:
            await response.aclose()
            raise
        if not is_new:
            return response
        await response.aclose()
        request.headers.update(self._credentials.headers())
        return await self._client.send(request, stream=True)

    async def _refusal(self, response: httpx.Response) -> ProviderError:
        body = b"".join([chunk async for chunk in _bounded(response)])
        return self._manners.refused(
            Refused(
                http_status=response.status_code,
                headers=response.headers,
                body=body,
                place=self._place,
                is_local=self._is_local,
                scrub=self._credentials.scrub,
                retry_after_s=_retry_after_s(response.headers.get("retry-after", "")),
            )
        )

    @contextmanager
    def _never_twice(self, call: str, *, repeatable: bool) -> Iterator[None]:
        try:
            yield
        except UnavailableError as error:
            if repeatable or not error.sent:
                raise
            raise OutcomeUnknownError(
                f"{call} may or may not have been done: {error.message}",
                cure=self._manners.lost_cure,
            ) from error

    def _lost(self, error: httpx.HTTPError) -> ProviderError:
        match error:
            case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.ProxyError():
                return errors.unreachable(
                    error, self._place, is_local=self._is_local, manners=self._manners
                )
            case httpx.TimeoutException():
                return UnavailableError(
                    f"{self._place} did not answer in time.", cure="Try again in a few minutes."
                )
            case httpx.TransportError():
                words = self._credentials.scrub(str(error)) or type(error).__name__
                return UnavailableError(f"The connection to {self._place} broke: {words}")
            case _:
                words = self._credentials.scrub(str(error)) or type(error).__name__
                return ProviderError(f"The answer of {self._place} cannot be read: {words}")


def in_process(app: AsgiApp) -> Transport:
    """Return a transport to an ASGI application in this process: no port and no network."""
    return httpx.ASGITransport(app=app)


async def _bounded(response: httpx.Response) -> AsyncIterator[bytes]:
    """Yield the body as long as it stays within what a sane service sends."""
    size = 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > LARGEST_ANSWER:
            limit = LARGEST_ANSWER // 2**20
            raise ProviderError(f"The answer is larger than {limit} MiB; it was not read further.")
        yield chunk


def _next_query(response: httpx.Response) -> str:
    url = response.links.get("next", {}).get("url", "")
    try:
        return httpx.URL(url).query.decode()
    except (httpx.InvalidURL, UnicodeDecodeError):
        return ""


def _retry_after_s(header: str) -> float | None:
    """Read Retry-After, which is either seconds or a date (RFC 9110, 10.2.3)."""
    if header.isdecimal():
        return float(header)
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
