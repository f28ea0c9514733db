"""Histories of packages, and what goes only as it was seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nora.catalog.base import Catalog
from nora.catalog.histories import Content, Going
from nora.catalog.records import NewFile, Reference, TagWrite
from nora.errors import Conflict, PackageChanged
from tests.contracts.catalog import LEASE, CatalogFixtures, new_blob, release, sha256


class HistoriesContract(CatalogFixtures):
    """The suite of nora.catalog.histories.Histories."""

    async def test_a_history_has_all_that_is_known_of_a_package(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        assert await catalog.read_package_history(hosted, "app") is None
        await catalog.publish(release(hosted, "app", "child"), LEASE)
        needs = (Reference(sha256("child"), "child", False), Reference(sha256("gone"), "layer", False))
        made = release(hosted, "app", "list", "1", "latest", needs=needs, subject="image")
        await catalog.publish(made, LEASE)
        await catalog.note_pulls([((hosted, made.files[0].path), 1)], 77.0)
        found = await catalog.read_package_history(hosted, "app")
        assert found is not None
        package = await catalog.find_package(hosted, "app")
        assert package is not None
        assert found.revision == package.revision
        assert [(one.name, one.version) for one in found.tags] == [
            ("1", sha256("list")),
            ("latest", sha256("list")),
        ]
        versions = {one.name: one for one in found.versions}
        assert [*versions] == sorted(versions)
        one = versions[sha256("list")]
        assert (one.subject, one.last_pulled_at, one.paths) == (sha256("image"), 77.0, (made.files[0].path,))
        assert one.contents == (Content(sha256("list"), 4),)
        assert sorted(one.references) == sorted([Content(sha256("child"), 5), Content(sha256("gone"), 0)])
        assert versions[sha256("child")].references == ()

    async def test_what_was_seen_goes_unless_the_package_has_changed(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        for name in ("1", "2", "3"):
            await catalog.publish(release(hosted, "app", name, f"tag-{name}", version=name), LEASE)
        seen = await catalog.read_package_history(hosted, "app")
        assert seen is not None
        path = seen.versions[0].paths[0]
        going = Going(tags=["tag-2", "absent"], versions=["1", "absent"], for_good=[path])
        after = await catalog.remove_seen(hosted, "app", seen.revision, going)
        found = await catalog.read_package_history(hosted, "app")
        assert found is not None
        assert (found.revision, [one.name for one in found.versions]) == (after, ["2", "3"])
        assert [one.name for one in found.tags] == ["tag-3"]
        assert await catalog.find_file(hosted, path) is None
        with pytest.raises(Conflict, match="may not be used again"):
            await catalog.publish(replace(release(hosted, "app", "1", version="1"), replace=False), LEASE)
        await catalog.set_tag(hosted, "app", TagWrite("new"), "2")
        with pytest.raises(PackageChanged):
            await catalog.remove_seen(hosted, "app", after, Going(tags=["tag-3"], versions=["2"]))
        again = await catalog.read_package_history(hosted, "app")
        assert again is not None
        assert [one.name for one in again.tags] == ["new", "tag-3"]
        with pytest.raises(PackageChanged):
            await catalog.remove_seen(hosted, "absent", 0, Going(versions=["1"]))
        await catalog.remove_decided(
            hosted,
            "app",
            lambda found: Going(versions=[one.version for one in found.tags if one.name == "new"]),
        )
        assert await catalog.list_tags(hosted, "app", "", 9) == ["tag-3"]
        await catalog.remove_decided(hosted, "absent", lambda _: Going(versions=["1"]))

    async def test_files_go_with_the_bytes_that_were_seen(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        for path in ("a/1", "a/2", "b"):
            file = NewFile(path=path, media_type="text/plain", blob=new_blob(path))
            await catalog.put_file(hosted, file, replace=False)
        await catalog.publish(release(hosted, "a", "of a package"), LEASE)
        found = await catalog.list_file_histories(hosted, "", 2)
        found += await catalog.list_file_histories(hosted, found[-1].path, 2)
        assert [(one.path, one.content.size) for one in found] == [("a/1", 3), ("a/2", 3), ("b", 1)]
        other = NewFile(path="a/1", media_type="text/plain", blob=new_blob("other bytes"))
        await catalog.put_file(hosted, other, replace=True)
        seen = [(one.path, one.content.digest) for one in found if one.path != "b"]
        assert await catalog.remove_files_seen(hosted, [*seen, ("absent", "x")], for_good=True) == ["a/2"]
        assert await catalog.find_file(hosted, "a/1") is not None
        with pytest.raises(Conflict, match="may not be used again"):
            await catalog.put_file(
                hosted, NewFile(path="a/2", media_type="text/plain", blob=new_blob("a/2")), replace=False
            )


pytestmark = pytest.mark.anyio
