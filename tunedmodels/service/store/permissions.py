"""The permissions of models, as the store keeps them, and the role that they give to a caller."""

from __future__ import annotations

import json
import secrets
import sqlite3
import string

from tunedmodels.service.identity import Caller
from tunedmodels.service.records import Grantee, Permission, Role, grantee
from tunedmodels.service.store.database import Database

# The role of a caller (`parameters`) on a row of `models`, other than by sharing with everyone.
OWN_ROLE = """CASE WHEN :owns_everything THEN 1 ELSE (
    SELECT min(role) FROM (
        SELECT role FROM permissions WHERE permissions.seq = models.seq
            AND grantee IN (SELECT value FROM json_each(:grantees))
        UNION ALL
        SELECT 3 FROM json_each(models.readers) WHERE value = :project
    )
) END"""
FOR_EVERYONE = (
    "EXISTS (SELECT 1 FROM permissions WHERE permissions.seq = models.seq"
    " AND grantee = 'EVERYONE:')"
)
_RANDOM = string.ascii_lowercase + string.digits
_ID_LENGTH = 12


def parameters(caller: Caller) -> dict[str, object]:
    """Return what OWN_ROLE asks of a caller."""
    return {
        "owns_everything": caller.owns_everything,
        "grantees": json.dumps(caller.grantees),
        "project": caller.project or None,
    }


def give_ownership(connection: sqlite3.Connection, seq: int, email: str) -> None:
    """Make somebody the owner of a model; a former owner stays as a writer."""
    connection.execute("UPDATE permissions SET role = 2 WHERE seq = ? AND role = 1", (seq,))
    query = (
        "INSERT INTO permissions (seq, id, grantee, role) SELECT seq, ?, ?, 1 FROM models"
        " WHERE seq = ? ON CONFLICT (seq, grantee) DO UPDATE SET role = 1"
    )
    connection.execute(query, (_id(), grantee(Grantee.USER, email), seq))


class Sharing:
    """Who may do what. Every method raises StoreError when the disk fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def role(self, seq: int, caller: Caller) -> Role | None:
        """Return what a caller is to a model, by whatever permission; None is a stranger."""
        if caller.owns_everything:
            return Role.OWNER
        query = (
            f"SELECT coalesce({OWN_ROLE}, CASE WHEN {FOR_EVERYONE} THEN 3 END)"  # noqa: S608  # constants
            " FROM models WHERE seq = :seq"
        )
        with self._database.reading() as connection:
            row = connection.execute(query, {**parameters(caller), "seq": seq}).fetchone()
        return Role(row[0]) if row and row[0] else None

    def page(self, seq: int, *, after: int, size: int) -> list[Permission]:
        """Return permissions of a model, oldest first, from the one that follows `after`."""
        query = (
            "SELECT number, id, grantee, role FROM permissions"
            " WHERE seq = ? AND number > ? ORDER BY number LIMIT ?"
        )
        with self._database.reading() as connection:
            rows = connection.execute(query, (seq, after, size))
            return [_permission(row) for row in rows]

    def get(self, seq: int, permission_id: str) -> Permission | None:
        """Return one permission."""
        query = "SELECT number, id, grantee, role FROM permissions WHERE seq = ? AND id = ?"
        with self._database.reading() as connection:
            return _one(connection, query, seq, permission_id)

    def add(self, seq: int, name: str, role: Role) -> Permission | None:
        """Give a grantee a role; None when it has one."""
        query = (
            "INSERT INTO permissions (seq, id, grantee, role) SELECT seq, ?, ?, ? FROM models"
            " WHERE seq = ? ON CONFLICT DO NOTHING RETURNING number, id, grantee, role"
        )
        with self._database.writing() as connection:
            return _one(connection, query, _id(), name, role, seq)

    def change(self, number: int, role: Role) -> Permission | None:
        """Change the role of a permission; None when it is gone, or has become the owner's."""
        query = (
            "UPDATE permissions SET role = ? WHERE number = ? AND role <> 1"
            " RETURNING number, id, grantee, role"
        )
        with self._database.writing() as connection:
            return _one(connection, query, role, number)

    def remove(self, number: int) -> None:
        """Take a permission away, unless it has become the owner's."""
        query = "DELETE FROM permissions WHERE number = ? AND role <> 1"
        with self._database.writing() as connection:
            connection.execute(query, (number,))

    def transfer(self, seq: int, email: str) -> None:
        """Make somebody the owner of a model, and its owner a writer."""
        with self._database.writing() as connection:
            give_ownership(connection, seq, email)


def _one(connection: sqlite3.Connection, query: str, *values: object) -> Permission | None:
    # All rows are read, so that a statement that writes is at its end before the commit.
    rows = connection.execute(query, values).fetchall()
    return _permission(rows[0]) if rows else None


def _permission(row: tuple[int, str, str, int]) -> Permission:
    number, permission_id, name, role = row
    return Permission(number, permission_id, name, Role(role))


def _id() -> str:
    return "".join(secrets.choice(_RANDOM) for _ in range(_ID_LENGTH))
