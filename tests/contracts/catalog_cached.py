"""What holds for what comes from upstreams, in every catalog engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from nora.catalog.base import Catalog
from nora.catalog.records import Blob, NewBlob, NewCached, Reference
from nora.errors import BlobNotFound
from nora.model import RepositorySpec
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
    sha512,
    with_blob,
)

PROXY = RepositorySpec("proxy", "docker", "proxy")


def entry(
    path: str,
    content: str,
    *,
    package: str | None = "app",
    version: str | None = None,
    blob: NewBlob | Blob | None = None,
    validators: Mapping[str, str] | None = None,
    fetched_at: float = 100.0,
    fresh_until: float = 200.0,
) -> NewCached:
    return NewCached(
        path=path,
        package=package,
        version=version,
        media_type="application/json",
        blob=blob or new_blob(content),
        upstream_url=f"https://upstream.example/{path}",
        validators=validators or {"etag": f'"{content}"'},
        document=b'{"made of":"%s"}' % content.encode(),
        fetched_at=fetched_at,
        fresh_until=fresh_until,
    )


class CachedContract(CatalogFixtures):
    """The suite of cached files and references."""

    @pytest.fixture
    async def proxy(self, catalog: Catalog) -> int:
        return (await catalog.sync_repositories([HOSTED, OTHER, GROUP, PROXY]))["proxy"].id

    @pytest.mark.parametrize("package", ["app", None])
    async def test_what_is_kept_is_found(self, catalog: Catalog, proxy: int, package: str | None) -> None:
        assert await catalog.find_cached(proxy, "simple/app") is None
        new = entry("simple/app", "index", package=package)
        blob = await catalog.put_cached(proxy, new, LEASE)
        assert (blob.digest, blob.generation) == (new.blob.digest, new.blob.generation)  # type: ignore[union-attr]
        for _ in range(2):  # read, then recalled
            found = await catalog.find_cached(proxy, "simple/app")
            assert found is not None
            assert (found.path, found.package, found.media_type) == ("simple/app", package, new.media_type)
            assert (found.blob.id, found.blob.digest, found.blob.size) == (blob.id, blob.digest, 5)
            assert (found.upstream_url, found.validators) == (new.upstream_url, new.validators)
            assert (found.document, found.fetched_at, found.fresh_until) == (new.document, 100.0, 200.0)
        file = await catalog.find_file(proxy, "simple/app")
        assert file is not None
        assert (file.id, file.package, file.version, file.blob.id) == (found.id, package, None, blob.id)
        assert (await catalog.find_package(proxy, "app") is not None) is (package is not None)
        held = await catalog.find_linked_blob(proxy, "app", blob.digest)
        assert held == (blob if package else None)

    async def test_a_file_is_kept_for_good_with_its_version(self, catalog: Catalog, proxy: int) -> None:
        new = entry("files/app-1.whl", "wheel", version="1", fresh_until=inf)
        await catalog.put_cached(proxy, new, LEASE)
        found = await catalog.find_cached(proxy, new.path)
        assert found is not None
        assert found.fresh_until == inf
        [listed] = await catalog.list_package_files(proxy, "app")
        assert (listed.path, listed.version, listed.document) == (new.path, "1", new.document)
        assert [version.name for version in await catalog.list_versions(proxy, "app")] == ["1"]
        assert await catalog.list_idle_cached(proxy, inf, 10) == []
        package = await catalog.find_package(proxy, "app")
        assert package is not None
        assert package.owned is False

    async def test_hashes_are_kept_with_the_bytes_that_have_them(self, catalog: Catalog, proxy: int) -> None:
        new = replace(entry("files/app-1.whl", "wheel"), checksums={"sha1": "5a"})
        for checksums in ({"sha1": "5a"}, None):
            await catalog.put_cached(proxy, replace(new, checksums=checksums), LEASE)
            found = await catalog.find_cached(proxy, new.path)
            file = await catalog.find_file(proxy, new.path)
            assert found is not None
            assert file is not None
            assert found.checksums == file.checksums == checksums

    @pytest.mark.parametrize("package", ["app", None])
    async def test_the_new_takes_the_place_of_the_old(
        self, catalog: Catalog, proxy: int, package: str | None
    ) -> None:
        await catalog.put_cached(proxy, entry("simple/app", "old", package=package), LEASE)
        old = await catalog.find_cached(proxy, "simple/app")
        new = entry("simple/app", "new", package=package, fetched_at=300.0, fresh_until=400.0)
        blob = await catalog.put_cached(proxy, new, LEASE)
        now = await catalog.find_cached(proxy, "simple/app")
        assert old is not None
        assert now is not None
        assert (now.id, now.blob.id, now.validators) == (old.id, blob.id, {"etag": '"new"'})
        assert (now.document, now.fetched_at, now.fresh_until) == (new.document, 300.0, 400.0)
        assert await catalog.find_linked_blob(proxy, "app", sha256("old")) is None
        assert await catalog.find_blob(sha256("old")) is not None  # only collection removes

    async def test_the_package_and_the_version_before_let_go(self, catalog: Catalog, proxy: int) -> None:
        await catalog.put_cached(proxy, entry("a", "same", package="one", version="1"), LEASE)
        assert await catalog.find_cached(proxy, "a") is not None
        await catalog.put_cached(proxy, entry("a", "same", package="two", version="2"), LEASE)
        found = await catalog.find_cached(proxy, "a")
        assert found is not None
        assert found.package == "two"
        assert await catalog.list_versions(proxy, "one") == []
        assert await catalog.list_packages(proxy, "", 10) == ["two"]
        assert await catalog.find_linked_blob(proxy, "one", sha256("same")) is None
        await catalog.put_cached(proxy, entry("a", "same", package=None), LEASE)
        found = await catalog.find_cached(proxy, "a")
        assert found is not None
        assert found.package is None
        assert await catalog.list_known_packages(proxy, "", 10) == []

    async def test_bytes_that_are_there_already(self, catalog: Catalog, proxy: int) -> None:
        blob = await catalog.put_cached(proxy, entry("a", "bytes", package=None), LEASE)
        again = await catalog.put_cached(proxy, entry("b", "bytes"), LEASE)
        assert (again.id, again.generation) == (blob.id, blob.generation)
        held = await catalog.put_cached(proxy, entry("c", "bytes", blob=blob), LEASE)
        assert held.id == blob.id
        gone = Blob(10**9, sha256("gone"), 1, 1)
        with pytest.raises(BlobNotFound):
            await catalog.put_cached(proxy, entry("d", "gone", blob=gone), LEASE)
        assert await catalog.find_cached(proxy, "d") is None

    async def test_nothing_from_an_upstream_gets_into_a_hosted_repository(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        with pytest.raises(ValueError, match="prox"):
            await catalog.put_cached(hosted, entry("simple/app", "index"), LEASE)
        assert await catalog.find_package(hosted, "app") is None
        assert await catalog.find_blob(sha256("index")) is None

    async def test_what_is_published_is_not_cached(self, catalog: Catalog, proxy: int) -> None:
        new = release(proxy, "app", "one", version="1")
        path = new.files[0].path
        await catalog.publish(new, LEASE)
        assert await catalog.find_cached(proxy, path) is None
        assert await catalog.drop_cached(proxy, path) is False
        times = {"fetched_at": 5.0, "fresh_until": 6.0}
        assert await catalog.touch_cached(proxy, path, validators=None, **times) is False
        await catalog.put_cached(proxy, entry(path, "one", version="1"), LEASE)
        await catalog.publish(with_blob(new, new_blob("one")), LEASE)
        assert await catalog.find_cached(proxy, path) is not None  # the same bytes
        await catalog.publish(with_blob(new, new_blob("two")), LEASE)
        assert await catalog.find_cached(proxy, path) is None

    @pytest.mark.parametrize("package", ["app", None])
    async def test_what_is_still_right_is_fresh_again(
        self, catalog: Catalog, proxy: int, package: str | None, tmp_path: Path
    ) -> None:
        other = self.make(tmp_path)
        new = entry("simple/app", "index", package=package)
        await catalog.put_cached(proxy, new, LEASE)
        before = await catalog.find_cached(proxy, new.path)
        revision = await catalog.find_package(proxy, "app")
        assert await other.touch_cached(proxy, new.path, validators=None, fetched_at=300.0, fresh_until=400.0)
        now = await catalog.find_cached(proxy, new.path)
        assert before is not None
        assert now == replace(before, fetched_at=300.0, fresh_until=400.0)
        assert await other.touch_cached(
            proxy, new.path, validators={"etag": "2"}, fetched_at=500.0, fresh_until=inf
        )
        now = await catalog.find_cached(proxy, new.path)
        assert now == replace(before, validators={"etag": "2"}, fetched_at=500.0, fresh_until=inf)
        assert await catalog.find_package(proxy, "app") == revision
        assert not await other.touch_cached(proxy, "no", validators=None, fetched_at=1.0, fresh_until=2.0)
        await other.close()

    @pytest.mark.parametrize("package", ["app", None])
    async def test_other_processes_see_what_is_cached(
        self, catalog: Catalog, proxy: int, package: str | None, tmp_path: Path
    ) -> None:
        other = self.make(tmp_path)
        for content in ("one", "two"):
            assert await catalog.find_cached(proxy, "a") is None
            assert await catalog.find_file(proxy, "a") is None
            await other.put_cached(proxy, entry("a", content, package=package), LEASE)
            found, file = await catalog.find_cached(proxy, "a"), await catalog.find_file(proxy, "a")
            assert found is not None
            assert file is not None
            assert (found.blob.digest, file.blob.digest) == (sha256(content), sha256(content))
            assert await other.drop_cached(proxy, "a") is True
            assert await other.drop_cached(proxy, "a") is False
        await other.put_cached(proxy, entry("a", "three", package="first"), LEASE)
        assert await catalog.find_cached(proxy, "a") is not None
        await other.put_cached(proxy, entry("a", "four", package=package), LEASE)
        found, file = await catalog.find_cached(proxy, "a"), await catalog.find_file(proxy, "a")
        assert found is not None
        assert file is not None
        assert (found.package, found.blob.digest) == (package, sha256("four"))
        assert (file.package, file.blob.digest) == (package, sha256("four"))
        await other.close()

    async def test_what_is_dropped_is_let_go(self, catalog: Catalog, proxy: int) -> None:
        await catalog.put_cached(proxy, entry("a", "a", version="1"), LEASE)
        before = await catalog.find_package(proxy, "app")
        assert await catalog.drop_cached(proxy, "absent") is False
        assert await catalog.drop_cached(proxy, "a") is True
        now = await catalog.find_package(proxy, "app")
        assert before is not None
        assert now is not None
        assert now.revision > before.revision
        assert await catalog.list_versions(proxy, "app") == []
        assert await catalog.find_linked_blob(proxy, "app", sha256("a")) is None

    async def test_what_was_replaced_since_is_not_dropped(self, catalog: Catalog, proxy: int) -> None:
        seen = await catalog.put_cached(proxy, entry("a", "old"), LEASE)
        now = await catalog.put_cached(proxy, entry("a", "new"), LEASE)
        assert await catalog.drop_cached(proxy, "a", holding=seen) is False
        assert await catalog.find_cached(proxy, "a") is not None
        assert await catalog.drop_cached(proxy, "a", holding=now) is True

    @pytest.mark.parametrize("change", ["used", "fetched", "right"])
    async def test_what_was_used_since_is_not_evicted(
        self, catalog: Catalog, proxy: int, change: str
    ) -> None:
        await catalog.put_cached(proxy, entry("a", "a", fetched_at=10.0), LEASE)
        found = await catalog.find_cached(proxy, "a")
        assert found is not None
        assert await catalog.list_idle_cached(proxy, 20.0, 10) == ["a"]
        if change == "used":
            await catalog.note_file_uses({found.id: 30.0})
        elif change == "fetched":
            await catalog.put_cached(proxy, entry("a", "b", fetched_at=30.0), LEASE)
        else:
            await catalog.touch_cached(proxy, "a", validators=None, fetched_at=30.0, fresh_until=40.0)
        assert await catalog.drop_cached(proxy, "a", unused_since=20.0) is False
        assert await catalog.find_cached(proxy, "a") is not None
        assert await catalog.drop_cached(proxy, "a", unused_since=50.0) is True

    async def test_documents_that_nobody_uses_are_idle(
        self, catalog: Catalog, ids: tuple[int, int], proxy: int
    ) -> None:
        for name, fetched_at in (("b", 10.0), ("a", 20.0), ("c", 30.0), ("d", 40.0)):
            await catalog.put_cached(proxy, entry(name, name, fetched_at=fetched_at), LEASE)
        await catalog.put_cached(proxy, entry("for good", "file", fresh_until=inf), LEASE)
        await catalog.publish(release(ids[0], "app", "m"), LEASE)
        assert await catalog.list_idle_cached(proxy, 35.0, 10) == ["b", "a", "c"]
        assert await catalog.list_idle_cached(proxy, 35.0, 2) == ["b", "a"]
        assert await catalog.list_idle_cached(ids[0], 1e12, 10) == []
        used = await catalog.find_cached(proxy, "b")
        assert used is not None
        await catalog.note_file_uses({})
        await catalog.note_file_uses({used.id: 100.0, 10**9: 1.0})
        await catalog.note_file_uses({used.id: 50.0})
        assert await catalog.list_idle_cached(proxy, 99.0, 10) == ["a", "c", "d"]
        assert await catalog.list_idle_cached(proxy, 101.0, 10) == ["a", "c", "d", "b"]
        await catalog.touch_cached(proxy, "a", validators=None, fetched_at=200.0, fresh_until=300.0)
        assert await catalog.list_idle_cached(proxy, 101.0, 10) == ["c", "d", "b"]
        await catalog.put_cached(proxy, entry("b", "new", fetched_at=60.0), LEASE)
        assert await catalog.list_idle_cached(proxy, 99.0, 10) == ["c", "d"]

    async def test_a_package_refers_to_what_its_versions_need(
        self, catalog: Catalog, proxy: int, tmp_path: Path
    ) -> None:
        other = self.make(tmp_path)
        needs = (
            replace(layer("layer"), required=False),
            Reference(sha512("child"), "child", required=False),
        )
        assert await catalog.has_reference(proxy, "app", sha256("layer")) is False
        await other.publish(release(proxy, "app", "m", needs=needs, subject="subject"), LEASE)
        for _ in range(2):  # read, then recalled
            assert await catalog.has_reference(proxy, "app", sha256("layer")) is True
            assert await catalog.has_reference(proxy, "app", sha512("child")) is True
            assert await catalog.has_reference(proxy, "app", sha256("child")) is False
            assert await catalog.has_reference(proxy, "app", sha256("subject")) is False
            assert await catalog.has_reference(proxy, "other", sha256("layer")) is False
            assert await catalog.has_reference(proxy + 1, "app", sha256("layer")) is False
        await other.delete_version(proxy, "app", sha256("m"))
        assert await catalog.has_reference(proxy, "app", sha256("layer")) is False
        await other.close()
