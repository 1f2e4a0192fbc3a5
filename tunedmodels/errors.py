"""The exceptions of this package, one problem in a file of the user, and the exit codes.

TunedModelsError               an error that the user can act on; printed without a traceback
├── ProblemsFoundError         invalid manifests, datasets or options; contains all problems
├── RefusedError               refused although possible: stale, unsafe, over budget or protected
├── StoreError                 the store on the local disk cannot be read or written
└── ProviderError              a service rejected a request, or did not answer
    ├── InvalidArgumentError   400  the request can never succeed
    ├── UnauthenticatedError   401  the credential is missing or invalid
    ├── PermissionDeniedError  403  the credential does not have the permission
    ├── NotFoundError          404
    ├── AlreadyExistsError     409
    ├── RateLimitedError       429  rejected for now; the service started nothing
    ├── UnavailableError       5xx, or the connection failed
    ├── UnimplementedError     501  the service no longer has the method
    └── OutcomeUnknownError    the response to a call that must not be repeated was lost

Errors contain text and plain values, never objects of other modules, so this module imports none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Exit(IntEnum):
    """The exit codes of the process. A usage error is ERROR, never 2 as in click."""

    DONE = 0
    ERROR = 1
    PENDING = 2
    RUNNING = 3
    REFUSED = 4
    GATE = 5
    INTERRUPTED = 130


class Severity(StrEnum):
    """The severity of a problem; only errors stop a command."""

    ERROR = "error"
    WARNING = "warning"
    ADVICE = "advice"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One problem at one location, with its cure."""

    file: str
    """Relative to the working directory if possible."""
    line: int
    """From 1; 0 means the whole file."""
    path: str
    """The dotted field (`spec.hyperparameters.epochCount`), or empty."""
    severity: Severity
    code: str
    """Stable and in kebab-case, for other programs."""
    message: str
    cure: str = ""
    count: int = 1
    """The number of equal problems that it represents."""

    @property
    def location(self) -> str:
        """`file:line: path`, without the parts that are unknown."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.path}" if self.path else place


class TunedModelsError(Exception):
    """An error that the user can act on; `cure` says how, as a sentence or a command."""

    def __init__(self, message: str, *, cure: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure


class ProblemsFoundError(TunedModelsError):
    """Invalid input; `problems` contains all of its problems, sorted by file and line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        errors = sum(p.count for p in self.problems if p.severity is Severity.ERROR)
        super().__init__(f"{errors:,} error{'s' if errors != 1 else ''} found")


class RefusedError(TunedModelsError):
    """The operation is possible, but refused: it is stale, unsafe, over budget or protected."""


class StoreError(TunedModelsError):
    """The store on the local disk cannot be read or written.

    `is_transient` is True when another process uses it, so that waiting helps.
    """

    def __init__(self, message: str, *, cure: str = "", is_transient: bool = False) -> None:
        super().__init__(message, cure=cure)
        self.is_transient = is_transient


class ProviderError(TunedModelsError):
    """A service rejected a request or did not answer; `message` is the text of the service."""


class InvalidArgumentError(ProviderError):
    """The request can never succeed (HTTP 400)."""


class UnauthenticatedError(ProviderError):
    """The credential is missing or invalid (HTTP 401)."""


class PermissionDeniedError(ProviderError):
    """The credential does not have the permission (HTTP 403)."""


class NotFoundError(ProviderError):
    """The object does not exist (HTTP 404)."""


class AlreadyExistsError(ProviderError):
    """The ID is already used (HTTP 409)."""


class ChangedError(ProviderError):
    """The object is not the one that was read: another process changed it since (HTTP 412)."""


class RateLimitedError(ProviderError):
    """The service rejected the request for now and started nothing (HTTP 429)."""

    def __init__(self, message: str, *, cure: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message, cure=cure)
        self.retry_after_s = retry_after_s


class UnavailableError(ProviderError):
    """The service failed (HTTP 5xx) or could not be reached.

    `was_sent` is False when the request certainly did not reach the service, so that a retry is
    safe.
    """

    def __init__(
        self,
        message: str,
        *,
        cure: str = "",
        retry_after_s: float | None = None,
        was_sent: bool = True,
    ) -> None:
        super().__init__(message, cure=cure)
        self.retry_after_s = retry_after_s
        self.was_sent = was_sent


class UnimplementedError(ProviderError):
    """The service no longer has this method (HTTP 501)."""


class OutcomeUnknownError(ProviderError):
    """The response to a call that must not be repeated was lost; observe before the next call."""
