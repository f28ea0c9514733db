"""How pulls are counted."""

from __future__ import annotations

import pytest

from nora.catalog.base import Catalog
from nora.catalog.records import NewFile
from tests.contracts.catalog import LEASE, CatalogFixtures, new_blob, release


class PullsContract(CatalogFixtures):
    """The suite of nora.catalog.pulls.Pulls."""

    async def test_pulls_of_files_are_those_of_their_versions_and_packages(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, other = ids
        paths = {}
        for version in ("1", "2"):
            made = release(hosted, "app", version, version=version)
            await catalog.publish(made, LEASE)
            paths[version] = (hosted, made.files[0].path)
        alone = NewFile(path="a/file", media_type="text/plain", blob=new_blob("alone"))
        await catalog.put_file(other, alone, replace=False)
        before = await catalog.find_package(hosted, "app")
        await catalog.note_pulls([], 50.0)
        await catalog.note_pulls([(paths["1"], 3), ((other, "a/file"), 1), ((hosted, "absent"), 1)], 100.0)
        await catalog.note_pulls([(paths["1"], 0), (paths["2"], 1)], 90.0)
        found = {
            one.name: (one.pulls, one.last_pulled_at) for one in await catalog.list_versions(hosted, "app")
        }
        assert found == {"1": (3, 100.0), "2": (1, 90.0)}
        assert await catalog.read_pulls(hosted, "app", ["1", "absent"]) == {"1": (3, 100.0)}
        assert await catalog.read_pulls(hosted, "absent", ["1"]) == {}
        outline = (await catalog.outline_packages([(hosted, "app")]))[hosted, "app"]
        assert (outline.pulls, outline.last_pulled_at) == (4, 100.0)
        assert await catalog.find_package(hosted, "app") == before

    async def test_a_search_shows_what_is_used_most_first(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        for name in ("app-a", "app-b", "app-c"):
            made = release(hosted, name, name)
            await catalog.publish(made, LEASE)
            if name == "app-c":
                await catalog.note_pulls([((hosted, made.files[0].path), 7)], 100.0)
        found = await catalog.find_names("app", [hosted], lambda *_: True, skip=0, limit=9)
        assert [one.name for one in found.packages] == ["app-c", "app-a", "app-b"]
        assert (found.packages[0].pulls, found.packages[0].last_pulled_at) == (7, 100.0)


pytestmark = pytest.mark.anyio
