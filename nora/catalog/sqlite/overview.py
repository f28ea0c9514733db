"""What there is, over all packages, for people who look: in a thread and with a connection of their own,
since a summary of much may take seconds, for which no client waits."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

import orjson

from nora.catalog.overview import Heavy, Idle, NamesFound, Outline, PackageOrder
from nora.catalog.records import Summary, Totals
from nora.catalog.sqlite.executor import Executor
from nora.catalog.sqlite.reader_thread import ReaderThread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nora.catalog.sqlite.engine import Connection

_COUNT_PACKAGES: Final = """
SELECT repository_id, count(*), sum(versions) FROM package
WHERE versions > 0 OR EXISTS (SELECT 1 FROM file WHERE file.package_id = package.id)
GROUP BY repository_id"""

# What packages hold is linked to them; files of no package are there by themselves.
_COUNT_BYTES: Final = """
SELECT held.repository_id, sum(blob.size) FROM (
SELECT package.repository_id, link.blob_id FROM link CROSS JOIN package ON package.id = link.package_id
UNION
SELECT file.repository_id, file.blob_id FROM file WHERE file.package_id IS NULL) AS held
CROSS JOIN blob ON blob.id = held.blob_id
GROUP BY held.repository_id"""

_HEAVIEST: Final = """
SELECT package.repository_id, package.name, package.versions, held.bytes FROM (
SELECT link.package_id, sum(blob.size) AS bytes FROM link CROSS JOIN blob ON blob.id = link.blob_id
GROUP BY link.package_id ORDER BY bytes DESC LIMIT ?) AS held
CROSS JOIN package ON package.id = held.package_id
WHERE held.bytes > 0 ORDER BY held.bytes DESC, package.name"""

_IDLEST: Final = """
SELECT package.repository_id, package.name, package.versions, (
SELECT coalesce(sum(blob.size), 0) FROM link CROSS JOIN blob ON blob.id = link.blob_id
WHERE link.package_id = package.id), used.at FROM (
SELECT version.package_id, max(max(version.published_at), coalesce(package_use.last_pulled_at, 0.0)) AS at
FROM version LEFT JOIN package_use ON package_use.package_id = version.package_id
GROUP BY version.package_id ORDER BY at LIMIT ?) AS used
CROSS JOIN package ON package.id = used.package_id ORDER BY used.at, package.name"""

_COUNT_FILES: Final = """
SELECT repository_id, count(*) FROM file WHERE package_id IS NULL GROUP BY repository_id"""

_COUNT_BLOBS: Final = "SELECT count(*), coalesce(sum(size), 0) FROM blob WHERE state = 'live'"

# The inner select is answered by the index of names alone.
_SEARCH: Final = """
SELECT seen.name FROM (
SELECT id, name FROM package
WHERE repository_id = ?1 AND name > ?3 ORDER BY name LIMIT ?5) AS seen
CROSS JOIN package ON package.id = seen.id
WHERE instr(lower(seen.name), ?2) > 0
AND (package.versions > 0 OR EXISTS (SELECT 1 FROM file WHERE file.package_id = package.id))
ORDER BY seen.name LIMIT ?4"""

_LAST_SEEN: Final = """
SELECT name FROM package WHERE repository_id = ? AND name > ? ORDER BY name LIMIT 1 OFFSET ?"""

_OUTLINE: Final = """
SELECT package.repository_id, package.name, package.versions,
(SELECT coalesce(sum(blob.size), 0) FROM link CROSS JOIN blob ON blob.id = link.blob_id
WHERE link.package_id = package.id),
(SELECT name FROM version WHERE version.package_id = package.id ORDER BY published_at DESC, id DESC LIMIT 1),
(SELECT name FROM tag WHERE tag.package_id = package.id ORDER BY updated_at DESC, name LIMIT 1),
coalesce((SELECT max(published_at) FROM version WHERE version.package_id = package.id), package.created_at),
coalesce(package_use.pulls, 0), package_use.last_pulled_at
FROM json_each(?) AS wanted
CROSS JOIN package ON package.repository_id = json_extract(wanted.value, '$[0]')
AND package.name = json_extract(wanted.value, '$[1]')
LEFT JOIN package_use ON package_use.package_id = package.id"""

_KEYS: Final[Mapping[PackageOrder, str]] = {
    "versions": "package.versions",
    "bytes": """(SELECT coalesce(sum(blob.size), 0) FROM link CROSS JOIN blob ON blob.id = link.blob_id
WHERE link.package_id = package.id)""",
    "changed": """coalesce((SELECT max(published_at) FROM version WHERE version.package_id = package.id),
package.created_at)""",
}
_ORDERED: Final = """
SELECT package.repository_id, package.name FROM json_each(?1) AS wanted
CROSS JOIN package ON package.repository_id = wanted.value
WHERE package.versions > 0 OR EXISTS (SELECT 1 FROM file WHERE file.package_id = package.id)
ORDER BY {key} {direction}, package.name"""
_COUNT_SOME: Final = """
SELECT count(*) FROM (SELECT 1 FROM json_each(?1) AS wanted
CROSS JOIN package ON package.repository_id = wanted.value LIMIT ?2)"""


class Overview(Executor):
    """The methods of nora.catalog.overview.Overview."""

    async def summarize(self) -> Summary:
        def read(rows: Connection) -> Summary:
            sizes = dict(rows.execute(_COUNT_BYTES).fetchall())
            packages = {row[0]: (row[1], row[2]) for row in rows.execute(_COUNT_PACKAGES).fetchall()}
            files = dict(rows.execute(_COUNT_FILES).fetchall())
            blobs, total = rows.execute(_COUNT_BLOBS).fetchone()
            return Summary(
                {
                    one: Totals(*packages.get(one, (0, 0)), sizes.get(one, 0), files.get(one, 0))
                    for one in {*sizes, *packages}
                },
                blobs,
                total,
            )

        return await self._survey.read(read)

    async def heaviest_packages(self, limit: int) -> Sequence[Heavy]:
        def read(rows: Connection) -> list[Heavy]:
            return [Heavy(*row) for row in rows.execute(_HEAVIEST, (limit,)).fetchall()]

        return await self._survey.read(read)

    async def idlest_packages(self, limit: int) -> Sequence[Idle]:
        def read(rows: Connection) -> Sequence[Idle]:
            return [Idle(*row) for row in rows.execute(_IDLEST, (limit,)).fetchall()]

        return await self._survey.read(read)

    async def search_packages(
        self, repository_id: int, text: str, after: str, limit: int, scanned: int
    ) -> NamesFound:
        def read(rows: Connection) -> NamesFound:
            values = (repository_id, text.lower(), after, limit, scanned)
            names = tuple(name for (name,) in rows.execute(_SEARCH, values).fetchall())
            if len(names) == limit:
                return NamesFound(names, names[-1])
            last = rows.execute(_LAST_SEEN, (repository_id, after, scanned - 1)).fetchone()
            return NamesFound(names, last[0] if last else None)

        return await self._survey.read(read)

    async def order_packages(
        self, repository_ids: Sequence[int], by: PackageOrder, *, descending: bool, limit: int
    ) -> Sequence[tuple[int, str]] | None:
        wanted = orjson.dumps([*repository_ids]).decode()
        ordered = _ORDERED.format(key=_KEYS[by], direction="DESC" if descending else "ASC")

        def read(rows: Connection) -> Sequence[tuple[int, str]] | None:
            (count,) = rows.execute(_COUNT_SOME, (wanted, limit + 1)).fetchone()
            return None if count > limit else rows.execute(ordered, (wanted,)).fetchall()

        return await self._survey.read(read)

    async def outline_packages(self, keys: Sequence[tuple[int, str]]) -> Mapping[tuple[int, str], Outline]:
        wanted = orjson.dumps(keys).decode()

        def read(rows: Connection) -> dict[tuple[int, str], Outline]:
            found = rows.execute(_OUTLINE, (wanted,)).fetchall()
            return {(row[0], row[1]): Outline(*row[2:]) for row in found}

        return await self._survey.read(read)

    async def close(self) -> None:
        if (survey := vars(self).pop("_survey", None)) is not None:
            await survey.close()
        await super().close()

    @cached_property
    def _survey(self) -> ReaderThread:
        return ReaderThread(self._path, "catalog-survey")
