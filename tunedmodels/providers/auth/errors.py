"""Why there is no token: google-auth's errors as ours, with the command that mends each.

Imports google-auth, so it is imported with the first token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from google.auth.exceptions import GoogleAuthError, TimeoutError, TransportError  # noqa: A004  # theirs

from tunedmodels.errors import ProviderError, UnauthenticatedError, UnavailableError
from tunedmodels.providers import errors, permissions
from tunedmodels.providers.auth.adc import Kind, Source
from tunedmodels.providers.identity import login, place
from tunedmodels.wire.status import Status, plain, read

CLOCK_CURE = "The clock of this machine is wrong; set it:\n    timedatectl set-ntp true"
JOB_CURE = (
    "The token of the CI job is missing or not the one that the pool expects.\n"
    "GitHub: give the job `permissions: {id-token: write}` and run google-github-actions/auth "
    "before this step.\n"
    "GitLab: declare `id_tokens` with the `aud` of the pool's provider."
)
_METADATA_CURE = (
    "Give the machine a service account, and the scope that all of this needs:\n"
    "    gcloud compute instances set-service-account MACHINE "
    "--service-account=EMAIL --scopes=cloud-platform"
)
_NETWORK = replace(
    errors.GOOGLE,
    endpoint_cure="Where a proxy stands between, name it in HTTPS_PROXY.",
    local_cure="The credentials file names this machine for its tokens; start what answers there.",
)


def refused(
    error: Exception, source: Source, scopes: tuple[str, ...], *, scrub: Callable[[str], str]
) -> ProviderError:
    """Return what it means that no token came."""
    there = token_place(source)
    if isinstance(error, TransportError | TimeoutError | OSError) and not _is_answer(error):
        scrubbed = _without_secrets(error, scrub)
        found = errors.unreachable(scrubbed, there, is_local=False, manners=_NETWORK)
        found.message = plain(scrub(found.message))
        return found
    said, words = _said(error)
    words = plain(scrub(words)) or type(error).__name__
    message = f"{source.kind.words.capitalize()} ({source.place}): no token from {there}: {words}"
    if isinstance(error, GoogleAuthError) and error.retryable:
        return UnavailableError(message, cure="This may pass: try again.", sent=False)
    return UnauthenticatedError(message, cure=_cure(said, words, source, scopes))


def token_place(source: Source) -> str:
    """Return `host:port` of who gives the tokens."""
    if source.kind is Kind.METADATA:
        return source.place
    if source.kind is Kind.IMPERSONATED:
        return "iamcredentials.googleapis.com"
    field = "token_uri" if source.kind is Kind.SERVICE_ACCOUNT else "token_url"
    return place(str(source.info.get(field) or "https://oauth2.googleapis.com"))


def _is_answer(error: Exception) -> bool:
    """Whether a service said it: its answer stands beside the words."""
    return len(error.args) > 1 and isinstance(error.args[1], str | dict)


def _without_secrets(error: Exception, scrub: Callable[[str], str]) -> Exception:
    """Return an error of the same causes whose own words are safe."""
    safe = ConnectionError(scrub(str(error)))
    safe.__cause__ = error.__cause__ or error.__context__
    return safe


def _said(error: Exception) -> tuple[Status, str]:
    """Return the answer that lies in an error, and all of its words."""
    first, *more = [*error.args, ""]
    answer = more[0] if more and isinstance(more[0], str) else ""
    said = read(answer.encode()) if answer else Status()
    words = str(first)
    if said.words and said.status:
        words = f"{words}: {said.words}"
    return said, words


def _cure(said: Status, words: str, source: Source, scopes: tuple[str, ...]) -> str:
    if "reasonable timeframe" in words:
        return CLOCK_CURE
    if said.reason == "SERVICE_DISABLED" and (cure := permissions.cure(said)):
        return cure
    if "impersonated" in words or source.kind is Kind.IMPERSONATED:
        return _act_as_cure(source)
    return _CURES[source.kind](source, scopes)


def _act_as_cure(source: Source) -> str:
    target = source.target or "EMAIL"
    role = "workloadIdentityUser" if source.kind is Kind.FEDERATED else "serviceAccountTokenCreator"
    return (
        f"Let the one who asks act as {target}:\n"
        f"    gcloud iam service-accounts add-iam-policy-binding {target} \\\n"
        f"        --member=MEMBER --role=roles/iam.{role}"
    )


def _login_cure(_source: Source, scopes: tuple[str, ...]) -> str:
    return f"Log in anew:\n{login(scopes)}"


def _key_cure(source: Source, _scopes: tuple[str, ...]) -> str:
    return (
        "The key may be deleted, or its account disabled. Make another one:\n"
        "    gcloud iam service-accounts keys create key.json "
        f"--iam-account={source.info.get('client_email', 'EMAIL')}\n"
        "    export GOOGLE_APPLICATION_CREDENTIALS=key.json"
    )


_CURES: Mapping[Kind, Callable[[Source, tuple[str, ...]], str]] = {
    Kind.USER: _login_cure,
    Kind.WORKFORCE: _login_cure,
    Kind.SERVICE_ACCOUNT: _key_cure,
    Kind.FEDERATED: lambda _source, _scopes: JOB_CURE,
    Kind.METADATA: lambda _source, _scopes: _METADATA_CURE,
}
