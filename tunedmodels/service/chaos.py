"""Injected failures for tests of API clients: `serve --chaos`.

    rate=0.1,kinds=429,503,reset,slow,seed=7

With these settings one request in ten fails, in one of four ways. The same seed gives the same
failures in the same order of requests. Only the routes of the API fail: `/healthz`, `/metrics` and
the pages always respond.
"""

from __future__ import annotations

import asyncio
import math
import random
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tunedmodels.errors import TunedModelsError
from tunedmodels.service.errors import ApiError, ApiStatus
from tunedmodels.service.timeouts import drop_connection

_MAX_DELAY_S = 600.0
_SEED = re.compile(r"[0-9]{1,18}")


class ChaosKind(StrEnum):
    """A kind of failure."""

    RATE_LIMITED = "429"  #: with Retry-After and RetryInfo; the request is not executed
    INTERNAL = "500"  #: the request is not executed
    UNAVAILABLE = "503"  #: the request is not executed
    RESET = "reset"  #: the connection is dropped and the request is not executed
    LOST = "lost"  #: the request is executed and the connection is dropped before the response
    SLOW = "slow"  #: the request is executed after a delay


_DEFAULT_KINDS = (
    ChaosKind.RATE_LIMITED,
    ChaosKind.UNAVAILABLE,
    ChaosKind.RESET,
    ChaosKind.SLOW,
)


@dataclass(frozen=True, slots=True)
class Chaos:
    """Which requests fail, and how."""

    rate: float  #: share of the requests that fail, 0 to 1
    kinds: tuple[ChaosKind, ...] = _DEFAULT_KINDS
    seed: int = field(default_factory=lambda: random.SystemRandom().randrange(2**32))
    delay_s: float = 1.0  #: delay of a slow response, and the value of Retry-After

    def __str__(self) -> str:
        """Return the value of `--chaos` that repeats these failures."""
        kinds = ",".join(self.kinds)
        return f"rate={self.rate},kinds={kinds},seed={self.seed},delay={self.delay_s}"

    def draw_kinds(self) -> Iterator[ChaosKind | None]:
        """Yield the kind of failure for each successive request, or None, without end."""
        generator = random.Random(self.seed)  # noqa: S311  # repeatable, not secret
        while True:
            # Always draw both, so that another rate does not change the order of the kinds.
            chance, kind = generator.random(), generator.choice(self.kinds)
            yield kind if chance < self.rate else None


def parse_chaos(text: str) -> Chaos:
    """Parse the value of `--chaos`. Raises TunedModelsError that lists every problem."""
    settings, problems = _split_settings(text)
    values: dict[str, object] = {}
    for name, parts in settings.items():
        try:
            values |= _PARSERS[name](parts)
        except ValueError as error:
            problems.append(f"{name}: {error} (got {','.join(parts)!r})")
    if "rate" not in settings:
        problems.append("rate is missing: the share of requests that fail, between 0 and 1")
    if problems:
        raise TunedModelsError(
            "\n".join(f"--chaos: {problem}" for problem in problems),
            cure="For example: --chaos rate=0.1,kinds=429,503,reset,slow,seed=7",
        )
    return Chaos(**values)  # type: ignore[arg-type]  # each parser returns the types of its fields


def print_warning(chaos: Chaos) -> None:
    """Write to standard error that requests fail, with the option that repeats the failures."""
    sys.stderr.write(
        f"CHAOS: {chaos.rate:.0%} of the requests to the API fail on purpose. "
        f"To repeat these failures: --chaos {chaos}\n"
    )


class ChaosMiddleware:
    """ASGI middleware that injects failures into a route."""

    def __init__(self, app: ASGIApp, chaos: Chaos, kinds: Iterator[ChaosKind | None]) -> None:
        self._app = app
        self._delay_s = chaos.delay_s
        self._kinds = kinds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or fail. Raises ApiError for a failure with an error response."""
        kind = next(self._kinds)
        if kind is not None:
            scope.setdefault("state", {})["chaos_kind"] = kind.value
        match kind:
            case None:
                await self._app(scope, receive, send)
            case ChaosKind.RATE_LIMITED:
                raise ApiError(
                    ApiStatus.RESOURCE_EXHAUSTED,
                    "Resource has been exhausted (chaos: a failure on purpose).",
                    retry_after_s=math.ceil(self._delay_s),
                )
            case ChaosKind.INTERNAL:
                message = "Internal error encountered (chaos: a failure on purpose)."
                raise ApiError(ApiStatus.INTERNAL, message)
            case ChaosKind.UNAVAILABLE:
                message = "The service is currently unavailable (chaos: a failure on purpose)."
                raise ApiError(ApiStatus.UNAVAILABLE, message)
            case ChaosKind.RESET:
                await drop_connection(scope, receive)
            case ChaosKind.LOST:
                await self._app(scope, receive, _discard)
                await drop_connection(scope, receive)
            case ChaosKind.SLOW:
                await asyncio.sleep(self._delay_s)
                await self._app(scope, receive, send)


async def _discard(message: Message) -> None:
    """Send nothing."""


def _split_settings(text: str) -> tuple[dict[str, list[str]], list[str]]:
    """Return the values of each setting, and the problems.

    A part without `=` is a further value of the setting before it.
    """
    settings: dict[str, list[str]] = {}
    problems: list[str] = []
    name = ""
    for part in text.split(","):
        before, equals, value = part.strip().partition("=")
        if equals:
            name = before.strip()
            if name in settings:
                problems.append(f"{name} is set twice")
            elif name not in _PARSERS:
                known = ", ".join(_PARSERS)
                problems.append(f"unknown setting {name[:40]!r}; known are {known}")
                name = ""
        else:
            value = before
            if not name:
                problems.append(f"{value[:40]!r} belongs to no setting")
        if name in _PARSERS:
            settings.setdefault(name, []).append(value.strip())
    return settings, problems


def _parse_rate(parts: list[str]) -> dict[str, object]:
    return {"rate": _parse_number(parts, maximum=1)}


def _parse_delay(parts: list[str]) -> dict[str, object]:
    return {"delay_s": _parse_number(parts, maximum=_MAX_DELAY_S)}


def _parse_kinds(parts: list[str]) -> dict[str, object]:
    known = ", ".join(ChaosKind)
    if not set(parts) <= set(ChaosKind):
        raise ValueError(f"must be some of {known}")
    return {"kinds": tuple(ChaosKind(part) for part in dict.fromkeys(parts))}


def _parse_seed(parts: list[str]) -> dict[str, object]:
    if len(parts) != 1 or not _SEED.fullmatch(parts[0]):
        raise ValueError("must be a whole number of at most 18 digits")
    return {"seed": int(parts[0])}


def _parse_number(parts: list[str], *, maximum: float) -> float:
    try:
        (part,) = parts
        number = float(part)
    except ValueError:
        number = math.nan
    if not 0 <= number <= maximum:
        raise ValueError(f"must be a number between 0 and {maximum:g}")
    return number


_PARSERS = {
    "rate": _parse_rate,
    "kinds": _parse_kinds,
    "seed": _parse_seed,
    "delay": _parse_delay,
}
