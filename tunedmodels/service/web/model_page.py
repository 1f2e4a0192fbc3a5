"""The page of one model: its curve, settings, examples, versions and permissions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from starlette.responses import Response

from tunedmodels.datasets.examples import Example
from tunedmodels.evaluation.chart_axis import usual_top
from tunedmodels.evaluation.chart_svg import draw_curve, sparkline
from tunedmodels.evaluation.curves import CurveKind, CurveReading, read_curve
from tunedmodels.service.api.limits import MAX_DISPLAY_NAME_LENGTH
from tunedmodels.service.api.permissions import authorize_model
from tunedmodels.service.list_filter import ModelFilter
from tunedmodels.service.records import AccessRole, Grantee, StoredPermission
from tunedmodels.service.web.model_view import (
    ServingStatus,
    StoredVersion,
    VersionGroup,
    parse_time,
    serving_status,
    stamp_sentences,
    stored_version,
)
from tunedmodels.service.web.progress import progress_of
from tunedmodels.service.web.request import PageRequest
from tunedmodels.service.web.templating import STATE_LABELS, format_duration, format_loss

_VERSIONS_SHOWN = 8
_MAX_VERSIONS = 100  # with ?versions=all
_EXAMPLES_SHOWN = 5
_PERMISSIONS_SHOWN = 1000
_GOOD_CURVES = (CurveKind.PLATEAU, CurveKind.FALLING)  # the others are shown as a warning


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A row in the table of the versions of a name."""

    version: StoredVersion
    state: str
    #: The points of its sparkline.
    sparkline: str
    first_loss: str
    last_loss: str
    status: ServingStatus
    #: Whether it is the version of the page.
    is_current: bool


@dataclass(frozen=True, slots=True)
class PermissionRow:
    """A row in the table of permissions."""

    #: Empty for the owner, whose permission cannot be removed.
    id: str
    grantee: str
    grantee_type: str
    role: str


def show(request: PageRequest) -> Response:
    """Return the page of the model in the path."""
    return render(request)


def render(request: PageRequest, *, alert: str = "", status: int = 200) -> Response:
    """Return the page of the model in the path; `alert` is the error of a form of the page."""
    version = load_version(request)
    role = request.context.permissions.role(version.model.seq, request.caller)
    role = role or AccessRole.READER
    is_writer = role <= AccessRole.WRITER
    group = sibling_versions(request, version)
    reading = read_curve(version.observed.curve, epoch_count=version.model.epoch_count)
    examples = load_examples(request, version)
    shows_all = request.query.get("versions") == "all"
    limit = _MAX_VERSIONS if shows_all else _VERSIONS_SHOWN
    stamp = version.observed.stamp
    return request.page(
        "model.html",
        status=status,
        alert=alert,
        version=version,
        max_name_length=MAX_DISPLAY_NAME_LENGTH,
        progress=progress_of(version),
        serving_status=serving_status(version.observed, serving_id=group.serving_id),
        is_writer=is_writer,
        is_owner=role is AccessRole.OWNER,
        drawing=draw_curve(version.observed.curve, reading),
        reading=reading,
        advice=_advice(version, reading),
        is_good_curve=reading.kind in _GOOD_CURVES,
        training_duration=_training_duration(version),
        example_count=len(examples),
        # The API never returns training data; the page shows it to users who can change the model.
        examples=examples[:_EXAMPLES_SHOWN] if is_writer else [],
        versions=_version_rows(request, group, version, limit),
        versions_more=len(group.versions[limit:]),
        versions_total=len(group.versions),
        shows_all_versions=shows_all,
        permissions=_permission_rows(request, version) if is_writer else [],
        sentences=list(stamp_sentences(stamp, group.environments(version))) if stamp else [],
    )


def load_version(request: PageRequest) -> StoredVersion:
    """Return the model in the path with its curve, for its readers. Raises ApiError."""
    model_id = request.path["id"]
    model = authorize_model(request.context, request.caller, model_id, AccessRole.READER)
    # If it was deleted meanwhile, it is shown as it was, without a curve.
    return stored_version(*(request.context.store.get_with_curve(model.id) or (model, "")))


def sibling_versions(request: PageRequest, version: StoredVersion) -> VersionGroup:
    """Return the versions of a name on which the visitor has a role, without curves."""
    stored = request.context.names.list_versions([version.group_key], ModelFilter(), request.caller)
    by_seq = {each.model.seq: each for each in (*map(stored_version, stored), version)}
    return VersionGroup([by_seq[seq] for seq in sorted(by_seq, reverse=True)])


def load_examples(request: PageRequest, version: StoredVersion) -> list[Example]:
    """Return the training examples of a model."""
    content = request.context.store.examples(version.model.id) or b""
    return msgspec.json.Decoder(Example).decode_lines(content)


def _advice(version: StoredVersion, reading: CurveReading) -> str:
    is_early = version.is_running and reading.kind is CurveKind.TOO_SHORT
    return "" if is_early or not version.observed.curve else reading.advice


def _training_duration(version: StoredVersion) -> str:
    start, end = parse_time(version.model.start_time), version.observed.completed
    return format_duration((end - start).total_seconds()) if start and end else ""


def _version_rows(
    request: PageRequest, group: VersionGroup, current: StoredVersion, limit: int
) -> Sequence[VersionRow]:
    shown = group.versions[:limit]
    if all(version.model.seq != current.model.seq for version in shown):
        shown = [*shown[:-1], current]
    store = request.context.store
    versions = [
        stored_version(*(store.get_with_curve(version.model.id) or (version.model, "")))
        for version in shown
    ]
    # The scale is based on the losses before training, so that a curve that diverged does not
    # flatten the others.
    first_losses = [v.observed.curve[0].mean_loss for v in versions if v.observed.curve]
    top = 1.1 * usual_top(first_losses)
    return [_version_row(version, group, current, top) for version in versions]


def _version_row(
    version: StoredVersion, group: VersionGroup, current: StoredVersion, top: float
) -> VersionRow:
    losses = [point.mean_loss for point in version.observed.curve]
    return VersionRow(
        version=version,
        state=STATE_LABELS[version.observed.state],
        sparkline=sparkline(version.observed.curve, top),
        first_loss=format_loss(losses[0] if losses else None),
        last_loss=format_loss(losses[-1] if losses else None),
        status=serving_status(version.observed, serving_id=group.serving_id),
        is_current=version.model.seq == current.model.seq,
    )


def _permission_rows(request: PageRequest, version: StoredVersion) -> list[PermissionRow]:
    permissions = request.context.permissions.list_page(
        version.model.seq, after=0, size=_PERMISSIONS_SHOWN
    )
    return [_permission_row(permission) for permission in permissions]


def _permission_row(permission: StoredPermission) -> PermissionRow:
    is_everyone = permission.grantee_type == Grantee.EVERYONE.name
    return PermissionRow(
        id="" if permission.role is AccessRole.OWNER else permission.id,
        grantee="Everyone with a key" if is_everyone else permission.email_address,
        grantee_type=permission.grantee_type.lower(),
        role=permission.role.name.lower(),
    )
