"""The form to tune: examples are checked and shown first, and then the API is asked to create.

Sending a form twice makes one model: its id ends with what was sent, so the second create meets the
first one and leads to it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Final, get_args

import msgspec
from starlette.responses import Response

from tunedmodels.datasets.diff import Numbered
from tunedmodels.datasets.limits import limits_for
from tunedmodels.datasets.load import load_numbered
from tunedmodels.datasets.scan import Survey, survey
from tunedmodels.datasets.source import ENDINGS, Format
from tunedmodels.engines.engine import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_EPOCH_COUNT,
    DEFAULT_LEARNING_RATE,
)
from tunedmodels.errors import Problem, Severity
from tunedmodels.service.api.limits import MOST_DISPLAY_NAME
from tunedmodels.service.api.tuned_models import create, generated_id
from tunedmodels.service.errors import ApiError, Status
from tunedmodels.service.records import Role
from tunedmodels.service.web import model_page
from tunedmodels.service.web.request import Asked, Form, see

_END_LENGTH = 12  # of ids, as the API makes them
_NUMBERS: Final = {  # what the API says of these speaks of its types
    "epoch_count": "This must be a whole number, such as 5.",
    "batch_size": "This must be a whole number, such as 4.",
    "learning_rate": "This must be a number, such as 0.001.",
}
_FORMATS: Final = tuple(each for each in get_args(Format) if each != "contents")


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands in the form, as texts. `data` is the examples; `nonce` is new in every new form.

    `errors` has what is wrong with a field, by its name.
    """

    display_name: str = ""
    base_model: str = ""
    data: str = ""
    format: str = ""
    input_field: str = "text_input"
    output_field: str = "output"
    epoch_count: str = str(DEFAULT_EPOCH_COUNT)
    batch_size: str = str(DEFAULT_BATCH_SIZE)
    learning_rate: str = str(DEFAULT_LEARNING_RATE)
    nonce: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def end(self) -> str:
        """Return what the id ends with: equal forms have equal ends, and no others do."""
        sent = msgspec.json.encode(replace(self, errors={}))
        return base64.b32hexencode(hashlib.sha256(sent).digest()).decode().lower()[:_END_LENGTH]


def blank(asked: Asked) -> Response:
    """Show the form, empty or, with `like`, with what a model was tuned with."""
    entry = Entry(nonce=secrets.token_hex(8))
    if like := asked.query.get("like"):
        entry = _like(asked, entry, like)
    epochs = asked.query.get("epochs", "")
    if epochs.isdecimal():
        entry = replace(entry, epoch_count=epochs[:4])
    return _page(asked, entry)


def submit(asked: Asked) -> Response:
    """Check the examples and show what was found; or, when that is asked for, tune."""
    entry, content = _entry(asked.form)
    if not content.strip():
        errors = {"data": "Paste some examples, or choose a file."}
        return _page(asked, replace(entry, errors=errors), status=400)
    form = entry.format or format_of(content, asked.form.file[0] if asked.form.file else "")
    written = Written(_as_format(form), entry.input_field, entry.output_field)
    checked = check(content, written, base_model=entry.base_model)
    wants_it = asked.form.text("action") == "tune"
    if not (wants_it and checked.survey.is_usable):
        return _page(asked, entry, checked, status=400 if wants_it else 200)
    model_id = generated_id(entry.display_name, entry.end)
    try:
        asked.api(create, {}, query={"tuned_model_id": model_id}, body=_body(entry, checked))
    except ApiError as error:
        if error.status is not Status.ALREADY_EXISTS:
            entry = replace(entry, errors=_errors(error))
            return _page(asked, entry, checked, status=error.status.http)
    return see(f"/models/{model_id}")


def _entry(form: Form) -> tuple[Entry, bytes]:
    """Return the form, and the examples as bytes: a file, where there is one, else the text."""
    text = form.fields.get("data", "")
    content = form.file[1] if form.file else text.encode("utf-8", "surrogatepass")
    if form.file:
        # Shown from now on as text that can be mended in place; the checks see the bytes.
        text = content.decode("utf-8-sig", "replace")
    entry = Entry(
        display_name=form.text("display_name"),
        base_model=form.text("base_model"),
        data=text,
        format=form.text("format") if form.text("format") in _FORMATS else "",
        input_field=form.text("input_field") or "text_input",
        output_field=form.text("output_field") or "output",
        epoch_count=form.text("epoch_count"),
        batch_size=form.text("batch_size"),
        learning_rate=form.text("learning_rate"),
        nonce=form.text("nonce"),
    )
    return entry, content


def _as_format(text: str) -> Format:
    return next(each for each in get_args(Format) if each == text)


def _body(entry: Entry, checked: Checked) -> dict[str, object]:
    """Return the body of the create. Numbers go as they were written: the API judges them."""
    rows = [
        {"textInput": row.example.text_input, "output": row.example.output}
        for row in checked.examples
    ]
    settings = {
        "epochCount": entry.epoch_count,
        "batchSize": entry.batch_size,
        "learningRate": entry.learning_rate,
    }
    return {
        "displayName": entry.display_name,
        "baseModel": entry.base_model,
        "tuningTask": {
            "trainingData": {"examples": {"examples": rows}},
            "hyperparameters": {name: value for name, value in settings.items() if value},
        },
    }


def _errors(error: ApiError) -> dict[str, str]:
    """Return what the API refused, by the field of the form; the rest is about the whole of it."""
    errors: dict[str, str] = {}
    for violation in error.violations:
        name = violation.field.rpartition(".")[2]
        words = _NUMBERS.get(name) if violation.description.startswith("Invalid value") else None
        place = name if name in Entry.__dataclass_fields__ else ""
        errors.setdefault(place, words or violation.description)
    return errors or {"": error.message}


def _like(asked: Asked, entry: Entry, model_id: str) -> Entry:
    """Fill the form with what a model was tuned with; with its examples, for a writer of it."""
    this = model_page.looked_up(replace(asked, path={"id": model_id}))
    model = this.model
    role = asked.rooms.sharing.role(model.seq, asked.caller) or Role.READER
    data = model_page.examples_of(asked, this) if role <= Role.WRITER else ()
    rows = ({"text_input": each.text_input, "output": each.output} for each in data)
    return replace(
        entry,
        display_name=model.display_name[:MOST_DISPLAY_NAME],
        base_model=model.base_model,
        data="\n".join(msgspec.json.encode(row).decode() for row in rows),
        epoch_count=str(model.epoch_count),
        batch_size=str(model.batch_size),
        learning_rate=f"{model.learning_rate:g}",
    )


def _page(
    asked: Asked, entry: Entry, checked: Checked | None = None, *, status: int = 200
) -> Response:
    bases = asked.rooms.catalogue.documents()
    if not entry.base_model and bases:
        entry = replace(entry, base_model=bases[0]["name"])
    shown = asked.page(
        "tune.html",
        status=status,
        entry=entry,
        errors=entry.errors,
        bases=bases,
        formats=_FORMATS,
        most_name=MOST_DISPLAY_NAME,
        checked=checked,
        steps=_steps(entry, checked),
        shown=_shown(checked),
    )
    if checked and not asked.visit.may_sign_out:
        # A step back from the model that was started finds the form, and is not asked to send it
        # again. With keys, nothing may be found by a step back after the sign-out.
        shown.headers["cache-control"] = "private, no-cache"
    return shown


def _steps(entry: Entry, checked: Checked | None) -> int:
    """Return how many steps the job would take; 0 where that cannot be said."""
    epochs = entry.epoch_count or str(DEFAULT_EPOCH_COUNT)
    batch = entry.batch_size or str(DEFAULT_BATCH_SIZE)
    is_known = epochs.isdecimal() and batch.isdecimal() and len(epochs + batch) < 20  # noqa: PLR2004  # two sane numbers
    if not (checked and is_known and int(batch)):
        return 0
    return math.ceil(len(checked.examples) * int(epochs) / int(batch))


def _shown(checked: Checked | None) -> Sequence[object]:
    return checked.examples[:5] if checked else ()


# FOLDED
# Pasted or uploaded examples, read and checked as a file of a project is.
_PROBLEMS_SHOWN = 50
_LABELS_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Written:
    """How the examples are written: see `datasets.source.Source`."""

    format: Format
    input_field: str
    output_field: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What stands in the examples. `examples` is empty unless all of them can be used."""

    written: Written
    survey: Survey
    examples: Sequence[Numbered]

    @property
    def problems(self) -> Sequence[Problem]:
        """The problems to show, the errors first, each kind by line."""
        order = list(Severity)
        found = sorted(self.survey.problems, key=lambda one: (order.index(one.severity), one.line))
        return found[:_PROBLEMS_SHOWN]

    @property
    def more_problems(self) -> int:
        """How many problems are not shown."""
        return len(self.survey.problems) - len(self.problems)

    @property
    def labels(self) -> Sequence[tuple[str, int]]:
        """The commonest outputs and how often each stands, where outputs repeat."""
        labels = self.survey.labels or {}
        if len(labels) * 2 > self.survey.examples:
            return []
        return sorted(labels.items(), key=lambda one: -one[1])[:_LABELS_SHOWN]


def check(content: bytes, written: Written, *, base_model: str) -> Checked:
    """Read and check examples for a base model. Raises nothing for what they hold."""
    # The readers go through files; nobody else may look into this one.
    with TemporaryDirectory(prefix="tunedmodels-") as folder:
        file = Path(folder) / f"examples.{written.format}"
        file.write_bytes(content)
        found = survey(file, written, written="examples", limits=limits_for(base_model))
        examples = load_numbered(file, written) if found.is_usable else []
    return Checked(written, found, examples)


def format_of(content: bytes, file_name: str) -> Format:
    """Return the format of a file by its ending, of a text by its beginning."""
    by_name = ENDINGS.get(PurePath(file_name).suffix.lower())
    if by_name:
        return by_name
    text = content.removeprefix(b"\xef\xbb\xbf").lstrip()
    first = text.partition(b"\n")[0]
    if text.startswith(b"["):
        return "json"
    if text.startswith(b"{"):
        with suppress(ValueError, RecursionError):
            json.loads(first)
            return "jsonl"
        # A line that is broken is one broken line of many; a brace alone opens a document.
        return "json" if first.strip() == b"{" else "jsonl"
    return "tsv" if b"\t" in first and b"," not in first else "csv"
