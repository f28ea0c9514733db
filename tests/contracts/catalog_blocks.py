"""What holds for blocks, in every catalog engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from nora.catalog import blocks
from nora.catalog.base import Catalog
from nora.catalog.blocks import Block
from nora.catalog.records import NewFile
from nora.errors import BadRequest, Blocked, NotFound
from nora.model import Digest, RepositorySpec
from tests.contracts.catalog import LEASE, CatalogFixtures, layer, new_blob, release, sha256, sha512
from tests.contracts.catalog_cached import entry

PROXY = RepositorySpec("proxy", "docker", "proxy", sources=("https://one.example", "https://two.example"))
HOSTED = RepositorySpec("hosted", "docker", "hosted")
OTHER = RepositorySpec("other", "docker", "hosted")
PYTHON = RepositorySpec("python", "pypi", "hosted")
GROUP = RepositorySpec("group", "docker", "group", ("hosted", "proxy"), "hosted")
SPECS = [HOSTED, OTHER, PYTHON, PROXY, GROUP]


def block(**said: str) -> Block:
    return Block(reason="it bites", by="root", created_at=1.0, **said)  # type: ignore[arg-type]


class BlocksContract(CatalogFixtures):
    """The suite of blocks."""

    @pytest.fixture
    async def rows(self, catalog: Catalog) -> dict[str, int]:
        """The ids of all rows by name."""
        found = await catalog.sync_repositories(SPECS)
        sources = {f"source {number}": one.id for number, one in enumerate(found["proxy"].sources)}
        return {name: one.id for name, one in found.items()} | sources

    async def test_what_is_blocked_is_listed_and_lifted(self, catalog: Catalog, rows: dict[str, int]) -> None:
        assert not catalog.blocks()
        first = await catalog.add_block(block(repository="group", name="app", version="1"))
        second = await catalog.add_block(block(digest=sha256("x")))
        assert (first.repository, first.name, first.version, first.what) == ("group", "app", "1", "app 1")
        assert (second.repository, second.digest, second.what) == ("", sha256("x"), sha256("x"))
        assert (first.reason, first.by, first.created_at) == ("it bites", "root", 1.0)
        assert await catalog.list_blocks(0, 10) == [first, second]
        assert await catalog.list_blocks(0, 1) == [first]
        assert await catalog.list_blocks(first.id, 10) == [second]
        assert catalog.blocks()
        assert await catalog.lift_block(first.id) == first
        assert await catalog.lift_block(first.id) is None
        assert await catalog.lift_block(second.id) == second
        assert not catalog.blocks()
        with pytest.raises(NotFound, match="none"):
            await catalog.add_block(block(repository="none", name="app"))

    @pytest.mark.parametrize(
        "said",
        [
            {"digest": sha256("one")},
            {"digest": sha256("one"), "repository": "hosted"},
            {"digest": sha256("one"), "repository": "group"},
            {"name": "app", "repository": "hosted"},
            {"name": "app", "repository": "group"},
            {"name": "app", "version": sha256("one"), "format": "docker"},
        ],
    )
    async def test_reads_of_what_is_published_are_refused(
        self, catalog: Catalog, rows: dict[str, int], said: dict[str, str]
    ) -> None:
        await catalog.publish(release(rows["hosted"], "app", "one", "latest"), LEASE)
        path = f"app/manifests/{sha256('one')}"
        reads: list[Callable[[], Awaitable[object]]] = [
            lambda: catalog.find_file(rows["hosted"], path),
            lambda: catalog.find_tagged_file(rows["hosted"], "app", "latest"),
            lambda: catalog.find_version_file(rows["hosted"], "app", sha256("one")),
        ]
        if "version" not in said:
            reads.append(lambda: catalog.find_linked_blob(rows["hosted"], "app", sha256("one")))
        for read in reads:  # recalled from here on
            assert await read() is not None
        kept = await catalog.add_block(block(**said))
        for read in reads * 2:
            with pytest.raises(Blocked, match=f"is blocked here: it bites .block {kept.id}, by root"):
                await read()
        assert await catalog.find_file(rows["hosted"], path, blocked=True) is not None
        found = await catalog.find_version_file(rows["hosted"], "app", sha256("one"), blocked=True)
        assert found is not None
        await catalog.lift_block(kept.id)
        for read in reads:
            assert await read() is not None

    @pytest.mark.parametrize(
        "said",
        [
            {"digest": sha256("two")},
            {"digest": sha256("one"), "repository": "other"},
            {"digest": sha256("one"), "repository": "proxy"},
            {"name": "ap", "repository": "hosted"},
            {"name": "app", "repository": "proxy"},
            {"name": "app", "version": "1", "repository": "hosted"},
            {"name": "app", "format": "pypi"},
        ],
    )
    async def test_nothing_else_is_refused(
        self, catalog: Catalog, rows: dict[str, int], said: dict[str, str]
    ) -> None:
        await catalog.add_block(block(**said))
        await catalog.publish(release(rows["hosted"], "app", "one", "latest"), LEASE)
        assert await catalog.find_tagged_file(rows["hosted"], "app", "latest") is not None
        assert await catalog.find_linked_blob(rows["hosted"], "app", sha256("one")) is not None

    @pytest.mark.parametrize("repository", ["group", "proxy", "proxy https://two.example"])
    async def test_what_came_from_a_source_is_refused_through_all_that_read_it(
        self, catalog: Catalog, rows: dict[str, int], repository: str
    ) -> None:
        source = rows["source 1"]
        new = entry("app/1.whl", "wheel", version="1", fresh_until=inf)
        await catalog.put_cached(source, new, LEASE)
        found = await catalog.find_cached(source, "app/1.whl")
        assert found is not None
        assert found.version == "1"
        await catalog.add_block(block(repository=repository, name="app", version="1"))
        with pytest.raises(Blocked):
            await catalog.find_cached(source, "app/1.whl")
        with pytest.raises(Blocked):
            await catalog.put_cached(source, new, LEASE)
        await catalog.put_cached(source, entry("app/2.whl", "other", version="2"), LEASE)
        assert await catalog.find_cached(source, "app/2.whl") is not None

    async def test_a_tag_is_blocked_as_a_version_is(self, catalog: Catalog, rows: dict[str, int]) -> None:
        await catalog.publish(release(rows["hosted"], "app", "one", "good", "bad"), LEASE)
        await catalog.add_block(block(repository="hosted", name="app", version="bad"))
        assert await catalog.find_tagged_file(rows["hosted"], "app", "good") is not None
        with pytest.raises(Blocked):
            await catalog.find_tagged_file(rows["hosted"], "app", "bad")
        with pytest.raises(Blocked):
            await catalog.publish(release(rows["hosted"], "app", "two", "bad"), LEASE)

    async def test_blocked_bytes_come_in_nowhere(self, catalog: Catalog, rows: dict[str, int]) -> None:
        there = await catalog.add_blob(new_blob("layer"), rows["hosted"], "app", LEASE)
        await catalog.add_block(block(digest=sha256("layer")))
        new = new_blob("layer")
        file = NewFile(path="app/x", media_type="text/plain", blob=new)
        writes: list[Callable[[], Awaitable[object]]] = [
            lambda: catalog.add_blob(new, rows["other"], "app", LEASE),
            lambda: catalog.mount_blob(there.digest, [(rows["hosted"], "app")], rows["other"], "app", LEASE),
            lambda: catalog.put_file(rows["other"], file, replace=True),
            lambda: catalog.publish(replace(release(rows["other"], "app", "one"), files=(file,)), LEASE),
            lambda: catalog.put_cached(rows["source 0"], entry("x", "layer"), LEASE),
        ]
        for write in writes:
            with pytest.raises(Blocked):
                await write()
        assert await catalog.find_package(rows["other"], "app") is None

    async def test_a_version_that_needs_blocked_content_is_not_published(
        self, catalog: Catalog, rows: dict[str, int]
    ) -> None:
        """One that came from an upstream is kept: what is blocked of it is refused by itself."""
        await catalog.add_blob(new_blob("layer"), rows["hosted"], "app", LEASE)
        await catalog.add_block(block(digest=sha256("layer")))
        with pytest.raises(Blocked):
            await catalog.publish(release(rows["hosted"], "app", "one", needs=(layer("layer"),)), LEASE)
        pulled = replace(layer("layer"), required=False)
        await catalog.publish(release(rows["source 0"], "app", "one", needs=(pulled,)), LEASE)

    async def test_bytes_are_blocked_by_any_of_their_digests(
        self, catalog: Catalog, rows: dict[str, int]
    ) -> None:
        await catalog.add_blob(new_blob("layer", sha512("layer")), rows["hosted"], "app", LEASE)
        await catalog.add_block(block(digest=sha512("layer")))
        for digest in (sha256("layer"), sha512("layer")):
            with pytest.raises(Blocked):
                await catalog.find_linked_blob(rows["hosted"], "app", digest)
        with pytest.raises(Blocked):
            await catalog.add_blob(new_blob("layer"), rows["other"], "app", LEASE)

    @pytest.mark.parametrize("way", ["add_blob", "publish", "put_file", "put_cached"])
    async def test_bytes_are_blocked_once_it_is_known_what_else_they_are_called(
        self, catalog: Catalog, rows: dict[str, int], way: str
    ) -> None:
        """Wherever that is found out, and whatever was recalled before."""
        await catalog.add_block(block(digest=sha512("layer"), repository="other"))
        await catalog.add_blob(new_blob("layer"), rows["other"], "app", LEASE)
        assert await catalog.find_linked_blob(rows["other"], "app", sha256("layer")) is not None
        new, hosted = new_blob("layer", sha512("layer")), rows["hosted"]
        file = NewFile(path="app/x", media_type="text/plain", blob=new)
        ways: dict[str, Callable[[], Awaitable[object]]] = {
            "add_blob": lambda: catalog.add_blob(new, hosted, "app", LEASE),
            "publish": lambda: catalog.publish(replace(release(hosted, "app", "one"), files=(file,)), LEASE),
            "put_file": lambda: catalog.put_file(hosted, file, replace=True),
            "put_cached": lambda: catalog.put_cached(
                rows["source 0"], replace(entry("x", "layer"), blob=new), LEASE
            ),
        }
        await ways[way]()
        with pytest.raises(Blocked):
            await catalog.find_linked_blob(rows["other"], "app", sha256("layer"))

    async def test_a_block_of_bytes_counts_for_a_mount_by_another_digest(
        self, catalog: Catalog, rows: dict[str, int]
    ) -> None:
        await catalog.add_blob(new_blob("layer", sha512("layer")), rows["hosted"], "app", LEASE)
        await catalog.add_block(block(digest=sha256("layer")))
        holders = [(rows["hosted"], "app")]
        with pytest.raises(Blocked):
            await catalog.mount_blob(sha512("layer"), holders, rows["other"], "app", LEASE)
        assert await catalog.find_package(rows["other"], "app") is None

    @pytest.mark.parametrize("made", [sha256, sha512])
    async def test_a_version_that_is_a_digest_is_blocked_under_the_other_one(
        self, catalog: Catalog, rows: dict[str, int], made: Callable[[str], Digest]
    ) -> None:
        one, other = made("one"), sha512("one") if made is sha256 else sha256("one")
        file = NewFile(path=f"app/manifests/{other}", media_type="x", blob=new_blob("one", sha512("one")))
        named = replace(release(rows["hosted"], "app", "one", "latest"), version=other, files=(file,))
        await catalog.publish(named, LEASE)
        await catalog.add_block(block(repository="hosted", name="app", version=one))
        for read in (
            catalog.find_file(rows["hosted"], file.path),
            catalog.find_tagged_file(rows["hosted"], "app", "latest"),
            catalog.find_version_file(rows["hosted"], "app", other),
        ):
            with pytest.raises(Blocked):
                await read
        with pytest.raises(Blocked):
            await catalog.publish(named, LEASE)

    async def test_blocks_are_limited(
        self, catalog: Catalog, rows: dict[str, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(blocks, "MOST_BLOCKS", 2)
        kept = [await catalog.add_block(block(digest=sha256(one))) for one in "xy"]
        with pytest.raises(BadRequest, match="lift some"):
            await catalog.add_block(block(digest=sha256("z")))
        await catalog.lift_block(kept[0].id)
        await catalog.add_block(block(digest=sha256("z")))

    async def test_another_process_sees_it_at_once(
        self, catalog: Catalog, rows: dict[str, int], tmp_path: Path
    ) -> None:
        await catalog.publish(release(rows["hosted"], "app", "one", "latest"), LEASE)
        other = self.make(tmp_path)
        try:
            assert await other.find_tagged_file(rows["hosted"], "app", "latest") is not None
            kept = await catalog.add_block(block(repository="hosted", name="app"))
            with pytest.raises(Blocked):
                await other.find_tagged_file(rows["hosted"], "app", "latest")
            await other.lift_block(kept.id)
            assert await catalog.find_tagged_file(rows["hosted"], "app", "latest") is not None
        finally:
            await other.close()

    async def test_documents_know_what_to_leave_out(self, catalog: Catalog, rows: dict[str, int]) -> None:
        assert catalog.blocks().hidden(rows["hosted"], "app") is None
        await catalog.add_block(block(repository="group", name="app", version="1"))
        await catalog.add_block(block(repository="hosted", digest=sha256("x")))
        hidden = catalog.blocks().hidden(rows["hosted"], "app")
        assert hidden is not None
        assert (hidden.has("1"), hidden.has("2", sha256("x")), hidden.has("2", sha256("y"))) == (
            True,
            True,
            False,
        )
        assert catalog.blocks().hidden(rows["other"], "app") is None
        await catalog.add_block(block(format="docker", name="other"))
        whole = catalog.blocks().hidden(rows["other"], "other")
        assert whole is not None
        assert whole.has("1")
        assert whole.has(None)
