"""GitHub: comments of a pull request through the REST API, and what its Actions say of a run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from tunedmodels.errors import NotFoundError
from tunedmodels.forges.client import Entry, Token, all_of, decoded
from tunedmodels.forges.errors import manners
from tunedmodels.forges.forge import Comment, Run
from tunedmodels.providers.http import Http, Transport

API = "https://api.github.com"
_LOGIN = "Hand the job's own token on:\n    GITHUB_TOKEN: ${{ github.token }}"
_CURES = {
    401: _LOGIN,
    403: "Give the job `permissions: pull-requests: write`. A pull request from a fork has a token "
    "that may only read: show its plan in the job summary (--dry-run).",
    404: "Check GITHUB_REPOSITORY (or --repo) and the number of the pull request; a token that may "
    "not read them is told the same.",
}
_MANNERS = manners("GitHub", _CURES, "Check GITHUB_API_URL.")
# Bots and people who may write to the repository could change what is applied anyway.
_TRUSTED = {"OWNER", "MEMBER", "COLLABORATOR"}


class GitHub:
    """The repository `OWNER/NAME` behind the REST API at `endpoint`."""

    def __init__(
        self, endpoint: str, token: str, repository: str, *, transport: Transport | None = None
    ) -> None:
        identity = Token(
            token,
            header="authorization",
            prefix="Bearer ",
            cure=_LOGIN,
            others={"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"},
        )
        self._http = Http(endpoint, identity, manners=_MANNERS, transport=transport)
        self._repository = f"repos/{repository}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.aclose()

    async def comments(self, number: int) -> list[Comment]:
        """Return the comments of bots and of people who may write, oldest first."""
        path = f"{self._repository}/issues/{number}/comments"
        entries = await all_of(self._http, path, "per_page=100", lambda entry: entry)
        found = [_comment(entry) for entry in entries if _is_trusted(entry)]
        return sorted(found, key=lambda comment: comment.id)

    async def create(self, number: int, body: str) -> Comment:
        """Write a new comment."""
        path = f"{self._repository}/issues/{number}/comments"
        answer = await self._http.send("POST", path, repeatable=False, content=_body(body))
        return _comment(decoded(answer, dict))

    async def edit(self, number: int, comment: Comment, body: str) -> None:  # noqa: ARG002  # the contract's; here the id is enough
        """Write another text into a comment."""
        path = f"{self._repository}/issues/comments/{comment.id}"
        await self._http.send("PATCH", path, repeatable=True, content=_body(body))

    async def delete(self, number: int, comment: Comment) -> None:  # noqa: ARG002  # as above
        """Delete a comment; no harm if it is gone already."""
        with suppress(NotFoundError):
            path = f"{self._repository}/issues/comments/{comment.id}"
            await self._http.send("DELETE", path, repeatable=True)

    async def merged(self, commit: str) -> int | None:
        """Return the merged pull request that a commit came with, squashed ones included."""
        path = f"{self._repository}/commits/{commit}/pulls"
        entries = await all_of(self._http, path, "per_page=100", lambda entry: entry)
        merged = [entry for entry in entries if entry.get("merged_at")]
        exact = [entry for entry in merged if entry.get("merge_commit_sha") == commit]
        return next((int(entry["number"]) for entry in exact or merged), None)


def _is_trusted(entry: Entry) -> bool:
    is_bot = (entry.get("user") or {}).get("type") == "Bot"
    return is_bot or entry.get("author_association") in _TRUSTED


def _comment(entry: Entry) -> Comment:
    body = str(entry.get("body") or "").replace("\r\n", "\n")
    return Comment(int(entry["id"]), body, str(entry.get("html_url", "")))


def _body(text: str) -> bytes:
    return json.dumps({"body": text}).encode()


def run_of(environ: Mapping[str, str]) -> Run:
    """Read what GitHub Actions says about this run, from its variables and its event."""
    event = _event(environ.get("GITHUB_EVENT_PATH", ""))
    pull = event.get("pull_request") or {}
    number = pull.get("number") or _of_issue(event) or _of_ref(environ.get("GITHUB_REF", ""))
    base, commit = pull.get("base") or {}, environ.get("GITHUB_SHA", "")
    server, repository = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_REPOSITORY", "")
    run = environ.get("GITHUB_RUN_ID", "")
    return Run(
        repository=repository,
        number=int(number) if number else None,
        commit=commit,
        # On a pull request GITHUB_SHA is a trial merge that nobody ever sees again.
        head=str((pull.get("head") or {}).get("sha") or commit),
        base=f"{base['ref']}@{base['sha'][:7]}" if base.get("ref") and base.get("sha") else "",
        url=f"{server}/{repository}/actions/runs/{run}" if server and repository and run else "",
    )


def _event(path: str) -> dict[str, Any]:
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _of_issue(event: Mapping[str, Any]) -> int | None:
    """Return the number of a pull request that somebody commented on."""
    issue = event.get("issue") or {}
    return issue.get("number") if issue.get("pull_request") else None


def _of_ref(ref: str) -> int | None:
    found = re.fullmatch(r"refs/pull/(\d+)/(merge|head)", ref)
    return int(found[1]) if found else None


def open_github(
    environ: Mapping[str, str], repository: str, *, transport: Transport | None = None
) -> GitHub:
    """Return the repository, with the token of the environment (GITHUB_TOKEN before GH_TOKEN)."""
    token = (environ.get("GITHUB_TOKEN") or environ.get("GH_TOKEN", "")).strip()
    return GitHub(environ.get("GITHUB_API_URL") or API, token, repository, transport=transport)
