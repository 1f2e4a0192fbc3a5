"""The embedded service as an HTTP server: `tunedmodels serve`."""

from __future__ import annotations

import errno
import ipaddress
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tunedmodels.errors import StoreError, TunedModelsError
from tunedmodels.service.access_log import AccessLog, RequestRecorder
from tunedmodels.service.chaos import Chaos, ChaosMiddleware, print_warning
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.health import HealthEndpoint
from tunedmodels.service.identity import ApiKeys
from tunedmodels.service.metrics import Metrics
from tunedmodels.service.store.retention import Retention
from tunedmodels.service.timeouts import TimeoutProtocol
from tunedmodels.service.web.app import WebLibrary

_KEEP_ALIVE_S = 5  # idle time between two requests on a connection
_SHUTDOWN_S = 5  # for requests in progress when the server stops
_FORBIDDEN_BODY = (
    b'{"error":{"code":403,"status":"PERMISSION_DENIED","message":'
    b'"Only requests from this machine, to a loopback host name, are allowed."}}'
)


def _print_url(url: str) -> None:
    sys.stderr.write(f"The embedded service listens on {url} (Ctrl-C stops it).\n")
    sys.stderr.flush()


def serve(
    store: Path,
    host: str = "127.0.0.1",
    port: int = 8787,
    jobs: int = 2,
    *,
    keys: Path | None = None,
    access_log: Path | None = None,
    retention_s: float | None = None,
    chaos: Chaos | None = None,
    on_listen: Callable[[str], None] = _print_url,
) -> None:
    """Serve until Ctrl-C or SIGTERM, then let the workers save checkpoints.

    Port 0 selects any free port. `keys` is a file of API keys, each with its user; without it only
    this machine is served. The service speaks plain HTTP: a network in which others can listen
    requires a proxy with TLS. `access_log` is a file, or `-` for standard output. `retention_s` is
    the age at which failed models are removed; without it nothing is removed. `chaos` injects
    failures. `on_listen` is called with the URL as soon as the port is bound.

    Raises TunedModelsError if the port cannot be bound, the access log cannot be opened or the file
    of keys is invalid, and StoreError if the store cannot be read or is damaged.
    """
    api_keys = _load_keys(keys, host)
    with ExitStack() as stack:
        listener = stack.enter_context(_bound_socket(host, port))
        service = stack.enter_context(EmbeddedService(store, jobs=jobs, keys=api_keys))
        log = stack.enter_context(AccessLog(access_log)) if access_log else None
        service.store.database.verify()
        if problem := _write_problem(service):
            sys.stderr.write(
                f"The store is read-only: {problem}\nReads are answered; nothing is trained, "
                "changed or removed until the service is started again.\n"
            )
        else:
            service.start()
            if retention_s is not None:
                stack.enter_context(Retention(service.store, retention_s))
        if chaos:
            print_warning(chaos)
        built = build_app(service, is_public=api_keys is not None, log=log, chaos=chaos)
        name = f"[{host}]" if ":" in host else host
        on_listen(f"http://{name}:{listener.getsockname()[1]}")
        with _stops_on_sigterm():
            _Server(uvicorn_config(built.app), built.close).run(sockets=[listener])


def _write_problem(service: EmbeddedService) -> str:
    """Return the reason why an existing store cannot be written, or an empty text."""
    if not service.store.database.path.exists():
        return ""  # the first write creates it
    try:
        service.store.database.probe()
    except StoreError as error:
        if error.is_transient:
            return ""
        return f"{error.message}. {error.cure}"
    return ""


class _Server(uvicorn.Server):
    """A uvicorn server that ends the event streams of the pages before it waits for requests."""

    def __init__(self, config: uvicorn.Config, close: Callable[[], None]) -> None:
        super().__init__(config)
        self._close = close

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the event streams and shut down."""
        self._close()
        await super().shutdown(sockets)


@dataclass(frozen=True, slots=True)
class BuiltApp:
    """An ASGI application with the API, the pages and the middleware of the server."""

    app: ASGIApp
    close: Callable[[], None]  #: ends the event streams of the pages


def build_app(
    service: EmbeddedService,
    *,
    is_public: bool,
    log: AccessLog | None = None,
    chaos: Chaos | None = None,
) -> BuiltApp:
    """Return the API and the library pages of a service, with health, metrics and access log.

    `is_public` allows requests from other machines. Each then requires a key, except `/healthz`
    and `/metrics`, which contain no names.
    """
    metrics = Metrics(service.store)
    health = HealthEndpoint({"store": service.store.database.probe, "training": service.check})
    api = service.make_app(
        extra_routes=[Route("/healthz", health.respond), Route("/metrics", metrics.respond)],
        middleware=[Middleware(ChaosMiddleware, chaos, chaos.draw_kinds())] if chaos else [],
    )
    library = WebLibrary(service.context, api)
    app = RequestRecorder(
        # With keys, the key protects against requests of foreign pages: they do not have one.
        library.app if is_public else LoopbackOnly(library.app),
        [*library.app.routes, *api.routes],
        metrics.record,
        *([log.write] if log else []),
    )
    return BuiltApp(app, library.close)


def uvicorn_config(app: ASGIApp) -> uvicorn.Config:
    """Return the configuration with which uvicorn serves an application."""
    return uvicorn.Config(
        app,
        http=TimeoutProtocol,
        ws="none",
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )


class LoopbackOnly:
    """ASGI middleware that rejects requests of foreign pages, for a service without keys.

    A web page can make a browser send requests to a port of its own machine. They have the Origin
    of the page or, if the host name of the page was rebound to this machine, a foreign Host.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or reject it with 403."""
        fields = dict(scope.get("headers", ()))
        host = fields.get(b"host", b"").decode("latin-1")
        origin = fields.get(b"origin", b"").decode("latin-1")
        if _is_loopback(host) and (not origin or _is_loopback(origin.partition("://")[2])):
            await self._app(scope, receive, send)
            return
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body", "body": _FORBIDDEN_BODY})


def _is_loopback(address: str) -> bool:
    """Return whether `host`, `host:port` or `[host]:port` is a loopback address."""
    end = "]" if address.startswith("[") else ":"
    host = address.removeprefix("[").partition(end)[0]
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _load_keys(keys: Path | None, host: str) -> ApiKeys | None:
    """Load the keys. Without them, raise TunedModelsError unless `host` is a loopback address."""
    if keys is not None:
        from tunedmodels.service.api.keys import load_keys  # noqa: PLC0415  # imports yaml

        return load_keys(keys)
    if not _is_loopback(f"[{host}]"):
        raise TunedModelsError(
            f"Cannot serve on {host}: without keys, only loopback addresses are allowed",
            cure="Use --host 127.0.0.1, or pass a file of API keys with --keys.",
        )
    return None


@contextmanager
def _bound_socket(host: str, port: int) -> Iterator[socket.socket]:
    """Bind the port, before the store is opened."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Without IPPROTO_TCP asyncio does not disable Nagle's algorithm, which delays responses by
    # 40 ms.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen()  # clients may connect as soon as the URL is printed
        except OSError as error:
            is_taken = error.errno == errno.EADDRINUSE
            reason = "the port is in use" if is_taken else (error.strerror or str(error))
            cure = "Choose another port with --port (0 selects any free port)."
            if not is_taken:
                cure = "Pass an address of this machine with --host, or another port with --port."
            message = f"Cannot listen on {host}:{port}: {reason}"
            raise TunedModelsError(message, cure=cure) from error
        yield listener


@contextmanager
def _stops_on_sigterm() -> Iterator[None]:
    """Leave the block on SIGTERM or Ctrl-C: uvicorn raises the signal again after its shutdown."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, previous)
