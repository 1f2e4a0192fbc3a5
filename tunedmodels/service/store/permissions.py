"""The permissions of models in the store, and the role that they give to a caller."""

from __future__ import annotations

import json
import secrets
import sqlite3
import string

from tunedmodels.service.identity import Caller
from tunedmodels.service.records import AccessRole, Grantee, StoredPermission, grantee_key
from tunedmodels.service.store.database import Database

# The role of a caller on a row of `models`, without the permission for everyone. The parameters are
# those of `role_parameters`.
OWN_ROLE = """CASE WHEN :is_unrestricted THEN 1 ELSE (
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
OWNED_BY = "(SELECT grantee FROM permissions WHERE permissions.seq = models.seq AND role = 1)"
_ID_CHARACTERS = string.ascii_lowercase + string.digits
_ID_LENGTH = 12


def role_parameters(caller: Caller) -> dict[str, object]:
    """Return the parameters of OWN_ROLE for a caller."""
    return {
        "is_unrestricted": caller.is_unrestricted,
        "grantees": json.dumps(caller.grantees),
        "project": caller.project or None,
    }


def set_owner(connection: sqlite3.Connection, seq: int, email: str) -> None:
    """Make a user the owner of a model. The previous owner, if any, becomes a writer."""
    connection.execute("UPDATE permissions SET role = 2 WHERE seq = ? AND role = 1", (seq,))
    query = (
        "INSERT INTO permissions (seq, id, grantee, role) SELECT seq, ?, ?, 1 FROM models"
        " WHERE seq = ? ON CONFLICT (seq, grantee) DO UPDATE SET role = 1"
    )
    connection.execute(query, (_generate_id(), grantee_key(Grantee.USER, email), seq))


class PermissionStore:
    """Permissions and roles. Every method raises StoreError if the disk fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def role(self, seq: int, caller: Caller) -> AccessRole | None:
        """Return the role of a caller on a model, or None without any permission."""
        if caller.is_unrestricted:
            return AccessRole.OWNER
        query = (
            f"SELECT coalesce({OWN_ROLE}, CASE WHEN {FOR_EVERYONE} THEN 3 END)"  # noqa: S608  # constants
            " FROM models WHERE seq = :seq"
        )
        with self._database.read_transaction() as connection:
            row = connection.execute(query, {**role_parameters(caller), "seq": seq}).fetchone()
        return AccessRole(row[0]) if row and row[0] else None

    def list_page(self, seq: int, *, after: int, size: int) -> list[StoredPermission]:
        """Return permissions of a model, oldest first, starting after the number `after`."""
        query = (
            "SELECT number, id, grantee, role FROM permissions"
            " WHERE seq = ? AND number > ? ORDER BY number LIMIT ?"
        )
        with self._database.read_transaction() as connection:
            rows = connection.execute(query, (seq, after, size))
            return [_to_permission(row) for row in rows]

    def get(self, seq: int, permission_id: str) -> StoredPermission | None:
        """Return a permission, or None."""
        query = "SELECT number, id, grantee, role FROM permissions WHERE seq = ? AND id = ?"
        with self._database.read_transaction() as connection:
            return _select_one(connection, query, seq, permission_id)

    def add(self, seq: int, grantee: str, role: AccessRole) -> StoredPermission | None:
        """Give a role to a grantee (`grantee_key`); None if it already has a permission."""
        query = (
            "INSERT INTO permissions (seq, id, grantee, role) SELECT seq, ?, ?, ? FROM models"
            " WHERE seq = ? ON CONFLICT DO NOTHING RETURNING number, id, grantee, role"
        )
        with self._database.write_transaction() as connection:
            return _select_one(connection, query, _generate_id(), grantee, role, seq)

    def update(self, number: int, role: AccessRole) -> StoredPermission | None:
        """Change the role of a permission; None if it was deleted or is now the owner's."""
        query = (
            "UPDATE permissions SET role = ? WHERE number = ? AND role <> 1"
            " RETURNING number, id, grantee, role"
        )
        with self._database.write_transaction() as connection:
            return _select_one(connection, query, role, number)

    def delete(self, number: int) -> None:
        """Delete a permission, unless it is now the owner's."""
        query = "DELETE FROM permissions WHERE number = ? AND role <> 1"
        with self._database.write_transaction() as connection:
            connection.execute(query, (number,))

    def transfer(self, seq: int, email: str) -> None:
        """Make a user the owner of a model, and its previous owner a writer."""
        with self._database.write_transaction() as connection:
            set_owner(connection, seq, email)


def _select_one(
    connection: sqlite3.Connection, query: str, *values: object
) -> StoredPermission | None:
    # Fetch all rows, so that a statement that writes is complete before the commit.
    rows = connection.execute(query, values).fetchall()
    return _to_permission(rows[0]) if rows else None


def _to_permission(row: tuple[int, str, str, int]) -> StoredPermission:
    number, permission_id, grantee, role = row
    return StoredPermission(number, permission_id, grantee, AccessRole(role))


def _generate_id() -> str:
    return "".join(secrets.choice(_ID_CHARACTERS) for _ in range(_ID_LENGTH))
