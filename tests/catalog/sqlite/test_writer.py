"""Group commit: who waits hears the outcome of its own change, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nora.catalog.records import Blob, Reference
from nora.catalog.sqlite import SQLiteCatalog, engine, writer
from nora.catalog.sqlite.read_cache import Epochs
from nora.errors import Conflict, MissingReferences, StorageBusy, StorageFailed, StorageFull
from nora.locks import FileLock
from tests.contracts.catalog import HOSTED, LEASE, TagWrite, layer, new_blob, release, sha256
from tests.contracts.catalog_cached import PROXY, entry
from tests.support.catalogs import prepare_catalog
from tests.support.tables import each
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "catalog.sqlite3"
    prepare_catalog(path)
    return path


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that writers run."""
    log: list[str] = []

    def connect(path: Path) -> sqlite3.Connection:
        db = engine.connect_writer(path)
        db.set_trace_callback(log.append)
        return db

    monkeypatch.setattr(writer, "connect_writer", connect)
    return log


@pytest.fixture
async def catalog(path: Path) -> AsyncIterator[SQLiteCatalog]:
    catalog = SQLiteCatalog.open(path)
    yield catalog
    await catalog.close()


@pytest.fixture
async def hosted(statements: list[str], catalog: SQLiteCatalog) -> int:
    return (await catalog.sync_repositories([HOSTED]))["hosted"].id


@asynccontextmanager
async def held(path: Path) -> AsyncIterator[None]:
    """The writer waits at the turnstile within the block, so that changes queue."""
    with closing(FileLock(path.with_name(path.name + ".write"))) as lock:
        lock.acquire()
        yield
        await asyncio.sleep(0)  # whoever was started in the block has queued its change
        lock.release()


async def settled(*tasks: asyncio.Future[Any]) -> list[Any]:
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_changes_that_wait_share_a_commit(
    catalog: SQLiteCatalog, hosted: int, path: Path, statements: list[str]
) -> None:
    statements.clear()
    async with held(path):
        pushes = [
            asyncio.ensure_future(catalog.add_blob(new_blob(f"b{n}"), hosted, "app", LEASE))
            for n in range(100)
        ]
    assert len({blob.id for blob in await settled(*pushes)}) == 100
    assert statements.count("COMMIT") <= 2  # the first may have gone ahead of the others


async def test_a_transaction_has_a_bound(
    catalog: SQLiteCatalog,
    hosted: int,
    path: Path,
    statements: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer, "GROUP_LIMIT", 4)
    statements.clear()
    async with held(path):
        pushes = [
            asyncio.ensure_future(catalog.add_blob(new_blob(f"b{n}"), hosted, "app", LEASE))
            for n in range(12)
        ]
    await settled(*pushes)
    assert statements.count("COMMIT") in (3, 4)


async def test_only_what_is_durable_waits_for_the_disk(
    catalog: SQLiteCatalog, hosted: int, statements: list[str]
) -> None:
    proxy = (await catalog.sync_repositories([HOSTED, PROXY]))["proxy"].id
    statements.clear()
    await catalog.open_upload("u", hosted, "app", "sha256", 9)
    await catalog.save_upload("u", 1, {})
    await catalog.put_cached(proxy, entry("a", "a"), LEASE)
    await catalog.touch_cached(proxy, "a", validators=None, fetched_at=1.0, fresh_until=2.0)
    await catalog.note_file_uses({1: 1.0})
    await catalog.renew_leases([(hosted, "app", sha256("b"))], LEASE)
    await catalog.close_upload("u")
    assert [s for s in statements if "synchronous" in s] == ["PRAGMA synchronous = NORMAL"]
    statements.clear()
    await catalog.add_blob(new_blob("b"), hosted, "app", LEASE)
    await catalog.publish(release(hosted, "app", "m"), LEASE)
    await catalog.check()
    assert [s for s in statements if "synchronous" in s] == ["PRAGMA synchronous = FULL"]


async def test_one_durable_change_makes_its_group_durable(
    catalog: SQLiteCatalog, hosted: int, path: Path, statements: list[str]
) -> None:
    await catalog.open_upload("u", hosted, "app", "sha256", 9)
    async with held(path):
        first = asyncio.ensure_future(catalog.save_upload("u", 1, {}))
        await asyncio.sleep(0.05)  # it waits at the turnstile, alone
        rest = [
            asyncio.ensure_future(catalog.save_upload("u", 2, {})),
            asyncio.ensure_future(catalog.add_blob(new_blob("b"), hosted, "app", LEASE)),
        ]
        statements.clear()
    await settled(first, *rest)
    assert [s for s in statements if "synchronous" in s] == ["PRAGMA synchronous = FULL"]


async def test_a_change_that_fails_undoes_itself_alone(
    catalog: SQLiteCatalog, hosted: int, path: Path
) -> None:
    def broken(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM tag")
        raise ZeroDivisionError("a bug")

    await catalog.publish(release(hosted, "app", "a", "1"), LEASE)
    async with held(path):
        tasks = [
            asyncio.ensure_future(catalog.publish(release(hosted, "app", "b", "2"), LEASE)),
            asyncio.ensure_future(
                catalog.publish(release(hosted, "app", "c", "3", TagWrite("1", replace=False)), LEASE)
            ),
            asyncio.ensure_future(catalog._write(broken)),
            asyncio.ensure_future(catalog._write(lambda db: db.execute("SELECT * FROM nothing"))),
            asyncio.ensure_future(catalog.publish(release(hosted, "app", "d", "4"), LEASE)),
        ]
    [good], conflict, bug, nonsense, [last] = await settled(*tasks)
    assert good.digest == sha256("b")
    assert isinstance(conflict, Conflict)
    assert isinstance(bug, ZeroDivisionError)
    assert isinstance(nonsense, StorageFailed)
    assert last.digest == sha256("d")
    assert await catalog.list_tags(hosted, "app", "", 10) == ["1", "2", "4"]


async def test_a_waiter_that_leaves_harms_nobody(catalog: SQLiteCatalog, hosted: int, path: Path) -> None:
    async with held(path):
        tasks = [
            asyncio.ensure_future(catalog.publish(release(hosted, "app", f"m{n}", f"{n}"), LEASE))
            for n in range(5)
        ]
        await asyncio.sleep(0)
        tasks[1].cancel()
        tasks[3].cancel()
    outcomes = await settled(*tasks)
    assert [isinstance(outcome, asyncio.CancelledError) for outcome in outcomes] == [False, True] * 2 + [
        False
    ]
    assert await catalog.list_tags(hosted, "app", "", 10) == list("01234")  # what was asked for is done


def test_a_loop_that_ended_harms_nobody(path: Path) -> None:
    changes = writer.Writer(path, Epochs(path))

    async def leave() -> None:
        async with held(path):
            changes.submit(lambda db: time.sleep(0.05), set(), durable=False)

    async def stay() -> object:
        outcome = await changes.submit(lambda db: db.execute("SELECT 7").fetchone(), set(), durable=False)
        await changes.close()
        return outcome

    asyncio.run(leave())
    assert asyncio.run(stay()) == (7,)


async def test_a_cursor_does_not_leave_the_thread(path: Path) -> None:
    """The thread that drops it would reset a statement while the writer uses it: an "API misuse"."""
    changes = writer.Writer(path, Epochs(path))
    with pytest.raises(TypeError, match="cursor"):
        await changes.submit(lambda db: db.execute("SELECT 7"), set(), durable=False)
    assert await changes.submit(lambda db: db.execute("SELECT 7").fetchone(), set(), durable=False) == (7,)
    await changes.close()


async def test_too_many_that_wait_are_refused(
    catalog: SQLiteCatalog, hosted: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "QUEUE_LIMIT", 3)
    async with held(path):
        tasks = [
            asyncio.ensure_future(catalog.add_blob(new_blob(f"b{n}"), hosted, "app", LEASE)) for n in range(9)
        ]
    outcomes = await settled(*tasks)
    refused = [outcome for outcome in outcomes if isinstance(outcome, StorageBusy)]
    assert 9 - 3 - 3 <= len(refused) <= 9 - 3
    assert len(await catalog.list_blob_holders(sha256("b0"), 1)) == 1


async def test_a_closed_catalog_takes_nothing(catalog: SQLiteCatalog, hosted: int) -> None:
    await catalog.close()
    with pytest.raises(StorageFailed, match="closed"):
        await catalog.check()
    with pytest.raises(StorageFailed, match="closed"):
        await catalog.has_package(hosted, "app")


# -- failures of the engine ----------------------------------------------------------------------------


@each(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_FULL, StorageFull),
        (sqlite3.SQLITE_BUSY, StorageBusy),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StorageBusy),
        (sqlite3.SQLITE_LOCKED, StorageBusy),
        (sqlite3.SQLITE_IOERR_FSYNC, StorageFailed),
        (sqlite3.SQLITE_CORRUPT, StorageFailed),
        (sqlite3.SQLITE_NOTADB, StorageFailed),
        (sqlite3.SQLITE_CANTOPEN, StorageFailed),
        (sqlite3.SQLITE_READONLY, StorageFailed),
        (None, StorageFailed),
    ],
)
def test_each_error_of_the_engine_becomes_one_of_ours(code: int | None, expected: type[Exception]) -> None:
    error = sqlite3.OperationalError("why")
    if code is not None:
        error.sqlite_errorcode = code
    assert type(engine.translate(error)) is expected


@dataclass
class Failures:
    left: int = 0


def fail_commits(monkeypatch: pytest.MonkeyPatch, code: int) -> Failures:
    """As many commits as are left to fail do, in connections that are made from here on."""
    failures = Failures()

    class Failing(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:  # type: ignore[override]
            if failures.left and sql == "COMMIT":
                failures.left -= 1
                error = sqlite3.OperationalError("injected")
                error.sqlite_errorcode = code
                raise error
            return super().execute(sql, *values)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **{"factory": Failing, **k}))
    return failures


@pytest.mark.parametrize(
    ("code", "expected"), [(sqlite3.SQLITE_FULL, StorageFull), (sqlite3.SQLITE_IOERR, StorageFailed)]
)
async def test_a_commit_that_fails_fails_its_group_and_no_other(
    path: Path, monkeypatch: pytest.MonkeyPatch, code: int, expected: type[Exception]
) -> None:
    failures = fail_commits(monkeypatch, code)
    catalog = SQLiteCatalog.open(path)
    hosted = (await catalog.sync_repositories([HOSTED]))["hosted"].id
    failures.left = 100
    async with held(path):
        tasks = [
            asyncio.ensure_future(catalog.add_blob(new_blob(f"b{n}"), hosted, "app", LEASE)) for n in range(5)
        ]
    outcomes = await settled(*tasks)
    assert {type(outcome) for outcome in outcomes} == {expected}
    assert all(outcome.uncertain for outcome in outcomes)  # the log may hold it, whole
    failures.left = 0
    assert await catalog.has_package(hosted, "app") is False
    await catalog.add_blob(new_blob("b0"), hosted, "app", LEASE)
    assert await catalog.find_linked_blob(hosted, "app", sha256("b0")) is not None
    await catalog.close()


async def test_what_found_no_room_is_tried_again_when_the_log_is_folded_in(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = fail_commits(monkeypatch, sqlite3.SQLITE_FULL)
    catalog = SQLiteCatalog.open(path)
    hosted = (await catalog.sync_repositories([HOSTED]))["hosted"].id
    failures.left = 1
    async with held(path):
        tasks = [
            asyncio.ensure_future(catalog.add_blob(new_blob(f"b{n}"), hosted, "app", LEASE)) for n in range(5)
        ]
    assert {type(outcome) for outcome in await settled(*tasks)} == {Blob}
    assert failures.left == 0
    await catalog.close()


async def test_a_transaction_that_the_engine_gave_up_fails_its_group(
    catalog: SQLiteCatalog, hosted: int, path: Path
) -> None:
    def give_up(db: sqlite3.Connection) -> None:
        db.execute("ROLLBACK")  # as SQLite does by itself after some failures
        error = sqlite3.OperationalError("injected")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    async with held(path):
        first = asyncio.ensure_future(catalog.check())
        await asyncio.sleep(0.05)  # it waits at the turnstile, alone
        before = asyncio.ensure_future(catalog.add_blob(new_blob("b"), hosted, "app", LEASE))
        fatal = asyncio.ensure_future(catalog._write(give_up))
        after = asyncio.ensure_future(catalog.add_blob(new_blob("c"), hosted, "app", LEASE))
    outcomes = await settled(first, before, fatal, after)
    assert [type(outcome) for outcome in outcomes] == [type(None), StorageFull, StorageFull, StorageFull]
    assert not any(outcome.uncertain for outcome in outcomes[1:])
    assert await catalog.has_package(hosted, "app") is False
    await catalog.add_blob(new_blob("b"), hosted, "app", LEASE)


async def test_without_room_reads_and_deletes_go_on(path: Path, hosted: int, catalog: SQLiteCatalog) -> None:
    await catalog.publish(release(hosted, "app", "m", "1"), LEASE)
    full = "PRAGMA max_page_count = 1"  # no page may be added
    await catalog._write(lambda db: db.execute(full).fetchall())
    async with held(path):
        push = asyncio.ensure_future(fill_up(catalog, hosted))
        delete = asyncio.ensure_future(catalog.delete_tag(hosted, "app", "1"))
    failure, deleted = await settled(push, delete)
    assert isinstance(failure, StorageFull)
    assert deleted
    assert await catalog.find_version_file(hosted, "app", sha256("m")) is not None
    await catalog._write(lambda db: db.execute("PRAGMA max_page_count = 100000").fetchall())
    await catalog.add_blob(new_blob("b"), hosted, "app", LEASE)


async def fill_up(catalog: SQLiteCatalog, hosted: int) -> None:
    for n in range(1000):
        await catalog.add_blob(new_blob(f"filler {n}"), hosted, f"app{n}", LEASE)


async def test_a_foreign_writer_makes_it_busy_for_a_while(
    path: Path, hosted: int, catalog: SQLiteCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await catalog._write(lambda db: db.execute("PRAGMA busy_timeout = 20").fetchall())
    with closing(sqlite3.connect(path, isolation_level=None)) as foreign:
        foreign.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageBusy):
            await catalog.check()
        foreign.execute("ROLLBACK")
        await catalog.check()


async def test_a_read_that_fails_is_no_absence(path: Path, tmp_path: Path) -> None:
    vanished = SQLiteCatalog.open(tmp_path / "vanished.sqlite3")
    with pytest.raises(StorageFailed):
        await vanished.find_file(1, "path")
    with pytest.raises(StorageFailed):
        await vanished.check()
    await vanished.close()
    assert not (tmp_path / "vanished.sqlite3").exists()
    path.write_bytes(b"no longer a database" * 1000)
    damaged = SQLiteCatalog.open(path)
    with pytest.raises(StorageFailed):
        await damaged.find_tagged_file(1, "app", "1")
    with pytest.raises(StorageFailed):
        await damaged.list_tags(1, "app", "", 10)
    with pytest.raises(StorageFailed):
        await damaged.sync_repositories([HOSTED])
    await damaged.close()


async def test_the_log_is_folded_in_when_it_is_quiet(
    catalog: SQLiteCatalog, hosted: int, statements: list[str]
) -> None:
    for n in range(writer.CHECKPOINT_GROUPS):
        await catalog.save_upload("none", n, {})
    await until(lambda: any("wal_checkpoint" in one for one in statements), "a checkpoint")


async def test_a_release_takes_as_many_statements_however_much_it_refers_to(
    statements: list[str], catalog: SQLiteCatalog, hosted: int
) -> None:
    """Each may wait for the interpreter lock, and all processes for the transaction."""
    await catalog.add_blob(new_blob("layer"), hosted, "app", LEASE)
    counts = []
    for text, count in (("few", 1), ("many", 2000)):
        needs = [Reference(sha256(f"{number}"), "child", required=False) for number in range(count)]
        statements.clear()
        await catalog.publish(release(hosted, "app", text, needs=(layer("layer"), *needs)), LEASE)
        counts.append(len(statements))
        assert await catalog.has_reference(hosted, "app", sha256(f"{count - 1}"))
    assert counts[0] == counts[1]
    statements.clear()
    wanted = tuple(layer(f"{number}") for number in range(2000))
    with pytest.raises(MissingReferences) as caught:
        await catalog.publish(release(hosted, "app", "none", needs=wanted), LEASE)
    assert len(caught.value.digests) == 2000
    assert len(statements) < counts[0]
