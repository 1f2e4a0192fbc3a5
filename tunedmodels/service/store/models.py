"""The models in the store, for the API and the library pages."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from tunedmodels.service.errors import ApiStatus
from tunedmodels.service.identity import Caller
from tunedmodels.service.list_filter import ModelFilter
from tunedmodels.service.records import (
    Grantee,
    NewModel,
    StoredModel,
    grantee_key,
    group_key,
    later_timestamp,
)
from tunedmodels.service.store.database import Database
from tunedmodels.service.store.files import ModelFiles
from tunedmodels.service.store.permissions import (
    FOR_EVERYONE,
    OWN_ROLE,
    OWNED_BY,
    role_parameters,
    set_owner,
)

_INSERT_COLUMNS = ", ".join(field.name for field in fields(NewModel))
_INSERT = (
    f"INSERT INTO models ({_INSERT_COLUMNS}, group_key)"  # noqa: S608  # field names
    f" VALUES ({', '.join('?' * len(fields(NewModel)))}, ?)"
)
_RENAMED_COLUMNS = {"crash_count": "deaths"}  # field: column, from schema version 1
COLUMNS = ", ".join(_RENAMED_COLUMNS.get(field.name, field.name) for field in fields(StoredModel))
_SELECT = f"SELECT {COLUMNS} FROM models"  # noqa: S608  # field names
_UPDATE_GROUP = (
    "UPDATE models SET group_key = group_key(id, display_name, description) WHERE seq = ?"
)
_MAX_SNAPSHOT_LENGTH = 300  # characters: names, two step numbers, a loss and a time
_SNAPSHOT_LENGTH = 110  # of most snapshots, in characters
_MODEL_LENGTH = 1000  # of a model in JSON, without its description and its snapshots
_MAX_PAGE_LENGTH = 8 * 1024 * 1024  # characters; a page has at least one model


@dataclass(frozen=True, slots=True)
class ModelPage:
    """A part of a list."""

    entries: list[tuple[StoredModel, str]]  #: models with their snapshots, oldest first
    has_more: bool  #: whether another model follows


class ModelStore:
    """Models, their jobs and their curves. Every method raises StoreError if the disk fails."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = ModelFiles(folder)
        self.database = Database(folder)

    def add(self, model: NewModel, examples: bytes, *, owner: str) -> StoredModel | None:
        """Store a new model of `owner` and the examples of its job; None if the id exists."""
        try:
            with self.database.write_transaction() as connection:
                query = f"{_INSERT} RETURNING seq"
                key = group_key(model.id, model.display_name, model.description)
                ((seq,),) = connection.execute(query, (*astuple(model), key)).fetchall()
                connection.execute("INSERT INTO datasets VALUES (?, ?)", (seq, examples))
                set_owner(connection, seq, owner)
                return _select_one(connection, "seq", seq)
        except sqlite3.IntegrityError:
            return None

    def get(self, model_id: str) -> StoredModel | None:
        """Return a model, or None."""
        with self.database.read_transaction() as connection:
            return _select_one(connection, "id", model_id)

    def get_with_curve(
        self, model_id: str, *, curve_limit: int | None = None
    ) -> tuple[StoredModel, str] | None:
        """Return a model and its snapshots as `{..},{..}`, or None; see `list_page`."""
        with self.database.read_transaction() as connection:
            model = _select_one(connection, "id", model_id)
            if model is None:
                return None
            return model, _select_curves(connection, [model], curve_limit).get(model.seq, "")

    def examples(self, model_id: str) -> bytes | None:
        """Return the training examples of a model in canonical form, or None.

        The API never returns training data; the pages and the dataset diff of a plan use it.
        """
        query = "SELECT examples FROM datasets JOIN models USING (seq) WHERE id = ?"
        with self.database.read_transaction() as connection:
            row = connection.execute(query, (model_id,)).fetchone()
        return bytes(row[0]) if row else None

    def list_page(
        self,
        *,
        after: int,
        size: int,
        model_filter: ModelFilter,
        caller: Caller,
        curve_limit: int | None = None,
    ) -> ModelPage:
        """Return at most `size` models and their snapshots, starting after the seq `after`.

        A curve with more than `curve_limit` snapshots is returned as its last snapshot; 0 returns
        no curves. Long curves and descriptions make a page end early, so that the memory for a
        page is bounded.
        """
        where, values = _filter_sql(model_filter, caller)
        query = f"{_SELECT} WHERE seq > :after AND {where} ORDER BY seq LIMIT :size"
        with self.database.read_transaction() as connection:
            # One more row than the page contains shows whether there is another page.
            rows = connection.execute(query, {**values, "after": after, "size": size + 1})
            models: list[StoredModel] = []
            length, has_more = 0, False
            for row in rows:
                model = StoredModel(*row)
                length += _json_length(model, curve_limit)
                if models and (len(models) == size or length > _MAX_PAGE_LENGTH):
                    has_more = True
                    break
                models.append(model)
            curves = _select_curves(connection, models, curve_limit)
        return ModelPage([(model, curves.get(model.seq, "")) for model in models], has_more)

    def last_snapshots(self, models: Sequence[StoredModel]) -> dict[int, str]:
        """Return the last snapshot, `{..}`, of each model that has snapshots, by `seq`."""
        with self.database.read_transaction() as connection:
            return _select_last_snapshots(connection, models)

    def update(
        self, model: StoredModel, values: Mapping[str, object], *, update_time: str = ""
    ) -> tuple[StoredModel, str] | None:
        """Set columns of a model and return it with its snapshots; None if it was deleted.

        With `update_time`, also None if the model has another one by now. The new update time is
        always later than the former one, also if the clock went back.
        """
        assignments = "".join(f"{column} = ?, " for column in values)
        query = f"UPDATE models SET {assignments} update_time = ? WHERE seq = ?"  # noqa: S608  # columns of mutable fields
        with self.database.write_transaction() as connection:
            current = _select_one(connection, "seq", model.seq)
            if current is None or update_time not in ("", current.update_time):
                return None
            time = later_timestamp(current.update_time)
            connection.execute(query, (*values.values(), time, model.seq))
            connection.execute(_UPDATE_GROUP, (model.seq,))
            updated = _select_one(connection, "seq", model.seq)
            if updated is None:
                return None
            return updated, _select_curves(connection, [updated], None).get(model.seq, "")

    def cancel(self, model: StoredModel) -> None:
        """Cancel an unfinished job; does nothing if it has ended.

        The worker of the job notices before its next write.
        """
        query = (
            "UPDATE models SET state = 'FAILED', error_code = ?, error_message = ?, update_time = ?"
            " WHERE seq = ? AND state = 'CREATING'"
        )
        message = "The operation was cancelled."
        with self.database.write_transaction() as connection:
            current = _select_one(connection, "seq", model.seq) or model
            time = later_timestamp(current.update_time)
            connection.execute(query, (ApiStatus.CANCELLED.code, message, time, model.seq))

    def delete(self, model: StoredModel, *, update_time: str = "") -> bool:
        """Delete a model and its files. The worker of its job notices before its next write.

        Return False without a change if it was deleted already, or has another time of its last
        change than `update_time`.
        """
        query = "DELETE FROM models WHERE seq = ? AND (? = '' OR update_time = ?)"
        with self.database.write_transaction() as connection:
            found = connection.execute(query, (model.seq, update_time, update_time)).rowcount
        if found:
            self.files.remove_model_files(model.id, model.seq)
        return bool(found)

    def remove_orphaned_files(self) -> None:
        """Remove the files that killed processes left behind."""
        files = self.files.list_all()
        with self.database.read_transaction() as connection:
            states = dict(connection.execute("SELECT seq, state FROM models"))
        self.files.remove_orphans(files, states)

    def close(self) -> None:
        """Close the database."""
        self.database.close()


def _filter_sql(model_filter: ModelFilter, caller: Caller) -> tuple[str, dict[str, object]]:
    """Return the SQL condition of a filter on `models`, and its parameters."""
    folded = {f"word{i}": word.casefold() for i, word in enumerate(model_filter.words)}
    conditions = [
        "TRUE",
        *([f"{OWN_ROLE} <= :role"] if model_filter.role else []),
        *([FOR_EVERYONE] if model_filter.is_shared_with_everyone else []),
        *(f"{OWNED_BY} = :owner{i}" for i in range(len(model_filter.owners))),
        *([f"({OWN_ROLE} <= 3 OR {FOR_EVERYONE})"] if model_filter.owners else []),
        *(f"instr(folded(display_name || char(10) || description), :{name})" for name in folded),
    ]
    owners = {
        f"owner{i}": grantee_key(Grantee.USER, email) for i, email in enumerate(model_filter.owners)
    }
    values: dict[str, object] = {
        "role": model_filter.role,
        **folded,
        **owners,
        **role_parameters(caller),
    }
    return " AND ".join(conditions), values


def _select_one(connection: sqlite3.Connection, column: str, value: object) -> StoredModel | None:
    row = connection.execute(f"{_SELECT} WHERE {column} = ?", (value,)).fetchone()
    return StoredModel(*row) if row else None


def _json_length(model: StoredModel, curve_limit: int | None) -> int:
    """Return about how many characters of JSON a model has."""
    is_short = curve_limit is None or model.completed_steps <= curve_limit
    snapshots = model.completed_steps if is_short else 1
    return _MODEL_LENGTH + len(model.description) + snapshots * _SNAPSHOT_LENGTH


def _select_curves(
    connection: sqlite3.Connection, models: Sequence[StoredModel], limit: int | None
) -> dict[int, str]:
    """Return the snapshots of each model that has snapshots, by `seq`.

    Of more than `limit` snapshots, only the last one is returned; 0 returns none.
    """
    if limit == 0:
        return {}
    short = [model for model in models if limit is None or model.completed_steps <= limit]
    marks = ", ".join("?" * len(short))
    query = f"SELECT seq, snapshots FROM curves WHERE seq IN ({marks}) ORDER BY seq, last_step"  # noqa: S608  # question marks
    parts: dict[int, list[str]] = {}
    for seq, snapshots in connection.execute(query, [model.seq for model in short]):
        parts.setdefault(seq, []).append(snapshots)
    curves = {seq: ",".join(texts) for seq, texts in parts.items()}
    if len(short) < len(models):
        long = [model for model in models if limit is not None and model.completed_steps > limit]
        curves |= _select_last_snapshots(connection, long)
    return curves


def _select_last_snapshots(
    connection: sqlite3.Connection, models: Sequence[StoredModel]
) -> dict[int, str]:
    marks = ", ".join("?" * len(models))
    # One index lookup for each model, also for a long job with many rows of snapshots.
    query = (
        "SELECT seq, (SELECT substr(snapshots, ?) FROM curves WHERE curves.seq = models.seq"  # noqa: S608  # question marks
        f" ORDER BY last_step DESC LIMIT 1) FROM models WHERE seq IN ({marks})"
    )
    rows = connection.execute(query, [-_MAX_SNAPSHOT_LENGTH, *(model.seq for model in models)])
    return {seq: tail[tail.rindex("{") :] for seq, tail in rows if tail}
