"""What one NORA has fetched is put beside what another one has: what is new, what stays, what is refused."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from math import inf
from pathlib import Path

import orjson
import pytest

from nora.blobs.base import Expect
from nora.blobs.layout import Layout
from nora.blobs.local import LocalBlobStore
from nora.catalog.blocks import Block
from nora.catalog.records import Blob, NewCached, NewFile, Reference, Release
from nora.catalog.sqlite import SQLiteCatalog
from nora.commands import open_catalog
from nora.config import repository_specs
from nora.formats import load_config
from nora.model import Digest, RepositorySpec
from nora.upkeep.backups.archive import ArchiveSource, ArchiveTarget
from nora.upkeep.backups.backup import Backup, Cached, Made
from nora.upkeep.backups.importing import Import, Imported
from nora.upkeep.backups.manifest import CATALOG, HEADER, MANIFEST, BackupFailed, ManifestWriter, line_of
from nora.upkeep.backups.running import import_cached
from nora.upkeep.progress import Silent
from tests.contracts.catalog import LEASE
from tests.support.catalogs import prepare_catalog
from tests.support.stores import flip

pytestmark = pytest.mark.anyio

URL = "https://up.example.com"
SPECS = (
    RepositorySpec("hosted", "npm", "hosted"),
    RepositorySpec("npm-proxy", "npm", "proxy", sources=(URL,)),
)
ALL = Cached()
SOURCE = f"npm-proxy {URL}"


class Place:
    """A store with a hosted repository and one that has what an upstream had."""

    def __init__(self, folder: Path, catalog: SQLiteCatalog) -> None:
        self.folder = folder
        self.layout = Layout(folder)
        self.layout.create()
        self.catalog = catalog
        self.store = LocalBlobStore(self.layout, reserve_bytes=0, durable="none", rows=catalog)

    async def begin(self, *specs: RepositorySpec) -> None:
        known = await self.catalog.sync_repositories(specs)
        everything = [one for top in known.values() for one in (top, *top.sources)]
        self.hosted = next(one.id for one in everything if one.kind == "hosted")
        self.proxies = {one.name: one for one in everything if one.kind == "proxy"}
        self.source = next((one.id for one in everything if " " in one.name), 0)

    async def fetch(
        self,
        path: str,
        data: bytes,
        *,
        package: str | None = "lodash",
        version: str | None = None,
        fetched_at: float = 100.0,
        fresh_until: float = inf,
    ) -> Blob:
        async with self.store.ingest(data, Expect()) as new:
            entry = NewCached(
                path=path,
                package=package,
                version=version,
                media_type="text/plain",
                blob=new.blob,
                upstream_url=f"{URL}/{path}",
                validators={"etag": '"1"'},
                checksums={"sha1": hashlib.sha1(data).hexdigest()},
                fetched_at=fetched_at,
                fresh_until=fresh_until,
            )
            live = await self.catalog.put_cached(self.source, entry, LEASE)
            new.settle(live)
        return live

    async def publish(self, path: str, data: bytes) -> None:
        async with self.store.ingest(data, Expect()) as new:
            file = NewFile(path=path, media_type="text/plain", blob=new.blob)
            new.settle(await self.catalog.put_file(self.hosted, file, replace=False))

    async def export(self, path: Path, cached: Cached = ALL) -> Made:
        target = ArchiveTarget(path, "plain")
        work = Backup(
            self.layout.catalog,
            self.store,
            target,
            Silent(),
            passphrase=None,
            created_at=1.0,
            cached=cached,
        )
        return await work.run()

    async def take(self, path: Path, *, keep_going: bool = False) -> Imported:
        with closing(ArchiveSource(path)) as source:
            work = Import(
                self.catalog,
                self.store,
                self.layout,
                self.proxies,
                Silent(),
                lease_seconds=LEASE,
                keep_going=keep_going,
            )
            return await work.run(source)

    async def read(self, path: str) -> bytes | None:
        found = await self.catalog.find_cached(self.source, path)
        return None if found is None else await self.store.read(found.blob)


@asynccontextmanager
async def place(folder: Path, *specs: RepositorySpec) -> AsyncIterator[Place]:
    folder.mkdir()
    prepare_catalog(Layout(folder).catalog)
    catalog = SQLiteCatalog.open(Layout(folder).catalog)
    made = Place(folder, catalog)
    try:
        await made.begin(*(specs or SPECS))
        yield made
    finally:
        made.store.close()
        await catalog.close()


@pytest.fixture
async def outside(tmp_path: Path) -> AsyncIterator[Place]:
    async with place(tmp_path / "outside") as made:
        yield made


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncIterator[Place]:
    async with place(tmp_path / "inside") as made:
        yield made


async def test_what_was_fetched_comes_with_all_that_is_known_of_it(
    outside: Place, inside: Place, tmp_path: Path
) -> None:
    await outside.fetch("lodash", b"{}", fetched_at=5.0, fresh_until=9.0)
    await outside.fetch("lodash/1.tgz", b"one", version="1.0.0")
    await outside.fetch("alone", b"alone", package=None)
    await outside.catalog.note_absences([(outside.source, "lodash"), (outside.source, "private-name")])
    layer = await outside.fetch("tmp", b"layer")
    held = Release(
        repository_id=outside.source,
        package="image",
        version="m",
        files=(NewFile(path="image/m", media_type="text/plain", blob=layer),),
        document=b'{"a":1}',
        kind="kind",
        subject="other",
        references=(Reference(layer.digest, "layer", required=False),),
    )
    await outside.catalog.publish(held, LEASE)
    await outside.publish("ours", b"published outside")
    archive = tmp_path / "site.tar"
    made = await outside.export(archive)
    assert made.blobs == 4
    await inside.publish("ours", b"published inside")
    first = await inside.take(archive)
    assert (first.files, first.known, first.missing, first.written) == (5, 0, 0, 4)
    found = await inside.catalog.find_cached(inside.source, "lodash")
    there = await outside.catalog.find_cached(outside.source, "lodash")
    assert found is not None
    assert there is not None
    assert replace(found, id=there.id, blob=there.blob) == there
    assert [await inside.read(path) for path in ("lodash/1.tgz", "alone")] == [b"one", b"alone"]
    assert [one.name for one in await inside.catalog.list_versions(inside.source, "lodash")] == ["1.0.0"]
    assert await inside.catalog.has_reference(inside.source, "image", layer.digest)
    assert await inside.catalog.find_linked_blob(inside.source, "image", layer.digest) is not None
    absent = {(inside.source, "lodash"), (inside.source, "private-name")}
    assert await inside.catalog.find_absences(sorted(absent)) == {(inside.source, "lodash")}
    ours = await inside.catalog.find_file(inside.hosted, "ours")
    assert ours is not None
    assert await inside.store.read(ours.blob) == b"published inside"
    again = await inside.take(archive)
    assert (again.files, again.known, again.missing, again.written) == (0, 5, 0, 0)


async def test_nothing_that_is_published_leaves(outside: Place, tmp_path: Path) -> None:
    await outside.publish("a-private-name", b"private bytes")
    await outside.fetch("lodash", b"public")
    archive = tmp_path / "site.tar"
    assert (await outside.export(archive)).blobs == 1
    data = archive.read_bytes()
    assert b"private" not in data
    assert b"public" in data


async def test_of_a_document_the_newer_one_stays_and_of_a_file_the_one_that_is_here(
    outside: Place, inside: Place, tmp_path: Path
) -> None:
    for path, there, here in (("older", 50.0, 60.0), ("newer", 60.0, 50.0)):
        await outside.fetch(path, b"outside " + path.encode(), fetched_at=there, fresh_until=there)
        await inside.fetch(path, b"inside " + path.encode(), fetched_at=here, fresh_until=here)
    await outside.fetch("file", b"outside", fetched_at=60.0)
    await inside.fetch("file", b"inside", fetched_at=50.0)
    await outside.export(tmp_path / "site.tar")
    done = await inside.take(tmp_path / "site.tar")
    assert [await inside.read(path) for path in ("older", "newer", "file")] == [
        b"inside older",
        b"outside newer",
        b"inside",
    ]
    assert (done.files, done.known, done.missing) == (1, 1, 1)
    assert "file: it has other bytes here" in done.left_out[0]


async def test_what_has_no_place_here_or_is_blocked_is_named(outside: Place, tmp_path: Path) -> None:
    await outside.fetch("lodash", b"one")
    await outside.export(tmp_path / "site.tar")
    async with place(tmp_path / "other", SPECS[0]) as other:
        done = await other.take(tmp_path / "site.tar")
        assert done.left_out[0].startswith(f"1 files of {SOURCE}: this NORA has no such source of npm")
    async with place(tmp_path / "blocking") as blocking:
        block = Block(format="npm", name="lodash", reason="it is bad", by="admin", created_at=1.0)
        await blocking.catalog.add_block(block)
        done = await blocking.take(tmp_path / "site.tar")
        assert done.missing == 1
        assert "it is bad" in done.left_out[0]


async def test_what_was_used_lately_is_a_choice(outside: Place, inside: Place, tmp_path: Path) -> None:
    for path, at in (("old", 100.0), ("used", 100.0), ("new", 900.0)):
        await outside.fetch(path, path.encode(), package=path, fetched_at=at)
    used = await outside.catalog.find_cached(outside.source, "used")
    assert used is not None
    await outside.catalog.note_file_uses({used.id: 950.0})
    assert (await outside.export(tmp_path / "site.tar", Cached(None, 500.0))).blobs == 2
    await inside.take(tmp_path / "site.tar")
    assert [await inside.read(path) for path in ("old", "used", "new")] == [None, b"used", b"new"]
    assert (await outside.export(tmp_path / "none.tar", Cached([outside.hosted]))).blobs == 0


async def test_a_run_that_goes_on_writes_nothing_twice_and_mends_what_is_lost(
    outside: Place, inside: Place, tmp_path: Path
) -> None:
    blob = await outside.fetch("file", b"bytes")
    await outside.export(tmp_path / "site.tar")
    at = Path(inside.layout.blob(blob))
    at.parent.mkdir(parents=True, exist_ok=True)
    at.write_bytes(b"bytes")  # of a run that was killed before it came to the rows
    assert (await inside.take(tmp_path / "site.tar")).written == 0
    flip(at, 0)
    mended = await inside.take(tmp_path / "site.tar")
    assert (mended.written, mended.missing) == (1, 0)
    assert await inside.read("file") == b"bytes"


async def test_an_object_that_is_to_be_removed_is_not_taken_for_what_came(
    outside: Place, inside: Place, tmp_path: Path
) -> None:
    blob = await outside.fetch("file", b"bytes", package=None)
    await outside.export(tmp_path / "site.tar")
    await inside.take(tmp_path / "site.tar")
    await inside.catalog.drop_cached(inside.source, "file")
    live = await inside.catalog.find_blob(blob.digest)
    assert live is not None
    now = time.time() + 10
    assert await inside.catalog.doom_blobs([live], created_before=now, now=now)
    assert (await inside.take(tmp_path / "site.tar")).written == 1
    found = await inside.catalog.find_blob(blob.digest)
    assert found is not None
    assert found.generation != live.generation


Change = Callable[[sqlite3.Connection], object]


def changed(archive: Path, change: Change | bytes, **header: object) -> Path:
    """An archive as somebody makes it who means harm: its catalog, or its header, is another one, and the
    list is right all the same."""
    folder = archive.with_name("changed")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
        names = [name for name in tar.getnames() if name != MANIFEST]
    if isinstance(change, bytes):
        (folder / CATALOG).write_bytes(change)
    else:
        with closing(sqlite3.connect(folder / CATALOG)) as db, db:
            change(db)
    said = orjson.loads((folder / HEADER).read_bytes())
    (folder / HEADER).write_bytes(orjson.dumps(said | header))
    with tarfile.open(archive, "w") as tar, tempfile.TemporaryFile() as lines:
        manifest = ManifestWriter(lines)
        for name in names:
            data = (folder / name).read_bytes()
            add(tar, name, data)
            manifest.add(line_of(name, len(data), hashlib.sha256(data).hexdigest(), 0))
        manifest.finish([])
        add(tar, MANIFEST, lines.read())
    shutil.rmtree(folder)
    return archive


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def sets(column: str, value: object, table: str = "file") -> Change:
    return lambda db: db.execute(f"UPDATE {table} SET {column} = ?", (value,))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (b"no database", "cannot be read"),
        (lambda db: db.execute("PRAGMA application_id = 7"), "is damaged"),
        (lambda db: db.execute("PRAGMA user_version = 99"), "schema version 99"),
        (lambda db: db.execute("PRAGMA user_version = 1"), "cannot be used"),
        (lambda db: db.execute("DROP TABLE link"), "differs at link"),
        (sets("path", b"x"), "is damaged"),
        (sets("validators", b"\xff"), "is damaged"),
        (sets("checksums", "[1]"), "is damaged"),
        (sets("checksums", '{"sha1": 1}'), "is damaged"),
        (sets("document", b"{"), "is damaged"),
        (sets("fetched_at", "soon"), "is damaged"),
        (sets("digest", "sha256:short", "blob"), "is damaged"),
        (sets("digest", "sha512:" + "a" * 128, "blob"), "is damaged"),
        (sets("size", -1, "blob"), "is damaged"),
        (sets("generation", 2**40 + 0.5, "blob"), "is damaged"),
        (sets("xxh3", "../..", "blob"), "is damaged"),
        (lambda db: db.execute("UPDATE repository SET name = CAST(id AS BLOB)"), "is damaged"),
        (sets("name", b"x", "package"), "is damaged"),
    ],
)
async def test_rows_that_cannot_be_are_refused_in_words(
    outside: Place, inside: Place, tmp_path: Path, change: Change | bytes, told: str
) -> None:
    await outside.fetch("lodash/1.tgz", b"one", version="1.0.0")
    await outside.export(tmp_path / "site.tar")
    with pytest.raises(BackupFailed, match=told):
        await inside.take(changed(tmp_path / "site.tar", change))
    assert await inside.read("lodash/1.tgz") is None
    assert not list(inside.folder.glob("*.import*"))


async def test_bytes_that_the_rows_name_and_the_archive_lacks_are_missing(
    outside: Place, inside: Place, tmp_path: Path
) -> None:
    await outside.fetch("file", b"one")
    await outside.export(tmp_path / "site.tar")
    done = await inside.take(changed(tmp_path / "site.tar", sets("digest", f"sha256:{'0' * 64}", "blob")))
    assert done.left_out == [f"{SOURCE}: file: its bytes are not in the archive"]
    assert await inside.read("file") is None


async def test_another_digest_is_believed_when_it_is_right(
    outside: Place, inside: Place, tmp_path: Path
) -> None:
    await outside.fetch("file", b"one")
    await outside.export(tmp_path / "site.tar")
    right, wrong = (Digest(f"sha512:{hashlib.sha512(data).hexdigest()}") for data in (b"one", b"two"))

    def names(digest: Digest) -> Change:
        return lambda db: db.execute("INSERT INTO blob_alias SELECT ?, id FROM blob", (digest,))

    path = changed(tmp_path / "site.tar", names(wrong))
    assert "another digest" in (await inside.take(path)).left_out[0]
    assert await inside.catalog.find_blob(wrong) is None
    done = await inside.take(
        changed(path, lambda db: db.execute("UPDATE blob_alias SET digest = ?", (right,)))
    )
    assert done.missing == 0
    assert await inside.catalog.find_blob(right) is not None


async def test_what_is_no_export_is_refused_and_what_is_damaged_may_be_left_out(
    outside: Place, inside: Place, tmp_path: Path
) -> None:
    archive = tmp_path / "site.tar"
    await outside.fetch("whole", b"whole bytes")
    await outside.fetch("hurt", b"these bytes")
    await outside.export(archive)
    good = archive.read_bytes()
    with pytest.raises(BackupFailed, match="nora restore"):
        await inside.take(changed(archive, lambda db: None, is_cache=False))
    archive.write_bytes(good[: len(good) // 2])
    with pytest.raises(BackupFailed, match=r"ends in the middle|was cut off|is damaged"):
        await inside.take(archive)
    archive.write_bytes(good.replace(b"these bytes", b"those bytes", 1))
    with pytest.raises(BackupFailed, match="--keep-going"):
        await inside.take(archive)
    done = await inside.take(archive, keep_going=True)
    assert (done.checked.wrong, done.files, done.missing) == (1, 1, 1)
    assert [await inside.read(path) for path in ("whole", "hurt")] == [b"whole bytes", None]


async def test_a_directory_in_which_no_server_has_run_is_filled(tmp_path: Path) -> None:
    env = {"NORA_STORAGE_PATH": str(tmp_path / "fresh"), "NORA_NPM_PROXY": URL}
    config = load_config(env, tmp_path)
    async with place(tmp_path / "outside", *repository_specs(config)) as outside:
        source = next(name for name in outside.proxies if name.startswith("npm-proxy "))
        outside.source = outside.proxies[source].id
        await outside.fetch("file", os.urandom(100_000))
        await outside.export(tmp_path / "site.tar")
    async with open_catalog(config) as catalog:
        done = await import_cached(config, catalog, tmp_path / "site.tar", Silent(), keep_going=False)
    assert (done.files, done.missing, done.written) == (1, 0, 1)
