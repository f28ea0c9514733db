"""What changes between the last look at a project and its transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from nora.blobs.layout import Layout
from nora.blobs.local import LocalBlobStore
from nora.catalog import records
from nora.catalog.sqlite import SQLiteCatalog
from nora.errors import BadRequest, Denied, NoraError, TooLarge
from nora.formats.pypi.forms import Fields, parse_release
from nora.formats.pypi.settings import PypiSettings
from nora.formats.pypi.upload import UploadEndpoint
from nora.model import Repository, RepositorySpec
from tests.support.wheels import Built, Release

pytestmark = pytest.mark.anyio

Uploading = Callable[[Built], Awaitable[None]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Racing(SQLiteCatalog):
    """A catalog in which something happens just before the next release is published."""

    before: Callable[[], Awaitable[Any]] | None = None

    async def publish(self, release: records.Release, lease_seconds: float) -> list[records.Blob]:
        act, self.before = self.before, None
        if act is not None:
            await act()
        return await super().publish(release, lease_seconds)


@asynccontextmanager
async def world(folder: Path, **settings: int) -> AsyncIterator[tuple[Racing, Repository, Uploading]]:
    """A catalog, its hosted repository, and a way to upload to it."""
    layout = Layout(folder)
    layout.create()
    Racing.prepare(layout.catalog)
    catalog = Racing.open(layout.catalog)
    target = (await catalog.sync_repositories([RepositorySpec("own", "pypi", "hosted")]))["own"]
    store = LocalBlobStore(layout, reserve_bytes=0, durable="none")
    services: Any = SimpleNamespace(
        claims=None,
        catalog=catalog,
        blobs=store,
        cache=None,
        leases=SimpleNamespace(seconds=60.0),
        settings=lambda _: PypiSettings(**settings),
        config=SimpleNamespace(server=SimpleNamespace(idle_timeout=60.0)),
    )
    endpoint = UploadEndpoint(services, SimpleNamespace())  # type: ignore[arg-type]

    async def upload(built: Built) -> None:
        fields = Fields()
        fields._values.update(built.form())
        release = parse_release(fields, built.filename)

        async def content() -> AsyncIterator[bytes]:
            yield built.body

        async def form() -> AsyncIterator[Any]:
            for nothing in ():
                yield nothing

        await endpoint._take(target, release, fields, content(), form())  # type: ignore[arg-type]

    yield catalog, target, upload
    store.close()
    await catalog.close()


async def names(catalog: Racing, target: Repository) -> list[str]:
    rows = await catalog.list_package_files(target.id, "app")
    return [row.path.partition("/")[2] for row in rows if not row.path.endswith(".metadata")]


@pytest.mark.parametrize("there", [False, True])
async def test_a_second_sdist_is_refused_in_the_transaction(tmp_path: Path, there: bool) -> None:
    one, other = (Release(project="app", version=version).sdist() for version in ("1.0rc1", "1.0.rc1"))
    async with world(tmp_path) as (catalog, target, upload):
        if there:
            await upload(Release(project="app", version="0.1").wheel())
        catalog.before = lambda: upload(other)
        with pytest.raises(BadRequest, match="has an sdist already"):
            await upload(one)
        assert one.filename not in await names(catalog, target)
        assert other.filename in await names(catalog, target)


async def test_a_project_that_is_archived_takes_nothing_any_more(tmp_path: Path) -> None:
    async with world(tmp_path) as (catalog, target, upload):
        first, second = (Release(project="app", version=version).wheel() for version in ("1.0", "2.0"))
        await upload(first)
        archived = orjson.dumps({"status": "archived"})
        catalog.before = lambda: catalog.update_package(target.id, "app", archived)
        with pytest.raises(Denied, match="archived"):
            await upload(second)
        assert await names(catalog, target) == [first.filename]


async def test_two_files_do_not_both_take_the_last_room(tmp_path: Path) -> None:
    first, second = (
        Release(project="app", version=version, padding=9000).wheel() for version in ("1.0", "2.0")
    )
    async with world(tmp_path, max_project_size=len(first.body) + 1000) as (catalog, target, upload):
        catalog.before = lambda: upload(first)
        with pytest.raises(TooLarge):
            await upload(second)
        await upload(first)  # the same again needs no room
        assert await names(catalog, target) == [first.filename]


async def test_many_uploads_at_once_all_arrive(tmp_path: Path) -> None:
    wheels = [Release(project="app", version=f"1.{number}").wheel() for number in range(24)]
    async with world(tmp_path) as (catalog, target, upload):
        done: list[NoraError | None] = await asyncio.gather(*map(upload, wheels), return_exceptions=True)  # type: ignore[arg-type]
        assert done == [None] * len(wheels)
        assert sorted(await names(catalog, target)) == sorted(one.filename for one in wheels)
