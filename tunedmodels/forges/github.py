"""GitHub: comments of a pull request through the REST API, and the variables of its Actions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from tunedmodels.errors import NotFoundError
from tunedmodels.forges.client import Entry, Token, entry_id, list_all, read_endpoint, write_comment
from tunedmodels.forges.errors import error_mapping
from tunedmodels.forges.forge import CiRun, Comment
from tunedmodels.providers.http import Http, Transport

DEFAULT_ENDPOINT = "https://api.github.com"
_LOGIN_CURE = "Pass the token of the job:\n    GITHUB_TOKEN: ${{ github.token }}"
_CURES = {
    401: _LOGIN_CURE,
    403: "Give the job `permissions: pull-requests: write`. The token of a pull request from a "
    "fork can only read: show its plan in the job summary (--dry-run).",
    404: "Check GITHUB_REPOSITORY (or --repo) and the number of the pull request; GitHub "
    "answers the same to a token that may not read them.",
}
_ERROR_MAPPING = error_mapping("GitHub", _CURES, "Check GITHUB_API_URL.")
# Bots, and users who can write to the repository and so can change what is applied.
_TRUSTED = {"OWNER", "MEMBER", "COLLABORATOR"}


class GitHub:
    """The repository `OWNER/NAME` at the REST API `endpoint`."""

    def __init__(
        self, endpoint: str, token: str, repository: str, *, transport: Transport | None = None
    ) -> None:
        identity = Token(
            token,
            header="authorization",
            prefix="Bearer ",
            cure=_LOGIN_CURE,
            extra_headers={
                "accept": "application/vnd.github+json",
                "x-github-api-version": "2022-11-28",
            },
        )
        self._http = Http(endpoint, identity, error_mapping=_ERROR_MAPPING, transport=transport)
        self._repository = f"repos/{repository}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.aclose()

    async def comments(self, number: int) -> list[Comment]:
        """Return the comments of bots and of users with write access, oldest first."""
        path = f"{self._repository}/issues/{number}/comments"
        entries = await list_all(self._http, path, "per_page=100")
        comments = [_comment(entry) for entry in entries if _is_trusted(entry)]
        return sorted(comments, key=lambda comment: comment.id)

    async def create(self, number: int, body: str) -> Comment:
        """Create a comment."""
        path = f"{self._repository}/issues/{number}/comments"
        entry = await write_comment(self._http, "POST", path, body, is_idempotent=False)
        return _comment(entry)

    async def edit(self, number: int, comment: Comment, body: str) -> None:  # noqa: ARG002  # required by the contract
        """Replace the body of a comment. Raises OutcomeUnknownError as `create` does."""
        path = f"{self._repository}/issues/comments/{comment.id}"
        await write_comment(self._http, "PATCH", path, body, is_idempotent=True)

    async def delete(self, number: int, comment: Comment) -> None:  # noqa: ARG002  # required by the contract
        """Delete a comment; does nothing if it does not exist."""
        with suppress(NotFoundError):
            path = f"{self._repository}/issues/comments/{comment.id}"
            await self._http.request_body("DELETE", path, is_idempotent=True)

    async def merged_pull_request(self, commit: str) -> int | None:
        """Return the pull request that merged a commit, also if it was squashed."""
        path = f"{self._repository}/commits/{commit}/pulls"
        entries = await list_all(self._http, path, "per_page=100")
        merged = [entry for entry in entries if entry.get("merged_at")]
        exact = [entry for entry in merged if entry.get("merge_commit_sha") == commit]
        return next((entry_id(entry, "number") for entry in exact or merged), None)


def _is_trusted(entry: Entry) -> bool:
    is_bot = (entry.get("user") or {}).get("type") == "Bot"
    return is_bot or entry.get("author_association") in _TRUSTED


def _comment(entry: Entry) -> Comment:
    body = str(entry.get("body") or "").replace("\r\n", "\n")
    return Comment(entry_id(entry), body, str(entry.get("html_url", "")))


def read_ci_run(environ: Mapping[str, str]) -> CiRun:
    """Return the run as the variables and the event of GitHub Actions describe it."""
    event = _event(environ.get("GITHUB_EVENT_PATH", ""))
    pull = event.get("pull_request") or {}
    number = pull.get("number") or _commented_number(event)
    number = number or _ref_number(environ.get("GITHUB_REF", ""))
    base, commit = pull.get("base") or {}, environ.get("GITHUB_SHA", "")
    server, repository = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_REPOSITORY", "")
    run_id = environ.get("GITHUB_RUN_ID", "")
    return CiRun(
        repository=repository,
        number=int(number) if number else None,
        commit=commit,
        # On a pull request GITHUB_SHA is a temporary merge commit.
        head=str((pull.get("head") or {}).get("sha") or commit),
        base=f"{base['ref']}@{base['sha'][:7]}" if base.get("ref") and base.get("sha") else "",
        url=f"{server}/{repository}/actions/runs/{run_id}"
        if server and repository and run_id
        else "",
    )


def _event(path: str) -> dict[str, Any]:
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _commented_number(event: Mapping[str, Any]) -> int | None:
    """Return the number of the pull request on which a comment triggered the run."""
    issue = event.get("issue") or {}
    return issue.get("number") if issue.get("pull_request") else None


def _ref_number(ref: str) -> int | None:
    match = re.fullmatch(r"refs/pull/(\d+)/(merge|head)", ref)
    return int(match[1]) if match else None


def open_github(
    environ: Mapping[str, str], repository: str, *, transport: Transport | None = None
) -> GitHub:
    """Open a repository with GITHUB_TOKEN, or else GH_TOKEN."""
    token = (environ.get("GITHUB_TOKEN") or environ.get("GH_TOKEN", "")).strip()
    endpoint = read_endpoint(environ, "GITHUB_API_URL", DEFAULT_ENDPOINT)
    return GitHub(endpoint, token, repository, transport=transport)
