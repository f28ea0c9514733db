"""What holds for purges of what is cached, in every catalog engine."""

from __future__ import annotations

from math import inf

import pytest

from nora.catalog.base import Catalog
from nora.catalog.records import Part
from nora.model import Digest
from tests.contracts.catalog import (
    GROUP,
    HOSTED,
    LEASE,
    OTHER,
    CatalogFixtures,
    layer,
    new_blob,
    release,
    sha256,
)
from tests.contracts.catalog_cached import PROXY, entry


class PurgesContract(CatalogFixtures):
    """The suite of purges."""

    @pytest.fixture
    async def proxy(self, catalog: Catalog) -> int:
        return (await catalog.sync_repositories([HOSTED, OTHER, GROUP, PROXY]))["proxy"].id

    @pytest.fixture
    async def held(self, catalog: Catalog, proxy: int) -> int:
        """A page, two versions with a file each, and metadata beside one; all read once, so recalled."""
        await catalog.put_cached(proxy, entry("app/", "page"), LEASE)
        for version in ("1.0", "2.0"):
            name = f"app/app-{version}.whl"
            await catalog.put_cached(proxy, entry(name, version, version=version, fresh_until=inf), LEASE)
        await catalog.put_cached(proxy, entry("app/app-1.0.whl.metadata", "metadata", fresh_until=inf), LEASE)
        await catalog.note_absences([(proxy, "app")])
        assert await self.paths(catalog, proxy) == {
            "app/", "app/app-1.0.whl", "app/app-1.0.whl.metadata", "app/app-2.0.whl"
        }  # fmt: skip
        return proxy

    async def paths(self, catalog: Catalog, proxy: int) -> set[str]:
        """What is there, each read at its path."""
        listed = {one.path for one in await catalog.list_package_files(proxy, "app")}
        every = ("app/", "app/app-1.0.whl", "app/app-1.0.whl.metadata", "app/app-2.0.whl")
        found = {path for path in every if await catalog.find_cached(proxy, path) is not None}
        assert found == {path for path in every if await catalog.find_file(proxy, path) is not None} == listed
        return found

    async def test_nothing_of_a_purged_package_stays(self, catalog: Catalog, held: int) -> None:
        before = await catalog.find_package(held, "app")
        purged = await catalog.purge_cached(held, "app", Part())
        assert len(purged.paths) == 4
        assert (purged.blobs, purged.packages) == (0, 1)
        assert await self.paths(catalog, held) == set()
        assert await catalog.find_package(held, "app") is None
        assert await catalog.find_absences([(held, "app")]) == set()
        await catalog.put_cached(held, entry("app/", "page"), LEASE)
        again = await catalog.find_package(held, "app")
        assert before is not None
        assert again is not None
        assert again.id != before.id, "documents are kept under it"

    async def test_a_purged_version_takes_what_is_beside_its_files(self, catalog: Catalog, held: int) -> None:
        before = await catalog.find_package(held, "app")
        purged = await catalog.purge_cached(held, "app", Part(version="1.0"))
        assert purged.paths == ("app/app-1.0.whl", "app/app-1.0.whl.metadata")
        assert await self.paths(catalog, held) == {"app/", "app/app-2.0.whl"}
        assert [one.name for one in await catalog.list_versions(held, "app")] == ["2.0"]
        after = await catalog.find_package(held, "app")
        assert before is not None
        assert after is not None
        assert (after.id, after.revision) == (before.id, before.revision + 1)

    async def test_documents_about_the_rest_are_asked_for_again(self, catalog: Catalog, held: int) -> None:
        await catalog.purge_cached(held, "app", Part(version="1.0"))
        page, kept = (
            await catalog.find_cached(held, "app/"),
            await catalog.find_cached(held, "app/app-2.0.whl"),
        )
        assert page is not None
        assert kept is not None
        assert (page.fresh_until, kept.fresh_until) == (0.0, inf)

    @pytest.mark.parametrize("file", ["app-1.0.whl", "app/app-1.0.whl"])
    async def test_a_file_is_purged_by_its_name_or_path(self, catalog: Catalog, held: int, file: str) -> None:
        purged = await catalog.purge_cached(held, "app", Part(file=file))
        assert purged.paths == ("app/app-1.0.whl", "app/app-1.0.whl.metadata")

    async def test_a_document_about_a_part_goes_with_it(self, catalog: Catalog, held: int) -> None:
        await catalog.put_cached(held, entry("app/1.0/json", "json"), LEASE)
        purged = await catalog.purge_cached(held, "app", Part(version="1.0", paths=("app/1.0/json", "app/x")))
        assert "app/1.0/json" in purged.paths
        assert await catalog.find_cached(held, "app/1.0/json") is None

    async def test_a_document_takes_nothing_that_only_begins_like_it(
        self, catalog: Catalog, proxy: int
    ) -> None:
        for tag in ("1", "1.2"):
            await catalog.put_cached(proxy, entry(f"app/tags/{tag}", ""), LEASE)
        purged = await catalog.purge_cached(proxy, "app", Part(version="1", paths=("app/tags/1",)))
        assert purged.paths == ("app/tags/1",)

    async def test_bytes_are_purged_wherever_they_are(self, catalog: Catalog, held: int) -> None:
        digest = new_blob("1.0").digest
        assert await catalog.list_cached_holders(held, digest) == ["app"]
        purged = await catalog.purge_cached(held, "app", Part(digest=digest))
        assert "app/app-1.0.whl" in purged.paths
        assert await catalog.list_cached_holders(held, digest) == []
        assert await catalog.find_linked_blob(held, "app", digest) is None

    async def test_a_version_takes_the_content_that_only_it_needs(self, catalog: Catalog, proxy: int) -> None:
        for name, needs in (("one", ("shared", "own")), ("two", ("shared",))):
            for content in needs:
                await catalog.add_blob(new_blob(content), proxy, "app", LEASE)
            await catalog.publish(
                release(proxy, "app", name, needs=tuple(layer(content) for content in needs)), LEASE
            )
        purged = await catalog.purge_cached(proxy, "app", Part(version=sha256("one")))
        assert purged.blobs == 1
        assert await catalog.find_linked_blob(proxy, "app", new_blob("own").digest) is None
        assert await catalog.find_linked_blob(proxy, "app", new_blob("shared").digest) is not None
        layers = await catalog.purge_cached(proxy, "app", Part(digest=new_blob("shared").digest))
        assert (layers.paths, layers.blobs) == ((), 1), "also what a version needs: it is fetched again"
        assert await catalog.find_linked_blob(proxy, "app", new_blob("shared").digest) is None

    async def test_what_is_not_there_is_not_purged(self, catalog: Catalog, held: int) -> None:
        before = await catalog.find_package(held, "app")
        nothing = Digest(f"sha256:{'0' * 64}")
        for part in (Part(version="3.0"), Part(file="app-1.0"), Part(digest=nothing)):
            assert not await catalog.purge_cached(held, "app", part)
        assert not await catalog.purge_cached(held, "other", Part())
        assert await catalog.list_cached_holders(held, nothing) == []
        assert await catalog.find_package(held, "app") == before

    async def test_nothing_that_was_published_is_purged(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted = ids[0]
        await catalog.publish(release(hosted, "app", "one"), LEASE)
        with pytest.raises(ValueError, match="upstream"):
            await catalog.purge_cached(hosted, "app", Part())
        with pytest.raises(ValueError, match="upstream"):
            await catalog.purge_paths(hosted, ["app/one"])
        assert await catalog.find_package(hosted, "app") is not None

    async def test_files_without_a_package_are_purged_by_path(self, catalog: Catalog, held: int) -> None:
        await catalog.put_cached(held, entry("alone", "alone", package=None), LEASE)
        assert await catalog.find_cached(held, "alone") is not None
        assert (await catalog.purge_paths(held, ["alone", "absent", "app/"])).paths == ("alone",)
        assert await catalog.find_cached(held, "alone") is None
        assert await catalog.find_cached(held, "app/") is not None
