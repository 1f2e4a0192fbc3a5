"""How Google says no: the shapes of both APIs, and texts that were really seen."""

from __future__ import annotations

from typing import Any

STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_REASONS = {
    400: "invalid",
    401: "authError",
    403: "forbidden",
    404: "notFound",
    409: "conflict",
    412: "conditionNotMet",
    429: "rateLimitExceeded",
    500: "backendError",
    503: "backendError",
}
LOGIN = (
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie "
    "or other valid authentication credential. See "
    "https://developers.google.com/identity/sign-in/web/devconsole-project."
)
EXHAUSTED = "Resource has been exhausted (e.g. check quota)."
PRECONDITION = "At least one of the pre-conditions you specified did not hold."


class Refused(Exception):  # noqa: N818  # it is an answer, as good as any other
    """An answer that is an error; `details` are google.rpc's."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        status: str = "",
        details: list[dict[str, Any]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status or STATUS[code]
        self.details = details or []
        self.headers = headers or {}

    def document(self, *, of_storage: bool) -> dict[str, Any]:
        """The body, as the one API or the other writes it."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if of_storage:
            reason = {
                "message": self.message,
                "domain": "global",
                "reason": _REASONS.get(self.code, "backendError"),
            }
            if self.code == 412:
                reason |= {"locationType": "header", "location": "If-Match"}
            return {"error": {**error, "errors": [reason]}}
        error["status"] = self.status
        if self.details:
            error["details"] = self.details
        return {"error": error}


def detail(kind: str, **fields: Any) -> dict[str, Any]:
    """One of google.rpc's error details."""
    return {"@type": f"type.googleapis.com/google.rpc.{kind}", **fields}


def insufficient_scopes(service: str, method: str, scopes: list[str]) -> Refused:
    """403, as it comes when a token was given too few scopes."""
    metadata = {"service": service, "method": method}
    info = detail(
        "ErrorInfo",
        reason="ACCESS_TOKEN_SCOPE_INSUFFICIENT",
        domain="googleapis.com",
        metadata=metadata,
    )
    challenge = (
        'Bearer realm="https://accounts.google.com/", error="insufficient_scope", '
        f'scope="{" ".join(scopes)}"'
    )
    return Refused(
        403,
        "Request had insufficient authentication scopes.",
        details=[info],
        headers={"www-authenticate": challenge},
    )


def denied(permission: str, resource: str) -> Refused:
    """403, as it comes when a role is missing."""
    info = detail(
        "ErrorInfo",
        reason="IAM_PERMISSION_DENIED",
        domain="aiplatform.googleapis.com",
        metadata={"permission": permission, "resource": resource},
    )
    words = (
        f"Permission '{permission}' denied on resource '//aiplatform.googleapis.com/{resource}' "
        "(or it may not exist)."
    )
    return Refused(403, words, details=[info])


def too_many(retry_delay: str = "31s") -> Refused:
    """429 with the time to wait, which stands only in the body."""
    return Refused(429, EXHAUSTED, details=[detail("RetryInfo", retryDelay=retry_delay)])
