"""What holds for releases, tags set alone, files without a package, and directories, in every engine."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from nora.catalog.base import Catalog
from nora.catalog.records import File, NewFile, Release, TagWrite
from nora.errors import Conflict, MissingReferences, PreconditionFailed
from tests.contracts.catalog import LEASE, CatalogFixtures, layer, new_blob, sha256


def file(path: str, content: str) -> NewFile:
    return NewFile(path=path, media_type="text/plain", blob=new_blob(content))


def release_of(repository_id: int, version: str, *contents: str, **fields: object) -> Release:
    """A release of the package `app` with a file for each content."""
    made = Release(
        repository_id=repository_id,
        package="app",
        version=version,
        files=tuple(file(f"app/{version}/{n}", content) for n, content in enumerate(contents)),
    )
    return replace(made, **fields)  # type: ignore[arg-type]


async def content_of(catalog: Catalog, repository_id: int, path: str) -> str | None:
    found = await catalog.find_file(repository_id, path)
    return None if found is None else found.blob.digest


async def documents(catalog: Catalog, repository_id: int) -> dict[str, bytes]:
    return {one.name: one.document for one in await catalog.list_versions(repository_id, "app")}


class ReleasesContract(CatalogFixtures):
    """The suite of what becomes visible together, and of what belongs to no package."""

    # -- releases ------------------------------------------------------------------------------------

    async def test_files_tags_and_document_become_visible_together(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        tags = (TagWrite("latest"), TagWrite("next"))
        made = release_of(hosted, "1", "a", "b", "c", document=b'{"n":1}', tags=tags)
        blobs = await catalog.publish(made, LEASE)
        assert [blob.digest for blob in blobs] == [sha256(content) for content in "abc"]
        assert await catalog.list_tags(hosted, "app", "", 9) == ["latest", "next"]
        assert await documents(catalog, hosted) == {"1": b'{"n":1}'}
        assert [one.version for one in await catalog.list_package_files(hosted, "app")] == ["1"] * 3
        assert (await catalog.find_tagged_file(hosted, "app", "latest") or made).version == "1"

    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({"references": (layer("absent"),)}, MissingReferences),
            ({"tags": (TagWrite("2"), TagWrite("1", replace=False))}, Conflict),
            ({"tags": (TagWrite("2"), TagWrite("1", expected=""))}, PreconditionFailed),
            ({"files": (file("new", "new"), file("app/1/0", "other"))}, Conflict),
        ],
    )
    async def test_a_release_that_is_refused_leaves_nothing(
        self, catalog: Catalog, ids: tuple[int, int], fields: dict[str, object], error: type[Exception]
    ) -> None:
        hosted, _ = ids
        await catalog.publish(release_of(hosted, "1", "one", tags=(TagWrite("1"),)), LEASE)
        before = await catalog.find_package(hosted, "app")
        with pytest.raises(error):
            await catalog.publish(release_of(hosted, "2", "two", **fields), LEASE)
        assert await catalog.find_package(hosted, "app") == before
        assert await catalog.list_tags(hosted, "app", "", 9) == ["1"]
        assert list(await documents(catalog, hosted)) == ["1"]
        for content in ("two", "new", "other"):
            assert await catalog.find_blob(sha256(content)) is None

    async def test_a_version_keeps_its_document_unless_it_is_replaced(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        one = release_of(hosted, "1", "a", document=b"1")
        await catalog.publish(one, LEASE)
        more = (file("more", "more"),)
        with pytest.raises(Conflict):
            await catalog.publish(replace(one, files=more, document=b"2"), LEASE)
        await catalog.publish(replace(one, files=more), LEASE)
        await catalog.publish(replace(one, files=(file("most", "most"),), document=None), LEASE)
        assert await documents(catalog, hosted) == {"1": b"1"}
        assert len(await catalog.list_package_files(hosted, "app")) == 3
        await catalog.update_version(hosted, "app", "1", state="yanked", document=None)
        await catalog.publish(replace(one, files=more, document=b"2", replace=True), LEASE)
        [version] = await catalog.list_versions(hosted, "app")
        assert (version.state, version.document) == ("live", b"2")

    async def test_a_replaced_file_lets_go_of_its_bytes(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, _ = ids
        await catalog.publish(release_of(hosted, "1", "old", "kept"), LEASE)
        await catalog.publish(release_of(hosted, "1", "new", replace=True), LEASE)
        assert await content_of(catalog, hosted, "app/1/0") == sha256("new")
        assert await content_of(catalog, hosted, "app/1/1") == sha256("kept")
        assert await catalog.find_linked_blob(hosted, "app", sha256("old")) is None
        assert await catalog.find_linked_blob(hosted, "app", sha256("kept")) is not None
        assert list(await documents(catalog, hosted)) == ["1"]

    async def test_a_release_may_have_no_files(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, _ = ids
        assert await catalog.publish(release_of(hosted, "1", document=b"1"), LEASE) == []
        await catalog.publish(release_of(hosted, "1", tags=(TagWrite("latest"),)), LEASE)
        assert await documents(catalog, hosted) == {"1": b"1"}
        assert await catalog.list_tags(hosted, "app", "", 9) == ["latest"]
        assert await catalog.list_packages(hosted, "", 9) == ["app"]
        assert await catalog.find_tagged_file(hosted, "app", "latest") is None

    async def test_a_file_keeps_the_checksums_that_it_came_with(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        sums = {"md5": "0" * 32, "sha1": "1" * 40}
        first = replace(file("app/1/0", "a"), checksums=sums)
        await catalog.publish(release_of(hosted, "1", files=(first, file("app/1/1", "b"))), LEASE)
        await catalog.put_file(hosted, replace(file("alone", "a"), checksums=sums), replace=False)
        listed = await catalog.list_package_files(hosted, "app")
        assert [one.checksums for one in listed] == [sums, None]
        for path, kept in (("app/1/0", sums), ("app/1/1", None), ("alone", sums)):
            found = await catalog.find_file(hosted, path)
            assert found is not None
            assert found.checksums == kept
        await catalog.put_file(hosted, file("alone", "b"), replace=True)
        found = await catalog.find_file(hosted, "alone")
        assert found is not None
        assert found.checksums is None

    # -- tags that are set alone ---------------------------------------------------------------------

    async def test_a_tag_is_set_alone_with_the_conditions_of_a_release(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        for version in ("1", "2"):
            await catalog.publish(release_of(hosted, version, version), LEASE)
        package = await catalog.find_package(hosted, "app")
        assert package is not None
        for wrong in (("app", "3"), ("absent", "1")):
            assert await catalog.set_tag(hosted, wrong[0], TagWrite("latest"), wrong[1]) is False
        assert await catalog.find_package(hosted, "app") == package
        assert await catalog.set_tag(hosted, "app", TagWrite("latest", expected=""), "1") is True
        assert (await catalog.find_package(hosted, "app") or package).revision > package.revision
        with pytest.raises(Conflict):
            await catalog.set_tag(hosted, "app", TagWrite("latest", replace=False), "2")
        with pytest.raises(PreconditionFailed):
            await catalog.set_tag(hosted, "app", TagWrite("latest", expected="2"), "2")
        tagged = await catalog.find_tagged_file(hosted, "app", "latest")
        assert tagged is not None
        assert tagged.version == "1"
        assert await catalog.set_tag(hosted, "app", TagWrite("latest", expected="1"), "2") is True
        tagged = await catalog.find_tagged_file(hosted, "app", "latest")
        assert tagged is not None
        assert tagged.version == "2"

    # -- files without a package ---------------------------------------------------------------------

    async def test_a_file_needs_no_package(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, other = ids
        assert await catalog.find_file(hosted, "a/b.txt") is None
        put = file("a/b.txt", "one")
        blob = await catalog.put_file(hosted, put, replace=False)
        assert (blob.digest, blob.generation) == (sha256("one"), put.blob.generation)
        found = await catalog.find_file(hosted, "a/b.txt")
        assert found is not None
        assert (found.package, found.version, found.media_type) == (None, None, "text/plain")
        assert await catalog.find_file(other, "a/b.txt") is None
        assert await catalog.list_known_packages(hosted, "", 9) == []
        again = await catalog.put_file(hosted, file("a/b.txt", "one"), replace=False)
        assert (again.id, again.generation) == (blob.id, blob.generation)
        with pytest.raises(Conflict):
            await catalog.put_file(hosted, file("a/b.txt", "two"), replace=False)
        await catalog.put_file(hosted, file("a/b.txt", "two"), replace=True)
        assert await content_of(catalog, hosted, "a/b.txt") == sha256("two")
        assert await catalog.delete_files(hosted, ["a/b.txt"], for_good=True) == 1
        with pytest.raises(Conflict):
            await catalog.put_file(hosted, file("a/b.txt", "two"), replace=False)
        await catalog.put_file(hosted, file("a/b.txt", "three"), replace=True)
        assert await content_of(catalog, hosted, "a/b.txt") == sha256("three")

    async def test_a_file_is_put_where_the_expected_one_is(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        one, two = file("a", "one"), file("a", "two")
        for wrong in ("*", sha256("one")):
            with pytest.raises(PreconditionFailed):
                await catalog.put_file(hosted, one, replace=True, expected=wrong)
        await catalog.put_file(hosted, one, replace=True, expected="")
        for wrong in ("", sha256("two")):
            with pytest.raises(PreconditionFailed):
                await catalog.put_file(hosted, two, replace=True, expected=wrong)
        assert await content_of(catalog, hosted, "a") == sha256("one")
        await catalog.put_file(hosted, two, replace=True, expected=sha256("one"))
        await catalog.put_file(hosted, one, replace=True, expected="*")
        assert await content_of(catalog, hosted, "a") == sha256("one")

    async def test_a_file_whose_time_is_over_is_not_there(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        now = time.time()
        for path, end in (("over", now - 1), ("soon", now + 1000), ("stays", None)):
            await catalog.put_file(hosted, replace(file(path, path), expires_at=end), replace=False)
        assert await catalog.find_file(hosted, "over") is None
        assert await catalog.find_file(hosted, "over", blocked=True) is None
        soon = await catalog.find_file(hosted, "soon")
        assert soon is not None
        assert soon.expires_at == now + 1000
        with pytest.raises(PreconditionFailed):
            await catalog.put_file(hosted, file("over", "x"), replace=True, expected="*")
        await catalog.put_file(hosted, file("over", "again"), replace=False, expected="")
        assert await content_of(catalog, hosted, "over") == sha256("again")
        await catalog.put_file(hosted, replace(file("soon", "x"), expires_at=now - 1), replace=True)
        assert await catalog.find_file(hosted, "soon") is None
        assert [await catalog.remove_ended(10) for _ in range(2)] == [1, 0]
        assert [one.name for one in await catalog.list_directory(hosted, "", "", 9)] == ["over", "stays"]

    async def test_the_same_file_again_stays_for_the_longer_time(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        now = time.time()
        for said, kept in ((100, 100), (50, 100), (200, 200), (None, None), (100, None)):
            end = None if said is None else now + said
            await catalog.put_file(hosted, replace(file("a", "a"), expires_at=end), replace=False)
            found = await catalog.find_file(hosted, "a")
            assert found is not None
            assert found.expires_at == (None if kept is None else now + kept)

    async def test_files_are_put_together_or_not_at_all(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, _ = ids
        await catalog.put_file(hosted, file("b", "old"), replace=False)
        files = [file(path, f"new {path}") for path in "abc"]
        with pytest.raises(Conflict):
            await catalog.put_files(hosted, files, replace=False)
        assert await content_of(catalog, hosted, "a") is None
        blobs = await catalog.put_files(hosted, files, replace=True)
        assert [one.digest for one in blobs] == [sha256(f"new {path}") for path in "abc"]
        again = await catalog.put_files(hosted, [file("a", "new a"), file("d", "new a")], replace=False)
        assert [one.id for one in again] == [blobs[0].id] * 2
        assert await catalog.put_files(hosted, [], replace=False) == []

    async def test_files_are_removed_while_they_are_the_expected_ones(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        for path, content in (("a", "one"), ("b", "two")):
            await catalog.put_file(hosted, file(path, content), replace=False)
        with pytest.raises(PreconditionFailed):
            await catalog.delete_files(hosted, ["a", "b"], for_good=False, expected=sha256("one"))
        with pytest.raises(PreconditionFailed):
            await catalog.delete_files(hosted, ["absent"], for_good=False, expected=sha256("one"))
        assert await content_of(catalog, hosted, "a") == sha256("one")
        assert await catalog.delete_files(hosted, ["a"], for_good=False, expected=sha256("one")) == 1

    # -- directories ---------------------------------------------------------------------------------

    async def test_a_directory_has_files_and_directories(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, other = ids
        paths = ["lib/a", "lib/a-x/1", "lib/a.b", "lib/a/1", "lib/a/2/3", "lib/a0", "lib/ä/1", "lib/z", "lic"]
        for path in [*paths, "li", "lib-2/x", "lib0"]:
            await catalog.put_file(hosted, file(path, path), replace=False)
        await catalog.put_file(other, file("lib/other", "other"), replace=False)
        names = ["a", "a-x/", "a.b", "a/", "a0", "z", "ä/"]
        listed = await catalog.list_directory(hosted, "lib", "", 99)
        assert [one.name for one in listed] == names
        for entry in listed:
            assert (entry.file is None) is entry.name.endswith("/")
            if entry.file is not None:
                assert abs(entry.file.created_at - time.time()) < 60
                assert (entry.file.path, entry.file.blob.digest) == (
                    f"lib/{entry.name}",
                    sha256(f"lib/{entry.name}"),
                )
        for size in (1, 2, 3):
            pages: list[str] = []
            while page := await catalog.list_directory(hosted, "lib", pages[-1] if pages else "", size):
                pages += [one.name for one in page]
            assert pages == names
        top = await catalog.list_directory(hosted, "", "", 99)
        assert [one.name for one in top] == ["li", "lib-2/", "lib/", "lib0", "lic"]
        assert [one.name for one in await catalog.list_directory(hosted, "lib/a", "", 9)] == ["1", "2/"]
        for nothing in ("lib/z", "absent", "lib/a-"):
            assert await catalog.list_directory(hosted, nothing, "", 9) == []
        assert await catalog.list_directory(hosted, "lib", "", 0) == []

    async def test_a_directory_lists_what_packages_have_in_it(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        await catalog.publish(release_of(hosted, "1", "a", "b"), LEASE)
        [directory] = await catalog.list_directory(hosted, "app", "", 9)
        assert (directory.name, directory.file) == ("1/", None)
        files = [one.file for one in await catalog.list_directory(hosted, "app/1", "", 9)]
        assert [(one.package, one.version) for one in files if isinstance(one, File)] == [("app", "1")] * 2
