"""The first page: every model that the visitor has a role on, the versions of a name together.

It reads all rows and no curves, then the last snapshot of those that it shows, so that it stays
fast with a thousand models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from tunedmodels.observed import ModelState
from tunedmodels.service.list_filter import Selection, selection
from tunedmodels.service.records import Model
from tunedmodels.service.web.model_view import (
    Family,
    Standing,
    Version,
    families,
    standing,
    version,
)
from tunedmodels.service.web.progress import Progress, progress
from tunedmodels.service.web.request import Asked

_NAMES_PER_PAGE = 25
_VERSIONS_SHOWN = 4  # of one name; its page shows more of them

_GROUPS: Final[dict[str, tuple[str, frozenset[ModelState]]]] = {
    "": ("All", frozenset(ModelState)),
    "training": ("Training", frozenset({ModelState.QUEUED, ModelState.TRAINING})),
    "ready": ("Ready", frozenset({ModelState.READY})),
    "failed": ("Failed", frozenset({ModelState.FAILED, ModelState.CANCELLED})),
}
_NOTICES: Final = {"deleted": "The model was deleted."}


@dataclass(frozen=True, slots=True)
class Tab:
    """A choice of states, with how many models it holds."""

    label: str
    count: int
    link: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Row:
    """A model in the table."""

    version: Version
    progress: Progress
    standing: Standing


@dataclass(frozen=True, slots=True)
class Name:
    """The rows of a name; `more` counts those that are left out."""

    title: str
    project: str
    rows: Sequence[Row]
    more: int


def show(asked: Asked) -> Response:
    """Show one page of the list."""
    text, group = asked.query.get("filter", ""), asked.query.get("state", "")
    group = group if group in _GROUPS else ""
    found, serving = _found(asked, text)
    counts = Counter(each.seen.state for each in found)
    chosen = [each for each in found if each.seen.state in _GROUPS[group][1]]
    names = families(chosen)
    pages = max(1, -(-len(names) // _NAMES_PER_PAGE))
    page = min(max(_number(asked.query.get("page", "")), 1), pages)
    start = (page - 1) * _NAMES_PER_PAGE
    return asked.page(
        "list.html",
        filter=text,
        state=group,
        notice=_NOTICES.get(asked.query.get("notice", ""), ""),
        tabs=[
            Tab(label, sum(counts[state] for state in states), _link(text, key), key == group)
            for key, (label, states) in _GROUPS.items()
        ],
        total=len(chosen),
        names_total=len(names),
        names=_rows(asked, names[start : start + _NAMES_PER_PAGE], serving),
        is_empty=not found and not text,
        page=page,
        pages=pages,
        before=_link(text, group, page - 1) if page > 1 else "",
        after=_link(text, group, page + 1) if page < pages else "",
    )


def _found(asked: Asked, text: str) -> tuple[list[Version], Mapping[tuple[str, ...], str]]:
    """Return what the filter finds, newest first, and which version of each name serves.

    Words are looked for in ids as well. What serves is asked of all versions: a filter that leaves
    it out must not make a former one look like it.
    """
    selected = selection(text)
    words = [word.casefold() for word in selected.words]
    chosen = _overview(asked, replace(selected, words=()))
    seen = chosen
    if replace(selected, words=()) != Selection():
        seen = chosen | _overview(asked, Selection())
    serving = {name.versions[0].family: name.serving_id for name in families(list(seen.values()))}
    return [
        each
        for each in chosen.values()
        if all(word in _searched(each.model).casefold() for word in words)
    ], serving


def _overview(asked: Asked, selected: Selection) -> dict[int, Version]:
    rows = asked.rooms.store.overview(selected=selected, caller=asked.caller)
    return {row.seq: version(row) for row in rows}


def _searched(model: Model) -> str:
    return f"{model.id}\n{model.display_name}\n{model.description}"


def _rows(
    asked: Asked, names: Sequence[Family], serving: Mapping[tuple[str, ...], str]
) -> list[Name]:
    shown = [each for name in names for each in name.versions[:_VERSIONS_SHOWN]]
    last = asked.rooms.store.last_snapshots([each.model for each in shown])
    return [
        Name(
            title=name.versions[0].title,
            project=name.versions[0].project,
            rows=[
                Row(
                    each,
                    progress(version(each.model, last.get(each.model.seq, ""))),
                    standing(each.seen, serving_id=serving[each.family]),
                )
                for each in name.versions[:_VERSIONS_SHOWN]
            ],
            more=len(name.versions[_VERSIONS_SHOWN:]),
        )
        for name in names
    ]


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 1  # noqa: PLR2004  # no more pages


def _link(text: str, group: str, page: int = 1) -> str:
    query = {"filter": text, "state": group, "page": str(page) if page > 1 else ""}
    given = urlencode({key: value for key, value in query.items() if value})
    return f"/?{given}" if given else "/"
