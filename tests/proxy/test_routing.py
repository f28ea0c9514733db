"""Whom a name is asked of: names that are ours are asked of nobody."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nora.catalog.sqlite import SQLiteCatalog
from nora.config import ProxySettings
from nora.errors import StorageFailed
from nora.model import Repository, RepositorySpec
from nora.proxy.routing import Members, Patterns, Routing

pytestmark = pytest.mark.anyio
SPECS = (
    RepositorySpec("pypi-hosted", "pypi", "hosted"),
    RepositorySpec("pypi-proxy", "pypi", "proxy"),
    RepositorySpec("pypi", "pypi", "group", ("pypi-hosted", "pypi-proxy"), "pypi-hosted"),
    RepositorySpec("team", "pypi", "hosted"),
    RepositorySpec("second", "pypi", "proxy"),
    RepositorySpec("all", "pypi", "group", ("team", "pypi-hosted", "second", "pypi-proxy"), "team"),
    RepositorySpec("alone", "pypi", "proxy"),
    RepositorySpec("ours", "pypi", "group", ("team", "pypi-hosted"), "team"),
)


def fold(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[SQLiteCatalog]:
    SQLiteCatalog.prepare(tmp_path / "catalog.sqlite3")
    catalog = SQLiteCatalog.open(tmp_path / "catalog.sqlite3")
    yield catalog
    await catalog.close()


@pytest.fixture
async def repositories(catalog: SQLiteCatalog) -> dict[str, Repository]:
    return await catalog.sync_repositories(SPECS)


def routing(
    catalog: SQLiteCatalog,
    repositories: dict[str, Repository],
    *,
    reserved: tuple[str, ...] = (),
    extend: tuple[str, ...] = (),
) -> Routing:
    settings = ProxySettings(reserved=reserved, extend=extend)
    return Routing(catalog, repositories.values(), settings, {"pypi": fold})


def names(members: Members) -> tuple[list[str], list[str], bool]:
    return [one.name for one in members.hosted], [one.name for one in members.proxies], members.internal


async def test_a_name_of_nobody_is_asked_of_all(
    catalog: SQLiteCatalog, repositories: dict[str, Repository]
) -> None:
    route = routing(catalog, repositories)
    seen = {name: names(await route.members(one, "requests")) for name, one in repositories.items()}
    assert seen == {
        "pypi-hosted": (["pypi-hosted"], [], False),
        "pypi-proxy": ([], ["pypi-proxy"], False),
        "pypi": (["pypi-hosted"], ["pypi-proxy"], False),
        "team": (["team"], [], False),
        "second": ([], ["second"], False),
        "all": (["team", "pypi-hosted"], ["second", "pypi-proxy"], False),
        "alone": ([], ["alone"], False),
        "ours": (["team", "pypi-hosted"], [], False),
    }


async def test_an_owned_name_is_asked_of_no_upstream_that_shares_a_group(
    catalog: SQLiteCatalog, repositories: dict[str, Repository]
) -> None:
    """Whichever way it is asked; `alone` shares no group with anybody."""
    route = routing(catalog, repositories)
    assert not (await route.members(repositories["pypi"], "tool")).internal  # remembered as absent
    await catalog.claim_package(repositories["team"].id, "tool")
    for name in ("pypi-proxy", "pypi", "second", "all"):
        assert (await route.members(repositories[name], "tool")).proxies == (), name
    assert names(await route.members(repositories["all"], "tool")) == (["team", "pypi-hosted"], [], True)
    assert names(await route.members(repositories["alone"], "tool")) == ([], ["alone"], False)
    assert names(await route.members(repositories["pypi"], "tools")) == (
        ["pypi-hosted"],
        ["pypi-proxy"],
        False,
    )


async def test_a_released_name_is_asked_again_until_the_next_upload(
    catalog: SQLiteCatalog, repositories: dict[str, Repository]
) -> None:
    route, hosted = routing(catalog, repositories), repositories["pypi-hosted"]
    for _ in range(2):
        await catalog.claim_package(hosted.id, "tool")
        assert (await route.members(repositories["pypi"], "tool")).proxies == ()
        assert await catalog.list_owned_packages(hosted.id, "", 10) == ["tool"]
        assert await catalog.release_package(hosted.id, "tool")
        assert (await route.members(repositories["pypi"], "tool")).proxies == (repositories["pypi-proxy"],)
        assert await catalog.list_owned_packages(hosted.id, "", 10) == []


async def test_a_reserved_name_is_ours_before_the_first_upload(
    catalog: SQLiteCatalog, repositories: dict[str, Repository]
) -> None:
    route = routing(catalog, repositories, reserved=("Corp_*",), extend=("corp.open",))
    for name in ("corp-lib", "corp-", "corp-x-y"):
        for repository in ("pypi", "all", "pypi-proxy", "alone"):
            assert (await route.members(repositories[repository], name)).proxies == (), name
    assert (await route.members(repositories["pypi"], "corporate")).proxies
    extended = await route.members(repositories["pypi"], "corp-open")
    assert names(extended) == (["pypi-hosted"], ["pypi-proxy"], True)


async def test_an_extended_name_is_merged(
    catalog: SQLiteCatalog, repositories: dict[str, Repository]
) -> None:
    route = routing(catalog, repositories, extend=("torch*",))
    await catalog.claim_package(repositories["pypi-hosted"].id, "torch")
    await catalog.claim_package(repositories["pypi-hosted"].id, "tool")
    found = await route.members(repositories["pypi"], "torch")
    assert names(found) == (["pypi-hosted"], ["pypi-proxy"], True)
    assert (await route.members(repositories["pypi"], "tool")).proxies == ()


async def test_a_name_is_as_internal_as_the_names_that_upstreams_see(
    catalog: SQLiteCatalog, repositories: dict[str, Repository]
) -> None:
    """`hub/corp-x` asks the upstream with the prefix `hub` for `corp-x`."""
    route = routing(catalog, repositories, reserved=("corp-*",), extend=("open-*",))
    await catalog.claim_package(repositories["pypi-hosted"].id, "owned")
    await catalog.claim_package(repositories["pypi-hosted"].id, "open-owned")
    group = repositories["pypi"]
    assert (await route.members(group, "hub/corp-x", "corp-x")).proxies == ()
    assert (await route.members(group, "hub/owned", "owned")).proxies == ()
    assert (await route.members(group, "hub/open-owned", "open-owned")).proxies
    assert (await route.members(group, "hub/open-owned", "open-owned", "owned")).proxies == ()
    assert (await route.members(group, "hub/other", "other")).proxies


async def test_what_cannot_be_looked_up_is_not_asked_of_others(
    catalog: SQLiteCatalog, repositories: dict[str, Repository], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise StorageFailed("disk I/O error")

    route = routing(catalog, repositories)
    monkeypatch.setattr(catalog, "find_package", fails)
    with pytest.raises(StorageFailed):
        await route.members(repositories["pypi"], "tool")


@pytest.mark.parametrize(
    ("pattern", "reserved", "others"),
    [
        ("corp-*", ["corp-x", "corp-", "Corp-X"], ["corp", "xcorp-x", "corp-x/y"]),
        ("@corp/*", ["@corp/x", "@Corp/x"], ["@corp", "@corpo/x", "corp/x"]),
        (
            "com.corp.**",
            ["com.corp", "com.corp:lib", "com.corp.a", "com.corp.a.b:lib", "com.corp/lib", "com.Corp:x"],
            ["com.corporate:lib", "com.corpx", "org.com.corp:lib"],
        ),
        ("team/**", ["team/a", "team/a/b"], ["team", "teams/a"]),
        ("exact", ["exact"], ["exactly", "inexact"]),
    ],
)
def test_what_patterns_reserve(pattern: str, reserved: list[str], others: list[str]) -> None:
    patterns = Patterns([pattern], [])
    assert [one for one in reserved if not patterns.is_reserved("maven", one)] == []
    assert [one for one in others if patterns.is_reserved("maven", one)] == []


def test_a_format_says_which_names_are_the_same() -> None:
    patterns = Patterns(["com.corp.**", "Foo.*"], ["Bar_*"], {"pypi": fold})
    for name in ("com-corp", "com-corp-x", "foo-x"):
        assert patterns.is_reserved("pypi", name)
    assert not patterns.is_reserved("docker", "foo-x")
    assert patterns.is_extended("pypi", "bar-x")
    assert not patterns.is_extended("docker", "bar-x")
    assert not patterns.is_extended("maven", "bar_x"), "an exception is for what it says, to the letter"
