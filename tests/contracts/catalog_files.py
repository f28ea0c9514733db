"""What holds for packages with many files, and for who owns a name, in every catalog engine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from nora.catalog.base import Catalog
from nora.catalog.records import Blob, NewFile, Release
from nora.errors import Conflict
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


def file(name: str, content: str, *, document: bytes = b"{}") -> NewFile:
    return NewFile(path=f"files/{name}", media_type="text/plain", blob=new_blob(content), document=document)


async def add(
    catalog: Catalog, repository_id: int, *files: NewFile, package: str = "app", version: str = "1"
) -> list[Blob]:
    """Publish files that are not to replace any."""
    added = Release(repository_id=repository_id, package=package, version=version, files=files)
    return await catalog.publish(added, LEASE)


async def revision(catalog: Catalog, repository_id: int, package: str = "app") -> int:
    found = await catalog.find_package(repository_id, package)
    assert found is not None
    return found.revision


async def is_owned(catalog: Catalog, repository_id: int, package: str = "app") -> bool | None:
    found = await catalog.find_package(repository_id, package)
    return None if found is None else found.owned


class FilesContract(CatalogFixtures):
    """The suite of packages, versions and files."""

    @pytest.fixture
    async def proxy(self, catalog: Catalog) -> int:
        return (await catalog.sync_repositories([HOSTED, OTHER, GROUP, PROXY]))["proxy"].id

    # -- adding --------------------------------------------------------------------------------------

    async def test_added_files_are_found_and_listed(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, other = ids
        wheel = file("app-1.whl", "wheel", document=b'{"requires_python":">=3.8"}')
        metadata = file("app-1.whl.metadata", "metadata")
        blobs = await add(catalog, hosted, wheel, metadata)
        assert blobs is not None
        assert [blob.digest for blob in blobs] == [wheel.blob.digest, metadata.blob.digest]
        assert [blob.generation for blob in blobs] == [wheel.blob.generation, metadata.blob.generation]
        found = await catalog.find_file(hosted, wheel.path)
        assert found is not None
        assert (found.package, found.version, found.media_type) == ("app", "1", "text/plain")
        assert found.blob.id == blobs[0].id
        assert await catalog.find_linked_blob(hosted, "app", metadata.blob.digest) == blobs[1]
        listed = await catalog.list_package_files(hosted, "app")
        assert [one.path for one in listed] == [wheel.path, metadata.path]
        assert (listed[0].version, listed[0].media_type, listed[0].blob) == ("1", "text/plain", found.blob)
        assert [one.document for one in listed] == [wheel.document, b"{}"]
        [version] = await catalog.list_versions(hosted, "app")
        assert (version.name, version.state, version.document) == ("1", "live", b"{}")
        assert abs(version.published_at - listed[0].created_at) < 1
        assert await catalog.list_packages(hosted, "", 10) == ["app"]
        assert await catalog.list_package_files(other, "app") == []
        assert await catalog.list_package_files(hosted, "absent") == []
        assert await catalog.list_versions(other, "app") == []

    async def test_later_files_are_read_without_the_others(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, other = ids
        await add(catalog, hosted, file("a", "a"))
        first = await catalog.list_later_files(hosted, "app", 0, 10)
        assert first is not None
        assert ([one.path for one in first.files], first.count) == (["files/a"], 1)
        assert [*first.files] == await catalog.list_package_files(hosted, "app")
        await add(catalog, hosted, file("c", "c"), version="2")
        await add(catalog, hosted, file("b", "b"), version="3")
        later = await catalog.list_later_files(hosted, "app", first.last, 10)
        assert later is not None
        assert {(one.path, one.version) for one in later.files} == {("files/c", "2"), ("files/b", "3")}
        assert (later.count, later.revision) == (3, await revision(catalog, hosted))
        assert later.last > first.last
        one = await catalog.list_later_files(hosted, "app", first.last, 1)
        assert one is not None
        assert (len(one.files), one.last) == (1, later.last)
        nothing = await catalog.list_later_files(hosted, "app", later.last, 10)
        assert nothing is not None
        assert (nothing.files, nothing.last, nothing.count) == ((), later.last, 3)
        assert await catalog.list_later_files(other, "app", 0, 10) is None

    async def test_the_same_bytes_again_change_nothing(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, _ = ids
        await add(catalog, hosted, file("a", "bytes", document=b'{"n":1}'))
        await add(catalog, hosted, file("c", "c"))
        before = await catalog.find_package(hosted, "app"), await catalog.list_package_files(hosted, "app")
        again = [file("a", "bytes", document=b'{"n":2}'), file("c", "new")]
        blobs = await add(catalog, hosted, *again, version="2")
        assert [blob.digest for blob in blobs] == [sha256("bytes"), sha256("c")]
        now = await catalog.find_package(hosted, "app"), await catalog.list_package_files(hosted, "app")
        assert now == before
        assert await catalog.find_blob(sha256("new")) is None

    async def test_bytes_that_a_later_file_has_already_stay(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        await add(catalog, hosted, file("b", "two", document=b'{"n":1}'))
        blobs = await add(catalog, hosted, file("a", "one"), file("b", "two"), version="2")
        assert blobs is not None
        assert [blob.digest for blob in blobs] == [sha256("one"), sha256("two")]
        listed = await catalog.list_package_files(hosted, "app")
        assert [(one.path, one.version, one.document) for one in listed] == [
            ("files/a", "2", b"{}"),
            ("files/b", "1", b'{"n":1}'),
        ]
        assert [version.name for version in await catalog.list_versions(hosted, "app")] == ["1", "2"]

    @pytest.mark.parametrize("place", [0, 1])
    async def test_other_bytes_are_a_conflict_and_nothing_is_written(
        self, catalog: Catalog, ids: tuple[int, int], place: int
    ) -> None:
        hosted, _ = ids
        await add(catalog, hosted, file("a", "bytes"))
        before = await revision(catalog, hosted)
        files = [file("new", "new")]
        files.insert(place, file("a", "other bytes"))
        with pytest.raises(Conflict, match="files/a"):
            await add(catalog, hosted, *files, package="new")
        assert await revision(catalog, hosted) == before
        assert await catalog.find_package(hosted, "new") is None
        assert await catalog.find_file(hosted, "files/new") is None
        assert await catalog.find_blob(sha256("other bytes")) is None

    async def test_of_many_at_one_path_one_wins(
        self, catalog: Catalog, ids: tuple[int, int], tmp_path: Path
    ) -> None:
        hosted, _ = ids
        other = self.make(tmp_path)
        outcomes = await asyncio.gather(
            *(add((catalog, other)[n % 2], hosted, file("a", f"bytes {n}")) for n in range(20)),
            return_exceptions=True,
        )
        won = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        assert [type(outcome) for outcome in outcomes].count(Conflict) == 19
        [[blob]] = won
        found = await catalog.find_file(hosted, "files/a")
        assert found is not None
        assert found.blob.id == blob.id
        assert len(await catalog.list_versions(hosted, "app")) == 1
        await other.close()

    async def test_versions_keep_what_is_said_of_them(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, _ = ids
        await add(catalog, hosted, file("a", "a"))
        await add(catalog, hosted, file("b", "b"), version="10")
        before = await revision(catalog, hosted)
        update = catalog.update_version
        assert await update(hosted, "app", "1", state="yanked", document=None) is True
        assert await update(hosted, "app", "10", state=None, document=b'{"why":"\xc3\xa4"}') is True
        assert await revision(catalog, hosted) == before + 2
        assert await update(hosted, "app", "2", state="yanked", document=None) is False
        assert await update(hosted, "absent", "1", state="yanked", document=None) is False
        assert await revision(catalog, hosted) == before + 2
        await add(catalog, hosted, file("c", "c"))
        versions = await catalog.list_versions(hosted, "app")
        assert [(one.name, one.state, one.document) for one in versions] == [
            ("1", "yanked", b"{}"),
            ("10", "live", b'{"why":"\xc3\xa4"}'),
        ]

    @pytest.mark.parametrize("count", [255, 256, 257, 700])
    async def test_many_files_are_listed_in_the_order_of_bytes(
        self, catalog: Catalog, ids: tuple[int, int], count: int
    ) -> None:
        hosted, _ = ids
        files = [file(f"{n * 7919 % count}é", "same") for n in range(count)]
        names = [f"v{n}" for n in range(count)]
        await asyncio.gather(
            *(add(catalog, hosted, one, version=name) for one, name in zip(files, names, strict=True))
        )
        await add(catalog, hosted, file("z", "z"), package="other")
        listed = await catalog.list_package_files(hosted, "app")
        assert [one.path for one in listed] == sorted((one.path for one in files), key=str.encode)
        versions = await catalog.list_versions(hosted, "app")
        assert [one.name for one in versions] == sorted(names)

    # -- deleting ------------------------------------------------------------------------------------

    async def test_a_version_goes_with_its_last_file(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, _ = ids
        await add(catalog, hosted, file("a", "a"), file("b", "b"))
        await add(catalog, hosted, file("c", "c"), version="2")
        before = await revision(catalog, hosted)
        assert await catalog.delete_files(hosted, ["files/a", "absent"], for_good=False) == 1
        assert await revision(catalog, hosted) > before
        assert await catalog.find_file(hosted, "files/a") is None
        assert await catalog.find_linked_blob(hosted, "app", sha256("a")) is None
        assert [one.name for one in await catalog.list_versions(hosted, "app")] == ["1", "2"]
        assert await catalog.delete_files(hosted, ["files/b", "files/c"], for_good=False) == 2
        assert await catalog.list_versions(hosted, "app") == []
        assert await catalog.list_package_files(hosted, "app") == []
        assert await catalog.list_packages(hosted, "", 10) == []
        assert await catalog.find_package(hosted, "app") is not None
        assert await add(catalog, hosted, file("a", "other bytes"))
        assert await catalog.list_packages(hosted, "", 10) == ["app"]

    async def test_bytes_stay_that_another_file_or_version_needs(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        await add(catalog, hosted, file("a", "same"), file("b", "same"), file("c", "c"))
        await catalog.publish(release(hosted, "app", "m", "latest", needs=(layer("c"),)), LEASE)
        await catalog.delete_files(hosted, ["files/a", "files/c"], for_good=False)
        assert await catalog.find_linked_blob(hosted, "app", sha256("same")) is not None
        assert await catalog.find_linked_blob(hosted, "app", sha256("c")) is not None
        await catalog.delete_files(hosted, [f"app/manifests/{sha256('m')}"], for_good=False)
        assert await catalog.list_tags(hosted, "app", "", 10) == []
        assert await catalog.has_reference(hosted, "app", sha256("c")) is False

    async def test_what_is_deleted_for_good_does_not_come_back(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, other = ids
        await add(catalog, hosted, file("a", "a"), file("b", "b"))
        assert await catalog.delete_files(hosted, ["files/a", "files/never"], for_good=True) == 1
        assert await catalog.delete_files(hosted, ["files/a", "files/b"], for_good=False) == 1
        for path, content in (("a", "a"), ("a", "other"), ("never", "first")):
            with pytest.raises(Conflict, match=f"files/{path}"):
                await add(catalog, hosted, file("new", "new"), file(path, content))
        assert await catalog.find_file(hosted, "files/new") is None
        assert await add(catalog, other, file("a", "a"))
        assert await add(catalog, hosted, file("b", "b"))

    # -- packages ------------------------------------------------------------------------------------

    async def test_packages_of_several_repositories_are_found_at_once(
        self, catalog: Catalog, ids: tuple[int, int], proxy: int
    ) -> None:
        hosted, _ = ids
        keys = [(hosted, "app"), (proxy, "app"), (hosted, "other")]
        assert await catalog.find_packages([]) == []
        assert await catalog.find_packages(keys) == [None, None, None]
        for repository in (hosted, proxy):
            await catalog.claim_package(repository, "app")
            found = await catalog.find_packages(keys)
            assert found == [await catalog.find_package(*key) for key in keys]
        assert [one is not None for one in found] == [True, True, False]
        assert [one.owned for one in found if one is not None] == [True, False]

    async def test_absences_are_remembered(self, catalog: Catalog, ids: tuple[int, int], proxy: int) -> None:
        hosted, _ = ids
        keys = [(proxy, "app"), (hosted, "app"), (proxy, "other")]
        assert await catalog.find_absences(keys) == set()
        for _ in range(2):
            await catalog.note_absences(keys[:1])
            assert await catalog.find_absences(keys) == {keys[0]}

    async def test_a_package_keeps_what_its_format_remembers(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, other = ids
        assert await catalog.find_package(hosted, "app") is None
        assert await catalog.update_package(hosted, "app", b"{}") is False
        await catalog.claim_package(hosted, "app")
        made = await catalog.find_package(hosted, "app")
        assert made is not None
        assert (made.name, made.owned, made.document) == ("app", True, b"{}")
        assert await catalog.update_package(hosted, "app", b'{"status":"archived"}') is True
        now = await catalog.find_package(hosted, "app")
        assert now is not None
        assert (now.id, now.document) == (made.id, b'{"status":"archived"}')
        assert now.revision > made.revision
        assert await catalog.find_package(other, "app") is None

    async def test_a_document_is_replaced_only_while_it_is_the_same(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        assert await catalog.update_package(hosted, "app", b"1", before=b"{}") is False
        await catalog.claim_package(hosted, "app")
        for before, document, written in ((b"{}", b"1", True), (b"{}", b"2", False), (b"1", b"3", True)):
            assert await catalog.update_package(hosted, "app", document, before=before) is written
            found = await catalog.find_package(hosted, "app")
            assert found is not None
            assert (found.document == document) is written

    async def test_every_change_moves_the_revision(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, _ = ids
        await catalog.claim_package(hosted, "app")
        steps: list[Callable[[], Awaitable[object]]] = [
            lambda: add(catalog, hosted, file("a", "a")),
            lambda: catalog.update_package(hosted, "app", b"[]"),
            lambda: catalog.update_version(hosted, "app", "1", state="yanked", document=None),
            lambda: catalog.publish(release(hosted, "app", "m", "latest"), LEASE),
            lambda: catalog.publish(release(hosted, "app", "m", "latest"), LEASE),
            lambda: catalog.delete_tag(hosted, "app", "latest"),
            lambda: catalog.delete_version(hosted, "app", sha256("m")),
            lambda: catalog.delete_files(hosted, ["files/a"], for_good=False),
            lambda: catalog.release_package(hosted, "app"),
            lambda: catalog.claim_package(hosted, "app"),
        ]
        for step in steps:
            before = await revision(catalog, hosted)
            await step()
            assert await revision(catalog, hosted) > before
        before = await revision(catalog, hosted)
        await catalog.claim_package(hosted, "app")  # is owned already
        await catalog.delete_files(hosted, ["files/a"], for_good=True)  # is gone already
        assert await revision(catalog, hosted) == before

    async def test_known_packages_hold_versions_or_files(
        self, catalog: Catalog, ids: tuple[int, int], proxy: int
    ) -> None:
        hosted, _ = ids
        for name in ("b", "a", "ä", "C"):
            await catalog.put_cached(proxy, entry(f"simple/{name}", name, package=name), LEASE)
        await catalog.put_cached(proxy, entry("d/1", "file", package="d", version="1"), LEASE)
        await catalog.claim_package(proxy, "empty")
        await add(catalog, hosted, file("a", "a"), package="hosted")
        assert await catalog.list_known_packages(proxy, "", 10) == ["C", "a", "b", "d", "ä"]
        assert await catalog.list_known_packages(proxy, "a", 2) == ["b", "d"]
        assert await catalog.list_packages(proxy, "", 10) == ["d"]
        assert await catalog.list_known_packages(hosted, "", 10) == ["hosted"]
        await catalog.drop_cached(proxy, "simple/b")
        await catalog.drop_cached(proxy, "d/1")
        assert await catalog.list_known_packages(proxy, "", 10) == ["C", "a", "ä"]
        assert await catalog.list_packages(proxy, "", 10) == []

    # -- who owns a name -----------------------------------------------------------------------------

    @pytest.mark.parametrize("act", range(6))
    async def test_the_first_thing_put_into_a_hosted_package_owns_it(
        self, catalog: Catalog, ids: tuple[int, int], proxy: int, act: int
    ) -> None:
        hosted, other = ids
        await catalog.add_blob(new_blob("there"), other, "from", LEASE)

        async def put(repository_id: int) -> object:
            match act:
                case 0:
                    return await add(catalog, repository_id, file("a", "a"))
                case 1:
                    return await catalog.publish(release(repository_id, "app", "m"), LEASE)
                case 2:
                    return await catalog.open_upload(f"u{repository_id}", repository_id, "app", "sha256", 9)
                case 3:
                    return await catalog.add_blob(new_blob("a"), repository_id, "app", LEASE)
                case 4:
                    sources = [(other, "from")]
                    return await catalog.mount_blob(sha256("there"), sources, repository_id, "app", LEASE)
                case _:
                    return await catalog.claim_package(repository_id, "app")

        for repository_id, expected in ((hosted, True), (proxy, False)):
            assert await is_owned(catalog, repository_id) is None
            await put(repository_id)
            assert await is_owned(catalog, repository_id) is expected
            assert await catalog.has_package(repository_id, "app") is True

    async def test_a_name_is_owned_until_it_is_released(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, _ = ids
        assert await catalog.release_package(hosted, "app") is False
        await add(catalog, hosted, file("a", "a"), file("b", "b"))
        await catalog.publish(release(hosted, "app", "m", "1"), LEASE)
        await catalog.delete_files(hosted, ["files/a"], for_good=True)
        await catalog.delete_tag(hosted, "app", "1")
        await catalog.delete_version(hosted, "app", sha256("m"))
        assert await is_owned(catalog, hosted) is True
        assert await catalog.release_package(hosted, "app") is True
        assert await catalog.release_package(hosted, "app") is False
        assert await is_owned(catalog, hosted) is False
        assert await catalog.find_file(hosted, "files/b") is not None
        await catalog.update_version(hosted, "app", "1", state="yanked", document=None)
        await catalog.update_package(hosted, "app", b"{}")
        await catalog.unlink_blob(hosted, "app", sha256("b"))
        await catalog.delete_files(hosted, ["files/b"], for_good=False)
        assert await is_owned(catalog, hosted) is False
        await catalog.open_upload("u", hosted, "app", "sha256", 9)
        assert await is_owned(catalog, hosted) is True

    async def test_owned_names_come_in_pages(
        self, catalog: Catalog, ids: tuple[int, int], proxy: int
    ) -> None:
        hosted, other = ids
        for name in ("b", "a", "ä", "C"):
            await catalog.claim_package(hosted, name)
        await catalog.claim_package(other, "other")
        await catalog.claim_package(proxy, "proxied")
        assert await catalog.list_owned_packages(hosted, "", 10) == ["C", "a", "b", "ä"]
        assert await catalog.list_owned_packages(hosted, "C", 2) == ["a", "b"]
        await catalog.release_package(hosted, "a")
        assert await catalog.list_owned_packages(hosted, "C", 2) == ["b", "ä"]
        assert await catalog.list_owned_packages(proxy, "", 10) == []

    async def test_other_processes_see_who_owns_a_name(
        self, catalog: Catalog, ids: tuple[int, int], tmp_path: Path
    ) -> None:
        hosted, _ = ids
        other = self.make(tmp_path)
        for _ in range(2):  # read, then recalled
            assert await is_owned(catalog, hosted) is None
            assert await catalog.has_package(hosted, "app") is False
        await other.open_upload("u", hosted, "app", "sha256", 9)
        for _ in range(2):
            assert await is_owned(catalog, hosted) is True
        await other.release_package(hosted, "app")
        assert await is_owned(catalog, hosted) is False
        await add(other, hosted, file("a", "a"))
        assert await is_owned(catalog, hosted) is True
        for name in ("a", "b"):
            assert (await catalog.find_file(hosted, f"files/{name}") is None) is (name == "b")
        await add(other, hosted, file("b", "b"))
        await other.delete_files(hosted, ["files/a"], for_good=False)
        for name in ("a", "b"):
            assert (await catalog.find_file(hosted, f"files/{name}") is None) is (name == "a")
        await other.close()
