"""What the API reads from the store and changes in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields
from pathlib import Path

from tunedmodels.service.database import Database
from tunedmodels.service.errors import Status
from tunedmodels.service.files import Files
from tunedmodels.service.records import Model, NewModel
from tunedmodels.service.shapes import now

_NEW = ", ".join(field.name for field in fields(NewModel))
_INSERT = f"INSERT INTO models ({_NEW}) VALUES ({', '.join('?' * len(fields(NewModel)))})"  # noqa: S608  # names of our own fields
COLUMNS = ", ".join(field.name for field in fields(Model))
_SELECT = f"SELECT {COLUMNS} FROM models"  # noqa: S608  # the same


class Store:
    """Models, their jobs and their curves. Every method raises StoreError when the disk fails."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = Files(folder)
        self.database = Database(folder)

    def add(self, model: NewModel, examples: bytes) -> Model | None:
        """Keep a new model and the examples of its job; None when the id is taken."""
        try:
            with self.database.writing() as connection:
                seq = connection.execute(_INSERT, astuple(model)).lastrowid
                connection.execute("INSERT INTO datasets VALUES (?, ?)", (seq, examples))
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

    def page(self, *, after: int, size: int, words: Sequence[str] = ()) -> list[tuple[Model, str]]:
        """Return models with their snapshots, oldest first, from the one that follows `after`.

        With `words`, only those whose display name or description contains each, whatever the case.
        """
        matches = " AND instr(folded(display_name || char(10) || description), ?)" * len(words)
        query = f"{_SELECT} WHERE seq > ?{matches} ORDER BY seq LIMIT ?"
        folded = [word.casefold() for word in words]
        with self.database.reading() as connection:
            rows = connection.execute(query, (after, *folded, size))
            models = [Model(*row) for row in rows]
            curves = _curves(connection, models)
        return [(model, curves.get(model.seq, "")) for model in models]

    def edit(self, model_id: str, values: Mapping[str, object]) -> tuple[Model, str] | None:
        """Set columns of a model at once and return it; None when there is no such model."""
        assignments = "".join(f"{column} = ?, " for column in values)
        query = f"UPDATE models SET {assignments} update_time = ? WHERE id = ?"  # noqa: S608  # columns come from the table of fields that may change
        with self.database.writing() as connection:
            connection.execute(query, (*values.values(), now(), model_id))
            model = _one(connection, "id", model_id)
            return (model, _curves(connection, [model]).get(model.seq, "")) if model else None

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

    def remove(self, model_id: str) -> bool:
        """Delete a model and all that belongs to it; a worker that trains it finds out.

        Returns False when there is no such model.
        """
        query = "DELETE FROM models WHERE id = ? RETURNING seq"
        with self.database.writing() as connection:
            rows = connection.execute(query, (model_id,)).fetchall()
        for (seq,) in rows:
            self.files.discard(model_id, seq)
        return bool(rows)

    def sweep(self) -> None:
        """Remove the files that killed processes left behind."""
        listed = self.files.listed()
        with self.database.reading() as connection:
            states = dict(connection.execute("SELECT seq, state FROM models"))
        self.files.sweep(listed, states)

    def close(self) -> None:
        """Close the database."""
        self.database.close()


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
