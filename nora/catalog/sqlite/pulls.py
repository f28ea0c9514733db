"""Pulls. No epoch moves: how often something is pulled is no reason to read it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from nora.catalog.sqlite.executor import Executor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nora.catalog.pulls import FileKey
    from nora.catalog.sqlite.engine import Connection

_NOTE_FILE: Final = """
UPDATE file SET pulls = pulls + ?1, last_used_at = max(coalesce(last_used_at, 0.0), ?2)
WHERE repository_id = ?3 AND path = ?4 RETURNING version_id, package_id"""

_NOTE_VERSION: Final = """
UPDATE version SET pulls = pulls + ?1, last_pulled_at = max(coalesce(last_pulled_at, 0.0), ?2)
WHERE id = ?3"""

_NOTE_PACKAGE: Final = """
INSERT INTO package_use (pulls, last_pulled_at, package_id) VALUES (?1, ?2, ?3)
ON CONFLICT (package_id) DO UPDATE SET pulls = pulls + excluded.pulls,
last_pulled_at = max(last_pulled_at, excluded.last_pulled_at)"""

_READ: Final = """
SELECT version.name, version.pulls, version.last_pulled_at FROM package
CROSS JOIN json_each(?3) AS wanted
CROSS JOIN version ON version.package_id = package.id AND version.name = wanted.value
WHERE package.repository_id = ?1 AND package.name = ?2"""


class Pulls(Executor):
    """The methods of nora.catalog.pulls.Pulls."""

    async def note_pulls(self, counts: Sequence[tuple[FileKey, int]], now: float) -> None:
        if counts:
            await self._write(lambda db: note_pulls(db, counts, now), durable=False)

    async def read_pulls(
        self, repository_id: int, package: str, versions: Sequence[str]
    ) -> Mapping[str, tuple[int, float | None]]:
        wanted = orjson.dumps([*versions]).decode()
        rows = self._rows(_READ, (repository_id, package, wanted))
        return {name: (pulls, last) for name, pulls, last in rows}


# -- inside of a transaction -------------------------------------------------------------------------------


def note_pulls(db: Connection, counts: Sequence[tuple[FileKey, int]], now: float) -> None:
    """See Pulls.note_pulls."""
    versions: dict[int, int] = {}
    packages: dict[int, int] = {}
    for file, count in counts:
        row = db.execute(_NOTE_FILE, (count, now, *file)).fetchone()
        for owner, sums in zip(row or (), (versions, packages), strict=False):
            if owner is not None:
                sums[owner] = sums.get(owner, 0) + count
    for query, sums in ((_NOTE_VERSION, versions), (_NOTE_PACKAGE, packages)):
        db.executemany(query, [(count, now, owner) for owner, count in sums.items()])
