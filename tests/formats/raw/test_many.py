"""A repository of very many files: what a page and an upload cost does not depend on it."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from nora.blobs.layout import Layout
from nora.catalog.records import Blob, NewBlob, NewFile
from nora.catalog.sqlite import SQLiteCatalog
from nora.catalog.sqlite import queries as sql
from nora.catalog.sqlite.files import put_files
from nora.model import Digest
from tests.support.in_process import application

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
FILES = 100_000
BATCH = 2000
DATA = b"the same bytes"
BLOB = NewBlob(Digest(f"sha256:{hashlib.sha256(DATA).hexdigest()}"), len(DATA), "0" * 32, 1)
DATABASE = sqlite3.Connection


def file(path: str, blob: NewBlob | Blob = BLOB) -> NewFile:
    return NewFile(path=path, media_type="text/plain", blob=blob)


def path_of(number: int) -> str:
    """Half of them are in one directory, the others in directories of a hundred."""
    return f"tree/{number // 200:04}/{number:06}" if number % 2 else f"flat/{number:06}"


async def fill(path: Path, count: int) -> None:
    number = repository_id(path)
    catalog = SQLiteCatalog.open(path)
    try:
        blob = await catalog.put_file(number, file("first"), replace=False)
        for start in range(0, count, BATCH):
            paths = map(path_of, range(start, min(start + BATCH, count)))
            await asyncio.gather(*(catalog.put_file(number, file(one, blob), replace=False) for one in paths))
    finally:
        await catalog.close()


def repository_id(path: Path) -> int:
    with sqlite3.connect(path) as db:
        [number] = db.execute("SELECT id FROM repository WHERE name = 'raw-hosted'").fetchone()
    return int(number)


def steps(path: Path, work: Callable[[DATABASE, int], object]) -> int:
    """What something costs the database, in steps of its machine by the ten."""
    count, number = 0, repository_id(path)

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    with sqlite3.connect(path, isolation_level=None) as db:
        db.execute("BEGIN")
        db.set_progress_handler(step, 10)
        work(db, number)
        db.set_progress_handler(None, 0)
        db.execute("ROLLBACK")
    return count


def page(directory: str, after: str = "") -> Callable[[DATABASE, int], object]:
    return lambda db, number: db.execute(sql.LIST_DIRECTORY, (number, f"{directory}/", after, 100)).fetchall()


WORK: dict[str, Callable[[DATABASE, int], object]] = {
    "first page": page("flat"),
    "later page": page("flat", "flat/000300"),
    "small directory": page("tree/0002"),
    "no directory": page("nothing"),
    "upload": lambda db, number: put_files(db, set(), number, [file("flat/new")], False),
    "replacement": lambda db, number: put_files(db, set(), number, [file("flat/000002")], True),
}


async def test_what_one_of_many_files_costs_is_what_one_of_few_does(tmp_path: Path) -> None:
    costs: dict[int, dict[str, int]] = {}
    for count in (1000, FILES):
        folder = tmp_path / str(count)
        async with application(folder):  # makes the catalog
            pass
        path = Layout(folder / "storage").catalog
        await fill(path, count)
        costs[count] = {name: steps(path, work) for name, work in WORK.items()}
        async with application(folder) as http:
            seen, query = 0, "list&limit=1000"
            while query:
                found = (await http.get(f"/raw/flat/?{query}")).json()
                seen += len(found["entries"])
                query = (found["next"] or "").removeprefix("?")
            assert seen == count // 2
            assert (await http.put("/raw/flat/new", content=b"new")).status_code == 201
    for name, few in costs[1000].items():
        assert costs[FILES][name] <= 1.2 * few + 10, costs
