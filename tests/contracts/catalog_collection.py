"""Which blobs are collected, and what becomes of those who meet one that is about to go."""

from __future__ import annotations

import asyncio
import time

import pytest

from nora.catalog.base import Catalog
from nora.catalog.records import Blob, NewBlob, NewFile, Part, Reference
from nora.errors import BlobNotFound, MissingReferences
from nora.model import Digest, RepositorySpec
from tests.contracts.catalog import (
    LEASE,
    CatalogFixtures,
    layer,
    new_blob,
    release,
    sha256,
    sha512,
    with_blob,
)
from tests.contracts.catalog_cached import entry


async def unneeded(catalog: Catalog, *, later: float = 0.0, grace: float = 0.0, limit: int = 2) -> list[str]:
    """The digests of the blobs that nothing needs, `later` seconds from now, in steps."""
    now, after, found = time.time() + later, 0, []
    while True:
        page = await catalog.list_unneeded(after, limit, created_before=now - grace + 1e-3, now=now)
        found += [blob.digest for blob in page.blobs]
        if page.is_end:
            return found
        assert page.after > after
        after = page.after


async def doom(catalog: Catalog, *blobs: Blob, later: float = LEASE + 1) -> list[Blob]:
    now = time.time() + later
    return await catalog.doom_blobs(blobs, created_before=now, now=now)


async def doom_all(catalog: Catalog) -> list[Blob]:
    now = time.time() + LEASE + 1
    page = await catalog.list_unneeded(0, 1000, created_before=now, now=now)
    return await catalog.doom_blobs(page.blobs, created_before=now, now=now)


class CollectionContract(CatalogFixtures):
    """The suite of nora.catalog.collection.Collection."""

    async def test_an_empty_catalog_has_nothing(self, catalog: Catalog) -> None:
        page = await catalog.list_unneeded(0, 10, created_before=time.time(), now=time.time())
        assert (page.blobs, page.is_end) == ((), True)
        assert await catalog.list_doomed(time.time(), 10) == []
        assert await doom(catalog) == []
        await catalog.remove_doomed([])
        assert await catalog.find_objects([]) == set()

    async def test_a_lease_and_grace_keep_a_blob(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, _ = ids
        blob = await catalog.add_blob(new_blob("layer"), hosted, "app", LEASE)
        assert await unneeded(catalog) == []
        assert await doom(catalog, blob, later=0) == []
        assert await unneeded(catalog, later=LEASE + 1) == [sha256("layer")]
        assert await unneeded(catalog, later=LEASE + 1, grace=2 * LEASE) == []
        await catalog.renew_leases([(hosted, "app", blob.digest)], 9 * LEASE)
        assert await unneeded(catalog, later=LEASE + 1) == []

    async def test_what_is_referred_to_is_needed_in_any_role_and_by_any_digest(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, other = ids
        for content in ("config", "layer", "nested"):
            await catalog.add_blob(new_blob(content), hosted, "app", LEASE)
        await catalog.add_blob(new_blob("long", sha512("long")), hosted, "app", LEASE)
        needs = (
            Reference(sha256("config"), "config", required=True),
            layer("layer"),
            Reference(sha256("nested"), "child", required=True),
            Reference(sha512("long"), "layer", required=True),
            Reference(sha256("absent"), "layer", required=False),
        )
        await catalog.publish(release(hosted, "app", "index", needs=needs), LEASE)
        referrer = release(hosted, "app", "signature", subject="index")
        await catalog.publish(referrer, LEASE)
        await catalog.add_blob(new_blob("layer"), other, "else", LEASE)
        assert await unneeded(catalog, later=LEASE + 1) == []
        await catalog.delete_version(hosted, "app", sha256("index"))
        gone = [sha256(one) for one in ("config", "layer", "nested", "long", "index")]
        assert await unneeded(catalog, later=LEASE + 1) == gone, "and the referrer is a version still"

    async def test_what_is_deleted_stays_for_who_refers_to_it_by_another_digest(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        other = Reference(sha512("both"), "layer", required=True)
        made = with_blob(release(ids[0], "app", "both"), new_blob("both", sha512("both")))
        await catalog.publish(made, LEASE)
        await catalog.publish(release(ids[0], "app", "needs it", needs=(other,)), LEASE)
        assert await catalog.delete_version(ids[0], "app", sha256("both"))
        assert await catalog.find_linked_blob(ids[0], "app", sha512("both")) is not None
        assert await unneeded(catalog, later=LEASE + 1) == []
        await catalog.delete_version(ids[0], "app", sha256("needs it"))
        assert await unneeded(catalog, later=LEASE + 1) == [sha256("both"), sha256("needs it")]

    async def test_a_reference_counts_in_its_own_package_only(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, other = ids
        await catalog.add_blob(new_blob("layer"), hosted, "app", LEASE)
        needs = (Reference(sha256("layer"), "layer", required=False),)
        await catalog.publish(release(other, "app", "sparse", needs=needs), LEASE)
        assert await unneeded(catalog, later=LEASE + 1) == [sha256("layer")]

    async def test_files_are_needed_whatever_they_belong_to(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        proxy = (await catalog.sync_repositories([RepositorySpec("proxy", "pypi", "proxy")]))["proxy"].id
        alone = NewFile(path="a/file", media_type="text/plain", blob=new_blob("alone"))
        await catalog.put_file(hosted, alone, replace=False)
        for package in ("app", None):
            for content in ("first", "second"):
                await catalog.put_cached(
                    proxy, entry(f"{package}/", f"{package} {content}", package=package), LEASE
                )
        assert await unneeded(catalog) == [sha256("app first"), sha256("None first")], "they were replaced"
        await catalog.put_cached(proxy, entry("None/", "None first", package=None), LEASE)
        assert await unneeded(catalog) == [sha256("app first"), sha256("None second")], "a page again"
        await catalog.delete_files(hosted, ["a/file"], for_good=False)
        await catalog.purge_cached(proxy, "app", Part())
        await catalog.drop_cached(proxy, "None/")
        found = {sha256(f"{package} {one}") for package in ("app", "None") for one in ("first", "second")}
        assert {*await unneeded(catalog)} == {sha256("alone"), *found}

    async def test_a_doomed_blob_is_not_found_any_more(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, other = ids
        blob = await catalog.add_blob(new_blob("layer", sha512("layer")), hosted, "app", LEASE)
        assert await catalog.find_linked_blob(hosted, "app", blob.digest) is not None
        assert [one.id for one in await doom(catalog, blob)] == [blob.id]
        digests: tuple[Digest, ...] = (sha256("layer"), sha512("layer"))
        for digest in digests:
            assert await catalog.find_blob(digest) is None
            assert await catalog.find_linked_blob(hosted, "app", digest) is None
            assert await catalog.mount_blob(digest, [(hosted, "app")], other, "app", LEASE) is None
        await catalog.renew_leases([(hosted, "app", blob.digest)], LEASE)
        with pytest.raises(MissingReferences):
            await catalog.publish(release(hosted, "app", "m", needs=(layer("layer"),)), LEASE)
        with pytest.raises(BlobNotFound):
            await catalog.publish(with_blob(release(hosted, "app", "m"), blob), LEASE)
        assert await doom(catalog, blob) == [], "once"

    async def test_an_ingest_that_meets_a_doomed_blob_starts_a_new_one(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        first = await catalog.add_blob(new_blob("layer"), hosted, "app", LEASE)
        await doom(catalog, first)
        again: NewBlob = new_blob("layer")
        second = await catalog.add_blob(again, hosted, "app", LEASE)
        assert second.id != first.id
        assert second.generation == again.generation != first.generation
        await catalog.publish(release(hosted, "app", "m", needs=(layer("layer"),)), LEASE)
        await catalog.remove_doomed([first, second])
        found = await catalog.find_linked_blob(hosted, "app", sha256("layer"))
        assert found is not None
        assert found.id == second.id, "a row that is not doomed stays"

    async def test_a_package_lets_go_of_what_only_others_need(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, other = ids
        for repository, package in ((hosted, "app"), (other, "app"), (hosted, "copy")):
            await catalog.add_blob(new_blob("layer"), repository, package, LEASE)
            made = release(repository, package, f"{package} {repository}", needs=(layer("layer"),))
            await catalog.publish(made, LEASE)
        await catalog.add_blob(new_blob("long", sha512("long")), hosted, "app", LEASE)
        needs = (Reference(sha512("long"), "layer", required=True),)
        await catalog.publish(release(hosted, "app", "by alias", needs=needs), LEASE)
        late, soon = time.time() + LEASE + 1, time.time()

        async def release_all(created_before: float) -> int:
            page = await catalog.list_unneeded(0, 99, created_before=created_before, now=created_before)
            released = await catalog.release_links(0, page.after, created_before=created_before)
            assert page.has_loose_links is (released > 0)
            return released

        assert await release_all(late) == 0
        await catalog.delete_version(hosted, "app", sha256(f"app {hosted}"))
        assert await release_all(soon) == 0, "the lease is not over"
        assert await catalog.find_linked_blob(hosted, "app", sha256("layer")) is not None
        assert await release_all(late) == 1
        assert await catalog.find_linked_blob(hosted, "app", sha256("layer")) is None
        for repository, package in ((other, "app"), (hosted, "copy")):
            assert await catalog.find_linked_blob(repository, package, sha256("layer")) is not None
        assert await catalog.find_linked_blob(hosted, "app", sha512("long")) is not None
        assert await release_all(late) == 0

    async def test_what_becomes_needed_meanwhile_is_not_doomed(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, other = ids
        now = time.time() + LEASE + 1
        for content in ("pushed", "mounted", "published", "lost"):
            await catalog.add_blob(new_blob(content), hosted, "app", LEASE)
        page = await catalog.list_unneeded(0, 10, created_before=now, now=now)
        assert len(page.blobs) == 4
        await catalog.add_blob(new_blob("pushed"), hosted, "app", 9 * LEASE)
        await catalog.mount_blob(sha256("mounted"), [(hosted, "app")], other, "else", 9 * LEASE)
        await catalog.publish(release(hosted, "app", "m", needs=(layer("published"),)), LEASE)
        doomed = await catalog.doom_blobs(page.blobs, created_before=now, now=now)
        assert [one.digest for one in doomed] == [sha256("lost")]

    async def test_a_doomed_row_goes_after_its_time_and_takes_its_aliases(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        blob = await catalog.add_blob(new_blob("layer", sha512("layer")), hosted, "app", LEASE)
        now = time.time() + LEASE + 1
        await catalog.doom_blobs([blob], created_before=now, now=now)
        name = (blob.digest, blob.generation)
        assert await catalog.list_doomed(now - 1, 10) == []
        assert [one.generation for one in await catalog.list_doomed(now, 10)] == [blob.generation]
        assert await catalog.find_objects([name, (blob.digest, 0), (sha256("x"), 1)]) == {name}
        assert await catalog.count_doomed() == (1, blob.size)
        await catalog.remove_doomed([blob])
        assert await catalog.list_doomed(now, 10) == []
        assert await catalog.count_doomed() == (0, 0)
        assert await catalog.find_objects([name]) == set()
        new = await catalog.add_blob(new_blob("layer"), hosted, "app", LEASE)
        assert await catalog.find_linked_blob(hosted, "app", sha512("layer")) is None
        assert await catalog.find_objects([(new.digest, new.generation)]) == {(new.digest, new.generation)}

    async def test_pushes_and_dooms_at_once_leave_every_release_whole(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        published: list[tuple[str, str]] = []

        async def push(number: int) -> None:
            content = f"layer {number % 3}"
            await catalog.add_blob(new_blob(content), hosted, "app", -LEASE)  # a lease that is over
            await asyncio.sleep(0)
            try:
                await catalog.publish(release(hosted, "app", f"m {number}", needs=(layer(content),)), -LEASE)
            except MissingReferences:
                return
            published.append((f"m {number}", content))

        async def collect() -> None:
            for _ in range(20):
                await doom_all(catalog)

        for _ in range(5):
            await asyncio.gather(collect(), *(push(number) for number in range(20)))
            for manifest, content in published:
                assert await catalog.find_linked_blob(hosted, "app", sha256(content)) is not None
                assert await catalog.find_version_file(hosted, "app", sha256(manifest)) is not None
                await catalog.delete_version(hosted, "app", sha256(manifest))
            published.clear()
