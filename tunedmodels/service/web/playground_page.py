"""The playground: one question to a model, to its untuned base and to the version before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from starlette.responses import Response

from tunedmodels.errors import StoreError
from tunedmodels.service.api import generate
from tunedmodels.service.api.limits import MOST_INPUT
from tunedmodels.service.errors import ApiError
from tunedmodels.service.web import model_page
from tunedmodels.service.web.model_view import Version
from tunedmodels.service.web.request import Asked


@dataclass(frozen=True, slots=True)
class Answer:
    """What one of them said; `refusal` is why it said nothing."""

    title: str
    name: str
    said: str = ""
    refusal: str = ""


def show(asked: Asked) -> Response:
    """Show the form; for a question, with the answers."""
    this = model_page.looked_up(asked)
    former = model_page.family_of(asked, this).before(this)
    # The first line break of a text in a form is the form's own.
    question = asked.form.fields.get("question", "").replace("\r\n", "\n")
    return asked.page(
        "ask.html",
        this=this,
        former=former,
        question=question,
        most=MOST_INPUT,
        answers=list(_answers(asked, this, former, question)) if question.strip() else [],
    )


def _answers(
    asked: Asked, this: Version, former: Version | None, question: str
) -> Iterator[Answer]:
    yield _answer(asked, "This version", this.model.name, {"id": this.model.id}, question)
    if former:
        path = {"id": former.model.id}
        yield _answer(asked, "Former version", former.model.name, path, question)
    base = this.model.base_model
    yield _answer(asked, "Untuned base", base, {"base": base.removeprefix("models/")}, question)


def _answer(asked: Asked, title: str, name: str, path: Mapping[str, str], question: str) -> Answer:
    body = {"contents": [{"parts": [{"text": question}]}]}
    try:
        said = asked.api(generate.generate, path, body=body)
    except ApiError as error:
        return Answer(title, name, refusal=error.message)
    except StoreError as error:
        return Answer(title, name, refusal=f"{error.message}. {error.cure}".rstrip())
    parts = said["candidates"][0]["content"]["parts"]
    return Answer(title, name, said="".join(part["text"] for part in parts))
