"""Search for tags by how they begin, and for content by its digest: along keys."""

from __future__ import annotations

from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import orjson

from nora.catalog import names
from nora.catalog.search import FoundContent, FoundTag
from nora.catalog.sqlite import search_queries as queries
from nora.catalog.sqlite.executor import Executor
from nora.catalog.sqlite.reader_thread import ReaderThread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nora.catalog.search import MayShow
    from nora.catalog.sqlite.engine import Connection

MOST_TAGS: Final = 2000
MOST_DIGESTS: Final = 20
MOST_PLACES: Final = 500
"""That are looked at."""
AFTER_ALL: Final = "\U0010ffff"


class ExactSearch(Executor):
    """Methods of nora.catalog.search.Search."""

    async def find_tags(
        self, tag: str, words: Sequence[str], repositories: Sequence[int], may_show: MayShow, *, limit: int
    ) -> list[FoundTag]:
        blocks = self.blocks()
        values = (tag, tag + AFTER_ALL, MOST_TAGS, _json(repositories))

        def is_shown(one: FoundTag) -> bool:
            hidden = blocks.hidden(one.repository_id, one.package) if blocks else None
            return (
                names.has_words(one.package.lower(), words)
                and not (hidden is not None and (hidden.has(one.tag) or hidden.has(one.version)))
                and may_show(one.repository_id, one.package)
            )

        def read(db: Connection) -> list[FoundTag]:
            found = [FoundTag(*row) for row in _rows(db, queries.FIND_TAGS, values)]
            found.sort(key=lambda one: (one.tag != tag, -one.pulls, one.package, one.tag))
            return [*islice(filter(is_shown, found), limit)]

        return await self._search.read(read) if tag else []

    async def find_contents(
        self, digest: str, repositories: Sequence[int], may_show: MayShow, *, limit: int
    ) -> list[FoundContent]:
        blocks = self.blocks()

        def is_shown(one: FoundContent) -> bool:
            name = one.package or one.path or ""
            hidden = blocks.hidden(one.repository_id, name) if blocks else None
            is_hidden = hidden is not None and hidden.has(one.version, one.digest)
            return not is_hidden and may_show(one.repository_id, name)

        def read(db: Connection) -> list[FoundContent]:
            ids = orjson.dumps(_rows(db, queries.FIND_DIGESTS, (digest, digest + AFTER_ALL, MOST_DIGESTS)))
            values = (ids.decode(), _json(repositories), MOST_PLACES)
            rows = _rows(db, queries.FIND_FILES_WITH, values) + _rows(db, queries.FIND_HOLDERS, values)
            return [*islice(filter(is_shown, (FoundContent(*row) for row in rows)), limit)]

        return await self._search.read(read)

    async def index_tags(self, limit: int) -> bool:
        if self._rows(queries.TAGS_INDEXED_TO, ())[0][0] is None:
            return False
        return await self._write(lambda db: index_tags(db, limit), durable=False)

    async def close(self) -> None:
        if (search := vars(self).pop("_search", None)) is not None:
            await search.close()
        await super().close()

    @cached_property
    def _search(self) -> ReaderThread:
        return ReaderThread(self._path, "catalog-search")


def _json(values: Sequence[int]) -> str:
    return orjson.dumps([*values]).decode()


def _rows(db: Connection, query: str, values: tuple[object, ...]) -> list[Any]:
    rows: list[Any] = orjson.loads(db.execute(query, values).fetchone()[0])
    return rows


# -- inside of a transaction -------------------------------------------------------------------------------


def index_tags(db: Connection, limit: int) -> bool:
    """See Search.index_tags."""
    start = db.execute(queries.TAGS_INDEXED_TO).fetchone()
    rows = [] if start[0] is None else db.execute(queries.LIST_UNINDEXED_TAGS, (*start, limit)).fetchall()
    db.executemany(queries.INDEX_TAG, rows)
    has_more = len(rows) == limit
    db.execute(queries.MOVE_TAG_INDEX, (rows[-1][1], rows[-1][0]) if has_more else (None, ""))
    return has_more
