"""What the API reads from the store and changes in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields
from pathlib import Path

from tunedmodels.service.errors import Status
from tunedmodels.service.identity import Caller
from tunedmodels.service.list_filter import Selection
from tunedmodels.service.records import Model, NewModel, now
from tunedmodels.service.store.database import Database
from tunedmodels.service.store.files import Files
from tunedmodels.service.store.permissions import FOR_EVERYONE, OWN_ROLE, give_ownership, parameters

_NEW = ", ".join(field.name for field in fields(NewModel))
_INSERT = f"INSERT INTO models ({_NEW}) VALUES ({', '.join('?' * len(fields(NewModel)))})"  # noqa: S608  # names of our own fields
COLUMNS = ", ".join(field.name for field in fields(Model))
_SELECT = f"SELECT {COLUMNS} FROM models"  # noqa: S608  # the same


_LONGEST_SNAPSHOT = 300  # characters: two numbers of a step, a loss, a time, and their names


class Store:
    """Models, their jobs and their curves. Every method raises StoreError when the disk fails."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = Files(folder)
        self.database = Database(folder)

    def add(self, model: NewModel, examples: bytes, *, owner: str) -> Model | None:
        """Keep a new model of `owner` and the examples of its job; None when the id is taken."""
        try:
            with self.database.writing() as connection:
                query = f"{_INSERT} RETURNING seq"
                ((seq,),) = connection.execute(query, astuple(model)).fetchall()
                connection.execute("INSERT INTO datasets VALUES (?, ?)", (seq, examples))
                give_ownership(connection, seq, owner)
                return _one(connection, "seq", seq)
        except sqlite3.IntegrityError:
            return None

    def get(self, model_id: str) -> Model | None:
        """Return the model of that id."""
        with self.database.reading() as connection:
            return _one(connection, "id", model_id)

    def get_with_curve(self, model_id: str) -> tuple[Model, str] | None:
        """Return the model of that id, and its snapshots as `{..},{..}`."""
        with self.database.reading() as connection:
            model = _one(connection, "id", model_id)
            return (model, _curves(connection, [model]).get(model.seq, "")) if model else None

    def examples(self, model_id: str) -> bytes | None:
        """Return what a model was trained on, in canonical form; None when there is no such model.

        No part of the API, which never gives training data back.
        """
        query = "SELECT examples FROM datasets JOIN models USING (seq) WHERE id = ?"
        with self.database.reading() as connection:
            row = connection.execute(query, (model_id,)).fetchone()
        return bytes(row[0]) if row else None

    def page(
        self, *, after: int, size: int, selected: Selection, caller: Caller
    ) -> list[tuple[Model, str]]:
        """Return models with their snapshots, oldest first, from the one that follows `after`."""
        where, values = _where(selected, caller)
        query = f"{_SELECT} WHERE seq > :after AND {where} ORDER BY seq LIMIT :size"
        with self.database.reading() as connection:
            rows = connection.execute(query, {**values, "after": after, "size": size})
            models = [Model(*row) for row in rows]
            curves = _curves(connection, models)
        return [(model, curves.get(model.seq, "")) for model in models]

    def overview(self, *, selected: Selection, caller: Caller) -> list[Model]:
        """Return all models of a selection without their curves, newest first."""
        where, values = _where(selected, caller)
        query = f"{_SELECT} WHERE {where} ORDER BY seq DESC"
        with self.database.reading() as connection:
            return [Model(*row) for row in connection.execute(query, values)]

    def last_snapshots(self, models: Sequence[Model]) -> dict[int, str]:
        """Return the last snapshot, `{..}`, of each of the models that has some, by `seq`."""
        marks = ", ".join("?" * len(models))
        # One step down an index for each, however many stretches a long job has.
        query = (
            "SELECT seq, (SELECT substr(snapshots, ?) FROM curves WHERE curves.seq = models.seq"  # noqa: S608  # question marks
            f" ORDER BY last_step DESC LIMIT 1) FROM models WHERE seq IN ({marks})"
        )
        with self.database.reading() as connection:
            rows = connection.execute(query, [-_LONGEST_SNAPSHOT, *(one.seq for one in models)])
            return {seq: tail[tail.rindex("{") :] for seq, tail in rows if tail}

    def edit(self, model: Model, values: Mapping[str, object]) -> tuple[Model, str] | None:
        """Set columns of a model at once and return it as it is now; None when it is gone."""
        assignments = "".join(f"{column} = ?, " for column in values)
        query = f"UPDATE models SET {assignments} update_time = ? WHERE seq = ?"  # noqa: S608  # columns come from the table of fields that may change
        with self.database.writing() as connection:
            connection.execute(query, (*values.values(), now(), model.seq))
            edited = _one(connection, "seq", model.seq)
            return (edited, _curves(connection, [edited]).get(model.seq, "")) if edited else None

    def cancel(self, model: Model) -> None:
        """End an unfinished job now; no harm if it has ended already.

        Its worker, in whatever process, finds out before it writes anything more.
        """
        query = (
            "UPDATE models SET state = 'FAILED', error_code = ?, error_message = ?, update_time = ?"
            " WHERE seq = ? AND state = 'CREATING'"
        )
        words = "The operation was cancelled."
        with self.database.writing() as connection:
            connection.execute(query, (Status.CANCELLED.code, words, now(), model.seq))

    def remove(self, model: Model) -> None:
        """Delete a model and all that belongs to it; a worker that trains it finds out."""
        with self.database.writing() as connection:
            connection.execute("DELETE FROM models WHERE seq = ?", (model.seq,))
        self.files.discard(model.id, model.seq)

    def sweep(self) -> None:
        """Remove the files that killed processes left behind."""
        listed = self.files.listed()
        with self.database.reading() as connection:
            states = dict(connection.execute("SELECT seq, state FROM models"))
        self.files.sweep(listed, states)

    def close(self) -> None:
        """Close the database."""
        self.database.close()


def _where(selected: Selection, caller: Caller) -> tuple[str, dict[str, object]]:
    """Return the condition of a selection on `models`, and the values of its parameters."""
    folded = {f"word{i}": word.casefold() for i, word in enumerate(selected.words)}
    conditions = [
        "TRUE",
        *([f"{OWN_ROLE} <= :role"] if selected.role else []),
        *([FOR_EVERYONE] if selected.is_for_everyone else []),
        *(f"instr(folded(display_name || char(10) || description), :{one})" for one in folded),
    ]
    values: dict[str, object] = {"role": selected.role, **folded, **parameters(caller)}
    return " AND ".join(conditions), values


def _one(connection: sqlite3.Connection, column: str, value: object) -> Model | None:
    row = connection.execute(f"{_SELECT} WHERE {column} = ?", (value,)).fetchone()
    return Model(*row) if row else None


def _curves(connection: sqlite3.Connection, models: Sequence[Model]) -> dict[int, str]:
    """Return the snapshots of each of the models that has some."""
    marks = ", ".join("?" * len(models))
    query = f"SELECT seq, snapshots FROM curves WHERE seq IN ({marks}) ORDER BY seq, last_step"  # noqa: S608  # question marks
    stretches: dict[int, list[str]] = {}
    for seq, snapshots in connection.execute(query, [model.seq for model in models]):
        stretches.setdefault(seq, []).append(snapshots)
    return {seq: ",".join(parts) for seq, parts in stretches.items()}
