"""Which cached files are dropped for want of use, and what goes with them."""

from __future__ import annotations

import time

import pytest

from nora.catalog.base import Catalog
from nora.catalog.records import NewFile, Reference
from nora.model import RepositorySpec
from tests.contracts.catalog import LEASE, CatalogFixtures, new_blob, release, sha256
from tests.contracts.catalog_cached import entry

HOUR = 3600


async def proxy_of(catalog: Catalog) -> int:
    """The id of a proxy beside the hosted repositories."""
    specs = [
        RepositorySpec("hosted", "docker", "hosted"),
        RepositorySpec("other", "docker", "hosted"),
        RepositorySpec("proxy", "docker", "proxy"),
    ]
    return (await catalog.sync_repositories(specs))["proxy"].id


class EvictionContract(CatalogFixtures):
    """The suite of what nora.catalog.collection.Collection does to cached files."""

    async def test_only_proxies_are_looked_at(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        assert await catalog.list_proxies() == []
        hosted, _ = ids
        await catalog.publish(release(hosted, "app", "m"), LEASE)
        assert await catalog.sum_cached(HOUR) == []
        with pytest.raises(ValueError, match="upstream"):
            await catalog.drop_unused(hosted, ["app/manifests/m"], unused_since=9e9, now=time.time())
        proxy = await proxy_of(catalog)
        assert await catalog.list_proxies() == [proxy]
        page = await catalog.list_unused(proxy, "", 10, unused_since=9e9)
        assert (page.paths, page.after) == ((), None)

    async def test_what_was_used_is_summed_by_the_hour_and_once(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        proxy = await proxy_of(catalog)
        for path, content, at in [("a", "12", 10.0), ("b", "345", 20.0), ("c", "12", HOUR + 1.0)]:
            await catalog.put_cached(proxy, entry(path, content, package="app", fetched_at=at), LEASE)
        found = [(one.until, one.blobs, one.bytes) for one in await catalog.sum_cached(HOUR)]
        assert found == [(2 * HOUR, 1, 2), (HOUR, 1, 3)]
        await catalog.note_pulls([((proxy, "b"), 1)], 5.0 * HOUR)
        found = [(one.until, one.blobs, one.bytes) for one in await catalog.sum_cached(HOUR)]
        assert found == [(6 * HOUR, 1, 3), (2 * HOUR, 1, 2)]

    async def test_unused_files_are_listed_in_steps_and_dropped(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        proxy = await proxy_of(catalog)
        for number in range(5):
            made = entry(f"f{number}", f"content {number}", package="app", fetched_at=100.0 * number)
            await catalog.put_cached(proxy, made, LEASE)
        await catalog.note_pulls([((proxy, "f0"), 1)], 1000.0)
        found, after = [], ""
        while True:
            page = await catalog.list_unused(proxy, after, 2, unused_since=300.0)
            found += page.paths
            if page.after is None:
                break
            after = page.after
        assert found == ["f1", "f2"]
        await catalog.note_pulls([((proxy, "f2"), 1)], 1000.0)
        doomed = await catalog.drop_unused(proxy, found, unused_since=300.0, now=time.time())
        assert [one.digest for one in doomed] == [sha256("content 1")], "f2 was used meanwhile"
        assert await catalog.find_cached(proxy, "f1") is None
        assert await catalog.find_cached(proxy, "f2") is not None
        assert await catalog.count_doomed() == (1, len("content 1"))

    async def test_an_image_goes_with_the_layers_that_no_other_needs(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        proxy = await proxy_of(catalog)
        for content in ("shared", "own", "pushed"):
            await catalog.add_blob(new_blob(content), proxy, "app", LEASE)
        await catalog.add_blob(new_blob("pushed"), hosted, "app", LEASE)
        for manifest, layers in (("old", ("shared", "own", "pushed")), ("new", ("shared",))):
            needs = tuple(Reference(sha256(one), "layer", required=False) for one in layers)
            await catalog.publish(release(proxy, "app", manifest, needs=needs), LEASE)
        paths = {one: f"app/manifests/{sha256(one)}" for one in ("old", "new")}
        later = time.time() + 9 * HOUR
        await catalog.note_pulls([((proxy, paths["new"]), 1)], later)
        sizes = {one.until > later: (one.blobs, one.bytes) for one in await catalog.sum_cached(HOUR)}
        assert sizes == {True: (2, len("newshared")), False: (2, len("oldown"))}, (
            "what was pushed is not theirs"
        )
        page = await catalog.list_unused(proxy, "", 10, unused_since=later - HOUR)
        assert page.paths == (paths["old"],)
        doomed = await catalog.drop_unused(proxy, page.paths, unused_since=later - HOUR, now=time.time())
        assert {one.digest for one in doomed} == {sha256("old"), sha256("own")}, "whatever their leases say"
        assert await catalog.find_file(proxy, paths["old"]) is None
        assert await catalog.find_linked_blob(proxy, "app", sha256("shared")) is not None
        assert await catalog.find_linked_blob(proxy, "app", sha256("own")) is None
        assert await catalog.find_linked_blob(hosted, "app", sha256("pushed")) is not None
        assert [one.name for one in await catalog.list_versions(proxy, "app")] == [sha256("new")]

    async def test_a_file_that_is_published_too_keeps_its_bytes(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        proxy = await proxy_of(catalog)
        await catalog.put_cached(proxy, entry("a", "same", package=None, fetched_at=1.0), LEASE)
        alone = NewFile(path="a", media_type="text/plain", blob=new_blob("same"))
        await catalog.put_file(hosted, alone, replace=False)
        assert await catalog.sum_cached(HOUR) == []
        assert await catalog.drop_unused(proxy, ["a", "absent"], unused_since=2.0, now=time.time()) == []
        assert await catalog.find_cached(proxy, "a") is None
        assert await catalog.find_file(hosted, "a") is not None
