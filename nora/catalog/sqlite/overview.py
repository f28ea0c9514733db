"""What there is, over all packages, for people who look: in a thread and with a connection of their own,
since a summary of much may take seconds, for which no client waits."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeVar

import orjson

from nora.catalog.records import NamesFound, Outline, Summary, Totals
from nora.catalog.sqlite.engine import LISTING_CACHE, Connection, connect_reader, translate
from nora.catalog.sqlite.executor import Executor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")

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
coalesce((SELECT max(published_at) FROM version WHERE version.package_id = package.id), package.created_at)
FROM json_each(?) AS wanted
CROSS JOIN package ON package.repository_id = json_extract(wanted.value, '$[0]')
AND package.name = json_extract(wanted.value, '$[1]')"""


class Overview(Executor):
    """The methods of nora.catalog.overview.Overview."""

    async def summarize(self) -> Summary:
        def read() -> Summary:
            rows = self._survey
            sizes = dict(rows.execute(_COUNT_BYTES).fetchall())
            packages = {row[0]: (row[1], row[2]) for row in rows.execute(_COUNT_PACKAGES).fetchall()}
            blobs, total = rows.execute(_COUNT_BLOBS).fetchone()
            return Summary(
                {one: Totals(*packages.get(one, (0, 0)), sizes.get(one, 0)) for one in {*sizes, *packages}},
                blobs,
                total,
            )

        return await self._surveyed(read)

    async def search_packages(
        self, repository_id: int, text: str, after: str, limit: int, scanned: int
    ) -> NamesFound:
        def read() -> NamesFound:
            rows = self._survey
            values = (repository_id, text.lower(), after, limit, scanned)
            names = tuple(name for (name,) in rows.execute(_SEARCH, values).fetchall())
            if len(names) == limit:
                return NamesFound(names, names[-1])
            last = rows.execute(_LAST_SEEN, (repository_id, after, scanned - 1)).fetchone()
            return NamesFound(names, last[0] if last else None)

        return await self._surveyed(read)

    async def outline_packages(self, keys: Sequence[tuple[int, str]]) -> Mapping[tuple[int, str], Outline]:
        wanted = orjson.dumps(keys).decode()

        def read() -> dict[tuple[int, str], Outline]:
            found = self._survey.execute(_OUTLINE, (wanted,)).fetchall()
            return {(row[0], row[1]): Outline(*row[2:]) for row in found}

        return await self._surveyed(read)

    async def close(self) -> None:
        if (thread := vars(self).pop("_survey_thread", None)) is not None:
            thread.submit(self._close_survey)
            await asyncio.get_running_loop().run_in_executor(None, thread.shutdown)
        await super().close()

    async def _surveyed(self, read: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._survey_thread, read)
        except sqlite3.Error as error:
            raise translate(error) from error

    def _close_survey(self) -> None:
        """In the thread: no other may close what that one has opened."""
        self._survey.close()

    @cached_property
    def _survey_thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, "catalog-survey")

    @cached_property
    def _survey(self) -> Connection:
        """The connection of the thread."""
        return connect_reader(self._path, LISTING_CACHE)
