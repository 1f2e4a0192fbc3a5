"""The models grouped by name, for the library pages: counts, pages of names, and their versions.

The name of a model is computed once, when the model is written, and stored in an indexed column.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tunedmodels.service.identity import Caller
from tunedmodels.service.list_filter import ModelFilter
from tunedmodels.service.records import StoredModel
from tunedmodels.service.store.database import Database
from tunedmodels.service.store.models import COLUMNS
from tunedmodels.service.store.permissions import FOR_EVERYONE, OWN_ROLE, role_parameters

_SEARCHED = "id || char(10) || display_name || char(10) || description"
_IN_STATES = "state IN (SELECT value FROM json_each(:states))"
_IN_GROUPS = "group_key IN (SELECT value FROM json_each(:groups))"


@dataclass(frozen=True, slots=True)
class NamePage:
    """A page of names."""

    groups: Sequence[str]  #: the keys of the names, those with the newest version first
    names_total: int
    models_total: int


class NameIndex:
    """Queries by name. Every method raises StoreError if the disk fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def count_states(self, model_filter: ModelFilter, caller: Caller) -> dict[str, int]:
        """Return the number of models by their state in the API."""
        where, values = _filter_sql(model_filter, caller)
        query = f"SELECT state, count(*) FROM models WHERE {where} GROUP BY state"  # noqa: S608  # constants
        with self._database.read_transaction() as connection:
            return dict(connection.execute(query, values).fetchall())

    def list_names(
        self,
        model_filter: ModelFilter,
        caller: Caller,
        states: Collection[str],
        *,
        start: int,
        size: int,
    ) -> NamePage:
        """Return a page of the names that have a model in one of these states."""
        where, values = _filter_sql(model_filter, caller)
        where = f"{where} AND {_IN_STATES}"
        totals = f"SELECT count(DISTINCT group_key), count(*) FROM models WHERE {where}"  # noqa: S608  # constants
        page = (
            f"SELECT group_key FROM models WHERE {where} GROUP BY group_key"  # noqa: S608  # constants
            " ORDER BY max(seq) DESC LIMIT :size OFFSET :start"
        )
        values |= {"states": json.dumps(sorted(states)), "start": start, "size": size}
        with self._database.read_transaction() as connection:
            names, models = connection.execute(totals, values).fetchone()
            groups = [group for (group,) in connection.execute(page, values)]
        return NamePage(groups, names, models)

    def list_versions(
        self, groups: Collection[str], model_filter: ModelFilter, caller: Caller
    ) -> list[StoredModel]:
        """Return the models of some names, without their curves, newest first."""
        where, values = _filter_sql(model_filter, caller)
        query = f"SELECT {COLUMNS} FROM models WHERE {_IN_GROUPS} AND {where} ORDER BY seq DESC"  # noqa: S608  # constants
        values |= {"groups": json.dumps(sorted(groups))}
        with self._database.read_transaction() as connection:
            return [StoredModel(*row) for row in connection.execute(query, values)]


def _filter_sql(model_filter: ModelFilter, caller: Caller) -> tuple[str, dict[str, object]]:
    """Return the SQL condition of a filter on `models`, and its parameters.

    Words are also searched for in ids, which the API does not do.
    """
    folded = {f"word{i}": word.casefold() for i, word in enumerate(model_filter.words)}
    has_role = model_filter.role and not caller.is_unrestricted  # else an index is sufficient
    conditions = [
        "TRUE",
        *([f"{OWN_ROLE} <= :role"] if has_role else []),
        *([FOR_EVERYONE] if model_filter.is_shared_with_everyone else []),
        *(f"instr(folded({_SEARCHED}), :{name})" for name in folded),
    ]
    values: dict[str, object] = {"role": model_filter.role, **folded, **role_parameters(caller)}
    return " AND ".join(conditions), values
