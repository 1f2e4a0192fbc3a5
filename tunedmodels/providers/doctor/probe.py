"""Dry calls: one question to a service, and its answer as a finding."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from tunedmodels.errors import NotFoundError, ProviderError, UnavailableError
from tunedmodels.providers import permissions
from tunedmodels.providers.auth.inspect import Account, inspect
from tunedmodels.providers.doctor.findings import Notes
from tunedmodels.providers.http import Http
from tunedmodels.providers.identity import CLOUD_PLATFORM, Identity, place

BUDGET_S = 4.0  # asked again for that long: somebody waits for the answer
_SKEW_S = 120.0  # signed requests are refused from some minutes on

Facts = Mapping[str, Any]


class Asker:
    """Asks one service, and notes what comes of it."""

    def __init__(self, http: Http, notes: Notes) -> None:
        self.http = http
        self.notes = notes
        self.is_reachable = True

    async def ask(
        self,
        check: str,
        path: str,
        *,
        content: object = None,
        well: Callable[[Facts], str],
        missing: tuple[str, str] | None = None,
    ) -> Facts | None:
        """Ask, and note what `well` says of the answer, or why there is none.

        `missing` is what a 404 means here, and its cure.
        """
        try:
            facts = await self.look(path, content=content)
        except NotFoundError as error:
            words, cure = missing or (error.message, error.cure)
            self.notes.failed(check, words, cure)
        except ProviderError as error:
            self.is_reachable = not isinstance(error, UnavailableError)
            self.notes.refused(check, error)
        else:
            self.notes.well(check, well(facts))
            return facts
        return None

    async def look(self, path: str, *, content: object = None) -> Facts:
        """Ask without a note. Raises ProviderError."""
        answer = await self.http.ask(
            "GET" if content is None else "POST",
            path,
            content=None if content is None else json.dumps(content).encode(),
            repeatable=True,
        )
        self._look_at_the_clock(answer.headers.get("date", ""))
        try:
            facts = json.loads(answer.body or b"{}")
        except ValueError:
            facts = None
        if not isinstance(facts, dict):
            raise ProviderError(
                "The answer is not one of this API.",
                cure="Check `endpoint` of this provider in the Project file.",
            )
        return facts

    def _look_at_the_clock(self, date: str) -> None:
        if any(each.check == "clock" for each in self.notes.findings):
            return
        try:
            off_s = abs((parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds())
        except (ValueError, TypeError):
            return
        if off_s > _SKEW_S:
            self.notes.warn(
                "clock",
                f"The clock of this machine is {off_s / 60:.0f} minutes off; tokens are refused "
                "then.",
                "Set it:\n    timedatectl set-ntp true",
            )


async def look_at_credentials(
    identity: Identity,
    environ: Mapping[str, str],
    notes: Notes,
    *,
    endpoint: str,
    needed: tuple[str, ...],
    cure: str,
) -> bool:
    """Note which credential is in use, its scopes and its quota project; False when there is none.

    `needed` are the scopes that the calls ask for; the last of them is the one that matters, and
    `cure` says how to get it.
    """
    try:
        if problem := identity.problem(endpoint):
            raise problem
        account = await inspect(identity, environ)
    except ProviderError as error:
        notes.refused("credentials", error)
        return False
    if account is None:
        notes.well("credentials", f"none are set, and {place(endpoint)} may be asked without")
        return True
    notes.names["MEMBER"] = permissions.member_of(account.email) if account.email else ""
    who = f" {account.email}" if account.email else ""
    notes.well("credentials", f"{account.kind}{who} (from {account.place})")
    if not account.is_key:
        _look_at_scopes(account, notes, needed=needed, cure=cure)
        if account.quota_project:
            notes.well("quota-project", account.quota_project)
    return True


def _look_at_scopes(account: Account, notes: Notes, *, needed: tuple[str, ...], cure: str) -> None:
    if account.scopes is None:
        notes.unknown("scopes", "Nobody says which scopes it has; the calls below show it.")
        return
    shown = ", ".join(scope.rpartition("/")[2] for scope in account.scopes) or "none"
    missing = f"{shown}; {needed[-1].rpartition('/')[2]} is missing."
    if needed[-1] in account.scopes:
        notes.well("scopes", shown)
    elif CLOUD_PLATFORM in account.scopes:
        notes.warn("scopes", missing, cure)
    else:
        notes.failed("scopes", missing, cure)
