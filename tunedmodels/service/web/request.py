"""A request for a page as its handler sees it, and the way from there to the API's handlers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Message

from tunedmodels.service.api.limits import MOST_BODY
from tunedmodels.service.api.messages import read_body
from tunedmodels.service.api.request import Call, Handler, Rooms
from tunedmodels.service.errors import ApiError, Status
from tunedmodels.service.identity import Caller
from tunedmodels.service.web.session import Visit
from tunedmodels.service.web.templating import Pages

# FOLDED
# What a form sends: its fields as texts, and at most one file.
_MOST_FIELDS = 30


@dataclass(frozen=True, slots=True)
class Form:
    """The fields by name; `file` is (name, bytes) of what was uploaded, or None."""

    fields: Mapping[str, str]
    file: tuple[str, bytes] | None = None

    def text(self, name: str) -> str:
        """Return a field without blanks around it; empty when it is missing."""
        return self.fields.get(name, "").strip()


async def read_form(request: Request) -> Form:
    """Read a form of either encoding. Raises ApiError (INVALID_ARGUMENT)."""
    body = await read_body(request)

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    again = Request(request.scope, receive)
    try:
        async with again.form(
            max_files=1, max_fields=_MOST_FIELDS, max_part_size=MOST_BODY
        ) as sent:
            fields = {name: value for name, value in sent.items() if isinstance(value, str)}
            files = [value for value in sent.values() if isinstance(value, UploadFile)]
            uploads = [(one.filename or "", await one.read()) for one in files if one.filename]
    except HTTPException as error:
        raise ApiError(Status.INVALID_ARGUMENT, f"The form is not whole: {error.detail}") from None
    return Form(fields, uploads[0] if uploads else None)


NO_FORM = Form({})


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, read before its handler runs. `form` is empty but for a POST."""

    rooms: Rooms
    pages: Pages
    visit: Visit
    caller: Caller
    path: Mapping[str, str]
    query: Mapping[str, str]
    form: Form

    def page(self, template: str, *, status: int = 200, **values: object) -> Response:
        """Return a page."""
        return self.pages.page(template, self.visit, status=status, **values)

    def api(
        self,
        handler: Handler,
        path: Mapping[str, str],
        *,
        body: object = None,
        query: Mapping[str, str] | None = None,
    ) -> Any:  # noqa: ANN401  # whatever JSON the API answers with
        """Ask the API as the visitor, and return its answer decoded. Raises ApiError as it does."""
        sent = b"" if body is None else msgspec.json.encode(body)
        answer = handler(self.rooms, Call(self.caller, path, query or {}, sent))
        return msgspec.json.decode(answer.body)


PageHandler = Callable[[Asked], Response]


def see(path: str) -> Response:
    """Send the browser to another page, which it GETs: a reload there sends no form again."""
    return RedirectResponse(path, status_code=303)
