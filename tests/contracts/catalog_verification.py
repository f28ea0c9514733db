"""What a look at all objects asks of a catalog."""

from __future__ import annotations

import time

from nora.blobs.layout import SHARDS
from nora.catalog.base import Catalog
from nora.catalog.verification import BlobUse
from nora.model import RepositorySpec
from tests.contracts.catalog import LEASE, CatalogFixtures, new_blob, release
from tests.contracts.catalog_collection import doom_all


class VerificationContract(CatalogFixtures):
    """The suite of nora.catalog.verification.Verification."""

    async def test_live_blobs_are_listed_by_id_until_they_were_found_right(self, catalog: Catalog) -> None:
        hosted = (await catalog.sync_repositories([RepositorySpec("hosted", "docker", "hosted")]))["hosted"]
        blobs = [await catalog.add_blob(new_blob(text), hosted.id, "app", LEASE) for text in "abc"]
        now = time.time()
        first = await catalog.list_blobs(0, 2, verified_before=now)
        rest = await catalog.list_blobs(first[-1].id, 2, verified_before=now)
        assert [one.digest for one in [*first, *rest]] == [one.digest for one in blobs]
        await catalog.note_verified(blobs[:2], now)
        assert [one.id for one in await catalog.list_blobs(0, 9, verified_before=now)] == [blobs[2].id]
        assert len(await catalog.list_blobs(0, 9, verified_before=now + 1)) == 3
        assert await catalog.measure_blobs() == (3, 3)
        await doom_all(catalog)
        assert await catalog.list_blobs(0, 9, verified_before=now + 1) == []
        assert await catalog.measure_blobs() == (0, 0)

    async def test_live_blobs_are_listed_by_the_folder_of_their_objects(self, catalog: Catalog) -> None:
        hosted = (await catalog.sync_repositories([RepositorySpec("hosted", "docker", "hosted")]))["hosted"]
        texts = [str(number) for number in range(40)]
        blobs = [await catalog.add_blob(new_blob(text), hosted.id, "app", LEASE) for text in texts]
        found = [await catalog.list_shard(shard) for shard in SHARDS]
        listed = [one for page in found for one in page]
        assert [(one.digest, one.generation, one.size) for one in listed] == sorted(
            (one.digest, one.generation, one.size) for one in blobs
        )
        assert all(one.digest.encoded[:2] == SHARDS[n] for n, page in enumerate(found) for one in page)
        await doom_all(catalog)
        assert not any([await catalog.list_shard(shard) for shard in SHARDS])

    async def test_another_object_was_not_found_right(self, catalog: Catalog) -> None:
        hosted = (await catalog.sync_repositories([RepositorySpec("hosted", "docker", "hosted")]))["hosted"]
        blob = await catalog.add_blob(new_blob("a"), hosted.id, "app", LEASE)
        now = time.time()
        await catalog.note_verified([blob], now)
        await catalog.replace_object(blob, new_blob("a"))
        assert len(await catalog.list_blobs(0, 9, verified_before=now)) == 1
        await catalog.note_verified([blob], now)
        assert len(await catalog.list_blobs(0, 9, verified_before=now)) == 1, "that was the lost one"

    async def test_the_uses_of_a_blob_are_its_files_and_who_else_holds_it(self, catalog: Catalog) -> None:
        hosted = (await catalog.sync_repositories([RepositorySpec("hosted", "docker", "hosted")]))["hosted"]
        made = release(hosted.id, "app", "content")
        await catalog.publish(made, LEASE)
        blob = await catalog.add_blob(new_blob("content"), hosted.id, "other", LEASE)
        uses = await catalog.list_blob_uses(blob, 10)
        assert set(uses) == {
            BlobUse(hosted.id, "app", made.files[0].path),
            BlobUse(hosted.id, "other", None),
        }

    async def test_nothing_is_wrong_with_rows_as_they_are_written(self, catalog: Catalog) -> None:
        hosted = (await catalog.sync_repositories([RepositorySpec("hosted", "docker", "hosted")]))["hosted"]
        await catalog.publish(release(hosted.id, "app", "content", "1"), LEASE)
        assert await catalog.check_rows(10) == []
