"""What was counted over time: a row for each period, which holds all series. Its sums are made when it is
written, so nothing is rolled up later, and a chart reads some hundred rows at most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from nora.catalog.history import KEPT
from nora.catalog.records import Moment
from nora.catalog.sqlite.overview import Overview

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nora.catalog.sqlite.engine import Connection

_EVER: Final = 0
"""The length of the period that never ends. It begins when it was begun."""

_FIND_COUNTED: Final = "SELECT counted FROM counted WHERE server = ?"
_FORGET_COUNTED: Final = "DELETE FROM counted"
_NOTE_COUNTED: Final = "INSERT INTO counted (server, counted) VALUES (?, ?)"
_FIND: Final = "SELECT at, counts, levels FROM history WHERE length = ? AND at = ?"
_FIND_EVER: Final = "SELECT at, counts, levels FROM history WHERE length = 0 ORDER BY at LIMIT 1"
_PUT: Final = "INSERT OR REPLACE INTO history (length, at, counts, levels) VALUES (?, ?, ?, ?)"
_READ: Final = """
SELECT at, counts, levels FROM history WHERE length = ? AND at >= ? AND at < ? ORDER BY at"""
# By their number and not by their age: a clock that was wrong for a while takes nothing with it.
_FORGET_OLD: Final = """
DELETE FROM history WHERE length = ?1 AND at <= (
SELECT at FROM history WHERE length = ?1 AND at <= ?2 ORDER BY at DESC LIMIT 1 OFFSET ?3)"""
_FORGET_AHEAD: Final = """
DELETE FROM history WHERE length = ?1 AND at >= (
SELECT at FROM history WHERE length = ?1 AND at > ?2 ORDER BY at LIMIT 1 OFFSET ?3)"""


class History(Overview):
    """The methods of nora.catalog.history.History."""

    async def record_history(
        self, server: str, counted: Mapping[str, float], levels: Mapping[str, float], now: float
    ) -> None:
        await self._write(lambda db: record(db, server, counted, levels, int(now)), durable=False)

    async def read_history(self, length: int, since: float, until: float) -> list[Moment]:
        def read(rows: Connection) -> list[Moment]:
            return [_moment(*row) for row in rows.execute(_READ, (length, since, until)).fetchall()]

        return await self._survey.read(read)

    async def total_history(self) -> Moment | None:
        row = self._row(_FIND_EVER, ())
        return None if row is None else _moment(*row)


def _moment(at: int, counts: str, levels: str) -> Moment:
    return Moment(at, orjson.loads(counts), orjson.loads(levels))


# -- inside of a transaction -------------------------------------------------------------------------------


def record(
    db: Connection, server: str, counted: Mapping[str, float], levels: Mapping[str, float], now: int
) -> None:
    """See Catalog.record_history."""
    row = db.execute(_FIND_COUNTED, (server,)).fetchone()
    known: Mapping[str, float] = orjson.loads(row[0]) if row else {}
    # A process may say later what it had counted earlier than another one.
    latest = {**known, **{name: max(value, known.get(name, 0.0)) for name, value in counted.items()}}
    new = {name: value - known.get(name, 0.0) for name, value in latest.items()}
    new = {name: value for name, value in new.items() if value}
    db.execute(_FORGET_COUNTED)
    db.execute(_NOTE_COUNTED, (server, _json(latest)))
    ever = db.execute(_FIND_EVER).fetchone()
    _add(db, _EVER, ever[0] if ever else now, new, levels)
    for length, number in KEPT.items():
        at = now // length * length
        _add(db, length, at, new, levels)
        db.execute(_FORGET_OLD, (length, at, number))
        db.execute(_FORGET_AHEAD, (length, at, number))


def _add(db: Connection, length: int, at: int, new: Mapping[str, float], levels: Mapping[str, float]) -> None:
    row = db.execute(_FIND, (length, at)).fetchone()
    if row is None:
        db.execute(_PUT, (length, at, _json(new), _json(levels)))
    elif new or levels:
        counts, old = orjson.loads(row[1]), orjson.loads(row[2])
        for name, value in new.items():
            counts[name] = counts.get(name, 0.0) + value
        db.execute(_PUT, (length, at, _json(counts), _json({**old, **levels})))


def _json(values: Mapping[str, float]) -> str:
    whole = {name: int(value) if value == int(value) else value for name, value in values.items()}
    return orjson.dumps(whole).decode()
