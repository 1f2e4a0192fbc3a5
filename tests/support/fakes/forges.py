"""GitHub and GitLab as far as comments go: pages with Link headers, permissions, limits, refusals.

From their REST documentation: "Issue comments", "Commits" and "Rate limits" of GitHub, "Notes API",
"Commits API" and "Pagination" of GitLab. Both apps keep their comments in a `Desk`.
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

TOKEN = "a-very-secret-token"  # noqa: S105  # of a server that exists only here
LONGEST = 65_536  # characters of a comment on GitHub
ME, STRANGER = "github-actions[bot]", "stranger"


@dataclass
class Note:
    """A comment, with its author and whether a stranger could have written it."""

    id: int
    body: str
    author: str = ME


@dataclass
class Desk:
    """What the forge knows, and how it is minded: `answers` go before everything else, in turn."""

    pulls: dict[int, list[Note]] = field(default_factory=lambda: {7: []})
    merged: dict[str, int] = field(default_factory=dict)
    answers: list[Response | None] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    may_write: bool = True
    loses_creations: bool = False
    last_id: int = 100
    page_size: int = 100

    def write(self, number: int, body: str, author: str = ME) -> Note:
        """Add a comment."""
        self.last_id += 1
        note = Note(self.last_id, body, author)
        self.pulls[number].append(note)
        return note

    def bodies(self, number: int = 7) -> list[str]:
        """The texts of all comments."""
        return [note.body for note in self.pulls[number]]

    def writes(self) -> list[str]:
        """The requests that change something."""
        return [call for call in self.asked if not call.startswith("GET")]

    def find(self, note_id: int) -> tuple[list[Note], Note] | None:
        """The comment of this id and the list it stands in."""
        for notes in self.pulls.values():
            for note in notes:
                if note.id == note_id:
                    return notes, note
        return None


@dataclass(frozen=True)
class GitHub:
    """GitHub's REST API, of the repository o/r."""

    desk: Desk

    def shown(self, note: Note) -> dict[str, Any]:
        is_bot = note.author.endswith("[bot]")
        return {
            "id": note.id,
            "body": note.body.replace("\n", "\r\n"),
            "user": {"login": note.author, "type": "Bot" if is_bot else "User"},
            "author_association": "NONE" if is_bot or note.author == STRANGER else "MEMBER",
            "html_url": f"https://github.test/o/r/pull/7#issuecomment-{note.id}",
        }

    def no(self, code: int, words: str, *errors: Any) -> Response:
        more = {"errors": list(errors)} if errors else {}
        document = {"message": words, "documentation_url": "https://docs.github.test", **more}
        return JSONResponse(document | {"status": str(code)}, code)

    def too_long(self, body: str) -> Response | None:
        error = {"resource": "IssueComment", "code": "unprocessable", "field": "data"}
        error["message"] = "Body is too long (maximum is 65536 characters)"
        return self.no(422, "Validation Failed", error) if len(body) > LONGEST else None

    async def comments(self, request: Request) -> Response:
        number = request.path_params["number"]
        if number not in self.desk.pulls:
            return self.no(404, "Not Found")
        if request.method == "GET":
            return paged(
                request, [self.shown(note) for note in self.desk.pulls[number]], self.desk.page_size
            )
        body = (await request.json())["body"]
        if not self.desk.may_write:
            return self.no(403, "Resource not accessible by integration")
        if problem := self.too_long(body):
            return problem
        note = self.desk.write(number, body)
        return lost() if self.desk.loses_creations else JSONResponse(self.shown(note), 201)

    async def comment(self, request: Request) -> Response:
        found = self.desk.find(request.path_params["id"])
        if found is None:
            return self.no(404, "Not Found")
        if not self.desk.may_write:
            return self.no(403, "Resource not accessible by integration")
        notes, note = found
        if request.method == "DELETE":
            notes.remove(note)
            return Response(status_code=204)
        body = (await request.json())["body"]
        if problem := self.too_long(body):
            return problem
        note.body = body
        return JSONResponse(self.shown(note))

    async def pulls(self, request: Request) -> Response:
        commit = request.path_params["commit"]
        number = self.desk.merged.get(commit)
        rows: list[dict[str, Any]] = [{"number": 99, "merged_at": None, "merge_commit_sha": "x"}]
        if number:
            rows.append({"number": number, "merged_at": "2026", "merge_commit_sha": commit})
        return paged(request, rows, self.desk.page_size)

    def app(self) -> Starlette:
        """The application."""
        root = "/repos/o/r"
        routes = [
            Route(f"{root}/issues/{{number:int}}/comments", self.comments, methods=["GET", "POST"]),
            Route(f"{root}/issues/comments/{{id:int}}", self.comment, methods=["PATCH", "DELETE"]),
            Route(f"{root}/commits/{{commit}}/pulls", self.pulls),
        ]
        return minded(
            routes, self.desk, f"Bearer {TOKEN}", "authorization", self.no(401, "Bad credentials")
        )


@dataclass(frozen=True)
class GitLab:
    """GitLab's REST API v4, of project 42."""

    desk: Desk

    def shown(self, note: Note) -> dict[str, Any]:
        author = {"id": 1 if note.author == ME else 2, "username": note.author}
        return {"id": note.id, "body": note.body, "author": author, "system": False}

    def no(self, code: int, words: Any) -> Response:
        return JSONResponse({"message": words}, code)

    async def notes(self, request: Request) -> Response:
        number = request.path_params["number"]
        if number not in self.desk.pulls:
            return self.no(404, "404 Not found")
        if request.method == "GET":
            rows = [self.shown(note) for note in self.desk.pulls[number]]
            moved = {"id": 1, "body": "moved", "author": {"id": 1}, "system": True}
            return paged(request, [*rows, moved], self.desk.page_size)
        body = (await request.json())["body"]
        if not self.desk.may_write:
            return self.no(403, "403 Forbidden")
        if len(body) > LONGEST:  # a million, really; small enough here to be tested
            return self.no(400, {"note": ["is too long (maximum is 1000000 characters)"]})
        note = self.desk.write(number, body)
        return lost() if self.desk.loses_creations else JSONResponse(self.shown(note), 201)

    async def one(self, request: Request) -> Response:
        found = self.desk.find(request.path_params["id"])
        if found is None:
            return self.no(404, "404 Note Not Found")
        rows, note = found
        if not self.desk.may_write or note.author != ME:
            return self.no(403, "403 Forbidden")
        if request.method == "DELETE":
            rows.remove(note)
            return Response(status_code=204)
        note.body = (await request.json())["body"]
        return JSONResponse(self.shown(note))

    async def merge_requests(self, request: Request) -> Response:
        commit = request.path_params["commit"]
        number = self.desk.merged.get(commit)
        rows: list[dict[str, Any]] = [{"iid": 99, "state": "closed", "merge_commit_sha": None}]
        if number:
            rows.append({"iid": number, "state": "merged", "merge_commit_sha": commit})
        return paged(request, rows, self.desk.page_size)

    async def user(self, _: Request) -> Response:
        return JSONResponse({"id": 1, "username": "project_42_bot"})

    def app(self) -> Starlette:
        """The application."""
        root = "/api/v4/projects/42"
        notes_of = f"{root}/merge_requests/{{number:int}}/notes"
        routes = [
            Route("/api/v4/user", self.user),
            Route(notes_of, self.notes, methods=["GET", "POST"]),
            Route(f"{notes_of}/{{id:int}}", self.one, methods=["PUT", "DELETE"]),
            Route(f"{root}/repository/commits/{{commit}}/merge_requests", self.merge_requests),
        ]
        return minded(routes, self.desk, TOKEN, "private-token", self.no(401, "401 Unauthorized"))


def lost() -> Response:
    """The answer of a gateway that gave up on a request which was done."""
    return PlainTextResponse("upstream timed out", 504)


def paged(request: Request, rows: list[dict[str, Any]], largest: int) -> Response:
    """One page of a list, with the Link header that both forges send."""
    size = min(int(request.query_params.get("per_page", "30")), largest)
    page = int(request.query_params.get("page", "1"))
    url = request.url.include_query_params(page=page + 1)
    is_last = page * size >= len(rows)
    first = request.url.include_query_params(page=1)
    links = [f'<{first}>; rel="first"'] + ([] if is_last else [f'<{url}>; rel="next"'])
    return JSONResponse(rows[(page - 1) * size : page * size], headers={"link": ", ".join(links)})


def minded(
    routes: list[Route], desk: Desk, secret: str, header: str, unknown: Response
) -> Starlette:
    """The routes behind a door: the mood of the desk first, then the token."""

    async def door(request: Request, go_on: RequestResponseEndpoint) -> Response:
        desk.asked.append(f"{request.method} {request.url.path}")
        answer = desk.answers.pop(0) if desk.answers else None
        if answer is not None:
            return answer
        if request.headers.get(header) != secret:
            return unknown
        return await go_on(request)

    app = Starlette(routes=routes)
    app.add_middleware(BaseHTTPMiddleware, dispatch=door)
    return app


FORGES: dict[str, Callable[[Desk], Starlette]] = {
    "github": lambda desk: GitHub(desk).app(),
    "gitlab": lambda desk: GitLab(desk).app(),
}


@contextmanager
def listening(app: Starlette) -> Iterator[str]:
    """A real server on a port of this machine; yields its address."""
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
