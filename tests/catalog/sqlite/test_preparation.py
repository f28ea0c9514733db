"""A catalog is created, migrated, or refused with the reason."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from nora.catalog.records import Blob, Package, PackageFile, VersionAbout
from nora.catalog.sqlite import SQLiteCatalog, preparation
from nora.catalog.sqlite.schema import MIGRATIONS, SCHEMA_VERSION
from nora.errors import CatalogUnusable
from tests.contracts.catalog import HOSTED, LEASE, release, sha256

FUTURE = (*MIGRATIONS, ("ALTER TABLE package ADD COLUMN colour TEXT", "CREATE TABLE later (id INTEGER)"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalog.sqlite3"


def prepare(path: Path, migrations: tuple[tuple[str, ...], ...] = MIGRATIONS) -> None:
    preparation.prepare(path, allow_fuse=False, migrations=migrations)


def fill(path: Path, count: int = 3) -> None:
    async def scenario() -> None:
        catalog = SQLiteCatalog.open(path)
        hosted = (await catalog.sync_repositories([HOSTED]))["hosted"].id
        await asyncio.gather(
            *(catalog.publish(release(hosted, f"app{n}", f"m{n}", "1"), LEASE) for n in range(count))
        )
        await catalog.close()

    asyncio.run(scenario())


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def test_a_new_catalog_is_for_its_owner_and_says_what_it_is(path: Path) -> None:
    SQLiteCatalog.prepare(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert query(path, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    assert query(path, "PRAGMA application_id") == [(preparation.APPLICATION_ID,)]
    assert query(path, "PRAGMA journal_mode") == [("wal",)]


# -- a catalog that was lost -------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, b""])
def test_a_log_without_its_catalog_is_refused_and_kept(path: Path, content: bytes | None) -> None:
    prepare(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO probe VALUES (2, 0)")
        db.commit()
        log = path.with_name(path.name + "-wal").read_bytes()
    path.unlink()
    path.with_name(path.name + "-wal").write_bytes(log)
    if content is not None:
        path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(CatalogUnusable, match=r"(?s)its log catalog.sqlite3-wal.*restore both"):
            prepare(path)
    assert path.with_name(path.name + "-wal").read_bytes() == log
    assert path.exists() is (content is not None)


@pytest.mark.parametrize("state", ["absent", "empty", "new"])
def test_no_catalog_is_made_beside_blobs(path: Path, state: str) -> None:
    if state == "empty":
        path.touch()
    elif state == "new":
        prepare(path)
    for _ in range(2):
        with pytest.raises(
            CatalogUnusable, match=r"(?s)stored blobs \(/some/object.*Restore catalog.sqlite3"
        ):
            SQLiteCatalog.prepare(path, find_object=lambda: "/some/object")
    assert path.exists() is (state != "absent")


def test_a_catalog_that_was_used_may_know_no_blob(path: Path) -> None:
    """Of a process that was killed at its first push the object may be there, and no row."""
    prepare(path)
    fill(path, 0)
    SQLiteCatalog.prepare(path, find_object=lambda: "/some/object")


def test_preparing_again_changes_nothing(path: Path) -> None:
    SQLiteCatalog.prepare(path)
    fill(path)
    before = path.read_bytes()
    SQLiteCatalog.prepare(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("version", range(len(MIGRATIONS)))
def test_every_older_version_migrates(path: Path, version: int) -> None:
    prepare(path, MIGRATIONS[:version])
    prepare(path)
    fill(path)
    assert query(path, "PRAGMA user_version") == [(SCHEMA_VERSION,)]


def test_rows_survive_a_migration(path: Path) -> None:
    prepare(path)
    fill(path)
    prepare(path, FUTURE)
    assert query(path, "SELECT count(*), max(colour) FROM package") == [(3, None)]
    assert query(path, "PRAGMA user_version") == [(SCHEMA_VERSION + 1,)]


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_what_an_older_version_wrote_is_read(path: Path, version: int) -> None:
    prepare(path, MIGRATIONS[:version])
    kind, parent = "artifact_type" if version < 4 else "kind", "parent," * (version < 5)
    with contextlib.closing(sqlite3.connect(path)) as db:  # as that version wrote it
        db.executescript(
            f"""
            INSERT INTO repository (name, format, kind) VALUES ('hosted', 'docker', 'hosted');
            INSERT INTO package (repository_id, name, owned, versions, created_at)
            VALUES (1, 'app', 1, 1, 5.0);
            INSERT INTO version (package_id, name, published_at, first_seen_at, document, subject, {kind})
            VALUES (1, '1', 5.0, 5.0, CAST('{{}}' AS BLOB), '0', 'sbom');
            INSERT INTO blob (digest, size, xxh3, generation, created_at)
            VALUES ('{sha256("m")}', 3, '0', 7, 5.0);
            INSERT INTO file (repository_id, path, {parent} package_id, version_id, blob_id, size, media_type,
            created_at) VALUES (1, 'app/1', {"'app'," * bool(parent)} 1, 1, 1, 3, 'text/plain', 5.0);
            INSERT INTO link (package_id, blob_id, lease_until) VALUES (1, 1, 0.0);
            """
        )
    prepare(path)

    async def scenario() -> None:
        catalog = SQLiteCatalog.open(path)
        package = await catalog.find_package(1, "app")
        assert package == Package(1, "app", True, 0, b"{}")
        blob = Blob(1, sha256("m"), 3, 7)
        [listed] = await catalog.list_package_files(1, "app")
        assert listed == PackageFile("app/1", "1", "text/plain", blob, b"{}", 5.0)
        about = VersionAbout("1", "text/plain", 3, "sbom", b"{}")
        assert await catalog.list_versions_about(1, "app", "0", "sbom", "", limit=9, max_bytes=9) == (
            [about],
            False,
        )
        assert await catalog.list_tokens(None, "", 9) == []
        assert await catalog.find_cached(1, "app/1") is None
        assert await catalog.list_idle_cached(1, 1e12, 10) == []
        assert await catalog.delete_files(1, ["app/1"], for_good=True) == 1
        await catalog.close()

    asyncio.run(scenario())


def test_a_step_that_fails_leaves_the_version_before(path: Path) -> None:
    prepare(path)
    fill(path)
    with pytest.raises(CatalogUnusable, match="nonsense"):
        prepare(path, (*MIGRATIONS, ("DROP TABLE tag", "ALTER TABLE nonsense ADD COLUMN x")))
    prepare(path)
    assert query(path, "SELECT count(*) FROM tag") == [(3,)]


def test_a_newer_catalog_is_refused_by_both_versions(path: Path) -> None:
    prepare(path, FUTURE)
    with pytest.raises(CatalogUnusable, match=rf"version {SCHEMA_VERSION + 1}.*up to {SCHEMA_VERSION}\b"):
        prepare(path)


def test_the_log_of_a_killed_process_is_folded_in(path: Path, tmp_path: Path) -> None:
    prepare(path)
    other = tmp_path / "copy"
    other.mkdir()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("INSERT INTO repository (name, format, kind) VALUES ('a', 'raw', 'hosted')")
        for name in ("catalog.sqlite3", "catalog.sqlite3-wal"):  # what a crash would leave
            (other / name).write_bytes((tmp_path / name).read_bytes())
    prepare(other / "catalog.sqlite3")
    assert query(other / "catalog.sqlite3", "SELECT name FROM repository") == [("a",)]


# -- damage --------------------------------------------------------------------------------------------


def overwrite(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"this is not a database" * 1000)
    with pytest.raises(CatalogUnusable, match="not a database"):
        prepare(path)
    assert path.read_bytes().startswith(b"this is not")


def test_the_database_of_another_program_is_refused(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (id INTEGER)")
    with pytest.raises(CatalogUnusable, match="another program"):
        prepare(path)


def test_a_short_file_is_refused(path: Path) -> None:
    prepare(path)
    fill(path, 50)
    os.truncate(path, path.stat().st_size - 4096)
    with pytest.raises(CatalogUnusable, match=r"damaged|malformed"):
        prepare(path)


@pytest.mark.parametrize("table", ["tag", "file_by_path", "package"])
def test_an_overwritten_page_is_refused(path: Path, table: str) -> None:
    prepare(path)
    fill(path)
    [(page,)] = query(path, f"SELECT rootpage FROM sqlite_master WHERE name = '{table}'")
    assert isinstance(page, int)
    overwrite(path, (page - 1) * 4096, os.urandom(4096))
    with pytest.raises(CatalogUnusable, match=r"damaged|malformed"):
        prepare(path)


def test_rows_that_make_no_sense_are_refused(path: Path) -> None:
    prepare(path)
    fill(path, 200)
    [(page,)] = query(path, "SELECT max(pageno) FROM dbstat WHERE name = 'file'") or [(None,)]
    assert isinstance(page, int)
    overwrite(path, (page - 1) * 4096 + 8, b"\xff" * 64)
    with pytest.raises(CatalogUnusable, match=r"damaged|malformed"):
        prepare(path)


def test_a_schema_without_an_index_is_refused(path: Path) -> None:
    prepare(path)
    query(path, "DROP INDEX link_by_blob")
    with pytest.raises(CatalogUnusable, match="link_by_blob"):
        prepare(path)


def test_the_check_of_a_large_catalog_stops_in_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def at_once(db: sqlite3.Connection, seconds: float) -> Iterator[None]:
        db.set_progress_handler(lambda: 1, 1)
        yield
        db.set_progress_handler(None, 0)

    prepare(path)
    fill(path)
    monkeypatch.setattr(preparation, "_interrupted_after", at_once)
    prepare(path)


# -- what it stands on ---------------------------------------------------------------------------------


def test_an_old_sqlite_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(CatalogUnusable, match=r"3\.35\.0 or newer"):
        prepare(path)
    assert not path.exists()


def test_an_sqlite_without_full_text_search_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Bare(sqlite3.Connection):
        def execute(self, sql: str, *values: object) -> sqlite3.Cursor:  # type: ignore[override]
            if "fts5" in sql:
                raise sqlite3.OperationalError("no such module: fts5")
            return super().execute(sql)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=Bare))
    with pytest.raises(CatalogUnusable, match="FTS5"):
        prepare(path)


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "9p", "ceph", "lustre", "fuse.glusterfs"])
def test_a_network_file_system_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(preparation, "file_system_type", lambda _: kind)
    for allow_fuse in (False, True):
        with pytest.raises(CatalogUnusable, match=f"network file system.*{kind}"):
            SQLiteCatalog.prepare(path, allow_fuse=allow_fuse)
    assert not path.exists()


def test_fuse_is_refused_unless_allowed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "file_system_type", lambda _: "fuse.sshfs")
    with pytest.raises(CatalogUnusable, match=r"FUSE.*sshfs"):
        SQLiteCatalog.prepare(path)
    SQLiteCatalog.prepare(path, allow_fuse=True)


@pytest.mark.parametrize("kind", ["ext4", "overlay", "tmpfs", "xfs", None])
def test_a_local_file_system_is_fine(path: Path, monkeypatch: pytest.MonkeyPatch, kind: str | None) -> None:
    monkeypatch.setattr(preparation, "file_system_type", lambda _: kind)
    SQLiteCatalog.prepare(path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogUnusable, match=r"absent/catalog\.sqlite3.*No such file"):
        prepare(tmp_path / "absent" / "catalog.sqlite3")
