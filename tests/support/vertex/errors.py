"""Errors of the services, in the formats of both APIs and with real messages."""

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
INVALID_CREDENTIALS = (
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie "
    "or other valid authentication credential. See "
    "https://developers.google.com/identity/sign-in/web/devconsole-project."
)
QUOTA_EXHAUSTED = "Resource has been exhausted (e.g. check quota)."
PRECONDITION_FAILED = "At least one of the pre-conditions you specified did not hold."


class ServiceError(Exception):
    """A response with an error; `details` are google.rpc's."""

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

    def document(self, *, is_storage: bool) -> dict[str, Any]:
        """The body in the format of Cloud Storage or of the other APIs."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if is_storage:
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


def error_detail(kind: str, **fields: Any) -> dict[str, Any]:
    """An error detail of google.rpc."""
    return {"@type": f"type.googleapis.com/google.rpc.{kind}", **fields}


def insufficient_scopes(service: str, method: str, scopes: list[str]) -> ServiceError:
    """The 403 for a token with too few scopes."""
    metadata = {"service": service, "method": method}
    info = error_detail(
        "ErrorInfo",
        reason="ACCESS_TOKEN_SCOPE_INSUFFICIENT",
        domain="googleapis.com",
        metadata=metadata,
    )
    challenge = (
        'Bearer realm="https://accounts.google.com/", error="insufficient_scope", '
        f'scope="{" ".join(scopes)}"'
    )
    return ServiceError(
        403,
        "Request had insufficient authentication scopes.",
        details=[info],
        headers={"www-authenticate": challenge},
    )


def permission_denied(permission: str, resource: str) -> ServiceError:
    """The 403 for a missing role."""
    info = error_detail(
        "ErrorInfo",
        reason="IAM_PERMISSION_DENIED",
        domain="aiplatform.googleapis.com",
        metadata={"permission": permission, "resource": resource},
    )
    message = (
        f"Permission '{permission}' denied on resource '//aiplatform.googleapis.com/{resource}' "
        "(or it may not exist)."
    )
    return ServiceError(403, message, details=[info])


def quota_exceeded(retry_delay: str = "31s") -> ServiceError:
    """The 429 with a delay, which is only in the body."""
    return ServiceError(
        429, QUOTA_EXHAUSTED, details=[error_detail("RetryInfo", retryDelay=retry_delay)]
    )
