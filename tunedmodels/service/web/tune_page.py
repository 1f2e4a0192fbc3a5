"""The form to tune a model: the examples are checked and shown first, then the job is created.

Submitting a form twice creates one model: the id ends with a digest of the form, so that the second
create finds the first model and redirects to it.
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

from tunedmodels.datasets.diff import NumberedExample
from tunedmodels.datasets.limits import limits_for
from tunedmodels.datasets.load import load_numbered
from tunedmodels.datasets.scan import DatasetScan, scan
from tunedmodels.datasets.source import FORMAT_BY_SUFFIX, Container, Format, Source
from tunedmodels.engines.engine import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_EPOCH_COUNT,
    DEFAULT_LEARNING_RATE,
)
from tunedmodels.errors import Problem, Severity
from tunedmodels.service.api.limits import MAX_DISPLAY_NAME_LENGTH
from tunedmodels.service.api.tuned_models import create, generate_id
from tunedmodels.service.errors import ApiError, ApiStatus
from tunedmodels.service.records import AccessRole
from tunedmodels.service.web import model_page
from tunedmodels.service.web.request import Form, PageRequest, redirect

_ID_SUFFIX_LENGTH = 12  # as in ids that the API generates
_NUMBER_MESSAGES: Final = {  # in place of messages of the API about protobuf types
    "epoch_count": "This must be a whole number, such as 5.",
    "batch_size": "This must be a whole number, such as 4.",
    "learning_rate": "This must be a number, such as 0.001.",
}
_FORMATS: Final = get_args(Format)
_PROBLEMS_SHOWN = 50
_LABELS_SHOWN = 12
_EXAMPLES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class TuneForm:
    """The fields of the form, as text."""

    display_name: str = ""
    base_model: str = ""
    #: The examples.
    data: str = ""
    format: str = ""
    input_field: str = "text_input"
    output_field: str = "output"
    epoch_count: str = str(DEFAULT_EPOCH_COUNT)
    batch_size: str = str(DEFAULT_BATCH_SIZE)
    learning_rate: str = str(DEFAULT_LEARNING_RATE)
    #: A random value for every new form.
    nonce: str = ""
    #: The errors by field name.
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def id_suffix(self) -> str:
        """The end of the model id; it is the same only for equal forms."""
        content = msgspec.json.encode(replace(self, errors={}))
        digest = base64.b32hexencode(hashlib.sha256(content).digest())
        return digest.decode().lower()[:_ID_SUFFIX_LENGTH]


@dataclass(frozen=True, slots=True)
class CheckedExamples:
    """Pasted or uploaded examples with their problems."""

    format: Format
    scan: DatasetScan
    #: Empty unless all of them can be used.
    examples: Sequence[NumberedExample]

    @property
    def problems(self) -> Sequence[Problem]:
        """The problems to show, by severity and line."""
        order = list(Severity)
        problems = sorted(
            self.scan.problems, key=lambda problem: (order.index(problem.severity), problem.line)
        )
        return problems[:_PROBLEMS_SHOWN]

    @property
    def more_problems(self) -> int:
        """The number of problems that are not shown."""
        return len(self.scan.problems) - len(self.problems)

    @property
    def labels(self) -> Sequence[tuple[str, int]]:
        """The most frequent outputs with their counts, if outputs are repeated."""
        labels = self.scan.labels or {}
        if len(labels) * 2 > self.scan.examples:
            return []
        return sorted(labels.items(), key=lambda label: -label[1])[:_LABELS_SHOWN]


def show(request: PageRequest) -> Response:
    """Return the form, with `like` filled with the values of an existing model."""
    form = TuneForm(nonce=secrets.token_hex(8))
    if like := request.query.get("like"):
        form = _copy_model(request, form, like)
    epochs = request.query.get("epochs", "")
    if epochs.isdecimal():
        form = replace(form, epoch_count=epochs[:4])
    return _render(request, form)


def submit(request: PageRequest) -> Response:
    """Check the examples and show the result, or create the job if the action is `tune`."""
    form, content = _parse_form(request.form)
    if not content.strip():
        errors = {"data": "Paste some examples, or choose a file."}
        return _render(request, replace(form, errors=errors), status=400)
    file_name = request.form.file[0] if request.form.file else ""
    source = Source(
        format=_as_format(form.format) if form.format else None,
        input_field=form.input_field,
        output_field=form.output_field,
    )
    suffix = detect_format(content, file_name)
    checked = check_examples(content, source, suffix=suffix, base_model=form.base_model)
    is_tuning = request.form.text("action") == "tune"
    if not (is_tuning and checked.scan.is_usable):
        return _render(request, form, checked, status=400 if is_tuning else 200)
    model_id = generate_id(form.display_name, form.id_suffix)
    try:
        body = _create_body(form, checked)
        request.call_api(create, {}, query={"tuned_model_id": model_id}, body=body)
    except ApiError as error:
        if error.status is not ApiStatus.ALREADY_EXISTS:
            form = replace(form, errors=_field_errors(error))
            return _render(request, form, checked, status=error.status.http)
    return redirect(f"/models/{model_id}")


def check_examples(
    content: bytes, source: Source, *, suffix: Container, base_model: str
) -> CheckedExamples:
    """Read examples and check them for a base model. Never raises an error for their content."""
    # The readers need a file; only this user can read the directory.
    with TemporaryDirectory(prefix="tunedmodels-") as folder:
        file = Path(folder) / f"examples.{suffix}"
        file.write_bytes(content)
        result = scan(file, source, display_path="examples", limits=limits_for(base_model))
        examples = load_numbered(file, source) if result.is_usable else []
    return CheckedExamples(source.format or suffix, result, examples)


def detect_format(content: bytes, file_name: str) -> Container:
    """Return the format by the suffix of the file, or by the first characters of the text."""
    name = PurePath(file_name.lower().removesuffix(".gz"))
    by_suffix = FORMAT_BY_SUFFIX.get(name.suffix)
    if by_suffix:
        return by_suffix
    text = content.removeprefix(b"\xef\xbb\xbf").lstrip()
    first_line = text.partition(b"\n")[0]
    if text.startswith(b"["):
        return "json"
    if text.startswith(b"{"):
        with suppress(ValueError, RecursionError):
            json.loads(first_line)
            return "jsonl"
        # An invalid line is probably one of many lines; a single brace begins a document.
        return "json" if first_line.strip() == b"{" else "jsonl"
    return "tsv" if b"\t" in first_line and b"," not in first_line else "csv"


def _parse_form(form: Form) -> tuple[TuneForm, bytes]:
    """Return the fields, and the examples as bytes: the uploaded file, otherwise the text."""
    text = form.fields.get("data", "")
    content = form.file[1] if form.file else text.encode("utf-8", "surrogatepass")
    if form.file:
        # The page shows the file as text, which can be edited; the checks use the bytes.
        text = content.decode("utf-8-sig", "replace")
    fields = TuneForm(
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
    return fields, content


def _as_format(text: str) -> Format:
    return next(name for name in get_args(Format) if name == text)


def _create_body(form: TuneForm, checked: CheckedExamples) -> dict[str, object]:
    """Return the body of the create. Numbers are sent as text, for the API to validate."""
    rows = [
        {"textInput": row.example.text_input, "output": row.example.output}
        for row in checked.examples
    ]
    settings = {
        "epochCount": form.epoch_count,
        "batchSize": form.batch_size,
        "learningRate": form.learning_rate,
    }
    return {
        "displayName": form.display_name,
        "baseModel": form.base_model,
        "tuningTask": {
            "trainingData": {"examples": {"examples": rows}},
            "hyperparameters": {name: value for name, value in settings.items() if value},
        },
    }


def _field_errors(error: ApiError) -> dict[str, str]:
    """Return the violations by field of the form; the key of all others is empty."""
    errors: dict[str, str] = {}
    for violation in error.violations:
        name = violation.field.rpartition(".")[2]
        is_type_error = violation.description.startswith("Invalid value")
        message = _NUMBER_MESSAGES.get(name) if is_type_error else None
        key = name if name in TuneForm.__dataclass_fields__ else ""
        errors.setdefault(key, message or violation.description)
    return errors or {"": error.message}


def _copy_model(request: PageRequest, form: TuneForm, model_id: str) -> TuneForm:
    """Return the form with the settings of a model, and for its writers with its examples."""
    version = model_page.load_version(replace(request, path={"id": model_id}))
    model = version.model
    role = request.context.permissions.role(model.seq, request.caller) or AccessRole.READER
    is_writer = role <= AccessRole.WRITER
    examples = model_page.load_examples(request, version) if is_writer else ()
    rows = ({"text_input": each.text_input, "output": each.output} for each in examples)
    return replace(
        form,
        display_name=model.display_name[:MAX_DISPLAY_NAME_LENGTH],
        base_model=model.base_model,
        data="\n".join(msgspec.json.encode(row).decode() for row in rows),
        epoch_count=str(model.epoch_count),
        batch_size=str(model.batch_size),
        learning_rate=f"{model.learning_rate:g}",
    )


def _render(
    request: PageRequest,
    form: TuneForm,
    checked: CheckedExamples | None = None,
    *,
    status: int = 200,
) -> Response:
    base_models = request.context.catalog.describe_all()
    if not form.base_model and base_models:
        form = replace(form, base_model=base_models[0]["name"])
    page = request.page(
        "tune.html",
        status=status,
        form=form,
        errors=form.errors,
        base_models=base_models,
        formats=_FORMATS,
        max_name_length=MAX_DISPLAY_NAME_LENGTH,
        checked=checked,
        steps=_step_count(form, checked),
        examples=checked.examples[:_EXAMPLES_SHOWN] if checked else (),
    )
    if checked and not request.session.can_sign_out:
        # Going back from the created model shows the form without a question to send it again.
        # With keys, the page must not be available after a sign-out.
        page.headers["cache-control"] = "private, no-cache"
    return page


def _step_count(form: TuneForm, checked: CheckedExamples | None) -> int:
    """Return the number of training steps; 0 if it is unknown."""
    epochs = form.epoch_count or str(DEFAULT_EPOCH_COUNT)
    batch = form.batch_size or str(DEFAULT_BATCH_SIZE)
    is_known = epochs.isdecimal() and batch.isdecimal() and len(epochs + batch) < 20  # noqa: PLR2004  # two sane numbers
    if not (checked and is_known and int(batch)):
        return 0
    return math.ceil(len(checked.examples) * int(epochs) / int(batch))
