"""The comment APIs of GitHub and GitLab: pages with Link headers, permissions, limits, errors.

From their REST documentation: "Issue comments", "Commits" and "Rate limits" of GitHub, "Notes API",
"Commits API" and "Pagination" of GitLab. Both apps store their comments in a `ForgeState`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

TOKEN = "a-very-secret-token"  # noqa: S105  # of a fake server
MAX_COMMENT = 65_536  # characters of a comment on GitHub
ME, STRANGER = "github-actions[bot]", "stranger"


@dataclass
class FakeComment:
    """A comment with its author."""

    id: int
    body: str
    author: str = ME


@dataclass
class ForgeState:
    """The data and the settings of a forge."""

    pull_requests: dict[int, list[FakeComment]] = field(default_factory=lambda: {7: []})
    merged: dict[str, int] = field(default_factory=dict)
    #: The responses to the next requests, in turn; None is the usual response.
    next_responses: list[Response | None] = field(default_factory=list)
    #: `METHOD /path` of all requests.
    requests: list[str] = field(default_factory=list)
    can_write: bool = True
    #: Whether the response to a create is lost.
    loses_creations: bool = False
    last_id: int = 100
    page_size: int = 100

    def write(self, number: int, body: str, author: str = ME) -> FakeComment:
        """Add a comment."""
        self.last_id += 1
        note = FakeComment(self.last_id, body, author)
        self.pull_requests[number].append(note)
        return note

    def bodies(self, number: int = 7) -> list[str]:
        """Return the bodies of all comments."""
        return [note.body for note in self.pull_requests[number]]

    def writes(self) -> list[str]:
        """Return the requests that change something."""
        return [call for call in self.requests if not call.startswith("GET")]

    def find(self, note_id: int) -> tuple[list[FakeComment], FakeComment] | None:
        """Return the comment with this id and the list that contains it."""
        for notes in self.pull_requests.values():
            for note in notes:
                if note.id == note_id:
                    return notes, note
        return None


@dataclass(frozen=True)
class FakeGitHub:
    """The REST API of GitHub for the repository o/r."""

    state: ForgeState

    def document(self, note: FakeComment) -> dict[str, Any]:
        is_bot = note.author.endswith("[bot]")
        return {
            "id": note.id,
            "body": note.body.replace("\n", "\r\n"),
            "user": {"login": note.author, "type": "Bot" if is_bot else "User"},
            "author_association": "NONE" if is_bot or note.author == STRANGER else "MEMBER",
            "html_url": f"https://github.test/o/r/pull/7#issuecomment-{note.id}",
        }

    def error(self, code: int, message: str, *errors: Any) -> Response:
        more = {"errors": list(errors)} if errors else {}
        document = {"message": message, "documentation_url": "https://docs.github.test", **more}
        return JSONResponse(document | {"status": str(code)}, code)

    def too_long(self, body: str) -> Response | None:
        error = {"resource": "IssueComment", "code": "unprocessable", "field": "data"}
        error["message"] = "Body is too long (maximum is 65536 characters)"
        return self.error(422, "Validation Failed", error) if len(body) > MAX_COMMENT else None

    async def comments(self, request: Request) -> Response:
        number = request.path_params["number"]
        if number not in self.state.pull_requests:
            return self.error(404, "Not Found")
        if request.method == "GET":
            return page_response(
                request,
                [self.document(note) for note in self.state.pull_requests[number]],
                self.state.page_size,
            )
        body = (await request.json())["body"]
        if not self.state.can_write:
            return self.error(403, "Resource not accessible by integration")
        if problem := self.too_long(body):
            return problem
        note = self.state.write(number, body)
        return (
            lost_response()
            if self.state.loses_creations
            else JSONResponse(self.document(note), 201)
        )

    async def comment(self, request: Request) -> Response:
        found = self.state.find(request.path_params["id"])
        if found is None:
            return self.error(404, "Not Found")
        if not self.state.can_write:
            return self.error(403, "Resource not accessible by integration")
        notes, note = found
        if request.method == "DELETE":
            notes.remove(note)
            return Response(status_code=204)
        body = (await request.json())["body"]
        if problem := self.too_long(body):
            return problem
        note.body = body
        return JSONResponse(self.document(note))

    async def pulls(self, request: Request) -> Response:
        commit = request.path_params["commit"]
        number = self.state.merged.get(commit)
        rows: list[dict[str, Any]] = [{"number": 99, "merged_at": None, "merge_commit_sha": "x"}]
        if number:
            rows.append({"number": number, "merged_at": "2026", "merge_commit_sha": commit})
        return page_response(request, rows, self.state.page_size)

    def app(self) -> Starlette:
        """The application."""
        root = "/repos/o/r"
        routes = [
            Route(f"{root}/issues/{{number:int}}/comments", self.comments, methods=["GET", "POST"]),
            Route(f"{root}/issues/comments/{{id:int}}", self.comment, methods=["PATCH", "DELETE"]),
            Route(f"{root}/commits/{{commit}}/pulls", self.pulls),
        ]
        return with_token_check(
            routes,
            self.state,
            f"Bearer {TOKEN}",
            "authorization",
            self.error(401, "Bad credentials"),
        )


@dataclass(frozen=True)
class FakeGitLab:
    """The REST API v4 of GitLab for project 42."""

    state: ForgeState

    def document(self, note: FakeComment) -> dict[str, Any]:
        author = {"id": 1 if note.author == ME else 2, "username": note.author}
        return {"id": note.id, "body": note.body, "author": author, "system": False}

    def error(self, code: int, message: Any) -> Response:
        return JSONResponse({"message": message}, code)

    async def notes(self, request: Request) -> Response:
        number = request.path_params["number"]
        if number not in self.state.pull_requests:
            return self.error(404, "404 Not found")
        if request.method == "GET":
            rows = [self.document(note) for note in self.state.pull_requests[number]]
            moved = {"id": 1, "body": "moved", "author": {"id": 1}, "system": True}
            return page_response(request, [*rows, moved], self.state.page_size)
        body = (await request.json())["body"]
        if not self.state.can_write:
            return self.error(403, "403 Forbidden")
        if len(body) > MAX_COMMENT:  # one million on GitLab; smaller here for the test
            return self.error(400, {"note": ["is too long (maximum is 1000000 characters)"]})
        note = self.state.write(number, body)
        return (
            lost_response()
            if self.state.loses_creations
            else JSONResponse(self.document(note), 201)
        )

    async def note(self, request: Request) -> Response:
        found = self.state.find(request.path_params["id"])
        if found is None:
            return self.error(404, "404 Note Not Found")
        rows, note = found
        if not self.state.can_write or note.author != ME:
            return self.error(403, "403 Forbidden")
        if request.method == "DELETE":
            rows.remove(note)
            return Response(status_code=204)
        note.body = (await request.json())["body"]
        return JSONResponse(self.document(note))

    async def merge_requests(self, request: Request) -> Response:
        commit = request.path_params["commit"]
        number = self.state.merged.get(commit)
        rows: list[dict[str, Any]] = [{"iid": 99, "state": "closed", "merge_commit_sha": None}]
        if number:
            rows.append({"iid": number, "state": "merged", "merge_commit_sha": commit})
        return page_response(request, rows, self.state.page_size)

    async def user(self, _: Request) -> Response:
        return JSONResponse({"id": 1, "username": "project_42_bot"})

    def app(self) -> Starlette:
        """The application."""
        root = "/api/v4/projects/42"
        notes_of = f"{root}/merge_requests/{{number:int}}/notes"
        routes = [
            Route("/api/v4/user", self.user),
            Route(notes_of, self.notes, methods=["GET", "POST"]),
            Route(f"{notes_of}/{{id:int}}", self.note, methods=["PUT", "DELETE"]),
            Route(f"{root}/repository/commits/{{commit}}/merge_requests", self.merge_requests),
        ]
        return with_token_check(
            routes, self.state, TOKEN, "private-token", self.error(401, "401 Unauthorized")
        )


def lost_response() -> Response:
    """Return the response of a gateway after a timeout, although the request succeeded."""
    return PlainTextResponse("upstream timed out", 504)


def page_response(request: Request, rows: list[dict[str, Any]], largest: int) -> Response:
    """Return one page of a list, with the Link header of both forges."""
    size = min(int(request.query_params.get("per_page", "30")), largest)
    page = int(request.query_params.get("page", "1"))
    url = request.url.include_query_params(page=page + 1)
    is_last = page * size >= len(rows)
    first = request.url.include_query_params(page=1)
    links = [f'<{first}>; rel="first"'] + ([] if is_last else [f'<{url}>; rel="next"'])
    return JSONResponse(rows[(page - 1) * size : page * size], headers={"link": ", ".join(links)})


def with_token_check(
    routes: list[Route], state: ForgeState, secret: str, header: str, unknown: Response
) -> Starlette:
    """Return an app that checks for a prepared response first, then for the token."""

    async def check(request: Request, call_next: RequestResponseEndpoint) -> Response:
        state.requests.append(f"{request.method} {request.url.path}")
        response = state.next_responses.pop(0) if state.next_responses else None
        if response is not None:
            return response
        if request.headers.get(header) != secret:
            return unknown
        return await call_next(request)

    app = Starlette(routes=routes)
    app.add_middleware(BaseHTTPMiddleware, dispatch=check)
    return app


FORGES: dict[str, Callable[[ForgeState], Starlette]] = {
    "github": lambda state: FakeGitHub(state).app(),
    "gitlab": lambda state: FakeGitLab(state).app(),
}


@contextmanager
def listening(app: Starlette) -> Iterator[str]:
    """Run a real server on a port of this machine; yield its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
