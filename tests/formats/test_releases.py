"""What is done to releases after their upload, for a format whose versions have documents of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from nora.catalog.records import NewFile, Release
from nora.catalog.sqlite import SQLiteCatalog
from nora.errors import BadRequest, Conflict, NotFound
from nora.formats.base import CommandServices
from nora.formats.release_commands import release_commands
from nora.formats.releases import Mark, ReleaseApi, ReleaseRules, Releases, Words, reason_of, status_of
from nora.model import Repository, RepositorySpec
from tests.contracts.catalog import new_blob
from tests.support.catalogs import prepare_catalog

DEPRECATED = Mark(
    state="deprecated",
    verb="deprecate",
    undo="undeprecate",
    help="Warn of VERSION of CRATE.",
    undo_help="Take that back.",
    words=Words(title="Deprecate", effect="Clients warn of it.", done="deprecated"),
    undo_words=Words(title="Do not warn", effect="Nobody is warned of it.", done="as before"),
)
RULES = ReleaseRules(
    prefix="/crates/{crate}",
    marks=(DEPRECATED,),
    statuses=("active", "quarantined"),
    parse_package=str.lower,
    parse_version=str.strip,
    path_of=lambda package, filename: f"{package}/{filename}",
    beside=(".sig",),
)
DOCUMENT = {"name": "bear", "dependencies": ["honey"]}


def with_bear(folder: Path, work: Callable[[SQLiteCatalog, Repository, Releases], Awaitable[None]]) -> None:
    """Do something where `bear` 1.0 and 2.0 are published, each with a signature beside it."""

    async def run() -> None:
        prepare_catalog(folder / "catalog.db")
        catalog = SQLiteCatalog.open(folder / "catalog.db")
        try:
            toys = (await catalog.sync_repositories([RepositorySpec("toys", "toy", "hosted")]))["toys"]
            for version in ("1.0", "2.0"):
                await catalog.publish(published(toys, version), 60)
            await work(catalog, toys, Releases(catalog, RULES))
        finally:
            await catalog.close()

    asyncio.run(run())


def published(toys: Repository, version: str) -> Release:
    files = tuple(
        NewFile(
            path=f"bear/bear-{version}{end}",
            media_type="application/octet-stream",
            blob=new_blob(f"{version}{end}"),
        )
        for end in ("", ".sig")
    )
    document = orjson.dumps(DOCUMENT)
    return Release(repository_id=toys.id, package="bear", version=version, files=files, document=document)


def test_a_mark_keeps_what_the_format_says_of_the_version(tmp_path: Path) -> None:
    async def work(catalog: SQLiteCatalog, toys: Repository, releases: Releases) -> None:
        async def look() -> list[tuple[str | bool, Any]]:
            found = await catalog.list_versions(toys.id, "bear")
            return [(reason_of(one, "deprecated"), orjson.loads(one.document)) for one in found]

        await releases.mark(toys, "bear", " 1.0 ", DEPRECATED, "it growls")
        assert await look() == [("it growls", DOCUMENT | {"deprecated": "it growls"}), (False, DOCUMENT)]
        await releases.mark(toys, "bear", "1.0", DEPRECATED, "")
        assert (await look())[0] == (True, DOCUMENT | {"deprecated": None})
        await releases.unmark(toys, "bear", "1.0")
        assert await look() == [(False, DOCUMENT), (False, DOCUMENT)]
        for package, version in (("bear", "3.0"), ("wolf", "1.0")):
            with pytest.raises(NotFound, match=f"toys has no {package} {version}"):
                await releases.mark(toys, package, version, DEPRECATED, "")

    with_bear(tmp_path, work)


def test_a_status_keeps_what_the_format_says_of_the_package(tmp_path: Path) -> None:
    async def work(catalog: SQLiteCatalog, toys: Repository, releases: Releases) -> None:
        async def look() -> tuple[Any, Any]:
            found = await catalog.find_package(toys.id, "bear")
            assert found is not None
            return status_of(found, "active"), orjson.loads(found.document)

        assert await catalog.update_package(toys.id, "bear", b'{"about":"bears"}')
        assert await look() == (("active", None), {"about": "bears"})
        await releases.set_status(toys, "bear", "quarantined", "it bites")
        assert (await look())[0] == ("quarantined", "it bites")
        assert (await look())[1]["about"] == "bears"
        await releases.set_status(toys, "bear", "active", "")
        assert (await look())[0] == ("active", None)
        with pytest.raises(BadRequest, match="status is one of active, quarantined"):
            await releases.set_status(toys, "bear", "asleep", "")
        with pytest.raises(NotFound, match="toys has no crate wolf"):
            await releases.set_status(toys, "wolf", "active", "")

    with_bear(tmp_path, work)


def test_a_file_is_deleted_for_good_with_what_is_beside_it(tmp_path: Path) -> None:
    async def work(catalog: SQLiteCatalog, toys: Repository, releases: Releases) -> None:
        async def paths() -> list[str]:
            return [row.path for row in await catalog.list_package_files(toys.id, "bear")]

        with pytest.raises(NotFound, match=r"toys has no wolf-1\.0"):
            await releases.delete(toys, "bear", "1.0", "wolf-1.0")
        assert await releases.delete(toys, "bear", "1.0", "bear-1.0") == 1
        assert await paths() == ["bear/bear-2.0", "bear/bear-2.0.sig"]
        with pytest.raises(Conflict):
            await catalog.publish(published(toys, "1.0"), 60)
        assert await releases.delete(toys, "bear") == 1
        assert await paths() == []
        with pytest.raises(NotFound, match=r"toys has no bear 2\.0"):
            await releases.delete(toys, "bear", "2.0")

    with_bear(tmp_path, work)


def test_endpoints_and_commands_are_those_that_the_rules_ask_for() -> None:
    class Anything:
        catalog = cache = None

    def offered(rules: ReleaseRules) -> tuple[set[str], list[str]]:
        api = ReleaseApi(Anything(), Anything(), rules)  # type: ignore[arg-type]
        endpoints = {f"{one.methods} {one.path}" for one in api.endpoints()}
        return endpoints, [one.name for one in release_commands(rules)]

    deleting = {f"DELETE /crates/{{crate}}{rest}" for rest in ("", "/{version}", "/{version}/{filename}")}
    marking = {f"POST /crates/{{crate}}/{{version}}/{verb}" for verb in ("deprecate", "undeprecate")}
    assert offered(RULES) == (
        deleting | marking | {"PUT /crates/{crate}/status"},
        ["deprecate", "undeprecate", "delete", "status"],
    )
    plain = ReleaseRules(
        prefix=RULES.prefix,
        parse_package=str,
        parse_version=str,
        path_of=RULES.path_of,
        documents=lambda proxy, package: (package,),
    )
    assert offered(plain) == (deleting | {"POST /crates/{crate}/refresh"}, ["delete"])


def test_commands_do_what_endpoints_do(tmp_path: Path) -> None:
    async def work(catalog: SQLiteCatalog, toys: Repository, releases: Releases) -> None:
        commands = {one.name: one for one in release_commands(RULES)}
        services = CommandServices(catalog=catalog, blobs=None)  # type: ignore[arg-type]

        async def run(name: str, **words: str) -> str:
            return await commands[name].run(services, toys, {"crate": "Bear", **words})

        assert await run("deprecate", version="1.0", reason="old") == "bear 1.0 is deprecated"
        assert (await catalog.list_versions(toys.id, "bear"))[0].state == "deprecated"
        assert await run("undeprecate", version="1.0") == "bear 1.0 is not deprecated any more"
        assert await run("status", status="quarantined") == "bear is quarantined"
        assert await run("delete", version="1.0", file="bear-1.0") == "deleted for good: 1 of bear 1.0"
        assert [one.name for one in await catalog.list_versions(toys.id, "bear")] == ["2.0"]

    with_bear(tmp_path, work)
