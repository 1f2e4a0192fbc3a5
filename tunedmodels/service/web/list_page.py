"""The first page: all models on which the visitor has a role, grouped by name.

The database counts and selects the names; only the displayed ones are read, with their last
snapshots, so that the page is fast with many thousand models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from tunedmodels.service.list_filter import ModelFilter, parse_filter
from tunedmodels.service.records import StoredModel, TunedModelState
from tunedmodels.service.store.names import NamePage
from tunedmodels.service.web.model_view import (
    ServingStatus,
    StoredVersion,
    VersionGroup,
    group_versions,
    serving_status,
    stored_version,
)
from tunedmodels.service.web.progress import Progress, progress_of
from tunedmodels.service.web.request import PageRequest

_NAMES_PER_PAGE = 25
_VERSIONS_PER_NAME = 4  # the page of a model shows more

_TABS: Final[dict[str, tuple[str, frozenset[str]]]] = {
    "": ("All", frozenset(TunedModelState)),
    "training": ("Training", frozenset({TunedModelState.CREATING})),
    "ready": ("Ready", frozenset({TunedModelState.ACTIVE})),
    "failed": ("Failed", frozenset({TunedModelState.FAILED})),
}
_NOTICES: Final = {"deleted": "The model was deleted."}


@dataclass(frozen=True, slots=True)
class Tab:
    """A choice of states."""

    label: str
    #: The number of models in these states.
    count: int
    link: str
    is_selected: bool


@dataclass(frozen=True, slots=True)
class ListRow:
    """A model in the table."""

    version: StoredVersion
    progress: Progress
    status: ServingStatus


@dataclass(frozen=True, slots=True)
class NameGroup:
    """The rows of one name."""

    title: str
    project: str
    rows: Sequence[ListRow]
    #: The number of versions without a row.
    more: int


def show(request: PageRequest) -> Response:
    """Return one page of the list."""
    text, tab = request.query.get("filter", ""), request.query.get("state", "")
    tab = tab if tab in _TABS else ""
    model_filter = parse_filter(text)
    index = request.context.names
    counts = index.count_states(model_filter, request.caller)
    states = _TABS[tab][1]
    page = max(_parse_page(request.query.get("page", "")), 1)
    names = _list_names(request, model_filter, states, page)
    pages = max(1, -(-names.names_total // _NAMES_PER_PAGE))
    if page > pages:
        page = pages
        names = _list_names(request, model_filter, states, page)
    groups, serving_ids = _read_groups(request, model_filter, states, names.groups)
    return request.page(
        "list.html",
        filter=text,
        state=tab,
        notice=_NOTICES.get(request.query.get("notice", ""), ""),
        tabs=[
            Tab(label, sum(counts.get(state, 0) for state in states), _link(text, key), key == tab)
            for key, (label, states) in _TABS.items()
        ],
        total=names.models_total,
        names_total=names.names_total,
        names=_name_groups(request, groups, serving_ids),
        is_empty=not counts and not text,
        page=page,
        pages=pages,
        newer_link=_link(text, tab, page - 1) if page > 1 else "",
        older_link=_link(text, tab, page + 1) if page < pages else "",
    )


def _list_names(
    request: PageRequest, model_filter: ModelFilter, states: frozenset[str], page: int
) -> NamePage:
    return request.context.names.list_names(
        model_filter,
        request.caller,
        states,
        start=(page - 1) * _NAMES_PER_PAGE,
        size=_NAMES_PER_PAGE,
    )


def _read_groups(
    request: PageRequest,
    model_filter: ModelFilter,
    states: frozenset[str],
    keys: Sequence[str],
) -> tuple[list[VersionGroup], Mapping[str, str]]:
    """Return the displayed versions of each name, newest first, and the serving id of each name.

    The serving ids are found among all versions: if the filter excludes the serving one, a former
    version must not be marked in its place.
    """
    folded = [word.casefold() for word in model_filter.words]
    without_words = replace(model_filter, words=())
    versions = _read_versions(request, keys, without_words)
    visible = versions
    if without_words != ModelFilter():
        visible = versions | _read_versions(request, keys, ModelFilter())
    groups = group_versions([visible[seq] for seq in sorted(visible, reverse=True)])
    serving_ids = {group.versions[0].group_key: group.serving_id for group in groups}
    matching = [
        version
        for version in versions.values()
        if version.model.state in states
        and all(word in _searchable_text(version.model) for word in folded)
    ]
    order = {key: position for position, key in enumerate(keys)}
    shown = group_versions(matching)
    return sorted(shown, key=lambda group: order[group.versions[0].group_key]), serving_ids


def _read_versions(
    request: PageRequest, keys: Sequence[str], model_filter: ModelFilter
) -> dict[int, StoredVersion]:
    models = request.context.names.list_versions(keys, model_filter, request.caller)
    return {model.seq: stored_version(model) for model in models}


def _searchable_text(model: StoredModel) -> str:
    return f"{model.id}\n{model.display_name}\n{model.description}".casefold()


def _name_groups(
    request: PageRequest,
    groups: Sequence[VersionGroup],
    serving_ids: Mapping[str, str],
) -> list[NameGroup]:
    shown = [version for group in groups for version in group.versions[:_VERSIONS_PER_NAME]]
    snapshots = request.context.store.last_snapshots([version.model for version in shown])
    return [
        NameGroup(
            title=group.versions[0].title,
            project=group.versions[0].project,
            rows=[
                ListRow(
                    version,
                    progress_of(
                        stored_version(version.model, snapshots.get(version.model.seq, ""))
                    ),
                    serving_status(version.observed, serving_id=serving_ids[version.group_key]),
                )
                for version in group.versions[:_VERSIONS_PER_NAME]
            ],
            more=len(group.versions[_VERSIONS_PER_NAME:]),
        )
        for group in groups
    ]


def _parse_page(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 1  # noqa: PLR2004  # sane length


def _link(text: str, tab: str, page: int = 1) -> str:
    query = {"filter": text, "state": tab, "page": str(page) if page > 1 else ""}
    parameters = urlencode({key: value for key, value in query.items() if value})
    return f"/?{parameters}" if parameters else "/"
