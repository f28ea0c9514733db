"""What a catalog says of all that it has."""

from __future__ import annotations

import time

from nora.catalog.base import Catalog
from nora.catalog.overview import Heavy, Idle
from nora.catalog.records import NewFile, Totals
from tests.contracts.catalog import LEASE, CatalogFixtures, layer, new_blob, release


class OverviewContract(CatalogFixtures):
    """The suite of nora.catalog.overview.Overview."""

    async def test_a_summary_counts_bytes_once_for_each_repository(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, other = ids
        empty = await catalog.summarize()
        assert (empty.repositories, empty.blobs, empty.bytes) == ({}, 0, 0)
        for repository, package in ((hosted, "app"), (hosted, "web"), (other, "app")):
            await catalog.add_blob(new_blob("shared layer"), repository, package, LEASE)
            needs = (layer("shared layer"),)
            await catalog.publish(release(repository, package, "manifest", "1", needs=needs), LEASE)
        await catalog.put_file(
            other, NewFile(path="a/file", media_type="text/plain", blob=new_blob("alone")), replace=False
        )
        await catalog.claim_package(hosted, "claimed")
        found = await catalog.summarize()
        assert found.repositories == {hosted: Totals(2, 2, 12 + 8), other: Totals(1, 1, 12 + 8 + 5, 1)}
        assert (found.blobs, found.bytes) == (3, 12 + 8 + 5)
        await catalog.add_blob(new_blob("alone"), hosted, "web", LEASE)
        heavy = await catalog.heaviest_packages(2)
        assert heavy == [Heavy(hosted, "web", 1, 12 + 8 + 5), Heavy(hosted, "app", 1, 12 + 8)]
        later = time.time() + 3600.0
        for one in await catalog.list_package_files(hosted, "app"):
            await catalog.note_pulls([((hosted, one.path), 1)], later)
        idle = await catalog.idlest_packages(9)
        assert {(one.repository_id, one.name) for one in idle[:2]} == {(hosted, "web"), (other, "app")}
        assert idle[2] == Idle(hosted, "app", 1, 12 + 8, later)
        assert all(one.used_at < later for one in idle[:2])
        assert len(await catalog.idlest_packages(2)) == 2

    async def test_a_search_finds_names_that_hold_something_and_says_where_it_goes_on(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, other = ids
        for package in ("alpha", "beta", "Alphabet", "gamma-ALPHA", "delta"):
            await catalog.publish(release(hosted, package, package), LEASE)
        await catalog.publish(release(other, "alpha-of-others", "x"), LEASE)
        await catalog.claim_package(hosted, "alpha-claimed")

        async def search(text: str, after: str = "", limit: int = 9, scanned: int = 99) -> tuple[object, ...]:
            found = await catalog.search_packages(hosted, text, after, limit, scanned)
            return (*found.names, found.after)

        assert await search("ALPha") == ("Alphabet", "alpha", "gamma-ALPHA", None)
        assert await search("") == ("Alphabet", "alpha", "beta", "delta", "gamma-ALPHA", None)
        assert await search("alpha", limit=2) == ("Alphabet", "alpha", "alpha")
        assert await search("alpha", "alpha") == ("gamma-ALPHA", None)
        assert await search("gamma", scanned=2) == ("alpha",)
        assert await search("gamma", "delta", scanned=2) == ("gamma-ALPHA", None)
        for text in ("%", "_", "'", "absent"):
            assert await search(text) == (None,)

    async def test_an_outline_has_what_is_new_and_how_much_there_is(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, other = ids
        await catalog.add_blob(new_blob("layer"), hosted, "app", LEASE)
        for version, tags in (("1", ("1", "latest")), ("2", ("2",))):
            made = release(hosted, "app", version, *tags, version=version, needs=(layer("layer"),))
            await catalog.publish(made, LEASE)
        await catalog.claim_package(hosted, "claimed")
        keys = [(hosted, "app"), (hosted, "claimed"), (other, "app")]
        found = await catalog.outline_packages(keys)
        assert found.keys() == {*keys[:2]}
        app, claimed = found[keys[0]], found[keys[1]]
        assert (app.versions, app.bytes, app.latest, app.tag) == (2, 5 + 1 + 1, "2", "2")
        assert (claimed.versions, claimed.bytes, claimed.latest, claimed.tag) == (0, 0, None, None)
        assert app.changed_at > 0
        assert claimed.changed_at > 0
