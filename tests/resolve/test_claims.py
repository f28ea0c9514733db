"""Who may make a name ours, and what administrators see of names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from nora.errors import Denied, NotFound
from nora.model import Principal, Repository
from nora.observability import audit
from nora.resolve import Claims
from nora.resolve.ownership import Ownership
from tests.resolve.world import World

pytestmark = pytest.mark.anyio
Make = Callable[..., World]
WRITER, ADMIN = Principal("w", "token", "write"), Principal("a", "token", "admin")
CONFIG = """
[pypi]
upstreams = ["https://index.example.com/simple"]
[proxy]
reserved = ["corp-*"]
claims = "{}"
[repositories.alone]
format = "pypi"
"""


@dataclass
class Upload:
    principal: Principal
    repository: Repository
    scope: dict[str, Any] = field(default_factory=dict)

    @property
    def claimed(self) -> bool:
        return audit._CLAIM_KEY in self.scope


def claims_of(world: World) -> Claims:
    return Claims(
        world.catalog,
        world.resolver,
        world.repositories.values(),
        world.config.proxy,
        lambda who, repository, name: who.role == "admin",
    )


@pytest.mark.parametrize(
    ("rule", "refused"),
    [
        ("write", {("requests", "w")}),
        ("admin", {("requests", "w"), ("new", "w")}),
        ("reserved", {("requests", "w"), ("new", "w"), ("new", "a")}),
    ],
)
async def test_who_may_claim_what(make: Make, rule: str, refused: set[tuple[str, str]]) -> None:
    """`requests` was served by a source, `new` by nobody, `corp-x` is reserved, `mine` is owned already."""
    world = await make(CONFIG.format(rule)).begin()
    group, hosted = world.repositories["pypi"], world.repositories["pypi-hosted"]
    await world.had((await world.resolve("pypi", "requests")).candidates[0])
    await world.catalog.claim_package(hosted.id, "mine")
    seen, claimed, told = set(), set(), set()
    for name in ("requests", "new", "corp-x", "mine"):
        for who in (WRITER, ADMIN):
            for repository in (group, hosted):
                upload = Upload(who, repository)
                try:
                    await claims_of(world).require(upload, name)
                except Denied as error:
                    told.add(str(error).rpartition("ask an administrator for ")[2])
                    seen.add((name, who.name))
                else:
                    claimed |= {name} if upload.claimed else set()
    assert seen == refused
    assert told == {f"`nora package claim pypi-hosted {name}`" for name, _ in refused}
    assert "mine" not in claimed
    assert "corp-x" in claimed


async def test_names_that_belong_to_a_name_are_claimed_with_it(make: Make) -> None:
    world = await make(CONFIG.format("write")).begin()
    await world.had((await world.resolve("pypi", "team/lib")).candidates[0])
    hosted = world.repositories["pypi-hosted"]
    for name, also, who, refused in (
        ("team", "team/", WRITER, True),
        ("team", "team/", ADMIN, False),
        ("tea", "tea/", WRITER, False),
        ("team/lib/sub", "team/lib", WRITER, True),
        ("team/lib-2", "team/lib-2/", WRITER, False),
    ):
        told = ""
        try:
            await claims_of(world).require(Upload(who, hosted), name, also=(also,))
        except Denied as error:
            told = str(error)
        assert told.startswith("team/lib is served here from https://index.example.com/") is refused, name


async def test_a_repository_beside_no_source_takes_every_name(make: Make) -> None:
    world = await make(CONFIG.format("reserved")).begin()
    upload = Upload(WRITER, world.repositories["alone"])
    await claims_of(world).require(upload, "new")
    assert not upload.claimed


async def test_administrators_see_whose_a_name_is(make: Make) -> None:
    world = await make(
        '[pypi]\nupstreams = ["https://one.example.com/simple", "https://two.example.com/simple"]\n'
        '[proxy]\nreserved = ["corp-*"]\n'
    ).begin()
    ownership = Ownership(world.catalog, world.repositories, world.resolver, {"pypi": str.lower})
    group = ownership.repository("pypi")
    one, two = (f"https://{name}.example.com/simple" for name in ("one", "two"))
    found = await ownership.origin(group, "Requests")
    assert (found.name, found.sources, found.passed) == ("requests", ((one, False), (two, False)), ())
    await world.had((await world.resolve("pypi", "requests")).candidates[0])
    found = await ownership.origin(group, "requests")
    assert (found.sources, found.passed) == (((one, True),), (two,))
    hosted = ownership.hosted("pypi")
    assert await ownership.claim(hosted, "Requests") == "requests"
    found = await ownership.origin(group, "requests")
    assert (found.is_owned, found.is_reserved, found.sources) == (True, False, ())
    assert (await ownership.origin(hosted, "requests")).is_owned
    assert await ownership.list(hosted, "", 10) == ["requests"]
    assert await ownership.release(hosted, "REQUESTS") == "requests"
    with pytest.raises(NotFound):
        await ownership.release(hosted, "requests")
    assert (await ownership.origin(group, "corp-x")).is_reserved
    for unknown in (lambda: ownership.hosted("pypi-proxy"), lambda: ownership.repository("none")):
        with pytest.raises(NotFound):
            unknown()


async def test_an_uploader_is_told_of_sources_that_are_not_seen_any_more(make: Make) -> None:
    """By what is here of them: they are not asked."""
    world = await make(CONFIG.format("write")).begin()
    hosted = world.repositories["pypi-hosted"]
    await world.had((await world.resolve("pypi", "requests")).candidates[0])
    claims = claims_of(world)
    assert await claims.hidden_sources(hosted, "requests") == ["https://index.example.com/simple"]
    assert await claims.hidden_sources(hosted, "new") == []
    assert await claims.hidden_sources(world.repositories["alone"], "requests") == []
    assert world.asked == []
