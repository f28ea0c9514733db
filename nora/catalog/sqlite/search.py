"""Search over names: several quick ways to packages that may fit, looked at together.

Nothing is written when a package is: names are read into the index behind the commits, in steps, and those
that are not in it yet are looked at one by one. So a search sees what was committed, and an index over a
catalog that had none is made while the server works.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Final

import orjson

from nora.catalog import names
from nora.catalog.search import FoundPackage, FoundPackages
from nora.catalog.sqlite import search_queries as queries
from nora.catalog.sqlite.exact_search import AFTER_ALL, ExactSearch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nora.catalog.search import MayShow
    from nora.catalog.sqlite.engine import Connection

STEP: Final = 1000
"""Packages that are looked at together; some 3 ms."""
MOST_STEPS: Final = 12
"""For who may see few of them."""
MOST_USED: Final = 1000
BEGINNINGS: Final = 200
"""Of one repository."""
FEW: Final = 10
"""With fewer packages found, similar words are tried."""
MOST_WORDS: Final = 20_000
"""Of one length and first letter that are compared."""
LATEST: Final = 5000
"""Packages that are looked at one by one because they are in no index yet."""
_ALL: Final = 1 << 62


class Search(ExactSearch):
    """The methods of nora.catalog.search.Search."""

    async def find_names(
        self, text: str, repositories: Sequence[int], may_show: MayShow, *, skip: int, limit: int
    ) -> FoundPackages:
        words = names.searched_words(text)
        if not words:
            return FoundPackages((), has_more=False, is_complete=True)
        blocks = self.blocks()

        def is_shown(repository_id: int, name: str) -> bool:
            return not (blocks and blocks.is_hidden(repository_id, name)) and may_show(repository_id, name)

        def read(db: Connection) -> FoundPackages:
            return _Looking(db, text, words, repositories, is_shown).found(skip, limit)

        return await self._search.read(read)

    async def index_names(self, limit: int) -> bool:
        start = self._rows(queries.INDEXED_TO, ())[0][0]
        if not self._rows(queries.LIST_UNINDEXED, (start, 1)):
            return False
        return await self._write(lambda db: index_names(db, limit), durable=False)


class _Looking:
    """One search, in the thread, as of one moment."""

    def __init__(
        self, db: Connection, text: str, words: list[str], repositories: Sequence[int], is_shown: MayShow
    ) -> None:
        self._db = db
        self._text = text[: names.LONGEST].strip()
        self._words = words
        self._repositories = repositories
        self._rows = orjson.dumps([*repositories]).decode()
        self._is_shown = is_shown
        self._seen: set[int] = set()
        self._found: list[FoundPackage] = []
        self._latest: list[FoundPackage] = []
        """Those that are in no index yet."""

    def found(self, skip: int, limit: int) -> FoundPackages:
        """The packages after the first `skip` ones."""
        self._db.execute("BEGIN")
        try:
            is_complete = self._look(skip + limit)
            fitting = names.best_first(self._found, self._text)
            if len(fitting) < FEW:
                fitting += self._similar()
        finally:
            self._db.execute("ROLLBACK")
        return FoundPackages(tuple(fitting[skip : skip + limit]), len(fitting) > skip + limit, is_complete)

    def _look(self, wanted: int) -> bool:
        """Collect what fits; whether every name was there to be looked at."""
        indexed_to = self._db.execute(queries.INDEXED_TO).fetchone()[0]
        latest = self._ids(queries.FIND_LATEST, indexed_to, LATEST + 1)
        self._latest = self._look_up(latest)
        self._take(self._latest)
        for row in self._repositories:
            for start in dict.fromkeys((self._text, self._text.lower())):
                ids = self._ids(queries.FIND_BEGINNINGS, row, start, start + AFTER_ALL, BEGINNINGS)
                self._take(self._look_up(ids))
        letters = _letters_of(self._words)
        hits: Sequence[int] = (_ALL,)
        for _ in range(MOST_STEPS if letters else 0):
            hits = self._ids(queries.FIND_BY_LETTERS, letters, hits[-1], STEP)
            self._take(self._look_up(hits))
            if len(hits) < STEP or len(self._found) > wanted:
                break
        if len(hits) == STEP or not letters:
            self._take(self._look_up(self._ids(queries.FIND_MOST_USED, MOST_USED)))
        return len(latest) <= LATEST

    def _take(self, packages: Iterable[FoundPackage]) -> None:
        self._found += (one for one in packages if names.has_words(one.name.lower(), self._words))

    def _look_up(self, ids: Sequence[int]) -> list[FoundPackage]:
        """Those that were not looked at before and may be shown."""
        new = [one for one in dict.fromkeys(ids) if one not in self._seen]
        self._seen.update(new)
        if not new:
            return []
        values = (orjson.dumps(new).decode(), self._rows)
        rows = orjson.loads(self._db.execute(queries.LOOK_UP, values).fetchone()[0])
        return [FoundPackage(*row) for row in rows if self._is_shown(row[0], row[1])]

    def _similar(self) -> list[FoundPackage]:
        """Those that have words like those of the text, in a letter or two, the closest first."""
        similar = [self._words_like(word) for word in self._words]
        parts = [[letters for one in words if (letters := _letters_of([one]))] for words in similar]
        if not all(similar) or not any(parts):
            return []
        letters = " AND ".join(f"({' OR '.join(part)})" for part in parts if part)
        ids = self._ids(queries.FIND_BY_LETTERS, letters, _ALL, STEP)
        if len(ids) == STEP:
            ids += self._ids(queries.FIND_MOST_USED, MOST_USED)
        for row, start in product(self._repositories, similar[0]):
            ids += self._ids(queries.FIND_BEGINNINGS, row, start, start + AFTER_ALL, FEW)
        known = {(one.repository_id, one.name) for one in self._found}
        self._seen.clear()  # what was not what was typed may be what was meant
        packages = {(one.repository_id, one.name): one for one in (*self._latest, *self._look_up(ids))}
        return names.closest_first((packages[key] for key in packages.keys() - known), similar)

    def _words_like(self, word: str) -> dict[str, int]:
        """Words that occur in names and are like this one, and how many letters differ."""
        most = names.wrong_letters(word)
        if not most or (len(self._words) > 1 and self._words_from((len(word), word, f"{word}\0", 1))):
            return {word: 0}  # of several words those that there are are right
        starts = (word[0], word[1] + word[0], word[1] + word[2])
        known = [*names.known_words(one.name for one in self._latest)]
        for length in range(len(word) - most, len(word) + most + 1):
            for start in dict.fromkeys(starts):
                known += self._words_from((length, start, start + AFTER_ALL, MOST_WORDS))
        return names.closest(word, known, most)

    def _words_from(self, values: tuple[object, ...]) -> list[str]:
        found: list[str] = orjson.loads(self._db.execute(queries.FIND_WORDS, values).fetchone()[0])
        return found

    def _ids(self, query: str, *values: object) -> list[int]:
        found: list[int] = orjson.loads(self._db.execute(query, values).fetchone()[0])
        return found


def _letters_of(words: Iterable[str]) -> str:
    """What finds the names that have these words, and a few more; empty where no word is long enough."""
    return " AND ".join(f'"{letters}"' for word in words for letters in names.trigrams(word))


# -- inside of a transaction -------------------------------------------------------------------------------


def index_names(db: Connection, limit: int) -> bool:
    """See Search.index_names."""
    start = db.execute(queries.INDEXED_TO).fetchone()[0]
    rows = db.execute(queries.LIST_UNINDEXED, (start, limit)).fetchall()
    if rows:
        db.executemany(queries.INDEX_NAME, rows)
        words = names.known_words(name for _, name in rows)
        db.executemany(queries.INDEX_WORD, [(len(word), word) for word in words])
        db.execute(queries.MOVE_INDEX, (rows[-1][0],))
    return len(rows) == limit
