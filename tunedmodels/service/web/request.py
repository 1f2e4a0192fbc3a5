"""Requests as the handlers of pages receive them, with their form and a way to call the API."""

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

from tunedmodels.service.api.limits import MAX_BODY_BYTES
from tunedmodels.service.api.messages import read_body
from tunedmodels.service.api.request import ApiRequest, Handler, ServiceContext
from tunedmodels.service.errors import ApiError, ApiStatus
from tunedmodels.service.identity import Caller
from tunedmodels.service.web.session import Session
from tunedmodels.service.web.templating import PageRenderer

_MAX_FIELDS = 30


@dataclass(frozen=True, slots=True)
class Form:
    """The content of a form."""

    #: The text fields by name.
    fields: Mapping[str, str]
    #: The name and the bytes of an uploaded file.
    file: tuple[str, bytes] | None = None

    def text(self, name: str) -> str:
        """Return a field without surrounding whitespace; empty if it is missing."""
        return self.fields.get(name, "").strip()


NO_FORM = Form({})


async def read_form(request: Request) -> Form:
    """Read a form in either encoding. Raises ApiError (INVALID_ARGUMENT)."""
    body = await read_body(request)

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    complete = Request(request.scope, receive)
    try:
        async with complete.form(
            max_files=1, max_fields=_MAX_FIELDS, max_part_size=MAX_BODY_BYTES
        ) as form:
            fields = {name: value for name, value in form.items() if isinstance(value, str)}
            files = [value for value in form.values() if isinstance(value, UploadFile)]
            uploads = [(file.filename, await file.read()) for file in files if file.filename]
    except HTTPException as error:
        message = f"The form cannot be read: {error.detail}"
        raise ApiError(ApiStatus.INVALID_ARGUMENT, message) from None
    return Form(fields, uploads[0] if uploads else None)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """One request for a page, read before its handler runs."""

    context: ServiceContext
    renderer: PageRenderer
    session: Session
    caller: Caller
    #: Path parameters.
    path: Mapping[str, str]
    #: Query parameters.
    query: Mapping[str, str]
    #: Empty unless the method is POST.
    form: Form

    def page(self, template: str, *, status: int = 200, **values: object) -> Response:
        """Return a page for the visitor."""
        return self.renderer.page(template, self.session, status=status, **values)

    def call_api(
        self,
        handler: Handler,
        path: Mapping[str, str],
        *,
        body: object = None,
        query: Mapping[str, str] | None = None,
    ) -> Any:  # noqa: ANN401  # any JSON that the API returns
        """Call the API as the visitor and return the decoded response. Raises ApiError."""
        content = b"" if body is None else msgspec.json.encode(body)
        response = handler(self.context, ApiRequest(self.caller, path, query or {}, content))
        return msgspec.json.decode(response.body)


PageHandler = Callable[[PageRequest], Response]


def redirect(path: str) -> Response:
    """Redirect to a page with GET, so that reloading it does not resubmit a form."""
    return RedirectResponse(path, status_code=303)
