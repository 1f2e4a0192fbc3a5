"""The page of one model: its curve, its settings, its data, its versions, who shares it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from starlette.responses import Response

from tunedmodels.datasets.examples import Example
from tunedmodels.evaluation.chart_axis import usual_top
from tunedmodels.evaluation.curves import CurveKind, CurveReading, read_curve
from tunedmodels.service.api.limits import MOST_DISPLAY_NAME
from tunedmodels.service.api.permissions import reached
from tunedmodels.service.list_filter import Selection
from tunedmodels.service.records import Grantee, Permission, Role
from tunedmodels.service.web import templating
from tunedmodels.service.web.chart_svg import draw, spark
from tunedmodels.service.web.model_view import (
    Family,
    Standing,
    Version,
    stamp_sentences,
    standing,
    version,
)
from tunedmodels.service.web.progress import progress
from tunedmodels.service.web.request import Asked

_VERSIONS_SHOWN = 8
_MOST_VERSIONS = 100  # where all are asked for
_EXAMPLES_SHOWN = 5
_PERMISSIONS_SHOWN = 1000
_CLEAR = (CurveKind.PLATEAU, CurveKind.FALLING)  # the other curves are a warning


@dataclass(frozen=True, slots=True)
class Beside:
    """A version beside the others of its name. `line` is the points of its small curve."""

    version: Version
    state: str
    line: str
    first_loss: str
    last_loss: str
    standing: Standing
    is_this: bool


@dataclass(frozen=True, slots=True)
class Shared:
    """A permission in words; `id` is empty for one that cannot be taken away."""

    id: str
    whom: str
    kind: str
    role: str


def show(asked: Asked) -> Response:
    """Show a model."""
    return page(asked)


def page(asked: Asked, *, alert: str = "", status: int = 200) -> Response:
    """Return the page of the model in the path; `alert` is what went wrong with a form of it."""
    this = looked_up(asked)
    role = asked.rooms.sharing.role(this.model.seq, asked.caller) or Role.READER
    is_writer = role <= Role.WRITER
    family = family_of(asked, this)
    reading = read_curve(this.seen.curve, epoch_count=this.model.epoch_count)
    examples = examples_of(asked, this)
    most = _MOST_VERSIONS if asked.query.get("versions") == "all" else _VERSIONS_SHOWN
    stamp = this.seen.stamp
    return asked.page(
        "model.html",
        status=status,
        alert=alert,
        this=this,
        most_name=MOST_DISPLAY_NAME,
        progress=progress(this),
        standing=standing(this.seen, serving_id=family.serving_id),
        is_writer=is_writer,
        is_owner=role is Role.OWNER,
        drawing=draw(this.seen.curve, reading),
        reading=reading,
        advice=_advice(this, reading),
        is_clear=reading.kind in _CLEAR,
        took=_took(this),
        example_count=len(examples),
        # The API never gives training data back; who may change a model may see what made it.
        examples=examples[:_EXAMPLES_SHOWN] if is_writer else [],
        versions=_beside(asked, family, this, most),
        versions_more=len(family.versions[most:]),
        versions_all=len(family.versions),
        are_all_asked=most == _MOST_VERSIONS,
        permissions=_shared(asked, this) if is_writer else [],
        sentences=list(stamp_sentences(stamp)) if stamp else [],
    )


def looked_up(asked: Asked) -> Version:
    """Return the model in the path with its curve, for a reader of it. Raises ApiError."""
    model = reached(asked.rooms, asked.caller, asked.path["id"], Role.READER)
    # It may be gone since: then it is as it was a moment ago, without a curve.
    return version(*(asked.rooms.store.get_with_curve(model.id) or (model, "")))


def family_of(asked: Asked, this: Version) -> Family:
    """Return the versions of a name that the visitor has a role on, without curves."""
    stamp = this.seen.stamp
    word = f"name={stamp.name}" if stamp else this.model.display_name
    if not word:
        return Family([this])
    found = asked.rooms.store.overview(selected=Selection(words=(word,)), caller=asked.caller)
    others = [each for each in map(version, found) if each.family == this.family]
    by_seq = {each.model.seq: each for each in (this, *others)}
    return Family([by_seq[seq] for seq in sorted(by_seq, reverse=True)])


def examples_of(asked: Asked, this: Version) -> list[Example]:
    """Return what a model was trained on."""
    written = asked.rooms.store.examples(this.model.id) or b""
    return msgspec.json.Decoder(Example).decode_lines(written)


def _advice(this: Version, reading: CurveReading) -> str:
    is_early = this.is_running and reading.kind is CurveKind.TOO_SHORT
    return "" if is_early or not this.seen.curve else reading.advice


def _took(this: Version) -> str:
    begun, done = this.model.start_time, this.seen.completed
    if not (begun and done):
        return ""
    start = msgspec.convert(begun, type(done))
    return templating.duration((done - start).total_seconds())


def _beside(asked: Asked, family: Family, this: Version, most: int) -> Sequence[Beside]:
    shown = family.versions[:most]
    if all(each.model.seq != this.model.seq for each in shown):
        shown = [*shown[:-1], this]
    whole = [
        version(*(asked.rooms.store.get_with_curve(each.model.id) or (each.model, "")))
        for each in shown
    ]
    # What was there before any training is the measure: a curve that ran away must not flatten the
    # others.
    top = 1.1 * usual_top([each.seen.curve[0].mean_loss for each in whole if each.seen.curve])
    return [_one_beside(each, family, this, top) for each in whole]


def _one_beside(each: Version, family: Family, this: Version, top: float) -> Beside:
    losses = [point.mean_loss for point in each.seen.curve]
    return Beside(
        version=each,
        state=templating.STATES[each.seen.state],
        line=spark(each.seen.curve, top),
        first_loss=templating.loss(losses[0] if losses else None),
        last_loss=templating.loss(losses[-1] if losses else None),
        standing=standing(each.seen, serving_id=family.serving_id),
        is_this=each.model.seq == this.model.seq,
    )


def _shared(asked: Asked, this: Version) -> list[Shared]:
    permissions = asked.rooms.sharing.page(this.model.seq, after=0, size=_PERMISSIONS_SHOWN)
    return [_in_words(each) for each in permissions]


def _in_words(permission: Permission) -> Shared:
    is_everyone = permission.grantee_type == Grantee.EVERYONE.name
    return Shared(
        id="" if permission.role is Role.OWNER else permission.id,
        whom="Everyone who has a key" if is_everyone else permission.email_address,
        kind=permission.grantee_type.lower(),
        role=permission.role.name.lower(),
    )
