"""What holds for events, in every catalog engine."""

from __future__ import annotations

import time
from dataclasses import replace
from math import inf
from typing import Any

import pytest

from nora.catalog.base import Catalog
from nora.catalog.blocks import Block
from nora.catalog.events import CAUSE, Cause, Event, EventFilter
from nora.catalog.records import NewFile, Part, TagWrite
from nora.errors import Conflict
from tests.contracts.catalog import HOSTED, LEASE, OTHER, CatalogFixtures, new_blob, release, sha256
from tests.contracts.catalog_cached import PROXY, entry

TOLD = ("package", "version", "path", "digest", "size", "files", "tags", "reason")


def told(event: Event) -> dict[str, Any]:
    """What an event says beside its kind."""
    return {name: getattr(event, name) for name in TOLD if getattr(event, name)}


def file(path: str, content: str) -> NewFile:
    return NewFile(path=path, media_type="text/plain", blob=new_blob(content))


async def all_events(catalog: Catalog, **wanted: Any) -> list[Event]:
    return await catalog.list_events(EventFilter(**{"after": 0} | wanted), 1000)


class EventsContract(CatalogFixtures):
    """The suite of events."""

    @pytest.fixture
    async def rows(self, catalog: Catalog) -> dict[str, int]:
        found = await catalog.sync_repositories([HOSTED, OTHER, PROXY])
        return {name: one.id for name, one in found.items()}

    async def test_each_change_of_a_release_is_told_once(
        self, catalog: Catalog, rows: dict[str, int]
    ) -> None:
        row, one, two = rows["hosted"], sha256("one"), sha256("two")
        about = {"package": "app", "version": one}
        made = {**about, "path": f"app/manifests/{one}", "digest": one, "size": 3}
        await catalog.publish(release(row, "app", "one", "1", "latest"), LEASE)
        await catalog.publish(release(row, "app", "one", "stable"), LEASE)  # the same under another tag
        await catalog.publish(release(row, "app", "one"), LEASE)
        await catalog.set_tag(row, "app", TagWrite("old"), one)
        await catalog.set_tag(row, "app", TagWrite("old"), two)  # there is no such version
        await catalog.delete_tag(row, "app", "old")
        for state in ("yanked", "yanked", "live", "deprecated", "live"):
            await catalog.update_version(row, "app", one, state=state, document=None)
        await catalog.update_version(row, "app", one, state=None, document=b"{}")
        await catalog.delete_version(row, "app", one)
        await catalog.delete_version(row, "app", one)
        assert [(event.kind, told(event)) for event in await all_events(catalog)] == [
            ("published", {**made, "tags": ("1", "latest")}),
            ("tagged", {**made, "tags": ("stable",)}),
            ("tagged", {**about, "tags": ("old",)}),
            ("untagged", {**about, "tags": ("old",)}),
            ("yanked", about),
            ("unyanked", about),
            ("deprecated", about),
            ("undeprecated", about),
            ("deleted", {**about, "digest": one}),
        ]

    async def test_files_are_told_together(self, catalog: Catalog, rows: dict[str, int]) -> None:
        row, paths = rows["hosted"], ["a/b/1", "a/b/c/2", "a/b/3"]
        await catalog.put_file(row, file("a/x", "x"), replace=False)
        await catalog.put_file(row, file("a/x", "x"), replace=False)
        await catalog.put_file(row, file("a/x", "xy"), replace=True)
        await catalog.put_files(row, [file(path, path) for path in paths], replace=False)
        await catalog.delete_files(row, ["a/x", "none"], for_good=False)
        await catalog.delete_files(row, paths, for_good=False)
        wheels = replace(release(row, "app", "1", version="1"), files=(file("w1", "w1"), file("w2", "w2")))
        await catalog.publish(wheels, LEASE)
        await catalog.publish(replace(wheels, files=(file("w3", "w3"),), replace=False), LEASE)
        await catalog.delete_files(row, ["w1", "w2", "w3"], for_good=True)
        of_app = {"package": "app", "version": "1"}
        assert [(event.kind, told(event)) for event in await all_events(catalog)] == [
            ("published", {"path": "a/x", "digest": sha256("x"), "size": 1}),
            ("published", {"path": "a/x", "digest": sha256("xy"), "size": 2}),
            ("published", {"path": "a/b", "size": 17, "files": 3}),
            ("deleted", {"path": "a/x"}),
            ("deleted", {"path": "a/b", "files": 3}),
            ("published", {**of_app, "path": "w1", "digest": sha256("w1"), "size": 4, "files": 2}),
            ("published", {**of_app, "path": "w3", "digest": sha256("w3"), "size": 2}),
            ("deleted", {**of_app, "path": "w1", "files": 3}),
        ]

    async def test_a_version_of_an_upstream_is_told_when_it_is_new(
        self, catalog: Catalog, rows: dict[str, int]
    ) -> None:
        row, one = rows["proxy"], sha256("one")
        await catalog.put_cached(row, entry("app/", "page"), LEASE)
        for name in ("app-1.whl", "app-1.tar.gz"):
            await catalog.put_cached(row, entry(name, name, version="1", fresh_until=inf), LEASE)
        await catalog.put_cached(row, entry("alone", "alone", package=None), LEASE)
        await catalog.put_cached(row, entry("alone", "other", package=None), LEASE)
        await catalog.put_cached(row, entry("named", "x", package="named"), LEASE)  # a file is its package
        await catalog.publish(release(row, "image", "one", "1"), LEASE)
        await catalog.publish(release(row, "image", "one", "2"), LEASE)
        await catalog.purge_cached(row, "app", Part(version="1"))
        await catalog.purge_cached(row, "none", Part())
        await catalog.purge_paths(row, ["alone"])
        events = await all_events(catalog)
        assert [(event.kind, event.package, event.version, event.path) for event in events] == [
            ("cached", "app", "1", "app-1.whl"),
            ("cached", "", "", "alone"),
            ("cached", "named", "", "named"),
            ("cached", "image", one, f"image/manifests/{one}"),
            ("purged", "app", "1", ""),
            ("purged", "", "", "alone"),
        ]
        assert {(event.repository_id, event.repository, event.format) for event in events} == {
            (row, "proxy", "docker")
        }

    async def test_names_and_blocks_are_told(self, catalog: Catalog, rows: dict[str, int]) -> None:
        row = rows["hosted"]
        await catalog.claim_package(row, "ours")
        await catalog.claim_package(row, "ours")
        await catalog.release_package(row, "ours")
        await catalog.release_package(row, "ours")
        said = {"reason": "it bites", "by": "root", "created_at": 1.0}
        blocks = (
            Block(repository="hosted", name="bad", version="1", **said),  # type: ignore[arg-type]
            Block(format="pypi", name="bad", **said),  # type: ignore[arg-type]
            Block(digest=sha256("x"), **said),  # type: ignore[arg-type]
        )
        for one in blocks:
            await catalog.lift_block((await catalog.add_block(one)).id)
        events = await all_events(catalog)
        assert [event.kind for event in events] == ["claimed", "released", *["blocked", "unblocked"] * 3]
        assert {event.reason for event in events[2:]} == {"it bites"}
        assert [
            (one.repository, one.format, one.package, one.version, one.digest) for one in events[2::2]
        ] == [
            ("hosted", "docker", "bad", "1", ""),
            ("", "pypi", "bad", "", ""),
            ("", "", "", "", sha256("x")),
        ]

    async def test_who_wanted_it_is_told_and_nothing_of_what_failed(
        self, catalog: Catalog, rows: dict[str, int]
    ) -> None:
        row = rows["hosted"]
        cause = CAUSE.set(lambda: Cause("alice", "token", "r1"))
        try:
            await catalog.put_file(row, file("a", "a"), replace=False)
            with pytest.raises(Conflict):
                await catalog.put_files(row, [file("b", "b"), file("a", "other")], replace=False)
            CAUSE.set(lambda: Cause("\udcff", "password", ""))  # a name of the file of users is no text
            await catalog.put_file(row, file("c", "c"), replace=False)
        finally:
            CAUSE.reset(cause)
        await catalog.delete_files(row, ["a"], for_good=False)
        events = await all_events(catalog)
        assert [(one.path, one.user, one.method, one.request_id) for one in events] == [
            ("a", "alice", "token", "r1"),
            ("c", "?", "password", ""),
            ("a", "", "", ""),
        ]
        assert all(abs(one.at - time.time()) < 60 for one in events)

    async def test_events_are_listed_by_what_is_wanted(self, catalog: Catalog, rows: dict[str, int]) -> None:
        assert await catalog.latest_event() == 0
        for name in ("hosted", "other"):
            for path in ("a", "b"):
                await catalog.put_file(rows[name], file(path, path), replace=False)
        await catalog.delete_files(rows["hosted"], ["a"], for_good=False)
        ids = [event.id for event in await all_events(catalog)]
        assert ids == sorted({*ids})
        assert await catalog.latest_event() == ids[-1]
        newest = await catalog.list_events(EventFilter(), 2)
        assert [event.id for event in newest] == ids[:-3:-1]
        older = await catalog.list_events(EventFilter(before=newest[-1].id), 10)
        assert [event.id for event in older] == ids[2::-1]
        assert [event.id for event in await all_events(catalog, after=ids[2])] == ids[3:]
        of_one = await all_events(catalog, repository_ids=(rows["other"],))
        assert [event.repository for event in of_one] == ["other", "other"]
        assert [event.id for event in await all_events(catalog, kinds=("deleted",))] == [ids[-1]]
        assert await all_events(catalog, user="alice") == []

    async def test_old_events_go_and_no_id_is_given_twice(
        self, catalog: Catalog, rows: dict[str, int]
    ) -> None:
        for number in range(6):
            await catalog.put_file(rows["hosted"], file(f"{number}", "x"), replace=False)
            await catalog.put_cached(rows["proxy"], entry(f"{number}", "x", package=None), LEASE)
        assert await catalog.prune_events(6, 6, 0.0) == 0
        assert await catalog.prune_events(4, 2, 0.0) == 6
        kept = await all_events(catalog)
        assert [(one.kind, one.path) for one in kept] == [
            ("published", "2"),
            ("published", "3"),
            ("published", "4"),
            ("cached", "4"),
            ("published", "5"),
            ("cached", "5"),
        ]
        assert await catalog.prune_events(9, 9, time.time() + 60) == 5
        assert [one.id for one in await all_events(catalog)] == [kept[-1].id]
        await catalog.put_file(rows["hosted"], file("last", "x"), replace=False)
        assert await catalog.latest_event() == kept[-1].id + 1
