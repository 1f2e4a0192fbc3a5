"""The HTTP client of all services: the only module that imports httpx or retries a call.

Retries in two layers multiply, and neither layer knows what the other has sent. So each call states
here, without a default, whether it is idempotent.
"""

from __future__ import annotations

import asyncio
import os
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
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import httpx
import stamina

from tunedmodels.errors import (
    OutcomeUnknownError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from tunedmodels.providers import errors
from tunedmodels.providers.body import read_body, read_lines
from tunedmodels.providers.connection import (
    MAX_CONNECTIONS,
    open_client,
    parse_endpoint,
    proxy_of,
    proxy_secrets,
)
from tunedmodels.providers.errors import ErrorMapping, HttpFailure
from tunedmodels.providers.identity import Identity
from tunedmodels.providers.pace import Pace
from tunedmodels.providers.response_headers import next_query, retry_after_s
from tunedmodels.providers.retry import (
    BUDGET_S,
    INITIAL_WAIT_S,
    LOOPBACK_BUDGET_S,
    MAX_ATTEMPTS,
    OnRetry,
    RetryPolicy,
)
from tunedmodels.scrubber import Scrubber
from tunedmodels.text import printable

AsgiMessage = MutableMapping[str, Any]
AsgiApp = Callable[
    [AsgiMessage, Callable[[], Awaitable[AsgiMessage]], Callable[[AsgiMessage], Awaitable[None]]],
    Awaitable[None],
]
Transport = httpx.AsyncBaseTransport

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 60.0
CONNECTIONS_PER_CLIENT = 10  # with more, the pool of httpx needs more time than the requests


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A successful response."""

    body: bytes
    next_query: str
    """The query of the next page; empty on the last page.

    Only the query is taken from the link (RFC 8288), so that no response can direct our
    credentials to another host.
    """
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    """Case-insensitive."""


class Http:
    """A client of one endpoint (`https://host[:port][/prefix]`). The owner closes it.

    `error_mapping` belongs to the kind of service at the endpoint. `budget_s` limits the retries of
    a call; the default depends on whether the service runs on this machine. Redirects are not
    followed, since they could send the credentials to another host.
    """

    def __init__(
        self,
        endpoint: str,
        credentials: Identity,
        *,
        error_mapping: ErrorMapping = errors.GOOGLE,
        transport: Transport | None = None,
        on_retry: OnRetry | None = None,
        budget_s: float | None = None,
    ) -> None:
        self._address = parse_endpoint(endpoint, error_mapping)
        self._endpoint = self._address.url.rstrip("/")
        self._host = self._address.host_and_port
        self._is_local = self._address.is_loopback
        self._credentials = credentials
        self._error_mapping = error_mapping
        default_s = LOOPBACK_BUDGET_S if self._is_local else BUDGET_S
        self._budget_s = default_s if budget_s is None else budget_s
        self._on_retry = on_retry
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)
        self._pace = Pace()
        self._transport = transport
        self._clients = [self._open_client()]
        self._in_flight = [0]
        self._environ_secrets = self._address.secrets | proxy_secrets(os.environ)
        self._scrubbers: dict[frozenset[str], Scrubber] = {}

    def _open_client(self) -> httpx.AsyncClient:
        return open_client(self._address, self._error_mapping, transport=self._transport)

    @property
    def is_local(self) -> bool:
        """Whether the service runs on this machine."""
        return self._is_local

    async def aclose(self) -> None:
        """Close all connections."""
        for client in self._clients:
            await client.aclose()

    @contextmanager
    def _borrowed_client(self) -> Iterator[httpx.AsyncClient]:
        """Yield the first client that is not busy; open another one if all are.

        The time that the pool of a client needs grows with the square of its connections.
        """
        busy = self._in_flight
        index = next((i for i, count in enumerate(busy) if count < CONNECTIONS_PER_CLIENT), None)
        if index is None:
            if self._transport is None:
                self._clients.append(self._open_client())
                busy.append(0)
            index = len(busy) - 1  # a transport that the caller passed has one client
        busy[index] += 1
        try:
            yield self._clients[index]
        finally:
            busy[index] -= 1

    async def request_body(
        self,
        method: str,
        path: str,
        *,
        is_idempotent: bool,
        params: dict[str, str] | None = None,
        content: bytes | None = None,
        read_timeout_s: float | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> bytes:
        """Send a request and return the body of the response; see `request`."""
        response = await self.request(
            method,
            path,
            is_idempotent=is_idempotent,
            params=params,
            content=content,
            read_timeout_s=read_timeout_s,
            headers=headers,
        )
        return response.body

    async def request(
        self,
        method: str,
        path: str,
        *,
        is_idempotent: bool,
        params: dict[str, str] | None = None,
        content: bytes | None = None,
        read_timeout_s: float | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
        extra_success: frozenset[int] = frozenset(),
    ) -> HttpResponse:
        """Send a request and return the response; retry when that is safe.

        `extra_success` are statuses other than 2xx to return instead of raising. A call that is not
        idempotent is retried only when it certainly did not reach the service, or was rejected with
        429. Raises OutcomeUnknownError when it may have been executed, otherwise the errors of
        `errors`.
        """
        request = self._build_request(
            method, path, params, content, read_timeout_s, headers=headers
        )
        call = f"{method} {path}"
        async with self._slots:
            # The time for retries begins when the request is sent, not when it has to queue.
            on_failure = self._retry_hook(call)
            async for attempt in stamina.retry_context(
                on=on_failure, attempts=MAX_ATTEMPTS, timeout=None
            ):
                with attempt, self._outcome_unknown(call, is_idempotent=is_idempotent):
                    async with self._open_response(request, extra_success) as response:
                        return HttpResponse(
                            await self._read_answer(response, call),
                            next_query(response),
                            response.status_code,
                            response.headers,
                        )
        raise AssertionError("unreachable: stamina raises the last error")

    async def stream_lines(
        self, method: str, path: str, *, params: dict[str, str], content: bytes
    ) -> AsyncGenerator[str, None]:
        """Send an idempotent request and yield the lines of the response as they arrive.

        It is retried only until a response begins, so that no line is yielded twice.
        """
        request = self._build_request(method, path, params, content, READ_TIMEOUT_S)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._slots)
            on_failure = self._retry_hook(f"{method} {path}")
            async for attempt in stamina.retry_context(
                on=on_failure, attempts=MAX_ATTEMPTS, timeout=None
            ):
                with attempt:
                    response = await stack.enter_async_context(self._open_response(request))
            async for line in read_lines(response):
                yield line

    def _retry_hook(self, call: str) -> Callable[[Exception], float | bool]:
        """Return the retry policy of a call; a quota error also slows down all other calls."""
        policy = RetryPolicy(call, self._on_retry, budget_s=self._budget_s)

        def on_failure(error: Exception) -> float | bool:
            wait_s = policy(error)
            if isinstance(error, RateLimitedError):
                self._pace.slow_down(error.retry_after_s or float(wait_s or INITIAL_WAIT_S))
            return wait_s

        return on_failure

    def _build_request(
        self,
        method: str,
        path: str,
        params: dict[str, str] | None,
        content: bytes | None,
        read_timeout_s: float | None,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> httpx.Request:
        if problem := self._credentials.problem(self._endpoint):
            raise problem
        content_type = {"content-type": "application/json"} if content is not None else {}
        return self._clients[0].build_request(
            method,
            f"{self._endpoint}/{path}",
            params=params,
            content=content,
            headers={**content_type, **headers},
            timeout=httpx.Timeout(
                read_timeout_s or READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S, pool=None
            ),
        )

    @asynccontextmanager
    async def _open_response(
        self, request: httpx.Request, extra_success: frozenset[int] = frozenset()
    ) -> AsyncIterator[httpx.Response]:
        """Send a request once and yield the open response; raise our errors for failures."""
        await self._pace.wait()
        try:
            with self._borrowed_client() as client:
                response = await self._send(client, request)
                try:
                    if not (response.is_success or response.status_code in extra_success):
                        raise await self._read_failure(response)
                    self._pace.speed_up()
                    yield response
                finally:
                    await response.aclose()
        except httpx.HTTPError as error:
            raise self._connection_error(error) from error

    async def _send(self, client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
        """Send a request with current headers, and again with refreshed headers after a 401.

        A request with a 401 was not executed, so that sending it again is safe. A 401 occurs when a
        token was revoked, or expired between our check and that of the service.
        """
        await self._credentials.refresh()
        sent_headers = self._credentials.headers()
        request.headers.update(sent_headers)
        response = await client.send(request, stream=True)
        if response.status_code != HTTPStatus.UNAUTHORIZED:
            return response
        try:
            is_new = await self._credentials.refresh(sent_headers)
        except ProviderError:
            await response.aclose()
            raise
        if not is_new:
            return response
        await response.aclose()
        request.headers.update(self._credentials.headers())
        return await client.send(request, stream=True)

    async def _read_failure(self, response: httpx.Response) -> ProviderError:
        error = self._error_mapping.to_error(
            HttpFailure(
                http_status=response.status_code,
                headers=response.headers,
                body=await read_body(response),
                host=self._host,
                is_local=self._is_local,
                scrub=self._scrub,
                retry_after_s=retry_after_s(response.headers.get("retry-after", "")),
            )
        )
        # The cure may contain names from the response as well.
        error.message = self._scrub(error.message)
        error.cure = printable(self._scrub(error.cure), keep_newlines=True)
        error.args = (error.message,)
        return error

    @contextmanager
    def _outcome_unknown(self, call: str, *, is_idempotent: bool) -> Iterator[None]:
        """Raise OutcomeUnknownError when a call that is not idempotent may have been executed."""
        try:
            yield
        except UnavailableError as error:
            if is_idempotent or not error.was_sent:
                raise
            raise OutcomeUnknownError(
                f"{call} may or may not have been executed: {error.message}",
                cure=self._error_mapping.outcome_unknown_cure,
            ) from error

    async def _read_answer(self, response: httpx.Response, call: str) -> bytes:
        """Return the body of a success; without it, the outcome of a change is unknown."""
        try:
            return self._scrubber.scrub_body(await read_body(response))
        except (ProviderError, httpx.DecodingError) as error:
            if call.startswith("GET "):
                raise
            reason = error.message if isinstance(error, ProviderError) else str(error)
            raise OutcomeUnknownError(
                f"{call} may or may not have been executed, since its response cannot be read: "
                f"{self._scrub(reason)}",
                cure=self._error_mapping.outcome_unknown_cure,
            ) from error

    @property
    def _scrubber(self) -> Scrubber:
        """For all secrets that this client knows by now."""
        secrets = self._environ_secrets | self._credentials.secrets
        return self._scrubbers.setdefault(secrets, Scrubber(secrets))

    def _scrub(self, text: str) -> str:
        return self._credentials.scrub(self._scrubber.scrub(text))

    def _connection_error(self, error: httpx.HTTPError) -> ProviderError:
        failure = self._to_connection_error(error)
        failure.message = self._scrub(failure.message)
        proxy = proxy_of(self._address, os.environ)
        if proxy and isinstance(
            error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError
        ):
            name, address = proxy
            failure.message += f" Requests go through the proxy {address.host_and_port} of {name}."
        failure.args = (failure.message,)
        return failure

    def _to_connection_error(self, error: httpx.HTTPError) -> ProviderError:
        message = self._scrub(str(error)) or type(error).__name__
        match error:
            case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.ProxyError():
                return errors.unreachable_error(
                    error, self._host, is_local=self._is_local, mapping=self._error_mapping
                )
            case httpx.TimeoutException():
                return UnavailableError(
                    f"{self._host} did not answer in time.", cure="Try again in a few minutes."
                )
            case httpx.TransportError():
                return UnavailableError(f"The connection to {self._host} broke: {message}")
            case _:
                return ProviderError(f"The response of {self._host} cannot be read: {message}")


def asgi_transport(app: AsgiApp) -> Transport:
    """Return a transport to an ASGI application in this process, without a port or network."""
    return httpx.ASGITransport(app=app)
