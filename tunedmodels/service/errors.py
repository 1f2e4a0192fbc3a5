"""Error responses of the service in Google's format, with its status names and both code numbers.

The format is `{"error": {"code", "message", "status", "details"}}`, where `code` is the HTTP
status. An operation contains a google.rpc.Status, where `code` is the google.rpc.Code.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, NamedTuple


class ApiStatus(Enum):
    """A status name, with its HTTP status and its google.rpc.Code."""

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
    ABORTED = (412, 10)  # a condition of HTTP failed; the hosted API has no conditional requests

    @property
    def http(self) -> int:
        """The HTTP status."""
        return self.value[0]

    @property
    def code(self) -> int:
        """The google.rpc.Code."""
        return self.value[1]


class Violation(NamedTuple):
    """One invalid field of a request."""

    field: str  #: path in the names of the proto
    description: str


class ApiError(Exception):
    """An error response of the service."""

    def __init__(
        self,
        status: ApiStatus,
        message: str,
        *,
        violations: Sequence[Violation] = (),
        reason: str = "",
        retry_after_s: int | None = None,
    ) -> None:
        """Create an error.

        `reason` is machine-readable. `retry_after_s` is the delay before a retry in whole seconds.
        """
        super().__init__(message)
        self.status = status
        self.message = message
        self.violations = tuple(violations)
        self.reason = reason
        self.retry_after_s = retry_after_s

    def to_json(self) -> dict[str, Any]:
        """Return the JSON body of the response."""
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


# A request can contain 200,000 invalid examples; the first few are enough to fix them.
_MAX_VIOLATIONS = 20


def invalid_argument(violations: Sequence[Violation]) -> ApiError:
    """Return the INVALID_ARGUMENT error for at least one violation."""
    reported = violations[:_MAX_VIOLATIONS]
    lines = [violation.description for violation in reported]
    if len(violations) > len(reported):
        lines.append(f"... and {len(violations) - len(reported)} more.")
    return ApiError(ApiStatus.INVALID_ARGUMENT, "\n".join(lines), violations=reported)
