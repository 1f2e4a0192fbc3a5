"""What a store holds, in numbers: no name, no word of anybody's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tunedmodels.service.errors import Status
from tunedmodels.service.store.models import Store

# A job that was begun counts as running until it ends, also while its worker changes.
_JOBS = f"""
SELECT CASE
    WHEN state = 'ACTIVE' THEN 'succeeded'
    WHEN state = 'FAILED' AND error_code = {Status.CANCELLED.code} THEN 'cancelled'
    WHEN state = 'FAILED' THEN 'failed'
    WHEN start_time = '' THEN 'queued'
    ELSE 'running'
END AS kind, count(*), sum(completed_steps) FROM models GROUP BY kind
"""  # noqa: S608  # a constant
_KINDS = ("queued", "running", "succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Census:
    """Jobs by what became of them, the steps of all of them, and bytes on disk by what they are."""

    jobs: Mapping[str, int]
    steps: int
    sizes: Mapping[str, int]


def take_census(store: Store) -> Census:
    """Count. Raises StoreError when the store cannot be read."""
    with store.database.reading() as connection:
        rows = connection.execute(_JOBS).fetchall()
    counted = {kind: count for kind, count, _ in rows}
    sizes = {
        "database": _size(list(store.folder.glob("embedded.db*"))),
        "models": _size(store.files.listed()),
    }
    return Census(
        jobs={kind: counted.get(kind, 0) for kind in _KINDS},
        steps=sum(steps for _, _, steps in rows),
        sizes=sizes,
    )


def _size(files: list[Path]) -> int:
    total = 0
    for file in files:
        try:
            total += file.stat().st_size
        except FileNotFoundError:
            continue  # it went while we looked
    return total
