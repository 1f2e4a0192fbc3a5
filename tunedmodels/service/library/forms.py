"""What a form sends: its fields as texts, and at most one file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from tunedmodels.service.api.limits import MOST_BODY
from tunedmodels.service.bodies import read_body
from tunedmodels.service.errors import ApiError, Status

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
