"""What the service says no with: Google's error shape, its status names and both of its numbers.

The shape is `{"error": {"code", "message", "status", "details"}}` with the HTTP status as code; an
operation carries a google.rpc.Status with the google.rpc.Code instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, NamedTuple


class Status(Enum):
    """A status by name, with its HTTP status and its google.rpc.Code."""

    CANCELLED = (499, 1)
    INVALID_ARGUMENT = (400, 3)
    DEADLINE_EXCEEDED = (504, 4)
    NOT_FOUND = (404, 5)
    ALREADY_EXISTS = (409, 6)
    PERMISSION_DENIED = (403, 7)
    RESOURCE_EXHAUSTED = (429, 8)
    FAILED_PRECONDITION = (400, 9)
    UNIMPLEMENTED = (501, 12)
    INTERNAL = (500, 13)
    UNAVAILABLE = (503, 14)
    UNAUTHENTICATED = (401, 16)

    @property
    def http(self) -> int:
        """The HTTP status."""
        return self.value[0]

    @property
    def code(self) -> int:
        """The google.rpc.Code."""
        return self.value[1]


class Violation(NamedTuple):
    """One thing wrong in a request; `field` is the path by the names of the proto."""

    field: str
    description: str


class ApiError(Exception):
    """An answer of the service that says no.

    `reason` is a word for machines; `retry_after_s` says when to ask again, in whole seconds.
    """

    def __init__(
        self,
        status: Status,
        message: str,
        *,
        violations: Sequence[Violation] = (),
        reason: str = "",
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.violations = tuple(violations)
        self.reason = reason
        self.retry_after_s = retry_after_s

    def document(self) -> dict[str, Any]:
        """Return the body of the answer."""
        error: dict[str, Any] = {
            "code": self.status.http,
            "message": self.message,
            "status": self.status.name,
        }
        if self.violations:
            error["details"] = [
                {
                    "@type": "type.googleapis.com/google.rpc.BadRequest",
                    "fieldViolations": [violation._asdict() for violation in self.violations],
                }
            ]
        if self.reason:
            error["details"] = [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": self.reason,
                    "domain": "googleapis.com",
                    "metadata": {"service": "generativelanguage.googleapis.com"},
                }
            ]
        if self.retry_after_s is not None:
            error["details"] = [
                {
                    "@type": "type.googleapis.com/google.rpc.RetryInfo",
                    "retryDelay": f"{self.retry_after_s}s",
                }
            ]
        return {"error": error}


# A request can hold 200,000 wrong examples; nobody reads beyond the first few.
_MOST_VIOLATIONS = 20


def invalid(violations: Sequence[Violation]) -> ApiError:
    """Return the error for a request with these things wrong in it (at least one)."""
    shown = violations[:_MOST_VIOLATIONS]
    words = [violation.description for violation in shown]
    if len(violations) > len(shown):
        words.append(f"... and {len(violations) - len(shown)} more.")
    return ApiError(Status.INVALID_ARGUMENT, "\n".join(words), violations=shown)
