"""The pages of large hosted projects: after an upload they are what a reading of all rows would give."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nora.catalog.records import NewBlob, NewFile, Release
from nora.catalog.sqlite import SQLiteCatalog
from nora.formats.pypi.hosted import METADATA, YANKED, file_document, project_of
from nora.formats.pypi.hosted_pages import MANY_ROWS, HostedPages
from nora.formats.pypi.index import decode
from nora.formats.pypi.names import ProjectName
from nora.model import Digest, Repository, RepositorySpec
from tests.support.catalogs import prepare_catalog

pytestmark = pytest.mark.anyio
NAME = ProjectName("many")
COUNT = MANY_ROWS  # twice as many rows


class Hosted:
    """A large project, and how often all of its rows were read."""

    def __init__(self, catalog: SQLiteCatalog, repository: Repository) -> None:
        self.catalog = catalog
        self.repository = repository
        self.pages = HostedPages(self)  # type: ignore[arg-type]
        self.read = 0

    def __getattr__(self, name: str) -> Any:
        self.read += name == "list_package_files"
        return getattr(self.catalog, name)

    async def upload(self, version: str, filename: str = "") -> None:
        filename = filename or f"many-{version}-py3-none-any.whl"
        document = file_document("wheel", ">=3.8", "0" * 64)
        paths = (f"{NAME}/{filename}", f"{NAME}/{filename}{METADATA}")
        files = (
            NewFile(path=paths[0], media_type="a/b", blob=blob(paths[0]), document=document),
            NewFile(path=paths[1], media_type="a/b", blob=blob(paths[1])),
        )
        await self.catalog.publish(
            Release(repository_id=self.repository.id, package=NAME, version=version, files=files), 60.0
        )

    async def check(self) -> bool:
        """That the page is right; whether all rows were read for it."""
        package = await self.catalog.find_package(self.repository.id, NAME)
        assert package is not None
        rows = await self.catalog.list_package_files(self.repository.id, NAME)
        versions = await self.catalog.list_versions(self.repository.id, NAME)
        before = self.read
        found = decode(await self.pages.stored(self.repository, package, NAME))
        expected = project_of(NAME, package, rows, versions)
        assert [*found.files] == [*expected.files]
        assert ([*found.versions], found.status) == ([*expected.versions], expected.status)
        return self.read > before


def blob(text: str) -> NewBlob:
    return NewBlob(Digest(f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"), len(text), "0" * 32, 1)


@pytest.fixture
async def hosted(tmp_path: Path) -> AsyncIterator[Hosted]:
    prepare_catalog(tmp_path / "catalog.db")
    catalog = SQLiteCatalog.open(tmp_path / "catalog.db")
    repositories = await catalog.sync_repositories([RepositorySpec("hosted", "pypi", "hosted")])
    found = Hosted(catalog, repositories["hosted"])
    for number in range(COUNT):
        await found.upload(f"{number}.5")
    assert await found.check()
    yield found
    await catalog.close()


async def test_an_upload_has_no_rows_read_again(hosted: Hosted) -> None:
    assert not await hosted.check()
    await hosted.upload("0.1")
    await hosted.upload("99999.0")
    assert not await hosted.check()
    await hosted.upload("1.5", "many-1.5-cp311-cp311-linux_x86_64.whl")
    assert not await hosted.check()
    await hosted.upload("1.5", "many-1.5-cp311-cp311-linux_x86_64.whl")
    assert not await hosted.check(), "the same file again"


async def test_whatever_else_happens_has_all_rows_read(hosted: Hosted) -> None:
    where = hosted.repository.id
    await hosted.catalog.update_version(where, NAME, "3.5", state=YANKED, document=b'{"yanked": "bad"}')
    assert await hosted.check()
    await hosted.upload("3.5", "many-3.5-cp311-cp311-linux_x86_64.whl")
    assert await hosted.check(), "what is added to a yanked version is yanked"
    paths = [f"{NAME}/many-4.5-py3-none-any.whl{end}" for end in ("", METADATA)]
    await hosted.catalog.delete_files(where, paths, for_good=True)
    await hosted.upload("200.0")
    assert await hosted.check()
    package = await hosted.catalog.find_package(where, NAME)
    assert package is not None
    await hosted.catalog.update_package(where, NAME, b'{"status": "archived"}', before=package.document)
    assert await hosted.check()
    assert not await hosted.check()
