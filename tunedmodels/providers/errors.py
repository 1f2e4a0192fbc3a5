"""The errors that failed calls become, with the service's own message and a cure.

Source of the texts and reasons: google.rpc.Code and ErrorInfo as the Gemini API sends them. Vertex
AI and Cloud Storage differ only in some cures and in the request id, which their support asks for.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final

from tunedmodels.errors import (
    AlreadyExistsError,
    ChangedError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    ProviderError,
    RateLimitedError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)
from tunedmodels.providers import permissions
from tunedmodels.providers.identity import KEY_CURE, login_command
from tunedmodels.wire.status import STORE_UNUSABLE, Status, parse_status, printable_line

OWNER_CURE: Final = (
    "Use a key of the Google Cloud project that owns the model, with the Generative Language API "
    "enabled and no restriction that excludes it."
)
_ENDPOINT_CURE: Final = "Check `endpoint` of this provider in the Project file."
_BUCKET_CURE: Final = "Check `bucket` and `storageEndpoint` of this provider in the Project file."
_VERTEX_CURE: Final = "Check `location` and `endpoint` of this provider in the Project file."
_LOCAL_CURE: Final = "Start the service and keep it running:\n    tunedmodels serve"
_TRANSIENT: Final = (UnavailableError, "This may be temporary. Try again in a few minutes.")
_TOKEN_CURE: Final = (
    "The access token has expired or was revoked. The token of a login is refreshed "
    "automatically:\n"
    f"{login_command()}\n"
    "The token in GOOGLE_OAUTH_ACCESS_TOKEN takes precedence and is not refreshed: set a new one, "
    "or unset the variable."
)
_WITHDRAWN_CURE: Final = (
    "The Gemini API has had no base model that can be tuned since May 2025. Set "
    "`provider: embedded`, or point `endpoint` at a service started with:\n"
    "    tunedmodels serve"
)
_VERTEX_ROLE_CURE: Final = (
    "Allow the account to use Vertex AI in this project:\n"
    "    gcloud projects add-iam-policy-binding PROJECT "
    "--member=MEMBER --role=roles/aiplatform.user"
)
_STORAGE_ROLE_CURE: Final = (
    "Allow the account to read and write the bucket:\n"
    "    gcloud storage buckets add-iam-policy-binding gs://BUCKET "
    "--member=MEMBER --role=roles/storage.objectUser"
)

# By HTTP status; a status that is missing has the meaning of its class (the first digit).
_MEANINGS: Final[dict[int, tuple[type[ProviderError], str]]] = {
    3: (ProviderError, _ENDPOINT_CURE),
    4: (InvalidArgumentError, ""),
    5: _TRANSIENT,
    401: (UnauthenticatedError, KEY_CURE),
    403: (PermissionDeniedError, OWNER_CURE),
    404: (NotFoundError, ""),
    408: _TRANSIENT,
    409: (AlreadyExistsError, ""),
    412: (ChangedError, ""),
    429: (RateLimitedError, "Wait, lower --parallelism, or request a higher quota."),
    501: (UnimplementedError, _WITHDRAWN_CURE),
}

# Headers with the id of a request, in the order of preference; the last is Cloud Storage's.
_REQUEST_ID_HEADERS: Final = ("x-request-id", "x-goog-request-id", "x-guploader-uploadid")
_MAX_REQUEST_ID_CHARS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpFailure:
    """A response whose status is not a success."""

    http_status: int
    headers: Mapping[str, str]
    """Case-insensitive."""
    body: bytes
    host: str
    """`host:port` of the service."""
    is_local: bool
    """Whether the service runs on this machine."""
    scrub: Callable[[str], str]
    """Removes secrets from the text of the service."""
    retry_after_s: float | None
    """From the header; a RetryInfo in the body takes precedence."""


@dataclass(frozen=True, slots=True)
class ErrorMapping:
    """How failures of one kind of HTTP service become errors with a cure."""

    to_error: Callable[[HttpFailure], ProviderError]
    endpoint_cure: str
    """Where the user configured the endpoint."""
    local_cure: str
    """How to start the service when nothing listens on a loopback endpoint."""
    outcome_unknown_cure: str
    """How to find out whether a call whose response was lost was executed."""
    service: str
    """The name of the service, for messages."""


def to_error(
    http_status: int,
    status: Status,
    host: str,
    *,
    is_local: bool = False,
    scrub: Callable[[str], str],
    retry_after_s: float | None = None,
) -> ProviderError:
    """Return the error for a response of a Google service; see `HttpFailure` for the parameters."""
    kind, cure = _meaning(http_status, status)
    if is_local and status.text and cure == _TRANSIENT[1]:
        cure = ""  # a full disk is not temporary: the message of our own service contains the cure
    # Scrub before shortening: half a secret would not be recognised.
    message = printable_line(scrub(status.text))
    message = message or f"{host} answered {status_phrase(http_status)} without a reason."
    if issubclass(kind, RateLimitedError | UnavailableError):
        delay_s = status.retry_delay_s
        return kind(message, cure=cure, retry_after_s=retry_after_s if delay_s is None else delay_s)
    return kind(message, cure=cure)


def _meaning(http_status: int, status: Status) -> tuple[type[ProviderError], str]:
    if http_status == HTTPStatus.FORBIDDEN and (cure := permissions.permission_cure(status)):
        return PermissionDeniedError, cure
    if http_status == HTTPStatus.UNAUTHORIZED and _is_about_token(status):
        return UnauthenticatedError, _TOKEN_CURE
    if status.reason.startswith("API_KEY_") and http_status == HTTPStatus.BAD_REQUEST:
        return UnauthenticatedError, KEY_CURE
    if status.reason == STORE_UNUSABLE:
        return ProviderError, ""  # the message of our own service contains the cure
    if status.status == "ABORTED" and http_status == HTTPStatus.CONFLICT:
        # 409 is the status of two codes. ABORTED lost a race, so that the call may be retried. With
        # 412 a condition of the caller failed, who has to read the model again.
        return _TRANSIENT
    meaning = _MEANINGS.get(http_status) or _MEANINGS.get(http_status // 100)
    kind, cure = meaning or (ProviderError, _ENDPOINT_CURE)
    # Errors of the API contain their code: without one, a router or another program answered.
    return kind, cure or ("" if status.status else _ENDPOINT_CURE)


def _is_about_token(status: Status) -> bool:
    return status.reason.startswith("ACCESS_TOKEN_") or "OAuth 2 access token" in status.message


def _google_error(failure: HttpFailure) -> ProviderError:
    return to_error(
        failure.http_status,
        parse_status(failure.body),
        failure.host,
        is_local=failure.is_local,
        scrub=failure.scrub,
        retry_after_s=failure.retry_after_s,
    )


GOOGLE: Final = ErrorMapping(
    _google_error,
    _ENDPOINT_CURE,
    _LOCAL_CURE,
    "Check the current state first:\n    tunedmodels status",
    "the Gemini API",
)


def _cloud_mapping(service: str, role_cure: str, endpoint_cure: str) -> ErrorMapping:
    """Return GOOGLE with other cures, and with the id of the request in each message."""

    def cloud_error(failure: HttpFailure) -> ProviderError:
        error = GOOGLE.to_error(failure)
        if isinstance(error, PermissionDeniedError) and error.cure == OWNER_CURE:
            error.cure = role_cure
        if isinstance(error, UnimplementedError) or error.cure == GOOGLE.endpoint_cure:
            error.cure = endpoint_cure
        headers = failure.headers
        request_id = next((headers[name] for name in _REQUEST_ID_HEADERS if name in headers), "")
        if request_id.isascii() and request_id.isprintable() and request_id:
            error.message = f"{error.message} (request {request_id[:_MAX_REQUEST_ID_CHARS]})"
            error.args = (error.message,)
        return error

    return replace(
        GOOGLE,
        to_error=cloud_error,
        endpoint_cure=endpoint_cure,
        local_cure=endpoint_cure,
        service=service,
    )


VERTEX: Final = _cloud_mapping("Vertex AI", _VERTEX_ROLE_CURE, _VERTEX_CURE)
STORAGE: Final = _cloud_mapping("Cloud Storage", _STORAGE_ROLE_CURE, _BUCKET_CURE)


def unreachable_error(
    error: Exception, host: str, *, is_local: bool, mapping: ErrorMapping = GOOGLE
) -> ProviderError:
    """Return the error for a connection that could not be established.

    An untrusted certificate is not an UnavailableError, since a retry cannot succeed.
    """
    for cause in _causes(error):
        match cause:
            case ssl.SSLError():
                return ProviderError(
                    f"No trusted connection to {host}: {printable_line(str(cause))}.",
                    cure="Behind a proxy with its own certificate authority, set its file:\n"
                    "    export SSL_CERT_FILE=/path/to/ca.pem",
                )
            case socket.gaierror():
                return UnavailableError(
                    f"The host name {host} cannot be resolved.",
                    cure=f"Check the network and DNS. {mapping.endpoint_cure}",
                    was_sent=False,
                )
            case ConnectionRefusedError() if is_local:
                return UnavailableError(
                    f"Connection refused: no service listens at {host}.",
                    cure=mapping.local_cure,
                    was_sent=False,
                )
    return UnavailableError(
        f"No connection to {host}: {printable_line(str(error)) or type(error).__name__}.",
        cure=f"Check the network. {mapping.endpoint_cure}",
        was_sent=False,
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes; connections by happy eyeballs raise them in groups."""
    if error is None:
        return
    yield error
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _causes(member)
    yield from _causes(error.__cause__ or error.__context__)


def status_phrase(http_status: int) -> str:
    """Return `404 Not Found` for 404; only the number when the status has no phrase."""
    try:
        return f"{http_status} {HTTPStatus(http_status).phrase}"
    except ValueError:
        return str(http_status)
