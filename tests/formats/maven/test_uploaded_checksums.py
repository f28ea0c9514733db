"""Checksums that came before their files: held for a time, and not without bound."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson
import pytest

from nora.catalog.records import NewBlob, NewFile, PackageFile, Release
from nora.catalog.sqlite import SQLiteCatalog
from nora.errors import DigestMismatch
from nora.formats.maven import uploaded_checksums
from nora.formats.maven.names import ArtifactFile, Checksum, parse_path
from nora.formats.maven.uploaded_checksums import HELD_SECONDS, MOST_HELD, UploadedChecksums
from nora.model import Digest, Repository, RepositorySpec

Body = Callable[[SQLiteCatalog, Repository, UploadedChecksums], Awaitable[None]]


def checksum(number: int) -> Checksum:
    found = parse_path(f"com/example/lib/1.{number}/lib-1.{number}.jar.sha1".split("/"))
    assert isinstance(found, Checksum)
    return found


def run(folder: Path, body: Body) -> None:
    async def all_of_it() -> None:
        SQLiteCatalog.prepare(folder / "catalog.db")
        catalog = SQLiteCatalog.open(folder / "catalog.db")
        try:
            hosted = (await catalog.sync_repositories([RepositorySpec("own", "maven", "hosted")]))["own"]
            await body(catalog, hosted, UploadedChecksums(catalog))
        finally:
            await catalog.close()

    asyncio.run(all_of_it())


async def held(catalog: SQLiteCatalog, hosted: Repository) -> list[str]:
    package = await catalog.find_package(hosted.id, "com.example:lib")
    assert package is not None
    return [*orjson.loads(package.document).get("held", {})]


def test_the_oldest_go_where_there_are_too_many(tmp_path: Path) -> None:
    async def body(catalog: SQLiteCatalog, hosted: Repository, checksums: UploadedChecksums) -> None:
        many = {checksum(number).path: ("0" * 40, "me", float(2**40 + number)) for number in range(MOST_HELD)}
        await catalog.claim_package(hosted.id, "com.example:lib")
        await catalog.update_package(hosted.id, "com.example:lib", orjson.dumps({"held": many}))
        await checksums.receive(hosted, checksum(MOST_HELD), "0" * 40, "me")
        found = await held(catalog, hosted)
        assert len(found) == MOST_HELD
        assert checksum(0).path not in found
        assert checksum(MOST_HELD).path in found

    run(tmp_path, body)


def test_what_waits_for_long_waits_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_800_000_000.0]
    monkeypatch.setattr(uploaded_checksums.time, "time", lambda: now[0])

    async def body(catalog: SQLiteCatalog, hosted: Repository, checksums: UploadedChecksums) -> None:
        await checksums.receive(hosted, checksum(1), "0" * 40, "me")
        now[0] += HELD_SECONDS + 1
        await checksums.receive(hosted, checksum(2), "0" * 40, "me")
        assert await held(catalog, hosted) == [checksum(2).path]

    run(tmp_path, body)


def test_what_others_have_sent_is_not_compared(tmp_path: Path) -> None:
    """Else who may write could keep others from publishing."""

    async def body(catalog: SQLiteCatalog, hosted: Repository, checksums: UploadedChecksums) -> None:
        await checksums.receive(hosted, checksum(1), "0" * 40, "you")
        file = checksum(1).file
        assert isinstance(file, ArtifactFile)
        await checksums.check(hosted, file, "me")
        assert await held(catalog, hosted) == []

    run(tmp_path, body)


async def publish(catalog: SQLiteCatalog, hosted: Repository, file: ArtifactFile) -> None:
    sums = {"sha1": "1" * 40, "md5": "1" * 32, "sha512": "1" * 128}
    blob = NewBlob(Digest(f"sha256:{1:064x}"), 3, f"{1:032x}", 1)
    row = NewFile(path=file.path, media_type="x/y", blob=blob, document=b'{"by": "me"}', checksums=sums)
    await catalog.publish(
        Release(repository_id=hosted.id, package=file.package, version=file.version, files=(row,)), 9
    )


@pytest.mark.parametrize("seconds", [0, HELD_SECONDS + 1])
def test_what_is_held_counts_until_it_was_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """Whoever is killed in between; and what was held for too long is of another build."""
    now = [time.time()]
    monkeypatch.setattr(uploaded_checksums.time, "time", lambda: now[0])
    file = checksum(1).file
    assert isinstance(file, ArtifactFile)

    async def killed(*_: object) -> None:
        raise asyncio.CancelledError

    async def body(catalog: SQLiteCatalog, hosted: Repository, checksums: UploadedChecksums) -> None:
        await checksums.receive(hosted, checksum(1), "0" * 40, "me")
        await publish(catalog, hosted, file)
        now[0] += seconds
        if seconds:
            await checksums.check(hosted, file, "me")
        else:
            with monkeypatch.context() as patch:
                patch.setattr(UploadedChecksums, "_compare", killed)
                with pytest.raises(asyncio.CancelledError):
                    await checksums.check(hosted, file, "me")
            with pytest.raises(DigestMismatch):
                await checksums.check(hosted, file, "me")
        assert (await catalog.find_file(hosted.id, file.path) is None) is not bool(seconds)
        assert await held(catalog, hosted) == []

    run(tmp_path, body)


def test_of_two_wrong_checksums_at_once_both_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = checksum(1).file
    assert isinstance(file, ArtifactFile)

    async def body(catalog: SQLiteCatalog, hosted: Repository, checksums: UploadedChecksums) -> None:
        await publish(catalog, hosted, file)
        look = catalog.list_package_files

        async def late(repository_id: int, package: str) -> list[PackageFile]:
            found = await look(repository_id, package)
            await catalog.delete_files(hosted.id, [file.path], for_good=False)
            return found

        monkeypatch.setattr(catalog, "list_package_files", late)
        with pytest.raises(DigestMismatch):
            await checksums.receive(hosted, checksum(1), "0" * 40, "me")

    run(tmp_path, body)
