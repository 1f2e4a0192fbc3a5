"""The embedded service on a port of this machine, until it is told to stop."""

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

from tunedmodels.errors import TunedModelsError
from tunedmodels.service.access_log import AccessLog, Observed
from tunedmodels.service.chaos import Chaos, Chaotic, warn
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.health import Health
from tunedmodels.service.identity import Keys
from tunedmodels.service.metrics import Metrics
from tunedmodels.service.store.retention import Retention
from tunedmodels.service.timeouts import PatientProtocol
from tunedmodels.service.web.app import Library

_REST_S = 5  # between two requests on a connection
_GRACE_S = 5  # for answers that are on their way when the stop comes
_FORBIDDEN = (
    b'{"error":{"code":403,"status":"PERMISSION_DENIED","message":'
    b'"Only this machine is served, under a loopback name."}}'
)


def _announce(url: str) -> None:
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
    announce: Callable[[str], None] = _announce,
) -> None:
    """Serve until Ctrl-C or SIGTERM, then let jobs write their checkpoints; port 0 takes any.

    `keys` is a file of keys, each with its user; without one, only this machine is served. That is
    plain HTTP either way: a network that others can listen on needs a proxy with TLS in between.
    `access_log` is a file, or `-` for standard output. `retention_s` is the age at which what
    failed is removed; without it, everything stays. `chaos` makes requests fail on purpose.

    `announce` is given the URL as soon as the port is ours. Raises TunedModelsError when it or the
    access log cannot be had or the file of keys is wrong, and StoreError when the store cannot be
    read or is damaged.
    """
    known = _known(keys, host)
    with ExitStack() as stack:
        listener = stack.enter_context(_listening(host, port))
        service = stack.enter_context(EmbeddedService(store, jobs=jobs, keys=known))
        log = stack.enter_context(AccessLog(access_log)) if access_log else None
        service.store.database.verify()
        service.start()
        if retention_s is not None:
            stack.enter_context(Retention(service.store, retention_s))
        if chaos:
            warn(chaos)
        made = assembled(service, is_open=known is not None, log=log, chaos=chaos)
        name = f"[{host}]" if ":" in host else host
        announce(f"http://{name}:{listener.getsockname()[1]}")
        with _stoppable():
            _Server(configuration(made.app), made.close).run(sockets=[listener])


class _Server(uvicorn.Server):
    """A server that, when it stops, ends the streams that pages listen to, before it waits."""

    def __init__(self, config: uvicorn.Config, close: Callable[[], None]) -> None:
        super().__init__(config)
        self._close = close

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop."""
        self._close()
        await super().shutdown(sockets)


@dataclass(frozen=True, slots=True)
class Assembled:
    """An application, and how to end the streams that its pages listen to."""

    app: ASGIApp
    close: Callable[[], None]


def assembled(
    service: EmbeddedService,
    *,
    is_open: bool,
    log: AccessLog | None = None,
    chaos: Chaos | None = None,
) -> Assembled:
    """Return API and library of a service with what whoever runs it needs around them.

    `is_open` says that others than this machine may come: each then needs a key, except for
    `/healthz` and `/metrics`, which name nobody and nothing.
    """
    metrics = Metrics(service.store)
    health = Health({"store": service.store.database.probe, "training": service.check})
    api = service.application(
        beside=[Route("/healthz", health.answer), Route("/metrics", metrics.answer)],
        around=[Middleware(Chaotic, chaos, chaos.draws())] if chaos else [],
    )
    library = Library(service.rooms, api)
    app = Observed(
        # A page that does not know a key is refused like everybody else.
        library.app if is_open else LoopbackOnly(library.app),
        [*library.app.routes, *api.routes],
        metrics.count,
        *([log.write] if log else []),
    )
    return Assembled(app, library.close)


def configuration(app: ASGIApp) -> uvicorn.Config:
    """Return how uvicorn serves an application."""
    return uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_keep_alive=_REST_S,
        timeout_graceful_shutdown=_GRACE_S,
    )


class LoopbackOnly:
    """Answers only what this machine asked for, where there are no keys.

    A page in a browser can make it send requests to a port of its own machine: they bear the
    page's Origin, or, when its name was made to lead here, a Host that is not ours.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        headers = dict(scope.get("headers", ()))
        host = headers.get(b"host", b"").decode("latin-1")
        origin = headers.get(b"origin", b"").decode("latin-1")
        if _is_loopback(host) and (not origin or _is_loopback(origin.partition("://")[2])):
            await self._app(scope, receive, send)
            return
        kind = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 403, "headers": kind})
        await send({"type": "http.response.body", "body": _FORBIDDEN})


def _is_loopback(place: str) -> bool:
    """Whether `host`, `host:port` or `[host]:port` names this machine."""
    host = place[1:].partition("]")[0] if place.startswith("[") else place.partition(":")[0]
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _known(keys: Path | None, host: str) -> Keys | None:
    """Read the keys; without them, refuse to serve anybody else."""
    if keys is not None:
        from tunedmodels.service.api.keys import read_keys  # noqa: PLC0415  # yaml, which others spare

        return read_keys(keys)
    if not _is_loopback(f"[{host}]"):
        raise TunedModelsError(
            f"Cannot serve on {host}: without keys, only this machine may be served",
            cure="Use --host 127.0.0.1, or say with --keys who may come.",
        )
    return None


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Take the port before anything else is begun."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Said to be TCP, or asyncio lets Nagle's algorithm hold every answer back for 40 ms.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen()  # whoever reads our announcement may connect at once
        except OSError as error:
            is_taken = error.errno == errno.EADDRINUSE
            why = "the port is in use" if is_taken else (error.strerror or str(error))
            cure = "Choose another one with --port (0 takes any that is free)."
            if not is_taken:
                cure = "Name an address of this machine with --host, or another port with --port."
            raise TunedModelsError(f"Cannot listen on {host}:{port}: {why}", cure=cure) from error
        yield listener


@contextmanager
def _stoppable() -> Iterator[None]:
    """Come back here when the server was stopped: it raises the signal again when it is done."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, former)
