"""Every error we raise, one thing wrong with what a person wrote, and what the process says last.

TunedModelsError               what a person can act on: printed in words, never as a traceback
├── ProblemsFoundError         manifests, datasets or options are wrong; carries all of it at once
├── RefusedError               we will not: stale, unsafe, over budget, protected        (exit 4)
├── StoreError                 the state on this disk cannot be read or written
└── ProviderError              a service said no, or nothing
    ├── InvalidArgumentError   400  the request can never work as it is
    ├── UnauthenticatedError   401  no credential, or a wrong one
    ├── PermissionDeniedError  403  a credential that may not do this
    ├── NotFoundError          404
    ├── AlreadyExistsError     409
    ├── RateLimitedError       429  refused for now; nothing was begun
    ├── UnavailableError       5xx, or the connection failed
    ├── UnimplementedError     501  the service withdrew the method
    └── OutcomeUnknownError    the answer to a call that must not be repeated was lost

Errors carry words and plain values, never rich objects, so that this module imports nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Exit(IntEnum):
    """What the process says at its end; usage errors are 1 as well, never 2."""

    DONE = 0
    ERROR = 1
    PENDING = 2
    RUNNING = 3
    REFUSED = 4
    GATE = 5
    INTERRUPTED = 130


class Severity(StrEnum):
    """How bad a problem is; only an error stops anything."""

    ERROR = "error"
    WARNING = "warning"
    ADVICE = "advice"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in one place, with its cure.

    `file` is as the person would type it, relative to the working directory where that is possible.
    `line` counts from 1; 0 means the file as a whole. `path` is the dotted field
    (`spec.hyperparameters.epochCount`) or empty. `code` is stable and kebab-case, for machines.
    """

    file: str
    line: int
    path: str
    severity: Severity
    code: str
    message: str
    cure: str = ""

    @property
    def place(self) -> str:
        """`file:line: path`, as far as they are known."""
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.path}" if self.path else where


class TunedModelsError(Exception):
    """What a person can act on. `cure` says how, in a sentence or as a command."""

    def __init__(self, message: str, *, cure: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure


class ProblemsFoundError(TunedModelsError):
    """What was written is wrong; `problems` holds everything, sorted by file and line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        errors = sum(p.severity is Severity.ERROR for p in self.problems)
        super().__init__(f"{errors} error{'s' if errors != 1 else ''} found")


class RefusedError(TunedModelsError):
    """We will not do this, although we could: stale, unsafe, over budget or protected."""


class StoreError(TunedModelsError):
    """The state on this disk cannot be read or written."""


class ProviderError(TunedModelsError):
    """A service refused, or did not answer. `message` holds the service's own words."""


class InvalidArgumentError(ProviderError):
    """The request can never work as it is (HTTP 400)."""


class UnauthenticatedError(ProviderError):
    """There is no credential, or it is wrong (HTTP 401)."""


class PermissionDeniedError(ProviderError):
    """The credential may not do this (HTTP 403)."""


class NotFoundError(ProviderError):
    """There is no such thing (HTTP 404)."""


class AlreadyExistsError(ProviderError):
    """The id is taken (HTTP 409)."""


class RateLimitedError(ProviderError):
    """The service refused for now and began nothing (HTTP 429)."""

    def __init__(self, message: str, *, cure: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message, cure=cure)
        self.retry_after_s = retry_after_s


class UnavailableError(ProviderError):
    """The service failed (HTTP 5xx) or could not be reached.

    `sent` is False when the request certainly never reached the service, so that asking again
    cannot do anything twice.
    """

    def __init__(
        self,
        message: str,
        *,
        cure: str = "",
        retry_after_s: float | None = None,
        sent: bool = True,
    ) -> None:
        super().__init__(message, cure=cure)
        self.retry_after_s = retry_after_s
        self.sent = sent


class UnimplementedError(ProviderError):
    """The service does not offer this any more (HTTP 501)."""


class OutcomeUnknownError(ProviderError):
    """The answer to a call that must not be sent twice was lost: observe before anything else."""
