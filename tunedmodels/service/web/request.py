"""A request for a page as its handler sees it, and the way from there to the API's handlers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.responses import RedirectResponse, Response

from tunedmodels.service.api.request import Call, Handler, Rooms
from tunedmodels.service.identity import Caller
from tunedmodels.service.library.forms import Form
from tunedmodels.service.web.session import Visit
from tunedmodels.service.web.templating import Pages

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
