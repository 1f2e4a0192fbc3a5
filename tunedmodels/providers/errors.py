"""What a service's "no" means to a person: our errors, with its own words and a cure.

Source of the texts and reasons: google.rpc.Code and ErrorInfo as the Gemini API sends them.
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
from tunedmodels.providers.identity import KEY_CURE, login
from tunedmodels.wire.status import Status, plain, read

_ENDPOINT_CURE = "Check `endpoint` of this provider in the Project file."
_LOCAL_CURE = "Start the service there, and leave it running:\n    tunedmodels serve"
_PASSES = (UnavailableError, "This may pass: try again in a few minutes.")
OWNER_CURE = (
    "Use a key of the Google Cloud project that owns the model, with the Generative Language API "
    "enabled and no restriction that excludes it."
)
_TOKEN_CURE = (
    "The access token has ended or was revoked. One from a login is renewed by itself:\n"
    f"{login()}\n"
    "One in GOOGLE_OAUTH_ACCESS_TOKEN is not, and goes first: set it anew, or unset it."
)
_WITHDRAWN_CURE = (
    "The Gemini API has had no base model that can be tuned since May 2025. Set "
    "`provider: embedded`, or point `endpoint` at a service started with:\n"
    "    tunedmodels serve"
)

# By HTTP status; one that is not listed means what its class (the first digit) means.
_MEANINGS: dict[int, tuple[type[ProviderError], str]] = {
    3: (ProviderError, _ENDPOINT_CURE),
    4: (InvalidArgumentError, ""),
    5: _PASSES,
    401: (UnauthenticatedError, KEY_CURE),
    403: (PermissionDeniedError, OWNER_CURE),
    404: (NotFoundError, ""),
    408: _PASSES,
    409: (AlreadyExistsError, ""),
    429: (RateLimitedError, "Wait a little, lower --parallelism, or ask for a higher quota."),
    501: (UnimplementedError, _WITHDRAWN_CURE),
}


def refused(
    http_status: int,
    said: Status,
    place: str,
    *,
    is_local: bool = False,
    scrub: Callable[[str], str],
    retry_after_s: float | None = None,
) -> ProviderError:
    """Turn an answer that is no success into the error it means.

    `place` is `host:port`, `is_local` whether that is this machine; `scrub` takes secrets out of
    the service's words; `retry_after_s` comes from the header and yields to a RetryInfo.
    """
    kind, cure = _meaning(http_status, said)
    if is_local and said.words and cure == _PASSES[1]:
        cure = ""  # a full disk does not pass: our own service says in its words what helps
    # Scrubbed before it is shortened: half a secret would not be recognised.
    words = plain(scrub(said.words))
    words = words or f"{place} answered {named(http_status)} and gave no reason."
    if issubclass(kind, RateLimitedError | UnavailableError):
        asked_s = said.retry_delay_s
        return kind(words, cure=cure, retry_after_s=retry_after_s if asked_s is None else asked_s)
    return kind(words, cure=cure)


def _meaning(http_status: int, said: Status) -> tuple[type[ProviderError], str]:
    if http_status == HTTPStatus.FORBIDDEN and (cure := permissions.cure(said)):
        return PermissionDeniedError, cure
    if http_status == HTTPStatus.UNAUTHORIZED and _is_about_a_token(said):
        return UnauthenticatedError, _TOKEN_CURE
    if said.reason.startswith("API_KEY_") and http_status == HTTPStatus.BAD_REQUEST:
        return UnauthenticatedError, KEY_CURE
    if said.status == "ABORTED":
        # HTTP has one number for two codes; this one lost a race and may be asked again.
        return _PASSES
    meaning = _MEANINGS.get(http_status) or _MEANINGS.get(http_status // 100)
    kind, cure = meaning or (ProviderError, _ENDPOINT_CURE)
    # The errors of the API name their code: this one came from a router or another program.
    return kind, cure or ("" if said.status else _ENDPOINT_CURE)


def _is_about_a_token(said: Status) -> bool:
    return said.reason.startswith("ACCESS_TOKEN_") or "OAuth 2 access token" in said.message


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An answer that is no success; see `refused`. `headers` know no case."""

    http_status: int
    headers: Mapping[str, str]
    body: bytes
    place: str
    is_local: bool
    scrub: Callable[[str], str]
    retry_after_s: float | None


@dataclass(frozen=True, slots=True)
class Manners:
    """All in which one kind of HTTP service differs from another for our client.

    `refused` reads a refusal; the cures say where the endpoint is written, what to start on
    loopback, and how to find out whether a call whose answer was lost was done.
    """

    refused: Callable[[Refused], ProviderError]
    endpoint_cure: str
    local_cure: str
    lost_cure: str


def _google(refusal: Refused) -> ProviderError:
    return refused(
        refusal.http_status,
        read(refusal.body),
        refusal.place,
        is_local=refusal.is_local,
        scrub=refusal.scrub,
        retry_after_s=refusal.retry_after_s,
    )


GOOGLE = Manners(
    _google, _ENDPOINT_CURE, _LOCAL_CURE, "Look before anything else:\n    tunedmodels status"
)


def unreachable(
    error: Exception, place: str, *, is_local: bool, manners: Manners = GOOGLE
) -> ProviderError:
    """Turn a connection that could not be made into the error it means.

    A certificate that is not trusted is no UnavailableError: asking again cannot mend it.
    """
    for cause in _causes(error):
        match cause:
            case ssl.SSLError():
                return ProviderError(
                    f"No trusted connection to {place}: {plain(str(cause))}.",
                    cure="Behind a proxy with its own certificate authority, name its file:\n"
                    "    export SSL_CERT_FILE=/path/to/ca.pem",
                )
            case socket.gaierror():
                return UnavailableError(
                    f"The name {place} cannot be resolved.",
                    cure=f"Check the network and DNS. {manners.endpoint_cure}",
                    sent=False,
                )
            case ConnectionRefusedError() if is_local:
                return UnavailableError(
                    f"Nothing answers at {place}: connection refused.",
                    cure=manners.local_cure,
                    sent=False,
                )
    return UnavailableError(
        f"No connection to {place}: {plain(str(error)) or type(error).__name__}.",
        cure=f"Check the network. {manners.endpoint_cure}",
        sent=False,
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Walk to the root of an error, through the groups that happy eyeballs leaves."""
    if error is None:
        return
    yield error
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _causes(each)
    yield from _causes(error.__cause__ or error.__context__)


def named(http_status: int) -> str:
    """Return `404 Not Found` for 404, and the number alone for one that has no name."""
    try:
        return f"{http_status} {HTTPStatus(http_status).phrase}"
    except ValueError:
        return str(http_status)


# FOLDED
# How Vertex AI and Cloud Storage say no: their own words, with the id that their support asks
# for.
#
# What a refusal means is decided in `failures`, for every Google service alike; only the cures
# that speak of the Gemini API are replaced.
# In the order of preference; the last one is Cloud Storage's.
_IDS: Final = ("x-request-id", "x-goog-request-id", "x-guploader-uploadid")
_LONGEST_ID: Final = 64

_VERTEX_ROLES: Final = (
    "Let the account that asks use Vertex AI in this project:\n"
    "    gcloud projects add-iam-policy-binding PROJECT "
    "--member=MEMBER --role=roles/aiplatform.user"
)
_STORAGE_ROLES: Final = (
    "Let the account that asks read and write the bucket:\n"
    "    gcloud storage buckets add-iam-policy-binding gs://BUCKET "
    "--member=MEMBER --role=roles/storage.objectUser"
)
_ENDPOINT: Final = "Check `location` and `endpoint` of this provider in the Project file."
_BUCKET: Final = "Check `bucket` and `storageEndpoint` of this provider in the Project file."


def _manners(roles: str, endpoint_cure: str) -> Manners:
    def refused(refusal: Refused) -> ProviderError:
        error = GOOGLE.refused(refusal)
        if isinstance(error, PermissionDeniedError) and error.cure == OWNER_CURE:
            error.cure = roles
        if isinstance(error, UnimplementedError) or error.cure == GOOGLE.endpoint_cure:
            error.cure = endpoint_cure
        number = next((refusal.headers[name] for name in _IDS if name in refusal.headers), "")
        if number.isascii() and number.isprintable() and number:
            error.message = f"{error.message} (request {number[:_LONGEST_ID]})"
            error.args = (error.message,)
        return error

    return replace(GOOGLE, refused=refused, endpoint_cure=endpoint_cure, local_cure=endpoint_cure)


VERTEX: Final = _manners(_VERTEX_ROLES, _ENDPOINT)
STORAGE: Final = _manners(_STORAGE_ROLES, _BUCKET)
