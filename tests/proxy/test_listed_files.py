"""Files that a document lists: how they are described to the cache, and what is kept of them."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest

from nora.catalog.records import Blob, NewCached
from nora.catalog.sqlite import SQLiteCatalog
from nora.model import Repository, RepositorySpec
from nora.proxy.base import Address, Received
from nora.proxy.listed_files import ListedFiles, UpstreamFile
from tests.contracts.catalog import new_blob, sha256
from tests.support.catalogs import prepare_catalog

MIRROR = Repository(7, "mirror", "toy", "proxy")
UPSTREAM: Any = None
SHA512 = hashlib.sha512(b"toy").hexdigest()


def described(**hashes: str) -> UpstreamFile:
    return UpstreamFile(
        path="bear/bear-1.0",
        package="bear",
        version="1.0",
        media_type="application/x-bear",
        hashes=hashes,
        size=3,
        addresses=(Address(UPSTREAM, "https://toys.example/bear-1.0"),),
    )


@pytest.mark.parametrize(
    ("hashes", "digest", "is_late"),
    [
        ({"sha256": "a" * 64, "sha512": SHA512}, f"sha256:{'a' * 64}", False),
        ({"sha512": SHA512, "md5": "0" * 32}, f"sha512:{SHA512}", False),
        ({"md5": "0" * 32}, None, True),
        ({"crc32": "0" * 8}, None, False),
        ({}, None, False),
    ],
)
def test_the_strongest_hash_is_checked_as_early_as_it_can_be(
    hashes: dict[str, str], digest: str | None, is_late: bool
) -> None:
    files = ListedFiles(None, 60, print)  # type: ignore[arg-type]
    request = files.request(MIRROR, described(**hashes), max_bytes=9)
    assert (request.expect.digest, request.expect.size) == (digest, 3)
    assert (request.check is not None) is is_late
    other = f" md5:{hashes['md5']}" if is_late else ""  # nothing else tells two files of one path apart
    assert (request.key, request.registry, request.max_bytes) == (f"7/bear/bear-1.0{other}", "toy", 9)
    assert [one.url for one in request.addresses] == ["https://toys.example/bear-1.0"]


def test_a_late_check_finds_other_bytes(tmp_path: Path) -> None:
    files = ListedFiles(None, 60, print)  # type: ignore[arg-type]
    told = hashlib.md5(b"toy", usedforsecurity=False).hexdigest()
    check = files.request(MIRROR, described(md5=told), max_bytes=9).check
    assert check is not None
    for body, is_right in ((b"toy", True), (b"yot", False)):
        (tmp_path / "file").write_bytes(body)
        assert check(str(tmp_path / "file")) is is_right


def test_hashes_are_taken_and_kept_that_a_format_asks_for() -> None:
    file = replace(described(), also=("sha1",))
    assert ListedFiles(None, 60, print).request(MIRROR, file, max_bytes=9).expect.also == ("sha1",)  # type: ignore[arg-type]
    kept: list[NewCached] = []

    class Rows:
        async def put_cached(self, _: int, entry: NewCached, __: float) -> None:
            kept.append(entry)

    blob = replace(new_blob("toy"), checksums={"sha1": "5e", "sha512": "5f"})
    asyncio.run(ListedFiles(Rows(), 60, print).keep(MIRROR, file, blob, Received("")))  # type: ignore[arg-type]
    assert kept[0].checksums == {"sha1": "5e"}


def test_what_has_come_in_is_kept_for_good_and_told(tmp_path: Path) -> None:
    async def run() -> None:
        prepare_catalog(tmp_path / "catalog.db")
        catalog = SQLiteCatalog.open(tmp_path / "catalog.db")
        try:
            mirror = (await catalog.sync_repositories([RepositorySpec("mirror", "toy", "proxy")]))["mirror"]
            told: list[Blob] = []

            async def stored(blob: Blob) -> None:
                told.append(blob)

            request = ListedFiles(catalog, 60, print).request(mirror, described(), max_bytes=9, stored=stored)
            assert await request.find() is None
            live = await request.store(new_blob("toy"), Received(request.addresses[0].url, {"etag": "x"}))
            assert told == [live]
            found = await request.find()
            assert found is not None
            assert found.id == live.id
            cached = await catalog.find_cached(mirror.id, "bear/bear-1.0")
            assert cached is not None
            assert (cached.blob.digest, cached.fresh_until) == (sha256("toy"), inf)
            assert cached.upstream_url == "https://toys.example/bear-1.0"
            assert cached.validators == {"etag": "x"}
        finally:
            await catalog.close()

    asyncio.run(run())
