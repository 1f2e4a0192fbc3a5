"""The first page: all models on which the visitor has a role, grouped by name.

It reads all rows without curves, then the last snapshots of the displayed models only, so that it
is fast with a thousand models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from tunedmodels.observed import ModelState
from tunedmodels.service.list_filter import ModelFilter, parse_filter
from tunedmodels.service.records import StoredModel
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

_TABS: Final[dict[str, tuple[str, frozenset[ModelState]]]] = {
    "": ("All", frozenset(ModelState)),
    "training": ("Training", frozenset({ModelState.QUEUED, ModelState.TRAINING})),
    "ready": ("Ready", frozenset({ModelState.READY})),
    "failed": ("Failed", frozenset({ModelState.FAILED, ModelState.CANCELLED})),
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
    versions, serving_ids = _matching(request, text)
    counts = Counter(version.observed.state for version in versions)
    in_tab = [version for version in versions if version.observed.state in _TABS[tab][1]]
    groups = group_versions(in_tab)
    pages = max(1, -(-len(groups) // _NAMES_PER_PAGE))
    page = min(max(_parse_page(request.query.get("page", "")), 1), pages)
    start = (page - 1) * _NAMES_PER_PAGE
    return request.page(
        "list.html",
        filter=text,
        state=tab,
        notice=_NOTICES.get(request.query.get("notice", ""), ""),
        tabs=[
            Tab(label, sum(counts[state] for state in states), _link(text, key), key == tab)
            for key, (label, states) in _TABS.items()
        ],
        total=len(in_tab),
        names_total=len(groups),
        names=_name_groups(request, groups[start : start + _NAMES_PER_PAGE], serving_ids),
        is_empty=not versions and not text,
        page=page,
        pages=pages,
        newer_link=_link(text, tab, page - 1) if page > 1 else "",
        older_link=_link(text, tab, page + 1) if page < pages else "",
    )


def _matching(
    request: PageRequest, text: str
) -> tuple[list[StoredVersion], Mapping[tuple[str, ...], str]]:
    """Return the versions that match the filter, newest first, and the serving id of each name.

    Words are also searched for in ids. The serving ids are found among all versions: if the filter
    excludes the serving one, a former version must not be marked in its place.
    """
    model_filter = parse_filter(text)
    words = [word.casefold() for word in model_filter.words]
    without_words = replace(model_filter, words=())
    versions = _list_versions(request, without_words)
    visible = versions
    if without_words != ModelFilter():
        visible = versions | _list_versions(request, ModelFilter())
    groups = group_versions(list(visible.values()))
    serving_ids = {group.versions[0].group_key: group.serving_id for group in groups}
    return [
        version
        for version in versions.values()
        if all(word in _searchable_text(version.model) for word in words)
    ], serving_ids


def _list_versions(request: PageRequest, model_filter: ModelFilter) -> dict[int, StoredVersion]:
    models = request.context.store.list_all(model_filter=model_filter, caller=request.caller)
    return {model.seq: stored_version(model) for model in models}


def _searchable_text(model: StoredModel) -> str:
    return f"{model.id}\n{model.display_name}\n{model.description}".casefold()


def _name_groups(
    request: PageRequest,
    groups: Sequence[VersionGroup],
    serving_ids: Mapping[tuple[str, ...], str],
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
