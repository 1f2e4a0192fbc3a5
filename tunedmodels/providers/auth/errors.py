"""Errors of google-auth as errors of this package, each with the command that fixes it.

Imports google-auth, so it is imported with the first token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from google.auth.exceptions import GoogleAuthError, TimeoutError, TransportError  # noqa: A004  # google's

from tunedmodels.errors import ProviderError, UnauthenticatedError, UnavailableError
from tunedmodels.providers import errors, permissions
from tunedmodels.providers.auth.adc import CredentialKind, CredentialSource
from tunedmodels.providers.identity import host_and_port, login_command
from tunedmodels.wire.status import Status, parse_status, printable_line

CLOCK_CURE = "The clock of this machine is wrong. Set it:\n    timedatectl set-ntp true"
JOB_CURE = (
    "The token of the CI job is missing, or the pool does not accept it.\n"
    "GitHub: give the job `permissions: {id-token: write}` and run google-github-actions/auth "
    "before this step.\n"
    "GitLab: declare `id_tokens` with the `aud` of the pool's provider."
)
_METADATA_CURE = (
    "Give the machine a service account and the cloud-platform scope:\n"
    "    gcloud compute instances set-service-account MACHINE "
    "--service-account=EMAIL --scopes=cloud-platform"
)
_NETWORK = replace(
    errors.GOOGLE,
    endpoint_cure="If the network requires a proxy, set HTTPS_PROXY.",
    local_cure="The credentials file requests tokens from this machine; start that service.",
)


def token_error(
    error: Exception,
    source: CredentialSource,
    scopes: tuple[str, ...],
    *,
    scrub: Callable[[str], str],
) -> ProviderError:
    """Return the error for a token that could not be obtained."""
    host = token_host(source)
    if isinstance(error, TransportError | TimeoutError | OSError) and not _has_response(error):
        scrubbed = _without_secrets(error, scrub)
        network_error = errors.unreachable_error(scrubbed, host, is_local=False, mapping=_NETWORK)
        network_error.message = printable_line(scrub(network_error.message))
        return network_error
    status, text = _parse_error(error)
    text = printable_line(scrub(text)) or type(error).__name__
    message = f"{source.kind.label.capitalize()} ({source.origin}): no token from {host}: {text}"
    if isinstance(error, GoogleAuthError) and error.retryable:
        return UnavailableError(message, cure="This may be temporary. Try again.", was_sent=False)
    return UnauthenticatedError(message, cure=_cure(status, text, source, scopes))


def token_host(source: CredentialSource) -> str:
    """Return the `host:port` of the service that issues the tokens."""
    if source.kind is CredentialKind.METADATA:
        return source.origin
    if source.kind is CredentialKind.IMPERSONATED:
        return "iamcredentials.googleapis.com"
    field = "token_uri" if source.kind is CredentialKind.SERVICE_ACCOUNT else "token_url"
    return host_and_port(str(source.info.get(field) or "https://oauth2.googleapis.com"))


def _has_response(error: Exception) -> bool:
    """Whether the error contains the response of a service, as its second argument."""
    return len(error.args) > 1 and isinstance(error.args[1], str | dict)


def _without_secrets(error: Exception, scrub: Callable[[str], str]) -> Exception:
    """Return an error with the same cause and a message without secrets."""
    safe = ConnectionError(scrub(str(error)))
    safe.__cause__ = error.__cause__ or error.__context__
    return safe


def _parse_error(error: Exception) -> tuple[Status, str]:
    """Return the response that an error contains, and the complete text."""
    first, *rest = [*error.args, ""]
    response = rest[0] if rest and isinstance(rest[0], str) else ""
    status = parse_status(response.encode()) if response else Status()
    text = str(first)
    if status.text and status.status:
        text = f"{text}: {status.text}"
    return status, text


def _cure(status: Status, text: str, source: CredentialSource, scopes: tuple[str, ...]) -> str:
    if "reasonable timeframe" in text:
        return CLOCK_CURE
    if status.reason == "SERVICE_DISABLED" and (cure := permissions.permission_cure(status)):
        return cure
    if "impersonated" in text or source.kind is CredentialKind.IMPERSONATED:
        return _impersonation_cure(source)
    return _CURES[source.kind](source, scopes)


def _impersonation_cure(source: CredentialSource) -> str:
    target = source.target or "EMAIL"
    is_federated = source.kind is CredentialKind.FEDERATED
    role = "workloadIdentityUser" if is_federated else "serviceAccountTokenCreator"
    return (
        f"Allow your account to impersonate {target}:\n"
        f"    gcloud iam service-accounts add-iam-policy-binding {target} \\\n"
        f"        --member=MEMBER --role=roles/iam.{role}"
    )


def _login_cure(_source: CredentialSource, scopes: tuple[str, ...]) -> str:
    return f"Log in again:\n{login_command(scopes)}"


def _key_cure(source: CredentialSource, _scopes: tuple[str, ...]) -> str:
    return (
        "The key may be deleted, or its account disabled. Create a new key:\n"
        "    gcloud iam service-accounts keys create key.json "
        f"--iam-account={source.info.get('client_email', 'EMAIL')}\n"
        "    export GOOGLE_APPLICATION_CREDENTIALS=key.json"
    )


_CURES: Mapping[CredentialKind, Callable[[CredentialSource, tuple[str, ...]], str]] = {
    CredentialKind.USER: _login_cure,
    CredentialKind.WORKFORCE: _login_cure,
    CredentialKind.SERVICE_ACCOUNT: _key_cure,
    CredentialKind.FEDERATED: lambda _source, _scopes: JOB_CURE,
    CredentialKind.METADATA: lambda _source, _scopes: _METADATA_CURE,
}
