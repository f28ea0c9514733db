"""Who may be asked for a name: names that are ours are asked of nobody."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nora.errors import StorageFailed
from tests.resolve.conftest import DEFAULT
from tests.resolve.world import World

pytestmark = pytest.mark.anyio
Make = Callable[..., World]


async def test_a_name_of_nobody_is_asked_of_all(make: Make) -> None:
    world = await make().begin()
    expected: dict[str, list[str]] = {
        "cargo-hosted": [],
        "cargo-proxy": ["index"],
        "cargo": ["index"],
        "docker-hosted": [],
        "docker-proxy": ["registry-1"],
        "docker": ["registry-1"],
        "npm-hosted": [],
        "npm-proxy": ["registry"],
        "npm": ["registry"],
        "pypi-hosted": [],
        "pypi-proxy": ["index"],
        "pypi": ["index"],
        "team": [],
        "second": ["second"],
        "all": ["second", "index"],
        "alone": ["alone"],
        "ours": [],
    }
    assert {name: await world.hosts(name, "requests") for name in expected} == expected


async def test_an_owned_name_is_asked_of_no_source_that_shares_a_group(make: Make) -> None:
    """Whichever way it is asked; `alone` shares no group with anybody."""
    world = await make().begin()
    assert not (await world.resolve("pypi", "tool")).ours  # remembered as absent
    await world.catalog.claim_package(world.repositories["team"].id, "tool")
    for name in ("pypi-proxy", "pypi", "second", "all"):
        resolution = await world.resolve(name, "tool")
        assert (resolution.candidates, resolution.ours) == ((), True), name
    assert await world.hosts("alone", "tool") == ["alone"]
    assert await world.hosts("pypi", "tools") == ["index"]


async def test_a_released_name_is_asked_again_until_the_next_upload(make: Make) -> None:
    world = await make().begin()
    hosted = world.repositories["pypi-hosted"].id
    for _ in range(2):
        await world.catalog.claim_package(hosted, "tool")
        assert await world.hosts("pypi", "tool") == []
        assert await world.catalog.release_package(hosted, "tool")
        assert await world.hosts("pypi", "tool") == ["index"]


async def test_a_reserved_name_is_ours_before_the_first_upload(make: Make) -> None:
    world = await make(DEFAULT + '[proxy]\nreserved = ["Corp_*"]\nextend = ["corp.open"]\n').begin()
    for name in ("corp-lib", "corp-", "corp-x-y"):
        for repository in ("pypi", "all", "pypi-proxy", "alone"):
            assert await world.hosts(repository, name) == [], name
    assert await world.hosts("pypi", "corporate") == ["index"]
    extended = await world.resolve("pypi", "corp-open")
    assert (len(extended.candidates), extended.ours) == (1, True)


async def test_an_extended_name_is_asked_although_it_is_ours(make: Make) -> None:
    world = await make(DEFAULT + '[proxy]\nextend = ["torch*"]\n').begin()
    for name in ("torch", "tool"):
        await world.catalog.claim_package(world.repositories["pypi-hosted"].id, name)
    assert await world.hosts("pypi", "torch") == ["index"]
    assert await world.hosts("pypi", "tool") == []


async def test_a_name_is_as_much_ours_as_the_names_that_upstreams_see(make: Make) -> None:
    """`hub/corp-x` asks the upstream with the prefix `hub` for `corp-x`."""
    world = await make(DEFAULT + '[proxy]\nreserved = ["corp-*"]\nextend = ["open-*"]\n').begin()
    for name in ("owned", "open-owned"):
        await world.catalog.claim_package(world.repositories["pypi-hosted"].id, name)
    assert await world.hosts("pypi", "hub/corp-x", "corp-x") == []
    assert await world.hosts("pypi", "hub/owned", "owned") == []
    assert await world.hosts("pypi", "hub/open-owned", "open-owned") == ["index"]
    assert await world.hosts("pypi", "hub/open-owned", "open-owned", "owned") == []
    assert await world.hosts("pypi", "hub/other", "other") == ["index"]


async def test_what_cannot_be_looked_up_is_not_asked_of_others(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise StorageFailed("disk I/O error")

    world = await make().begin()
    monkeypatch.setattr(world.catalog, "find_packages", fails)
    with pytest.raises(StorageFailed):
        await world.resolve("pypi", "tool")


NAMED = """
[proxy]
reserved = ["corp-*"]
[pypi]
upstreams = [
    { url = "https://corp.example.com/simple", names = ["Corp_*", "tool"] },
    { url = "https://other.example.com/simple", names = ["tool"] },
    "https://index.example.com/simple",
]
"""


async def test_sources_that_name_a_name_are_asked_alone(make: Make) -> None:
    """In order, and for no other name; also for names that are ours."""
    world = await make(NAMED).begin()
    assert await world.hosts("pypi", "corp-lib") == ["corp"]
    assert await world.hosts("pypi", "tool") == ["corp", "other"]
    assert await world.hosts("pypi", "requests") == ["index"]
    await world.catalog.claim_package(world.repositories["pypi-hosted"].id, "tool")
    assert await world.hosts("pypi", "tool") == ["corp", "other"]


async def test_a_name_of_one_source_is_asked_of_no_other_that_is_said_with_it(make: Make) -> None:
    """`index.example.com/corp-lib` says who is to be asked, and `?ns=`; there it would be `corp-lib`."""
    world = await make(NAMED).begin()
    pypi = world.repositories["pypi"]
    index = next(one for one in world.resolver.sources_of(pypi) if not one.names)
    for name, asked in (("corp-lib", 0), ("requests", 1)):
        said = f"index.example.com/{name}"
        resolution = await world.resolver.resolve(pypi, said, {index.id: name}, (name,))
        assert len(resolution.candidates) == asked


async def test_a_pinned_name_is_asked_of_nobody_after_its_source(make: Make) -> None:
    world = await make().begin()
    second, index = (await world.resolve("all", "tool")).candidates
    await world.had(index)
    candidates = (await world.resolve("all", "tool")).candidates
    assert [(one.pinned, one.is_last) for one in candidates] == [(False, False), (True, True)]
    await world.had(second)
    resolution = await world.resolve("all", "tool")
    assert [one.key for one in resolution.candidates] == [second.key]
    assert [one.id for one in resolution.passed] == [index.source.id]
    assert await world.hosts("pypi", "tool") == ["index"], "of another group"


async def test_a_source_is_the_same_when_its_mirrors_change(make: Make) -> None:
    """And another one when its address does: what came from the old one is not taken for the new one's."""
    config = '[pypi]\nupstreams = [{{ url = "https://{}.example.com/simple", mirrors = [{}] }}]\n'
    (before,) = (await (await make(config.format("one", "")).begin()).resolve("pypi", "x")).candidates
    mirrored = await make(config.format("one", '"https://m.example.com/simple"')).begin()
    other = await make(config.format("two", "")).begin()
    assert (await mirrored.resolve("pypi", "x")).candidates[0].key == before.key
    assert (await other.resolve("pypi", "x")).candidates[0].key != before.key
