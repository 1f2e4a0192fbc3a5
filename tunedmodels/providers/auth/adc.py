"""Application default credentials: the documented search order, and the secrets in a file.

Order (https://google.aip.dev/auth/4110): the file in GOOGLE_APPLICATION_CREDENTIALS, the file that
gcloud writes, the metadata server. This module repeats the search because `google.auth.default`
returns neither where it found a credential nor which parts of it are secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from tunedmodels.errors import UnauthenticatedError
from tunedmodels.providers.identity import login_command

VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
IMPERSONATE = "GOOGLE_IMPERSONATE_SERVICE_ACCOUNT"  # the name that Terraform's provider uses

UNIVERSE_DOMAIN = "GOOGLE_CLOUD_UNIVERSE_DOMAIN"  # the name that Google's clients use
DEFAULT_DOMAIN = "googleapis.com"

_DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}")
_FILE = "application_default_credentials.json"
_SECRET_KEYS = {
    "access_token", "client_secret", "id_token", "passphrase", "password", "private_key",
    "refresh_token", "token",
}  # fmt: skip
_MIN_SECRET_CHARS = 6  # replacing shorter values would make messages unreadable


class CredentialKind(StrEnum):
    """The kind of a credential; the values are those of `type` in a credentials file."""

    USER = "authorized_user"
    SERVICE_ACCOUNT = "service_account"
    FEDERATED = "external_account"
    WORKFORCE = "external_account_authorized_user"
    IMPERSONATED = "impersonated_service_account"
    METADATA = "compute_engine"

    @property
    def label(self) -> str:
        """The name of the kind in messages."""
        return _LABELS[self]


_LABELS = {
    CredentialKind.USER: "user login",
    CredentialKind.SERVICE_ACCOUNT: "service account key",
    CredentialKind.FEDERATED: "workload identity federation",
    CredentialKind.WORKFORCE: "workforce login",
    CredentialKind.IMPERSONATED: "impersonated service account",
    CredentialKind.METADATA: "service account of this machine",
}


@dataclass(frozen=True, slots=True)
class CredentialSource:
    """A credential as it was found."""

    kind: CredentialKind
    origin: str
    """The file or service that it comes from. May be shown."""
    info: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The content of the file. Must never be shown."""
    impersonate: str = ""
    """The service account that the user asked to impersonate with it."""

    @property
    def target(self) -> str:
        """The service account that is impersonated, or an empty string."""
        url = str(self.info.get("service_account_impersonation_url") or "")
        return self.impersonate or url.rpartition("/")[2].partition(":")[0]

    @property
    def secrets(self) -> frozenset[str]:
        """All values in it that must not occur in any output."""
        return frozenset(_secrets(self.info))


def find_file_credentials(environ: Mapping[str, str]) -> CredentialSource | None:
    """Return the credential in a file of this machine, or None.

    Raises UnauthenticatedError when the file in the variable cannot be used: another credential
    would be unexpected.
    """
    if path := environ.get(VARIABLE, ""):
        return _read(Path(path), f"{VARIABLE}={path}", f"Set {VARIABLE} to a credentials file.")
    gcloud = environ.get("CLOUDSDK_CONFIG", "")
    folder = Path(gcloud) if gcloud else Path(environ.get("HOME", "~"), ".config/gcloud")
    file = folder.expanduser() / _FILE
    if not file.is_file():
        return None
    return _read(file, str(file), f"Log in:\n{login_command()}")


def universe_domain(environ: Mapping[str, str]) -> str:
    """Return the domain of the services: that of the variable, else that of the credentials file.

    Google Cloud has googleapis.com; a sovereign cloud has a domain of its own. Raises
    UnauthenticatedError when it is not a domain, or the file cannot be used.
    """
    if domain := environ.get(UNIVERSE_DOMAIN, "").strip():
        return _checked_domain(domain, UNIVERSE_DOMAIN)
    if environ.get("GOOGLE_OAUTH_ACCESS_TOKEN"):  # takes precedence over every file
        return DEFAULT_DOMAIN
    source = find_file_credentials(environ)
    if source is None:
        return DEFAULT_DOMAIN
    return _checked_domain(source.info.get("universe_domain") or DEFAULT_DOMAIN, source.origin)


def in_domain(endpoint: str, domain: str) -> str:
    """Return the URL of a service of Google Cloud in another universe domain."""
    return endpoint.replace(DEFAULT_DOMAIN, domain)


def _checked_domain(domain: object, origin: str) -> str:
    if isinstance(domain, str) and _DOMAIN.fullmatch(domain):
        return domain
    raise UnauthenticatedError(
        f"{str(domain)[:60]!r}, the universe domain in {origin}, is not a domain.",
        cure=f"Set it to a domain such as {DEFAULT_DOMAIN}.",
    )


def _read(file: Path, origin: str, cure: str) -> CredentialSource:
    try:
        info = json.loads(file.read_bytes())
        kind = CredentialKind(info["type"])
    except OSError as error:
        reason = error.strerror or "the file cannot be read"
    except (ValueError, TypeError, KeyError):
        reason = "the file is not a credentials file of a known type"
    else:
        return CredentialSource(kind, origin, info)
    raise UnauthenticatedError(f"No credentials from {origin}: {reason}.", cure=cure)


def _secrets(value: object, *, is_secret: bool = False) -> Iterator[str]:
    match value:
        case dict():
            for key, item in value.items():
                # `headers` of a federation file contain the token of the CI job.
                is_secret_key = key in _SECRET_KEYS or key == "headers"
                yield from _secrets(item, is_secret=is_secret or is_secret_key)
        case list():
            for item in value:
                yield from _secrets(item, is_secret=is_secret)
        case str() if is_secret:
            # A service may repeat a key by line or as JSON, and a header without its scheme.
            forms = {value, *value.split(), json.dumps(value)[1:-1]}
            yield from (
                form for form in forms if len(form) >= _MIN_SECRET_CHARS and form != "Bearer"
            )
