"""The playground: one question to a version, to the previous version and to the untuned base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from starlette.responses import Response

from tunedmodels.errors import StoreError
from tunedmodels.service.api import generate
from tunedmodels.service.api.limits import MAX_INPUT_LENGTH
from tunedmodels.service.errors import ApiError
from tunedmodels.service.web import model_page
from tunedmodels.service.web.model_view import StoredVersion
from tunedmodels.service.web.request import PageRequest


@dataclass(frozen=True, slots=True)
class PlaygroundAnswer:
    """The answer of one model."""

    title: str
    name: str
    text: str = ""
    #: Why it has no answer.
    error: str = ""


def show(request: PageRequest) -> Response:
    """Return the form, with the answers if it has a question."""
    version = model_page.load_version(request)
    previous = model_page.sibling_versions(request, version).previous_ready(version)
    # Not stripped, since spaces may matter. Browsers send line breaks as CRLF.
    question = request.form.fields.get("question", "").replace("\r\n", "\n")
    answers = list(_answers(request, version, previous, question)) if question.strip() else []
    return request.page(
        "ask.html",
        version=version,
        previous=previous,
        question=question,
        max_length=MAX_INPUT_LENGTH,
        answers=answers,
    )


def _answers(
    request: PageRequest, version: StoredVersion, previous: StoredVersion | None, question: str
) -> Iterator[PlaygroundAnswer]:
    model = version.model
    yield _answer(request, "This version", model.name, {"id": model.id}, question)
    if previous:
        path = {"id": previous.model.id}
        yield _answer(request, "Previous version", previous.model.name, path, question)
    base = model.base_model
    yield _answer(request, "Untuned base", base, {"base": base.removeprefix("models/")}, question)


def _answer(
    request: PageRequest, title: str, name: str, path: Mapping[str, str], question: str
) -> PlaygroundAnswer:
    body = {"contents": [{"parts": [{"text": question}]}]}
    try:
        response = request.call_api(generate.generate, path, body=body)
    except ApiError as error:
        return PlaygroundAnswer(title, name, error=error.message)
    except StoreError as error:
        return PlaygroundAnswer(title, name, error=f"{error.message}. {error.cure}".rstrip())
    parts = response["candidates"][0]["content"]["parts"]
    return PlaygroundAnswer(title, name, text="".join(part["text"] for part in parts))
