"""GitLab: notes of a merge request through the REST API v4, and the variables of GitLab CI."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Self
from urllib.parse import quote

from tunedmodels.errors import NotFoundError
from tunedmodels.forges.client import (
    Entry,
    Token,
    decode_json,
    entry_id,
    list_all,
    read_endpoint,
    write_comment,
)
from tunedmodels.forges.errors import error_mapping
from tunedmodels.forges.forge import CiRun, Comment
from tunedmodels.providers.http import Http, Transport

DEFAULT_ENDPOINT = "https://gitlab.com/api/v4"
_LOGIN_CURE = (
    "Create a project access token with the role Developer and the scope `api`, and set it as the "
    "masked variable GITLAB_TOKEN. On most servers the token of a job (CI_JOB_TOKEN) cannot write "
    "notes."
)
_CURES = {
    401: _LOGIN_CURE,
    403: _LOGIN_CURE,
    404: "Check CI_PROJECT_ID (or --repo) and the number of the merge request; GitLab "
    "answers the same to a token that may not read them.",
}
_ERROR_MAPPING = error_mapping("GitLab", _CURES, "Check CI_API_V4_URL.")


class GitLab:
    """The project with this id or path at the REST API `endpoint`.

    `page` is the web page of the project. `is_job` says that the token is that of a CI job, for
    which the API does not return a user.
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
        identity = Token(token, header=header, prefix="", cure=_LOGIN_CURE, extra_headers={})
        self._http = Http(endpoint, identity, error_mapping=_ERROR_MAPPING, transport=transport)
        self._project = f"projects/{quote(project, safe='')}"
        self._page = page
        self._is_job = is_job

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.aclose()

    async def comments(self, number: int) -> list[Comment]:
        """Return the notes of the user of the token, oldest first; only they can be edited."""
        user_id = None if self._is_job else await self._user_id()
        path = self._notes(number)
        query = "per_page=100&sort=asc&order_by=created_at"
        entries = await list_all(self._http, path, query)
        own = [e for e in entries if not e.get("system") and user_id in (None, _author_id(e))]
        return sorted((self._comment(number, entry) for entry in own), key=lambda note: note.id)

    async def create(self, number: int, body: str) -> Comment:
        """Create a note."""
        path = self._notes(number)
        entry = await write_comment(self._http, "POST", path, body, is_idempotent=False)
        return self._comment(number, entry)

    async def edit(self, number: int, comment: Comment, body: str) -> None:
        """Replace the body of a note."""
        path = f"{self._notes(number)}/{comment.id}"
        await write_comment(self._http, "PUT", path, body, is_idempotent=True)

    async def delete(self, number: int, comment: Comment) -> None:
        """Delete a note; does nothing if it does not exist."""
        with suppress(NotFoundError):
            path = f"{self._notes(number)}/{comment.id}"
            await self._http.request_body("DELETE", path, is_idempotent=True)

    async def merged_pull_request(self, commit: str) -> int | None:
        """Return the merge request that merged a commit."""
        path = f"{self._project}/repository/commits/{commit}/merge_requests"
        entries = await list_all(self._http, path, "per_page=100")
        merged = [entry for entry in entries if entry.get("state") == "merged"]
        keys = ("merge_commit_sha", "squash_commit_sha")
        exact = [entry for entry in merged if commit in [entry.get(key) for key in keys]]
        return next((entry_id(entry, "iid") for entry in exact or merged), None)

    async def _user_id(self) -> int:
        user = decode_json(await self._http.request_body("GET", "user", is_idempotent=True), dict)
        return entry_id(user)

    def _notes(self, number: int) -> str:
        return f"{self._project}/merge_requests/{number}/notes"

    def _comment(self, number: int, entry: Entry) -> Comment:
        note = entry_id(entry)
        url = f"{self._page}/-/merge_requests/{number}#note_{note}" if self._page else ""
        return Comment(note, str(entry.get("body") or "").replace("\r\n", "\n"), url)


def _author_id(entry: Entry) -> object:
    return (entry.get("author") or {}).get("id")


def read_ci_run(environ: Mapping[str, str]) -> CiRun:
    """Return the run as the variables of GitLab CI describe it."""
    number = environ.get("CI_MERGE_REQUEST_IID", "")
    commit = environ.get("CI_COMMIT_SHA", "")
    branch = environ.get("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "")
    base = environ.get("CI_MERGE_REQUEST_DIFF_BASE_SHA", "")
    return CiRun(
        repository=environ.get("CI_PROJECT_ID", ""),
        number=int(number) if number.isdecimal() else None,
        commit=commit,
        # In a pipeline for the merged result `commit` is a temporary merge commit.
        head=environ.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA") or commit,
        base=f"{branch}@{base[:7]}" if branch and base else "",
        url=environ.get("CI_JOB_URL", ""),
    )


def open_gitlab(
    environ: Mapping[str, str], repository: str, *, transport: Transport | None = None
) -> GitLab:
    """Open a project with GITLAB_TOKEN, or else with the token of the job."""
    token = environ.get("GITLAB_TOKEN", "").strip()
    return GitLab(
        read_endpoint(environ, "CI_API_V4_URL", DEFAULT_ENDPOINT),
        token or environ.get("CI_JOB_TOKEN", "").strip(),
        repository,
        page=environ.get("CI_MERGE_REQUEST_PROJECT_URL") or environ.get("CI_PROJECT_URL", ""),
        is_job=not token,
        transport=transport,
    )
