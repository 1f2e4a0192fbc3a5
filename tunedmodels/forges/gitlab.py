"""GitLab: notes of a merge request through the REST API v4, and what GitLab CI says of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Self
from urllib.parse import quote

from tunedmodels.errors import NotFoundError
from tunedmodels.forges.client import Entry, Token, all_of, decoded
from tunedmodels.forges.errors import manners
from tunedmodels.forges.forge import Comment, Run
from tunedmodels.providers.http import Http, Transport

API = "https://gitlab.com/api/v4"
_LOGIN = (
    "Create a project access token with the role Developer and the scope `api`, and set it as the "
    "masked variable GITLAB_TOKEN; the token of a job (CI_JOB_TOKEN) may not write notes on most "
    "servers."
)
_CURES = {
    401: _LOGIN,
    403: _LOGIN,
    404: "Check CI_PROJECT_ID (or --repo) and the number of the merge request; a token that may "
    "not read them is told the same.",
}
_MANNERS = manners("GitLab", _CURES, "Check CI_API_V4_URL.")


class GitLab:
    """The project of this id, or this path, behind the REST API at `endpoint`.

    `page` is the project's page for people. `is_job` says that the token is that of a CI job, which
    cannot be asked whose it is.
    """

    def __init__(
        self,
        endpoint: str,
        token: str,
        project: str,
        *,
        page: str = "",
        is_job: bool = False,
        transport: Transport | None = None,
    ) -> None:
        header = "job-token" if is_job else "private-token"
        identity = Token(token, header=header, prefix="", cure=_LOGIN, others={})
        self._http = Http(endpoint, identity, manners=_MANNERS, transport=transport)
        self._project = f"projects/{quote(project, safe='')}"
        self._page = page
        self._is_job = is_job

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.aclose()

    async def comments(self, number: int) -> list[Comment]:
        """Return the notes that whoever the token belongs to wrote, oldest first.

        Nobody else's could be edited with it.
        """
        me = None if self._is_job else await self._me()
        path = self._notes(number)
        query = "per_page=100&sort=asc&order_by=created_at"
        entries = await all_of(self._http, path, query, lambda entry: entry)
        mine = [e for e in entries if not e.get("system") and me in (None, _author(e))]
        return sorted((self._comment(number, entry) for entry in mine), key=lambda note: note.id)

    async def create(self, number: int, body: str) -> Comment:
        """Write a new note."""
        path = self._notes(number)
        answer = await self._http.send("POST", path, repeatable=False, content=_body(body))
        return self._comment(number, decoded(answer, dict))

    async def edit(self, number: int, comment: Comment, body: str) -> None:
        """Write another text into a note."""
        path = f"{self._notes(number)}/{comment.id}"
        await self._http.send("PUT", path, repeatable=True, content=_body(body))

    async def delete(self, number: int, comment: Comment) -> None:
        """Delete a note; no harm if it is gone already."""
        with suppress(NotFoundError):
            path = f"{self._notes(number)}/{comment.id}"
            await self._http.send("DELETE", path, repeatable=True)

    async def merged(self, commit: str) -> int | None:
        """Return the merged merge request that a commit came with."""
        path = f"{self._project}/repository/commits/{commit}/merge_requests"
        entries = await all_of(self._http, path, "per_page=100", lambda entry: entry)
        merged = [entry for entry in entries if entry.get("state") == "merged"]
        made = ("merge_commit_sha", "squash_commit_sha")
        exact = [entry for entry in merged if commit in [entry.get(key) for key in made]]
        return next((int(entry["iid"]) for entry in exact or merged), None)

    async def _me(self) -> int:
        user = decoded(await self._http.send("GET", "user", repeatable=True), dict)
        return int(user["id"])

    def _notes(self, number: int) -> str:
        return f"{self._project}/merge_requests/{number}/notes"

    def _comment(self, number: int, entry: Entry) -> Comment:
        note = int(entry["id"])
        url = f"{self._page}/-/merge_requests/{number}#note_{note}" if self._page else ""
        return Comment(note, str(entry.get("body") or "").replace("\r\n", "\n"), url)


def _author(entry: Entry) -> object:
    return (entry.get("author") or {}).get("id")


def _body(text: str) -> bytes:
    return json.dumps({"body": text}).encode()


def run_of(environ: Mapping[str, str]) -> Run:
    """Read what GitLab CI says about this run from its variables."""
    number = environ.get("CI_MERGE_REQUEST_IID", "")
    commit = environ.get("CI_COMMIT_SHA", "")
    branch = environ.get("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "")
    base = environ.get("CI_MERGE_REQUEST_DIFF_BASE_SHA", "")
    return Run(
        repository=environ.get("CI_PROJECT_ID", ""),
        number=int(number) if number.isdecimal() else None,
        commit=commit,
        # In a pipeline for the merged result the commit is a trial merge; this is the branch's own.
        head=environ.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA") or commit,
        base=f"{branch}@{base[:7]}" if branch and base else "",
        url=environ.get("CI_JOB_URL", ""),
    )


def open_gitlab(
    environ: Mapping[str, str], repository: str, *, transport: Transport | None = None
) -> GitLab:
    """Return the project, with GITLAB_TOKEN, or else with the token of the job."""
    token = environ.get("GITLAB_TOKEN", "").strip()
    return GitLab(
        environ.get("CI_API_V4_URL") or API,
        token or environ.get("CI_JOB_TOKEN", "").strip(),
        repository,
        page=environ.get("CI_MERGE_REQUEST_PROJECT_URL") or environ.get("CI_PROJECT_URL", ""),
        is_job=not token,
        transport=transport,
    )
