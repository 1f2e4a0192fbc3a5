from __future__ import annotations

import socket
import ssl
from typing import Any

import httpx
import pytest

from tests.support.fakes.script import detail
from tunedmodels.errors import (
    AlreadyExistsError,
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

PLACE = "models.example"


def reason(word: str) -> list[dict[str, Any]]:
    return [detail("ErrorInfo", reason=word, domain="googleapis.com")]


def refused(code: int, said: status.Status) -> ProviderError:
    return errors.refused(code, said, PLACE, scrub=lambda words: words)


def said(words: str, code: str, *reasons: str) -> status.Status:
    return status.Status(
        message=words, status=code, details=[status.Detail(reason=each) for each in reasons]
    )


SCOPES = "Request had insufficient authentication scopes."
NOTHING = status.Status()

# fmt: off
MEANINGS = [
    (400, said("Bad.", "INVALID_ARGUMENT"),       InvalidArgumentError,  "Bad.", ""),
    (400, said("No.", "X", "API_KEY_INVALID"),    UnauthenticatedError,  "No.",  "GEMINI_API_KEY"),
    (401, said("Who?", "UNAUTHENTICATED"),        UnauthenticatedError,  "Who?", "GEMINI_API_KEY"),
    (403, said("No.", "PERMISSION_DENIED"),       PermissionDeniedError, "No.",  "that owns the"),
    (403, said(SCOPES, "PERMISSION_DENIED"),      PermissionDeniedError, SCOPES, "gcloud auth"),
    (403, said("No.", "X", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"),
                                                  PermissionDeniedError, "No.",  "language.tuning"),
    (404, said("Gone.", "NOT_FOUND"),             NotFoundError,         "Gone.", ""),
    (404, status.Status(message="Not Found"),     NotFoundError,         "Not Found", "`endpoint`"),
    (408, NOTHING,                                UnavailableError,      "408 Request", "pass"),
    (409, said("Taken.", "ALREADY_EXISTS"),       AlreadyExistsError,    "Taken.", ""),
    (409, said("Raced.", "ABORTED"),              UnavailableError,      "Raced.", "pass"),
    (413, NOTHING,                                InvalidArgumentError,  "413", "`endpoint`"),
    (429, said("Quota.", "RESOURCE_EXHAUSTED"),   RateLimitedError,      "Quota.", "--parallelism"),
    (499, NOTHING,                                InvalidArgumentError,  "499 and", "`endpoint`"),
    (500, said("Oops.", "INTERNAL"),              UnavailableError,      "Oops.", "pass"),
    (501, said("", "UNIMPLEMENTED"),              UnimplementedError,    "501", "serve"),
    (502, NOTHING,                                UnavailableError,      "502 Bad Gateway", "pass"),
    (301, NOTHING,                                ProviderError,         "301 Moved", "`endpoint`"),
    (999, NOTHING,                                ProviderError,         "999", "`endpoint`"),
]
# fmt: on


@pytest.mark.parametrize(("code", "answer", "kind", "words", "cure"), MEANINGS)
def test_a_refusal_keeps_the_words_of_the_service_and_names_a_cure(
    code: int, answer: status.Status, kind: type[ProviderError], words: str, cure: str
) -> None:
    error = refused(code, answer)
    assert type(error) is kind
    assert words in error.message
    assert cure in error.cure
    assert bool(cure) == bool(error.cure)


def test_missing_scopes_name_the_scope_and_the_commands() -> None:
    error = refused(403, said(SCOPES, "PERMISSION_DENIED"))
    assert "https://www.googleapis.com/auth/generative-language.tuning" in error.cure
    assert "gcloud auth application-default login" in error.cure
    assert "gcloud auth application-default set-quota-project" in error.cure


def test_a_service_on_this_machine_is_not_said_to_mend_itself() -> None:
    full = said("embedded.db: disk is full. Free some space.", "UNAVAILABLE")
    error = errors.refused(503, full, PLACE, is_local=True, scrub=str)
    assert (error.message, error.cure) == (full.message, "")


@pytest.mark.parametrize("code", [429, 503])
def test_a_time_to_wait_is_kept(code: int) -> None:
    error = errors.refused(code, NOTHING, PLACE, scrub=str, retry_after_s=7.0)
    assert isinstance(error, RateLimitedError | UnavailableError)
    assert error.retry_after_s == 7.0


def caused(by: Exception) -> httpx.ConnectError:
    """An error as httpcore leaves it: the cause at the root, in a group, under two wrappings."""
    error = httpx.ConnectError("All connection attempts failed")
    error.__cause__ = OSError("All connection attempts failed")
    error.__cause__.__cause__ = ExceptionGroup("several", [OSError("other"), by])
    return error


# fmt: off
UNREACHABLE = [
    (True,  ConnectionRefusedError(),       UnavailableError, "refused",        "serve"),
    (False, ConnectionRefusedError(),       UnavailableError, "All connection", "network"),
    (False, socket.gaierror(-2, "unknown"), UnavailableError, "cannot be",      "DNS"),
    (False, ssl.SSLError(1, "self-signed"), ProviderError,    "No trusted",     "SSL_CERT_FILE"),
]
# fmt: on


@pytest.mark.parametrize(("is_local", "cause", "kind", "words", "cure"), UNREACHABLE)
def test_a_connection_that_fails_says_why_and_what_to_do(
    is_local: bool,  # noqa: FBT001  # a column of the table
    cause: Exception,
    kind: type[ProviderError],
    words: str,
    cure: str,
) -> None:
    error = errors.unreachable(caused(cause), PLACE, is_local=is_local)
    assert type(error) is kind
    assert PLACE in error.message
    assert words in error.message
    assert cure in error.cure
    assert not (isinstance(error, UnavailableError) and error.sent)


def test_a_secret_at_the_end_of_words_that_are_shortened_does_not_show_by_half() -> None:
    secret = "AIza-this-is-a-secret"  # noqa: S105  # it is one, in this test
    words = "x" * (status.LONGEST_WORDS - 10) + secret
    scrub = Credentials(api_key=secret).scrub
    error = errors.refused(500, status.Status(message=words), PLACE, scrub=scrub)
    assert secret[:4] not in error.message
