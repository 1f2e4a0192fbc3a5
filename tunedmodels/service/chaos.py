"""Failures on purpose, for tests of whatever calls the service: `serve --chaos`.

    rate=0.1,kinds=429,503,reset,slow,seed=7

One request in ten fails, in one of four ways. The same seed gives the same failures in the same
order of requests. Only the routes of the API fail: what watches the service sees it as it is.
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
from tunedmodels.service.errors import ApiError, Status
from tunedmodels.service.timeouts import drop

_LONGEST_DELAY_S = 600.0
_SEED = re.compile(r"[0-9]{1,18}")


class Kind(StrEnum):
    """A way to fail."""

    RATE_LIMITED = "429"  # with Retry-After and RetryInfo; nothing was done
    INTERNAL = "500"  # nothing was done
    UNAVAILABLE = "503"  # nothing was done
    RESET = "reset"  # the connection is dropped; nothing was done
    LOST = "lost"  # it was done, and the connection is dropped instead of an answer
    SLOW = "slow"  # it is done, later


@dataclass(frozen=True, slots=True)
class Chaos:
    """What fails how often. `delay_s` is how late a slow answer is, and what Retry-After says."""

    rate: float
    kinds: tuple[Kind, ...] = (Kind.RATE_LIMITED, Kind.UNAVAILABLE, Kind.RESET, Kind.SLOW)
    seed: int = field(default_factory=lambda: random.SystemRandom().randrange(2**32))
    delay_s: float = 1.0

    def __str__(self) -> str:
        """Return the option that gives the same again."""
        kinds = ",".join(self.kinds)
        return f"rate={self.rate},kinds={kinds},seed={self.seed},delay={self.delay_s}"

    def draws(self) -> Iterator[Kind | None]:
        """Yield, for one request after the other, how it fails, or None. Never ends."""
        draw = random.Random(self.seed)  # noqa: S311  # to be had again, not to be secret
        while True:
            # Both are drawn every time: another rate must not change the order of the kinds.
            chance, kind = draw.random(), draw.choice(self.kinds)
            yield kind if chance < self.rate else None


def read_chaos(text: str) -> Chaos:
    """Read the value of `--chaos`. Raises TunedModelsError with everything that is wrong."""
    settings, mistakes = _settings(text)
    values: dict[str, object] = {}
    for name, words in settings.items():
        try:
            values |= _READERS[name](words)
        except ValueError as error:
            mistakes.append(f"{name}: {error} (got {','.join(words)!r})")
    if "rate" not in settings:
        mistakes.append("rate is missing: how many of all requests fail, between 0 and 1")
    if mistakes:
        raise TunedModelsError(
            "\n".join(f"--chaos: {mistake}" for mistake in mistakes),
            cure="For example: --chaos rate=0.1,kinds=429,503,reset,slow,seed=7",
        )
    return Chaos(**values)  # type: ignore[arg-type]  # each reader gives the types of its fields


def _settings(text: str) -> tuple[dict[str, list[str]], list[str]]:
    """Return the words of each setting: one without `=` goes on with the setting before it."""
    settings: dict[str, list[str]] = {}
    mistakes: list[str] = []
    name = ""
    for part in text.split(","):
        before, equals, word = part.strip().partition("=")
        if equals:
            name = before.strip()
            if name in settings:
                mistakes.append(f"{name} is there twice")
            elif name not in _READERS:
                known = ", ".join(_READERS)
                mistakes.append(f"there is no setting {name[:40]!r}; known are {known}")
                name = ""
        else:
            word = before
            if not name:
                mistakes.append(f"{word[:40]!r} belongs to no setting")
        if name in _READERS:
            settings.setdefault(name, []).append(word.strip())
    return settings, mistakes


def _rate(words: list[str]) -> dict[str, object]:
    return {"rate": _number(words, most=1)}


def _delay(words: list[str]) -> dict[str, object]:
    return {"delay_s": _number(words, most=_LONGEST_DELAY_S)}


def _kinds(words: list[str]) -> dict[str, object]:
    known = ", ".join(Kind)
    if not set(words) <= set(Kind):
        raise ValueError(f"must be some of {known}")
    return {"kinds": tuple(Kind(word) for word in dict.fromkeys(words))}


def _seed(words: list[str]) -> dict[str, object]:
    if len(words) != 1 or not _SEED.fullmatch(words[0]):
        raise ValueError("must be a whole number of at most 18 digits")
    return {"seed": int(words[0])}


def _number(words: list[str], *, most: float) -> float:
    try:
        (word,) = words
        number = float(word)
    except ValueError:
        number = math.nan
    if not 0 <= number <= most:
        raise ValueError(f"must be a number between 0 and {most:g}")
    return number


_READERS = {"rate": _rate, "kinds": _kinds, "seed": _seed, "delay": _delay}


class Chaotic:
    """A route of which some requests fail."""

    def __init__(self, app: ASGIApp, chaos: Chaos, draws: Iterator[Kind | None]) -> None:
        self._app = app
        self._delay_s = chaos.delay_s
        self._draws = draws

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as always, or fail. Raises ApiError for what is to be answered with an error."""
        kind = next(self._draws)
        if kind is not None:
            scope.setdefault("state", {})["injected"] = kind.value
        match kind:
            case None:
                await self._app(scope, receive, send)
            case Kind.RATE_LIMITED:
                raise ApiError(
                    Status.RESOURCE_EXHAUSTED,
                    "Resource has been exhausted (chaos: a failure on purpose).",
                    retry_after_s=math.ceil(self._delay_s),
                )
            case Kind.INTERNAL:
                words = "Internal error encountered (chaos: a failure on purpose)."
                raise ApiError(Status.INTERNAL, words)
            case Kind.UNAVAILABLE:
                words = "The service is currently unavailable (chaos: a failure on purpose)."
                raise ApiError(Status.UNAVAILABLE, words)
            case Kind.RESET:
                await drop(scope, receive)
            case Kind.LOST:
                await self._app(scope, receive, _unsent)
                await drop(scope, receive)
            case Kind.SLOW:
                await asyncio.sleep(self._delay_s)
                await self._app(scope, receive, send)


async def _unsent(message: Message) -> None:
    """Send nothing."""


def warn(chaos: Chaos) -> None:
    """Say loudly what nobody should come upon by surprise."""
    sys.stderr.write(
        f"CHAOS: {chaos.rate:.0%} of the requests to the API fail on purpose. "
        f"The same again: --chaos {chaos}\n"
    )
