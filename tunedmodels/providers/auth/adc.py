"""Where application default credentials lie, in the documented order, and what is secret in them.

Order (https://google.aip.dev/auth/4110): the file that GOOGLE_APPLICATION_CREDENTIALS names, the
file that gcloud writes, the metadata server. We look ourselves, since `google.auth.default` says
neither where it found what it returns nor which parts of it no output may ever show.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from tunedmodels.errors import UnauthenticatedError
from tunedmodels.providers.identity import login

VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
IMPERSONATE = "GOOGLE_IMPERSONATE_SERVICE_ACCOUNT"  # the name that Terraform's provider gave it

_FILE = "application_default_credentials.json"
_SECRET_KEYS = {
    "access_token", "client_secret", "id_token", "passphrase", "password", "private_key",
    "refresh_token", "token",
}  # fmt: skip
_SHORTEST = 6  # characters; a shorter "secret" would blacken half of every message


class Kind(StrEnum):
    """What sort of credential it is; the values are those of `type` in a credentials file."""

    USER = "authorized_user"
    SERVICE_ACCOUNT = "service_account"
    FEDERATED = "external_account"
    WORKFORCE = "external_account_authorized_user"
    IMPERSONATED = "impersonated_service_account"
    METADATA = "compute_engine"

    @property
    def words(self) -> str:
        """Say it for people."""
        return _WORDS[self]


_WORDS = {
    Kind.USER: "user login",
    Kind.SERVICE_ACCOUNT: "service account key",
    Kind.FEDERATED: "workload identity federation",
    Kind.WORKFORCE: "workforce login",
    Kind.IMPERSONATED: "impersonated service account",
    Kind.METADATA: "service account of this machine",
}


@dataclass(frozen=True, slots=True)
class Source:
    """One credential as it lies there. `place` is fit to be shown, `info` never is.

    `acts_as` is the service account that a person asked to impersonate with it.
    """

    kind: Kind
    place: str
    info: Mapping[str, Any] = field(default_factory=dict, repr=False)
    acts_as: str = ""

    @property
    def target(self) -> str:
        """The service account that is impersonated, or nothing."""
        url = str(self.info.get("service_account_impersonation_url") or "")
        return self.acts_as or url.rpartition("/")[2].partition(":")[0]

    @property
    def secrets(self) -> frozenset[str]:
        """Every value in it that nothing may repeat."""
        return frozenset(_secrets(self.info))


def lying_here(environ: Mapping[str, str]) -> Source | None:
    """Return the credential in a file of this machine, or None when there is none.

    Raises UnauthenticatedError when the file that was named cannot be used: taking another
    credential in its place would be a surprise.
    """
    if named := environ.get(VARIABLE, ""):
        return _read(Path(named), f"{VARIABLE}={named}", f"Set {VARIABLE} to a credentials file.")
    gcloud = environ.get("CLOUDSDK_CONFIG", "")
    folder = Path(gcloud) if gcloud else Path(environ.get("HOME", "~"), ".config/gcloud")
    file = folder.expanduser() / _FILE
    if not file.is_file():
        return None
    return _read(file, str(file), f"Log in:\n{login()}")


def _read(file: Path, place: str, cure: str) -> Source:
    try:
        info = json.loads(file.read_bytes())
        kind = Kind(info["type"])
    except OSError as error:
        why = error.strerror or "it cannot be read"
    except (ValueError, TypeError, KeyError):
        why = "it is no credentials file of a kind that is known"
    else:
        return Source(kind, place, info)
    raise UnauthenticatedError(f"No credentials from {place}: {why}.", cure=cure)


def _secrets(part: object, *, within: bool = False) -> Iterator[str]:
    match part:
        case dict():
            for key, value in part.items():
                # `headers` of a federation file carry the token of the CI job.
                is_secret = within or key in _SECRET_KEYS or key == "headers"
                yield from _secrets(value, within=is_secret)
        case list():
            for value in part:
                yield from _secrets(value, within=within)
        case str() if within:
            # A key comes back line by line, or as JSON writes it; a header without its scheme.
            forms = {part, *part.split(), json.dumps(part)[1:-1]}
            yield from (form for form in forms if len(form) >= _SHORTEST and form != "Bearer")
