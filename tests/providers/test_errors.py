"""Errors that responses and failed connections become."""

from __future__ import annotations

import socket
import ssl

import httpx
import pytest

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
from tunedmodels.providers import errors
from tunedmodels.providers.identity import Credentials
from tunedmodels.wire import status

HOST = "models.example"


def to_error(code: int, answer: status.Status) -> ProviderError:
    return errors.to_error(code, answer, HOST, scrub=str)


def reply(message: str, code: str, *reasons: str) -> status.Status:
    details = [status.ErrorDetail(reason=reason) for reason in reasons]
    return status.Status(message=message, status=code, details=details)


SCOPES = "Request had insufficient authentication scopes."
NOTHING = status.Status()

# fmt: off
MEANINGS = [
    (400, reply("Bad.", "INVALID_ARGUMENT"),     InvalidArgumentError,  "Bad.", ""),
    (400, reply("No.", "X", "API_KEY_INVALID"),  UnauthenticatedError,  "No.",  "GEMINI_API_KEY"),
    (401, reply("Who?", "UNAUTHENTICATED"),      UnauthenticatedError,  "Who?", "GEMINI_API_KEY"),
    (403, reply("No.", "PERMISSION_DENIED"),     PermissionDeniedError, "No.",  "that owns the"),
    (403, reply(SCOPES, "PERMISSION_DENIED"),    PermissionDeniedError, SCOPES, "gcloud auth"),
    (403, reply("No.", "X", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"),
                                                 PermissionDeniedError, "No.",  "language.tuning"),
    (404, reply("Gone.", "NOT_FOUND"),           NotFoundError,         "Gone.", ""),
    (404, status.Status(message="Not Found"),    NotFoundError,         "Not Found", "`endpoint`"),
    (408, NOTHING,                               UnavailableError,      "408 Request", "temporary"),
    (409, reply("Taken.", "ALREADY_EXISTS"),     AlreadyExistsError,    "Taken.", ""),
    (409, reply("Raced.", "ABORTED"),            UnavailableError,      "Raced.", "temporary"),
    (412, reply("Changed.", "ABORTED"),          ChangedError,          "Changed.", ""),
    (412, NOTHING,                               ChangedError,          "412", "`endpoint`"),
    (413, NOTHING,                               InvalidArgumentError,  "413", "`endpoint`"),
    (429, reply("Quota.", "RESOURCE_EXHAUSTED"), RateLimitedError,      "Quota.", "--parallelism"),
    (499, NOTHING,                               InvalidArgumentError,  "499 with", "`endpoint`"),
    (500, reply("Oops.", "INTERNAL"),            UnavailableError,      "Oops.", "temporary"),
    (501, reply("", "UNIMPLEMENTED"),            UnimplementedError,    "501", "serve"),
    (502, NOTHING,                               UnavailableError, "502 Bad Gateway", "temporary"),
    (301, NOTHING,                               ProviderError,         "301 Moved", "`endpoint`"),
    (999, NOTHING,                               ProviderError,         "999", "`endpoint`"),
]
# fmt: on


@pytest.mark.parametrize(("code", "answer", "kind", "message", "cure"), MEANINGS)
def test_an_error_has_the_message_of_the_service_and_a_cure(
    code: int, answer: status.Status, kind: type[ProviderError], message: str, cure: str
) -> None:
    error = to_error(code, answer)
    assert type(error) is kind
    assert message in error.message
    assert cure in error.cure
    assert bool(cure) == bool(error.cure)


def test_the_cure_for_missing_scopes_names_the_scope_and_the_commands() -> None:
    error = to_error(403, reply(SCOPES, "PERMISSION_DENIED"))
    assert "https://www.googleapis.com/auth/generative-language.tuning" in error.cure
    assert "gcloud auth application-default login" in error.cure
    assert "gcloud auth application-default set-quota-project" in error.cure


def test_an_error_of_a_local_service_is_not_called_temporary() -> None:
    full = reply("embedded.db: disk is full. Free some space.", "UNAVAILABLE")
    error = errors.to_error(503, full, HOST, is_local=True, scrub=str)
    assert (error.message, error.cure) == (full.message, "")


@pytest.mark.parametrize("code", [429, 503])
def test_the_retry_delay_is_kept(code: int) -> None:
    error = errors.to_error(code, NOTHING, HOST, scrub=str, retry_after_s=7.0)
    assert isinstance(error, RateLimitedError | UnavailableError)
    assert error.retry_after_s == 7.0


def connect_error(cause: Exception) -> httpx.ConnectError:
    """An error as httpcore raises it: the cause is in a group and wrapped twice."""
    error = httpx.ConnectError("All connection attempts failed")
    error.__cause__ = OSError("All connection attempts failed")
    error.__cause__.__cause__ = ExceptionGroup("several", [OSError("other"), cause])
    return error


# fmt: off
UNREACHABLE = [
    (True,  ConnectionRefusedError(),       UnavailableError, "refused",        "serve"),
    (False, ConnectionRefusedError(),       UnavailableError, "All connection", "network"),
    (False, socket.gaierror(-2, "unknown"), UnavailableError, "cannot be",      "DNS"),
    (False, ssl.SSLError(1, "self-signed"), ProviderError,    "No trusted",     "SSL_CERT_FILE"),
]
# fmt: on


@pytest.mark.parametrize(("is_local", "cause", "kind", "message", "cure"), UNREACHABLE)
def test_a_failed_connection_has_a_reason_and_a_cure(
    is_local: bool,  # noqa: FBT001  # a column of the table
    cause: Exception,
    kind: type[ProviderError],
    message: str,
    cure: str,
) -> None:
    error = errors.unreachable_error(connect_error(cause), HOST, is_local=is_local)
    assert type(error) is kind
    assert HOST in error.message
    assert message in error.message
    assert cure in error.cure
    assert not (isinstance(error, UnavailableError) and error.was_sent)


def test_a_secret_at_the_end_of_a_shortened_message_is_removed_completely() -> None:
    secret = "AIza-this-is-a-secret"  # noqa: S105  # it is one, in this test
    message = "x" * (status.MAX_TEXT_CHARS - 10) + secret
    scrub = Credentials(api_key=secret).scrub
    error = errors.to_error(500, status.Status(message=message), HOST, scrub=scrub)
    assert secret[:4] not in error.message
