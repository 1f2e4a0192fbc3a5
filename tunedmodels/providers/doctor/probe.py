"""Read-only requests whose outcome becomes a check result."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from tunedmodels.errors import NotFoundError, ProviderError, UnavailableError
from tunedmodels.providers import permissions
from tunedmodels.providers.auth.inspect import CredentialAccount, inspect
from tunedmodels.providers.doctor.findings import Findings
from tunedmodels.providers.http import Http
from tunedmodels.providers.identity import CLOUD_PLATFORM, Identity, host_and_port

RETRY_BUDGET_S = 4.0  # short, since the user waits for the result
_MAX_SKEW_S = 120.0  # with some minutes, services reject signed requests

JsonObject = Mapping[str, Any]


class Probe:
    """Sends requests to one service and records their outcome."""

    def __init__(self, http: Http, findings: Findings) -> None:
        self.http = http
        self.findings = findings
        self.is_reachable = True

    async def check(
        self,
        check: str,
        path: str,
        *,
        content: object = None,
        describe: Callable[[JsonObject], str],
        not_found: tuple[str, str] | None = None,
    ) -> JsonObject | None:
        """Send a request and record the result of a check; return the response, None on failure.

        `describe` returns the message for a response. `not_found` are the message and the cure for
        a 404, if they differ from those of the error.
        """
        try:
            document = await self.get(path, content=content)
        except NotFoundError as error:
            message, cure = not_found or (error.message, error.cure)
            self.findings.failed(check, message, cure)
        except ProviderError as error:
            self.is_reachable = not isinstance(error, UnavailableError)
            self.findings.error(check, error)
        else:
            self.findings.ok(check, describe(document))
            return document
        return None

    async def get(self, path: str, *, content: object = None) -> JsonObject:
        """Send a request without recording a result. Raises ProviderError."""
        response = await self.http.request(
            "GET" if content is None else "POST",
            path,
            content=None if content is None else json.dumps(content).encode(),
            is_idempotent=True,
        )
        self._check_clock(response.headers.get("date", ""))
        try:
            document = json.loads(response.body or b"{}")
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise ProviderError(
                "The response is not a message of this API.",
                cure="Check `endpoint` of this provider in the Project file.",
            )
        return document

    def _check_clock(self, date: str) -> None:
        if any(result.check == "clock" for result in self.findings.results):
            return
        try:
            skew_s = abs((parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds())
        except (ValueError, TypeError):
            return
        if skew_s > _MAX_SKEW_S:
            self.findings.warning(
                "clock",
                f"The clock of this machine is {skew_s / 60:.0f} minutes off, so that services may "
                "reject tokens.",
                "Set the clock:\n    timedatectl set-ntp true",
            )


async def check_credentials(
    identity: Identity,
    environ: Mapping[str, str],
    findings: Findings,
    *,
    endpoint: str,
    required_scopes: tuple[str, ...],
    cure: str,
) -> bool:
    """Record the credential, its scopes and its quota project; return False if there is none.

    The last of `required_scopes` is the one that decides; `cure` says how to get it.
    """
    try:
        if problem := identity.problem(endpoint):
            raise problem
        account = await inspect(identity, environ)
    except ProviderError as error:
        findings.error("credentials", error)
        return False
    if account is None:
        findings.ok("credentials", f"none are set; {host_and_port(endpoint)} requires none")
        return True
    member = permissions.iam_member(account.email) if account.email else ""
    findings.placeholders["MEMBER"] = member
    email = f" {account.email}" if account.email else ""
    findings.ok("credentials", f"{account.kind}{email} (from {account.origin})")
    if not account.is_key:
        _check_scopes(account, findings, required_scopes=required_scopes, cure=cure)
        if account.quota_project:
            findings.ok("quota-project", account.quota_project)
    return True


def _check_scopes(
    account: CredentialAccount,
    findings: Findings,
    *,
    required_scopes: tuple[str, ...],
    cure: str,
) -> None:
    if account.scopes is None:
        findings.unknown(
            "scopes", "The scopes are unknown; the checks below show whether they suffice."
        )
        return
    deciding_scope = required_scopes[-1]
    scopes = ", ".join(_short_scope(scope) for scope in account.scopes) or "none"
    missing = f"{scopes}; {_short_scope(deciding_scope)} is missing."
    if deciding_scope in account.scopes:
        findings.ok("scopes", scopes)
    elif CLOUD_PLATFORM in account.scopes:
        findings.warning("scopes", missing, cure)
    else:
        findings.failed("scopes", missing, cure)


def _short_scope(scope: str) -> str:
    return scope.rpartition("/")[2]
